"""Fixtures that several topics need: where the reference workload is, the console script, and a small store made through it."""

import datetime
import itertools
import os
import random
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# In the background of a script and under nohup these are ignored, and would be by all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

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
w15 = 15
w60 = 60
"""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory with the reference workload; a test that asks for it skips where it is missing."""
    path = Path(os.environ.get("ROLLFIT_SHARED", ROOT.parent / "shared"))
    if not (path / "data" / "m1").is_dir():
        pytest.skip(f"there is no reference workload at {path}; ROLLFIT_SHARED says where it is")
    return path


@pytest.fixture(scope="session")
def script() -> Path:
    """The console script `rollfit` of the environment that the tests run in."""
    return Path(sysconfig.get_path("scripts")) / "rollfit"


@pytest.fixture(scope="session")
def command(script: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the console script with arguments in a directory; fails the test unless it ends with the exit code expected."""

    def run(*arguments: object, cwd: Path, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        typed = [str(script), *map(str, arguments)]
        done = subprocess.run(typed, cwd=cwd, capture_output=True, text=True, timeout=120)
        assert done.returncode == exit_code, f"{typed} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    return run


def bars_of(key: str, month: str, rows: int) -> Iterable[tuple[str, float]]:
    """Minute bars of a key in a month, the same each time: instant and close."""
    dice = random.Random(f"{key} {month}")
    instant = datetime.datetime.fromisoformat(f"{month}-01T00:00+00:00")
    close = 1.0 + dice.random()
    for _ in range(rows):
        yield instant.isoformat(), round(close, 5)
        instant += datetime.timedelta(minutes=1)
        close += dice.gauss(0, 1e-4)


@pytest.fixture
def made_store(command: Callable[..., object]) -> Callable[..., Path]:
    """Makes a job in a directory: `rollfit.toml`, and in `fx` the bars of keys and months; no features yet. Returns the
    path of the configuration: `made_store(tmp_path, keys=["eurusd"], months=["2017-01"], rows=300)`."""

    def make(directory: Path, keys: Iterable[str], months: Iterable[str], rows: int, config: str = CONFIG) -> Path:
        bars = directory / "bars.csv"
        with bars.open("w") as file:
            file.write("symbol,time,close\n")
            for key, month in itertools.product(keys, months):
                file.writelines(f"{key},{instant},{close}\n" for instant, close in bars_of(key, month, rows))
        path = directory / "rollfit.toml"
        path.write_text(config)
        command("import", "--format", "csv", "--key-column", "symbol", "--quiet", bars, cwd=directory)
        return path

    return make
