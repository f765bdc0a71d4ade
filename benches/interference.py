"""What other processes do to a run: keep cores busy, hold partitions."""

import fcntl
import os
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

# Of the partitions every so many is held.
HELD_EVERY = 4


class BusyProcesses:
    """Processes that compute and nothing else."""

    def __init__(self, processes):
        self.processes, self.start = processes, time.monotonic()

    def slowdown(self):
        """By how many times less of a core they had than they asked for; none without processes."""
        if not self.processes:
            return None
        ticks = sum(sum(map(int, stat(process.pid)[11:13])) for process in self.processes)
        return (time.monotonic() - self.start) * len(self.processes) * os.sysconf("SC_CLK_TCK") / ticks


def stat(pid):
    """The fields of a process after its name."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


@contextmanager
def busy_processes(count):
    processes = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(count)]
    try:
        yield BusyProcesses(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def held_files(features, seconds):
    """Another process has locked partitions of a Parquet store, for so many seconds."""
    held = [(month / ".lock").open("w") for month in sorted(features.glob("features/key=*/month=*"))[::HELD_EVERY]]
    for file in held:
        fcntl.flock(file, fcntl.LOCK_EX)
    with ended_after(seconds, lambda: [file.close() for file in held]):
        yield


@contextmanager
def held_tables(server, seconds):
    """Another session has locked tables of features, for so many seconds."""
    tables = server.sql("select format('%I', tablename) from pg_tables where tablename like 'reg\\_%' order by 1").split()
    holder = subprocess.Popen(["psql", "-qAtX", server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write(f"begin; lock table {', '.join(tables[::HELD_EVERY])};\n\\echo held\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "held\n", "the tables cannot be locked"
    with ended_after(seconds, holder.stdin.close):
        yield
    holder.wait()


@contextmanager
def ended_after(seconds, end):
    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.join()
