"""Small jobs on made bars, and the console script, for tests of runs."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

SCRIPT = Path(sys.executable).parent / "rollfit"

CONFIG = """
[store]
url = "parquet:fx"

[partitions]
keys = {keys}
from = "{first}"
to = "{last}"

[series.idx]
table = "m1_{{key}}"
time = "time"
value = "rate_index"
features = "reg_rate_{{key}}_{{yyyy}}_{{mm}}"

[series.bqx]
table = "bqx_{{key}}"
time = "ts_utc"
value = "w15_bqx_return"
features = "reg_bqx_{{key}}_{{yyyy}}_{{mm}}"

[windows]
w15 = 15
w30 = 30

[run]
workers = 1
boundary = "reset"
{run}
"""


def command(*arguments, cwd, **options):
    """Runs the console script to its end."""
    options = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run([SCRIPT, *arguments], cwd=cwd, **options)


def months_from(first, count):
    year, month = map(int, first.split("-"))
    return [f"{year + (month - 1 + at) // 12}-{(month - 1 + at) % 12 + 1:02}" for at in range(count)]


def make_job(directory, keys=("eurusd", "gbpusd"), months=2, rows=300, run=""):
    """Imports bars of each key, `rows` a month, into a store in `directory`, and writes its configuration there."""
    directory.mkdir(parents=True, exist_ok=True)
    names = months_from("2017-01", months)
    for key in keys:
        source, close = random.Random(key), 1.1
        path = directory / "bars" / f"key={key}" / "bars.csv"
        path.parent.mkdir(parents=True)
        lines = ["time,close"]
        for name in names:
            instant = datetime.strptime(name, "%Y-%m")
            for _ in range(rows):
                close *= 1 + source.gauss(0, 1e-4)
                instant += timedelta(minutes=1)
                lines.append(f"{instant:%Y-%m-%dT%H:%M:%SZ},{close:.6f}")
        path.write_text("\n".join(lines) + "\n")
    config = CONFIG.format(keys=str(list(keys)).replace("'", '"'), first=names[0], last=names[-1], run=run)
    (directory / "rollfit.toml").write_text(config)
    imported = command("import", "--quiet", "--format", "csv", "bars", cwd=directory)
    assert imported.returncode == 0, imported.stderr
    return directory


def slow_job(directory, months=4):
    """As `make_job`; each of its partitions takes about half a second, whatever the machine."""
    return make_job(directory, keys=("slow",), months=months, rows=1200, run="store_write_mb_per_s_max = 1")


def long_job(directory):
    """A `slow_job` that is stopped before its end, even where a machine stands still for seconds."""
    return slow_job(directory, months=LONG)


# The partitions of a long job.
LONG = 40


def unlimited():
    """Options of `command` for a slow job without its limit, with the environment as it is for the test."""
    return {"env": os.environ | {"ROLLFIT_RUN__STORE_WRITE_MB_PER_S_MAX": "1000"}}


def heavy_job(directory):
    """As `make_job`; each of its two partitions takes seconds of a processor before it is committed."""
    make_job(directory, keys=("heavy",), rows=20_000)
    windows = "\n".join(f"w{rows} = {rows}" for rows in range(701, 1001))
    config = (directory / "rollfit.toml").read_text().replace("w15 = 15\nw30 = 30", f"{windows}\n\n[features]\nmetrics = [\"r2\"]")
    (directory / "rollfit.toml").write_text(config)
    return directory


def parts(directory):
    """The features: the bytes of each file, by its name below the store."""
    features = directory / "fx" / "features"
    return {str(path.relative_to(features)): path.read_bytes() for path in features.rglob("*") if path.is_file()}


def is_writing(directory):
    """Whether a partition is being written that is not yet committed."""
    return any((directory / "fx" / "features").rglob("*.tmp*"))


def signal_when_writing(directory, number):
    """Sends this process a signal as soon as a run in it writes a partition."""

    def send():
        wait_until(lambda: is_writing(directory))
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()


class Running:
    """A process whose output a test follows."""

    def __init__(self, arguments, cwd):
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            arguments, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.seen = ""

    def wait_for(self, words):
        while words not in self.seen:
            line = self.process.stdout.readline()
            assert line, f"ended without `{words}`:\n{self.seen}"
            self.seen += line

    def wait_for_second(self, job):
        """Waits until a run of a slow job has ended its first partition and writes its second one."""
        self.wait_for("[1/")
        wait_until(lambda: is_writing(job))

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def pause(self):
        """Stops it; returns when it has stopped."""
        self.signal(signal.SIGSTOP)
        state = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")

    def end(self):
        """Waits for its end; its exit code."""
        try:
            self.seen += self.process.communicate(timeout=60)[0]
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return self.process.returncode


def wait_until(is_so, seconds=20.0):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
