"""Several runners on one store: machines.py ROLLFIT DIRECTORY [--rounds N] [--only PART]... [--store STORE]... [--to MONTH] [--tiny N] [--json FILE].

PART is `shards` (four shards of one worker beside one process of four, by turns, medians and spread), `no-shards` (the same with four
runners that all have the whole job), `kill` (one of four shards is killed when half of the partitions are there; what the rest took), or `plan` (the plan
of shard 1/64 of --tiny small partitions). STORE is parquet or postgres. DIRECTORY holds the reference workload as bench.sh imports it; --to is the last month of
2017 that is written, instead of December into Parquet and March into PostgreSQL. Called by ./bench.sh machines.
"""

import argparse
import functools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import forget, measure
from server import Server

STORES, PARTS = ("parquet", "postgres"), ("shards", "no-shards", "kill", "plan")
RUNNERS = 4
TO = {"parquet": "2017-12", "postgres": "2017-03"}
GOAL, PLAN_GOAL_S = 1.15, 10.0


class ReferenceJob:
    """The reference workload into one store, and what is counted there."""

    def __init__(self, store, rollfit, directory, to):
        self.store, self.rollfit, self.directory = store, rollfit, directory
        text = (directory / "rollfit.toml").read_text()
        self.server = None
        if store == "postgres":
            self.server = Server(directory / "machines-server")
            self.server.start()
            text = text.replace("[store]", "[source]", 1) + f'\n[sink]\nurl = "{self.server.url}"\n'
        self.config = directory / "machines.toml"
        self.config.write_text(text)
        self.environment = {"ROLLFIT_PARTITIONS__TO": to or TO[store], "ROLLFIT_STATE_DIR": str(directory / "machines-state")}

    def forget(self):
        """Removes all features, and waits until the disk has come to rest."""
        if self.server:
            self.server.forget()
        forget(self.directory / "fx" / "features")

    def done(self):
        """How many partitions are there."""
        if not self.server:
            return sum(1 for _ in (self.directory / "fx" / "features").rglob("part.parquet"))
        exists = self.server.sql("select to_regclass('rollfit_receipts') is not null").strip() == "t"
        return int(self.server.sql("select count(*) from rollfit_receipts")) if exists else 0

    def start(self, *options):
        output = tempfile.TemporaryFile("w+")
        command = [self.rollfit, "run", "--json", "--quiet", "--config", self.config, *options]
        process = subprocess.Popen(command, stdout=output, env=os.environ | self.environment)
        return process, output

    def run(self, *runners):
        """Runners with these options at once, on a store without features: the time until the last has ended, and their summaries."""
        self.forget()
        started = time.perf_counter()
        summaries = [summary(*runner) for runner in [self.start(*options) for options in runners]]
        return time.perf_counter() - started, summaries

    def close(self):
        self.forget()
        if self.server:
            self.server.stop()
            shutil.rmtree(self.server.directory)


def summary(process, output):
    code = process.wait()
    output.seek(0)
    if code != 0:
        raise SystemExit(f"{' '.join(map(str, process.args))} ended with {code}")
    return json.load(output)


def written(summary):
    return summary["written"] + (summary["other_shards"] or {"written": 0})["written"]


def shard(index):
    return ["--workers", "1", "--shard", f"{index}/{RUNNERS}"]


def one_process(job):
    took_s, (told,) = job.run(["--workers", str(RUNNERS)])
    return took_s, told["partitions"]


def several(job, options, partitions):
    """The time of several runners, and how often they read and saw others at work."""
    took_s, told = job.run(*options)
    reads, held = (sum(summary[name] for summary in told) for name in ("source_reads", "seen_held"))
    if sum(map(written, told)) != partitions or job.done() != partitions or reads > partitions + held:
        raise SystemExit(f"{partitions} partitions, {reads} source reads, {held} seen held: {told}")
    return took_s, reads, held


def beside_one_process(job, part, rounds):
    options = [shard(index) for index in range(RUNNERS)] if part == "shards" else [["--workers", "1"]] * RUNNERS
    blocks = []
    for _ in range(rounds):
        one_s, partitions = one_process(job)
        several_s, reads, held = several(job, options, partitions)
        blocks.append({"one_s": one_s, "several_s": several_s, "reads": reads, "held": held, "partitions": partitions})
    ratios = [block["several_s"] / block["one_s"] for block in blocks]
    median = statistics.median(ratios)
    goal = f"at most {GOAL}{'' if median <= GOAL else ' (**missed**)'}" if part == "shards" else ""
    print(f"| {job.store} | {part} | {blocks[0]['partitions']} | {spread(blocks, 'one_s')} | {spread(blocks, 'several_s')} "
          f"| {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {goal} | {spread(blocks, 'reads', 0)} | {spread(blocks, 'held', 0)} |", flush=True)
    return blocks


