"""Commands measured: wall clock, processor time and peak memory of each, for the other scripts here."""

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MB = 1e6


@dataclass
class Measured:
    """What a command took."""

    wall_s: float
    processor_s: float
    peak_bytes: int
    output: str

    def json(self):
        return json.loads(self.output)


def measure(command, group=None, **environment):
    """Runs a command, in a control group if one is given, and measures it. Its errors end the program."""
    command = in_group([str(word) for word in command], group)
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
        errors = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{errors}")
        output.seek(0)
        return Measured(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, output.read())


def in_group(command, group):
    """The command that runs a command in a control group; the same without one."""
    return command if group is None else ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group), *command]


def forget(*directories):
    """Removes directories, and waits until the disk has nothing left to write."""
    for directory in directories:
        subprocess.run(["rm", "-rf", directory], check=True)
    os.sync()


def parquet_files(directory):
    return sorted(Path(directory).rglob("*.parquet"))


def bytes_of(directory):
    return sum(path.stat().st_size for path in parquet_files(directory))
