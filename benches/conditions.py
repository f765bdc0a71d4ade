"""Runs of a job under conditions, each with its analysis, for causes.py, predictions.py, eta.py and auto.py.

`Conditions` say what the job is and what stands in its way; `Bench` makes them so, runs the job once, and takes them back.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from bars import DATA, copy_twice
from control_group import NoControlGroup, cpu_quota, memory_limit
from interference import busy_processes, held_files, held_tables
from measured import in_group, measure
from network import Link
from reference_series import SERIES
from server import Server
from slow_calls import SlowCalls
from slow_disk import slow_disk

PARQUET, POSTGRES = "Parquet", "PostgreSQL"
STORES = (PARQUET, POSTGRES)


@dataclass(frozen=True)
class Conditions:
    """A job, and what machine, stores and configuration do to it."""

    store: str
    workers: str = "2"
    # "reference", whose keys are all pairs, "twice" as many, or one of `DATA`.
    data: str = "reference"
    keys: tuple = ()
    first: str = "2017-01"
    last: str = "2017-01"
    # Keys of [run] and of [sink].
    run: dict = field(default_factory=dict)
    sink: dict = field(default_factory=dict)
    # Whether features are there already and are all written again.
    force: bool = False
    # Whether series come from tables of the server; from files otherwise.
    source_in_server: bool = False
    # The way to the server that stores the features, and to the source.
    round_trip_s: float = 0.0
    link_bytes_per_s: float | None = None
    source_bytes_per_s: float | None = None
    # How much longer a sync of the store takes, and how fast its disk is.
    sync_ms: float = 0.0
    disk_bytes_per_s: float | None = None
    # What the process may use, and what others use.
    quota_cores: float | None = None
    memory_bytes: int | None = None
    busy: int = 0
    # Whether the kernel is to end the run, because it needs more memory.
    is_killed: bool = False
    # For how long others hold every fourth partition.
    held_s: float = 0.0
    # The cores that rollfit and the server may use, as taskset has them.
    cores: str | None = None

    @property
    def needs_server(self):
        return self.store == POSTGRES or self.source_in_server


class Skipped(Exception):
    """This machine cannot have the conditions: why."""


@dataclass
class Run:
    """What a run took, what its analysis says, and how many times slower it made the busy processes."""

    took_s: float
    analysis: dict
    busy_slowdown: float | None


class Bench:
    """The data, a server and what else the runs need, in a directory that holds the reference workload as bench.sh imports it."""

    def __init__(self, rollfit, directory):
        self.rollfit, self.directory = Path(rollfit).resolve(), Path(directory).resolve()
        self.config = self.directory / "conditions.toml"
        self.features = self.directory / "features_of_conditions"
        self.files = {"reference": self.directory / "fx"}
        self.data_in_server, self.links, self.server = None, {}, None
        self.slow_calls = SlowCalls(self.directory)
        os.environ["ROLLFIT_STATE_DIR"] = str(self.directory / "state")

    def __enter__(self):
        # Whoever ends the script ends the server and the busy processes with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
        return self

    def __exit__(self, *_):
        if self.server is not None:
            self.server.stop()
            shutil.rmtree(self.server.directory, ignore_errors=True)
        shutil.rmtree(self.features, ignore_errors=True)

    def run(self, conditions):
        """One run under these conditions, and its analysis."""
        prefix = ["taskset", "-c", conditions.cores] if conditions.cores else []
        if conditions.needs_server:
            self.start_server(conditions, prefix)
        self.configure(conditions)
        self.forget()
        if conditions.force:
            self.rollfit_run(conditions, prefix)
        with ExitStack() as stack:
            group = self.control_group(conditions, stack)
            stack.enter_context(self.holding(conditions))
            neighbours = stack.enter_context(busy_processes(conditions.busy))
            stack.enter_context(self.slow_calls.syncs(conditions.sync_ms))
            self.rollfit_run(conditions, [*self.slow_files(conditions), *prefix], group)
            slowdown = neighbours.slowdown()
        analysis = measure([self.rollfit, "analyze", "--json", "--config", self.config]).json()
        return Run(analysis["run"]["took_s"], analysis, slowdown)

    def start_server(self, conditions, prefix):
        """Starts the server where it does not run yet, with the source if it is in there."""
        is_new = self.server is None
        if is_new:
            self.server = Server(self.directory / "conditions_server")
        self.server.start(prefix, self.slow_calls.environment())
        if is_new:
            self.server.settle()
        if conditions.source_in_server:
            self.fill_server(conditions.data)

    def slow_files(self, conditions):
        """What makes the files of a run slow, as words before its command."""
        slow_source = None if conditions.source_in_server else conditions.source_bytes_per_s
        if not slow_source and (not conditions.sync_ms or conditions.needs_server):
            return []
        return ["env", *(f"{name}={value}" for name, value in self.slow_calls.environment(slow_source).items())]

    def configure(self, conditions):
        source, sink = f"parquet:{self.source(conditions.data)}", f"parquet:{self.features}"
        if conditions.store == POSTGRES:
            sink = self.way(conditions.round_trip_s, conditions.link_bytes_per_s)
        if conditions.source_in_server:
            source = self.way(conditions.round_trip_s, conditions.source_bytes_per_s)
        keys = json.dumps(list(conditions.keys)) if conditions.keys else '"all"'
        text = f'[partitions]\nkeys = {keys}\nfrom = "{conditions.first}"\nto = "{conditions.last}"\n'
        sections = {
            "source": {"url": source} | ({"schema": "bars"} if conditions.source_in_server else {}),
            "sink": {"url": sink} | conditions.sink,
            "run": conditions.run,
        }
        for name, settings in sections.items():
            text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        self.config.write_text(text + SERIES)

    def way(self, round_trip_s, bytes_per_s):
        """The URL of the server by a way like this."""
        if not round_trip_s and not bytes_per_s:
            return self.server.url
        key = (round_trip_s, bytes_per_s)
        if key not in self.links:
            self.links[key] = Link(self.server.socket, *key)
        return self.links[key].url

    def control_group(self, conditions, stack):
        """The group that the run is in; none where it has no limits."""
        try:
            if conditions.quota_cores is not None:
                return stack.enter_context(cpu_quota(conditions.quota_cores))
            if conditions.memory_bytes is not None:
                return stack.enter_context(memory_limit(conditions.memory_bytes))
        except NoControlGroup as error:
            raise Skipped(str(error)) from error
        if conditions.disk_bytes_per_s is None:
            return None
        group = stack.enter_context(slow_disk(self.directory, conditions.disk_bytes_per_s))
        if group is None:
            raise Skipped("no control group blkio of version 1 can be made")
        return group

    def holding(self, conditions):
        if not conditions.held_s:
            return nullcontext()
        if conditions.store == POSTGRES:
            return held_tables(self.server, conditions.held_s)
        return held_files(self.features, conditions.held_s)

    def rollfit_run(self, conditions, prefix, group=None):
        command = [*prefix, self.rollfit, "run", "--quiet", "--json", "--config", self.config, "--workers", conditions.workers]
        if conditions.is_killed:
            return expect_kill(command, group)
        result = measure(command + (["--force"] if conditions.force else []), group)
        if not result.json()["written"]:
            sys.exit(f"nothing was written: {result.output}")

    def forget(self):
        """Removes what runs have made, and waits until the disk has nothing left to write."""
        shutil.rmtree(self.features, ignore_errors=True)
        self.features.mkdir()
        if self.server is not None and self.server.running is not None:
            self.server.forget()
        os.sync()

    def source(self, data):
        """The directory of a data set, made where it is not there yet."""
        if data not in self.files:
            self.files[data] = self.directory / f"fx_{data}"
            if not (self.files[data] / "sources").exists():
                self.import_bars(data, ["--into", f"parquet:{self.files[data]}"])
        return self.files[data]

    def fill_server(self, data):
        """The bars of a data set, of the reference workload three months, in tables of a schema of their own."""
        if self.data_in_server == data:
            return
        self.server.sql("set client_min_messages = warning; drop schema if exists bars cascade; create schema bars")
        self.import_bars(data, ["--into", self.server.url, "--schema", "bars"])
        self.server.sql("vacuum analyze")
        self.data_in_server = data

    def import_bars(self, data, into):
        command = [self.rollfit, "import", "--quiet", *into]
        bars = self.directory / f"bars_{data}"
        if data in DATA:
            with bars.open("w") as out:
                DATA[data](out)
            columns = ["--key-column", "key", "--time-column", "time", "--close-column", "close"]
            measure([*command, "--format", "csv", "--timezone", "UTC", *columns, bars])
            return bars.unlink()
        files = Path(os.environ.get("ROLLFIT_SHARED", "../shared")) / "data/m1"
        if data == "twice":
            copy_twice(files, bars)
            files = bars
        months = "2017-0[1-3].parquet" if into[-1] == "bars" else "*.parquet"
        measure([*command, "--format", "parquet", *sorted(files.glob(f"*/{months}"))])
        shutil.rmtree(bars, ignore_errors=True)


def expect_kill(command, group):
    """Runs a command that the kernel kills."""
    ended = subprocess.run(in_group(command, group), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    if ended != -signal.SIGKILL:
        raise Skipped(f"the run is not killed, it ended with {ended}")