def spread(blocks, name, digits=1):
    values = [block[name] for block in blocks]
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def kill_one(job, rounds):
    """What the rest take when one of four is killed half-way, in seconds from its end."""
    blocks = []
    for _ in range(rounds):
        undisturbed_s, told = job.run(*[shard(index) for index in range(RUNNERS)])
        partitions = sum(summary["partitions"] for summary in told)
        job.forget()
        started = time.perf_counter()
        runners = [job.start(*shard(index)) for index in range(RUNNERS)]
        while job.done() < partitions // 2 and runners[0][0].poll() is None:
            time.sleep(0.05)
        runners[0][0].send_signal(signal.SIGKILL)
        at = job.done()
        killed_s = time.perf_counter() - started
        rest = [summary(*runner) for runner in runners[1:]]
        took_s = time.perf_counter() - started
        if runners[0][0].wait() != -signal.SIGKILL or job.done() != partitions:
            raise SystemExit(f"{job.done()} of {partitions} are there; the victim ended with {runners[0][0].returncode}")
        helped = sum(summary["other_shards"]["written"] for summary in rest)
        blocks.append({"undisturbed_s": undisturbed_s, "took_s": took_s, "killed_s": killed_s, "done": at, "helped": helped})
        again_s, again = timed(lambda: summary(*job.start(*shard(0))))
        if again["written"] != 0:
            raise SystemExit(f"the killed shard run again wrote something: {again}")
        blocks[-1]["again_s"] = again_s
    print(f"{job.store}: four shards {spread(blocks, 'undisturbed_s')} s; one killed after {spread(blocks, 'killed_s')} s with "
          f"{spread(blocks, 'done', 0)} done: all done after {spread(blocks, 'took_s')} s, {spread(blocks, 'helped', 0)} by helpers; "
          f"the killed one run again finds all done in {spread(blocks, 'again_s')} s", flush=True)
    return blocks


def timed(work):
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


@functools.cache
def tiny_sources(rollfit, directory, partitions):
    """Source tables of many small partitions: where they are, and how many partitions."""
    place, months = directory / "machines-tiny", 12 if partitions >= 12 else 1
    keys = -(-partitions // months)
    forget(place)
    place.mkdir(parents=True)
    with (place / "bars.csv").open("w") as bars:
        subprocess.run([sys.executable, Path(__file__).with_name("many.py"), str(keys), str(months), "20"], stdout=bars, check=True)
    subprocess.run([rollfit, "import", "--quiet", "--format", "csv", "--timezone", "UTC", "--key-column", "key", "--time-column", "time",
                    "--close-column", "close", "--into", f"parquet:{place}/fx", place / "bars.csv"], check=True, stdout=subprocess.DEVNULL)
    return place, keys * months


def plan_tiny(job, rollfit, directory, partitions):
    """The plan of shard 1/64 of many small partitions, of which nothing is stored and the sources are files: the median of three."""
    place, partitions = tiny_sources(rollfit, directory, partitions)
    config = place / "rollfit.toml"
    config.write_text(job.config.read_text().replace(f"parquet:{directory}/fx", f"parquet:{place}/fx"))
    environment = job.environment | {"ROLLFIT_PARTITIONS__FROM": "first", "ROLLFIT_PARTITIONS__TO": "latest"}
    command = [rollfit, "plan", "--json", "--quiet", "--config", config, "--shard", "1/64"]
    fastest, measured, slowest = sorted((measure(command, **environment) for _ in range(3)), key=lambda plan: plan.wall_s)
    goal = "" if measured.wall_s < PLAN_GOAL_S else " (**missed**)"
    share = len(measured.json()["partitions"])
    if not 0.8 < share * 64 / partitions < 1.2:
        raise SystemExit(f"{share} of {partitions} partitions are no 64th of them")
    print(f"{job.store}: plan --shard 1/64 of {partitions:,} partitions: {measured.wall_s:.1f} s ({fastest.wall_s:.1f} to {slowest.wall_s:.1f}), goal under {PLAN_GOAL_S:.0f} s{goal}; "
          f"{measured.processor_s:.1f} s of processor time, {measured.peak_bytes / 1e6:.0f} MB, {share:,} in the share", flush=True)
    return {"partitions": partitions, "wall_s": measured.wall_s, "peak_bytes": measured.peak_bytes}


def parsed():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("rollfit")
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--only", action="append", choices=PARTS)
    arguments.add_argument("--store", action="append", choices=STORES)
    arguments.add_argument("--to")
    arguments.add_argument("--tiny", type=int, default=100_000)
    arguments.add_argument("--json", type=Path)
    return arguments.parse_args()


def main():
    options = parsed()
    parts, results = options.only or PARTS, {}
    if {"shards", "no-shards"} & set(parts):
        print("| store | | partitions | one process with 4 workers, s | four runners with 1 worker, s | ratio | goal | source reads | seen held |")
        print("|---|---|---|---|---|---|---|---|---|")
    for part in parts:
        for store in options.store or STORES:
            job = ReferenceJob(store, options.rollfit, options.directory, options.to)
            try:
                if part == "plan":
                    results[f"{part} {store}"] = plan_tiny(job, options.rollfit, options.directory, options.tiny)
                elif part == "kill":
                    results[f"{part} {store}"] = kill_one(job, min(options.rounds, 3))
                else:
                    results[f"{part} {store}"] = beside_one_process(job, part, options.rounds)
            finally:
                job.close()
    forget(options.directory / "machines-tiny")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


main()
