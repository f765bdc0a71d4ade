"""The same five tasks for a numba script and for rollfit: a new window, a late bar, a kill in the middle, a new key, a live tick.
Prints the table of docs/notes/comparison.md. Called by ./bench.sh comparison.

Closes are one-minute closes, a directory `pair=KEY` each and a Parquet file a month, copied first: nothing of them is changed in place.
Without any, closes are made. The script is numba_job.py; rollfit gets two commands, which are the same for all tasks. Both
start as new processes each time, by turns, with compiled code in numba's cache.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from judge import Judge, Verdict

HERE = Path(__file__).parent
WINDOWS = {"w15": 15, "w30": 30, "w45": 45, "w60": 60, "w75": 75, "agg": 90}
NEW_KEY = "gbpusd"
CONFIG = """\
[store]
url = "parquet:./fx"
[partitions]
keys = "all"
from = "first"
to = "latest"
[series.idx]
table = "m1_{key}"
time = "time"
value = "rate_index"
features = "reg_rate_{key}_{yyyy}_{mm}"
[series.bqx]
table = "bqx_{key}"
time = "ts_utc"
value = "w15_bqx_return"
features = "reg_bqx_{key}_{yyyy}_{mm}"
[windows]
"""


@dataclass
class Result:
    """What one task took one contestant."""

    lines: int = 0
    seconds: float = 0.0
    written: int = 0
    verdict: Verdict = Verdict()
    remark: str = ""


class NumbaJob:
    """The script, run again."""

    name = "script"

    def __init__(self, directory):
        self.directory, self.features = directory, directory / "features"
        self.script = directory / "numba_job.py"
        directory.mkdir(parents=True)
        shutil.copy(HERE / "numba_job.py", self.script)

    def lines(self):
        return count_lines(self.script.read_text())

    def add_window(self):
        text = self.script.read_text()
        self.script.write_text(text.replace('"agg": 90}', '"agg": 90, "w120": 120}'))
        return 1

    def commands(self, closes, _changed=()):
        return [[sys.executable, self.script, closes, self.features]]


class Rollfit:
    """`rollfit import` and `rollfit run`."""

    name = "rollfit"

    def __init__(self, directory, program):
        self.directory, self.features, self.program = directory, directory / "fx/features", program
        directory.mkdir(parents=True)
        self.config = directory / "rollfit.toml"
        self.config.write_text(CONFIG + "".join(f"{label} = {rows}\n" for label, rows in WINDOWS.items()))

    def lines(self):
        return count_lines(self.config.read_text()) + len(self.commands("closes"))

    def add_window(self):
        self.config.write_text(self.config.read_text() + "w120 = 120\n")
        return 1

    def commands(self, closes, changed=()):
        """`changed` says what a user has to name: `close` where a close is another now, or a state to replace."""
        store = ["--quiet", "--config", self.config]
        replace = ["--replace"] if "close" in changed else []
        states = [word for state in changed if state != "close" for word in ("--replace", state)]
        return [
            [self.program, "import", *store, "--format", "parquet", *replace, closes],
            [self.program, "run", *store, *states],
        ]


def count_lines(text):
    """Lines of code: without empty ones, comments and the docstring of a module."""
    text = re.sub(r'\A""".*?"""', "", text, flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def make_closes(directory, keys):
    """A random walk a key, five days a week, where there is no market data."""
    start = np.datetime64("2017-01-02T00:00", "us")
    minutes = start + np.arange(363 * 1440).astype("timedelta64[m]")
    minutes = minutes[(minutes.astype("datetime64[D]").astype(int) + 3) % 7 < 5]
    for number, key in enumerate(keys):
        close = np.round(1.1 * np.exp(np.cumsum(np.random.default_rng(number).normal(scale=1e-4, size=len(minutes)))), 5)
        frame = pl.DataFrame({"ts": pl.Series(minutes).dt.replace_time_zone("UTC"), "close": close})
        write_months(frame, directory / f"pair={key}")


def write_months(frame, directory):
    directory.mkdir(parents=True)
    frame = frame.with_columns(month=pl.col("ts").dt.strftime("%Y-%m"))
    for (month,), rows in frame.partition_by("month", as_dict=True, include_key=False).items():
        rows.write_parquet(directory / f"{month}.parquet")


def take_closes(shared, directory, keys, months):
    source = Path(shared, "data/m1") if shared else Path("/nonexistent")
    if all((source / f"pair={key}").is_dir() for key in keys):
        for file in (file for key in keys for file in (source / f"pair={key}").glob("*.parquet")):
            to = directory / file.parent.name / file.name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
        origin = "real closes of 2017"
    else:
        make_closes(directory, keys)
        origin = "made closes"
    for pair in directory.iterdir():
        for file in sorted(pair.iterdir())[months:]:
            file.unlink()
    return origin


def edit(file, change):
    """Writes a file of closes anew, as a download would."""
    change(pl.read_parquet(file)).write_parquet(file.with_suffix(".new"))
    os.replace(file.with_suffix(".new"), file)


def snapshot(directory):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size) for path in directory.rglob("*.parquet")}


def bytes_since(before, directory):
    """Bytes of all Parquet files that are new or others than `before`; those that were made and moved away are not counted."""
    return sum(now[2] for path, now in snapshot(directory).items() if before.get(path) != now)


def run(job, closes, changed=()):
    """Seconds and bytes of a job over the closes as they are."""
    before, start = snapshot(job.directory), time.perf_counter()
    for command in job.commands(closes, changed):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=job.directory)
        if done.returncode != 0:
            raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - start, bytes_since(before, job.directory)


class Comparison:
    """The jobs, the closes that both read, and the tasks."""

    def __init__(self, directory, program, shared, keys, months):
        shutil.rmtree(directory, ignore_errors=True)
        self.directory, self.closes, self.program = directory, directory / "closes", program
        origin = take_closes(shared, self.closes, [*keys, NEW_KEY], months)
        (self.closes / f"pair={NEW_KEY}").rename(directory / NEW_KEY)
        self.jobs = [NumbaJob(directory / "script"), Rollfit(directory / "rollfit", program)]
        self.windows, self.judge, self.rows = dict(WINDOWS), Judge(), []
        self.late_file = sorted((self.closes / f"pair={keys[0]}").iterdir())[(months - 1) // 2]
        # The late bar is one that is there: it is taken away first.
        frame = pl.read_parquet(self.late_file)
        self.late_bar = frame[len(frame) // 2]
        edit(self.late_file, lambda frame: frame.filter(pl.col("ts") != self.late_bar["ts"]))
        # The tick is the first of the last hour's.
        last_file = max(self.late_file.parent.iterdir())
        self.tick_bar = pl.read_parquet(last_file)[-60]
        edit(last_file, lambda frame: frame[:-60])
        months = len(list(self.closes.rglob("*.parquet")))
        print(f"{origin}: {', '.join(keys)}, {months} months; the new key is {NEW_KEY}\n", flush=True)

    def note(self, task, results):
        verdicts = self.judge.judge(self.closes, [job.features for job in self.jobs], self.windows)
        for job, result, verdict in zip(self.jobs, results, verdicts):
            result.verdict = verdict
            self.rows.append((task, job.name, result))
            print(f"{task}: {job.name}: {result}", file=sys.stderr, flush=True)

    def task(self, name, lines=(0, 0), changed=(), **remarks):
        """Runs both jobs over the closes as they are now."""
        results = [Result(line, *run(job, self.closes, changed)) for job, line in zip(self.jobs, lines)]
        for job, result in zip(self.jobs, results):
            result.remark = remarks.get(job.name, "")
        self.note(name, results)

    def all_tasks(self):
        self.compile()
        self.task("the first run", [job.lines() for job in self.jobs])
        self.task("a further run, nothing to do")
        self.note("a kill in the middle", [self.kill(job) for job in self.jobs])
        self.late_bars()
        shutil.move(self.directory / NEW_KEY, self.closes / f"pair={NEW_KEY}")
        self.task("a new key")
        self.new_window()
        self.tick()

    def compile(self):
        """Runs the script over one month elsewhere: what numba compiles, and then finds beside the script, belongs to no task."""
        few = self.directory / "few"
        (few / "pair=x").mkdir(parents=True)
        shutil.copy(self.late_file, few / "pair=x")
        subprocess.run(list(map(str, [sys.executable, self.jobs[0].script, few, self.directory / "warm"])), check=True)

    def kill(self, job):
        """Ends a run over nothing stored with SIGKILL when half the months are there; then the same command finishes."""
        shutil.rmtree(job.features)
        months = len(list(self.closes.rglob("*.parquet")))
        process = subprocess.Popen(list(map(str, job.commands(self.closes)[-1])), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=job.directory)
        while len(snapshot(job.features)) < months // 2 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = list(job.features.glob("*/*/*.parquet"))
        halves = sum(not is_whole(path) for path in there)
        seconds, written = run(job, self.closes)
        remark = f"{len(there)} of {months} months were there, {halves} of them half written"
        return Result(0, seconds, written, remark=remark)

    def late_bars(self):
        edit(self.late_file, lambda frame: pl.concat([frame, self.late_bar]).sort("ts"))
        self.task("a late bar, in the middle of a month")
        edit(self.late_file, lambda frame: corrected(frame, len(frame) - 5))
        self.task("5 closes corrected, the last of a month", changed=["close"], rollfit="`import --replace`")
        edit(self.late_file, lambda frame: corrected(frame, len(frame) // 2))
        os.utime(self.late_file, (0, 0))
        self.task("5 closes corrected, in a file with an old date", changed=["close"], rollfit="`import --replace`")
        for job in self.jobs[:1]:  # What follows starts from right features.
            shutil.rmtree(job.features)
            run(job, self.closes)

    def new_window(self):
        lines = [job.add_window() for job in self.jobs]
        self.windows["w120"] = 120
        self.task("a new window", lines, ["definition-changed"], rollfit="`run --replace definition-changed`")

    def tick(self):
        """One close more: stored by another run, and known to a process that is running."""
        file, bar = max(self.late_file.parent.iterdir()), self.tick_bar
        before = pl.read_parquet(self.late_file.parent / "*.parquet").sort("ts")
        live = [self.ask(job, before, bar) for job in self.jobs]
        edit(file, lambda frame: pl.concat([frame, bar]))
        self.task("a live tick, stored")
        key = self.late_file.parent.name.removeprefix("pair=")
        for job, (result, values) in zip(self.jobs, live):
            stored = pl.read_parquet(job.features / f"key={key}/month={file.stem}/part.parquet")[-1]
            if not values:
                continue
            same = [np.isclose(values[name], stored[name][0] or 0.0, rtol=1e-6, atol=0) for name in stored.columns[1:]]
            bits = sum(values[name] == stored[name][0] for name in stored.columns[1:])
            result.verdict, result.remark = Verdict(same.count(False)), f"{bits} of {len(same)} values have the bits that are then stored"
            self.rows.append(("a live tick, in a process that is running", job.name, result))

    def ask(self, job, before, bar):
        """A second process that has the past, and gets the tick."""
        before.write_parquet(self.directory / "before.parquet")
        bar.write_parquet(self.directory / "bar.parquet")
        key = self.late_file.parent.name.removeprefix("pair=")
        shutil.copy(HERE / f"{job.name}_tick.py", job.directory)
        words = [job.directory / f"{job.name}_tick.py", key, self.directory / "before.parquet", self.directory / "bar.parquet"]
        done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=job.directory)
        if "No module named 'rollfit'" in done.stderr:
            return Result(), {}
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        answer = json.loads(done.stdout)
        return Result(answer["lines"], answer["seconds"]), answer["values"]


def corrected(frame, first):
    """Closes as a vendor corrects them: five of them are others."""
    among = pl.int_range(pl.len()).is_between(first, first + 4)
    return frame.with_columns(pl.when(among).then(pl.col("close") * 1.001).otherwise("close").alias("close"))


def is_whole(path):
    try:
        return pl.read_parquet(path).height > 0
    except Exception:
        return False


def print_table(rows):
    print("| task | | lines | seconds | written | wrong cells | less exact than promised | |")
    print("|---|---|---|---|---|---|---|---|")
    for task, name, r in rows:
        seconds = f"{r.seconds:.2f}" if r.seconds >= 0.01 else f"{1e6 * r.seconds:.0f} us"
        print(f"| {task} | {name} | {r.lines or ''} | {seconds} | {r.written / 1e6:,.1f} MB | {r.verdict.wrong:,} | {r.verdict.outside:,} | {r.remark} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollfit", required=True, help="the command")
    parser.add_argument("--directory", required=True, type=Path, help="where both jobs work; emptied first")
    parser.add_argument("--shared", help="where data/m1 has real closes")
    parser.add_argument("--keys", default="eurusd,usdjpy", help="the first keys")
    parser.add_argument("--months", default=12, type=int, help="how many months of each, at least 2")
    options = parser.parse_args()
    os.environ["ROLLFIT_STATE_DIR"] = str(options.directory / "state")
    comparison = Comparison(options.directory.absolute(), options.rollfit, options.shared, options.keys.split(","), options.months)
    comparison.all_tasks()
    print_table(comparison.rows)


if __name__ == "__main__":
    main()
