"""README.md as a newcomer follows it: a fresh user, an empty home, the wheel, and nothing but the page's words.

The commands are those of the page. Only the wheel's path stands for its name on the package index, and made bars, as HistData packs
them, for files that a newcomer has downloaded.
"""

import contextlib
import datetime
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from test_docs import blocks

duckdb = pytest.importorskip("duckdb")
pl = pytest.importorskip("polars")

README = Path(__file__).resolve().parents[3] / "README.md"
# A user of whom the machine has no account.
STRANGER = 64123
# From the command that installs to the first features in DuckDB.
FIRST_FEATURES_S_MAX = 60
MONTHS = 3


def section(heading):
    """The blocks below a heading of the README, as pairs of language and code."""
    text = README.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [(language, code) for language, code, _, _ in blocks(text)]


def code(heading, language):
    return "".join(code for found, code in section(heading) if found == language)


class Newcomer:
    """Types commands in an empty home, as a user of whom nobody knows anything where that is permitted."""

    def __init__(self, home):
        self.home = home
        interpreters = [Path(sys.executable).resolve(), Path("/usr/bin/python3")]
        self.user = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if os.geteuid() == 0 else {}
        self.python = next(filter(self.can_run, interpreters), None)
        if self.python is None:
            self.user, self.python = {}, interpreters[0]
        if self.user:
            os.chown(home, STRANGER, STRANGER)

    def can_run(self, python):
        with contextlib.suppress(OSError):
            return self.start([python, "-c", "import ensurepip, venv"]).returncode == 0
        return False

    def start(self, command):
        environment = {"HOME": str(self.home), "PATH": f"{self.home}/venv/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run(command, cwd=self.home, env=environment, capture_output=True, text=True, **self.user)

    def type(self, commands):
        """Types lines into a shell that ends at the first failure; returns what they print."""
        done = self.start(["sh", "-ec", commands])
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def make_environment(self):
        self.type(f"{self.python} -m venv venv")

    def install(self, wheel):
        """The README's way with pip."""
        line = next(line for line in code("Install", "sh").splitlines() if line.startswith("pip install"))
        copy = shutil.copy(wheel, self.home)
        Path(copy).chmod(0o644)
        self.type(line.replace("pip install rollfit", f"pip install --quiet --no-index {copy}"))


@pytest.fixture
def wheel():
    path = os.environ.get("ROLLFIT_WHEEL")
    if path is None:
        pytest.skip("ROLLFIT_WHEEL names no file: crates/rollfit-python/test.sh builds it")
    return path


@pytest.fixture
def newcomer(wheel, monkeypatch):
    # Not pytest's own directory, which other users cannot enter.
    home = Path(tempfile.mkdtemp(prefix="rollfit-newcomer-"))
    home.chmod(0o755)
    monkeypatch.chdir(home)
    yield Newcomer(home)
    shutil.rmtree(home)


def download(directory):
    """Puts minute bars of eurusd in 2017 there, a packed file a month, with the text that HistData adds."""
    dice, close = random.Random(2017), 1.05
    for month in range(1, MONTHS + 1):
        instant, lines = datetime.datetime(2017, month, 1), []
        while instant.month == month:
            if instant.weekday() < 5:
                close *= 1 + dice.gauss(0, 1e-4)
                lines.append(f"{instant:%Y%m%d %H%M%S};{close:.6f};{close:.6f};{close:.6f};{close:.6f};0\n")
            instant += datetime.timedelta(minutes=1)
        name = f"DAT_ASCII_EURUSD_M1_2017{month:02}"
        with zipfile.ZipFile(directory / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"{name}.txt", "Gaps in this file are those of the market.\n")
            packed.writestr(f"{name}.csv", "".join(lines))


def test_from_the_wheel_to_the_first_features_in_duckdb(newcomer, wheel, capsys):
    download(newcomer.home)
    newcomer.make_environment()
    started = time.monotonic()
    newcomer.install(wheel)
    printed = newcomer.type(code("Your data", "sh"))
    rows = duckdb.sql(code("Read the features", "sql")).fetchall()
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f" [{seconds:.1f} s from pip install to {len(rows):,} rows in DuckDB] ", end="")
    assert seconds < FIRST_FEATURES_S_MAX
    done = int(re.search(r"(\d+) written", printed)[1])
    # New York's last hours of a quarter are those of a further month in UTC.
    assert done == MONTHS + 1 and f"{done} verified, 0 mismatches" in printed, printed
    assert len(rows) > 1000 and {row[0] for row in rows} == {"eurusd"} and all(row[3] > 0.9 for row in rows)
    names, (*before, last) = {}, code("Read the features", "python").strip().splitlines()
    exec("\n".join(before), names)
    frame = eval(last, names).collect()
    assert frame.filter(pl.col("r2_idx_w60") > 0.9).height == len(rows), "Polars reads what DuckDB reads"
    assert f"{done} already done" in newcomer.type("rollfit run")

    demo = newcomer.type(code("Try it", "sh"))
    query = re.search(r"^ *select .*?;$", demo, re.S | re.M)
    assert query and len(duckdb.sql(query[0]).fetchall()) == 5, demo
