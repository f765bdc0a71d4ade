"""What each compression costs and gives, as a whole: compression.py ROLLFIT DIRECTORY.

For each of them one month of every pair is written (28 partitions) and then scanned by DuckDB and Polars, six columns and all of them, each
scan in a new process: first with nothing of the files in memory, then again. On the disk as it is, and on the same disk slowed to
125 MB/s, where a network disk is. DIRECTORY holds rollfit.toml and the store fx. Called by ./bench.sh compression.
"""

import os
import statistics
import sys
from pathlib import Path

from measured import MB, bytes_of, forget, measure, parquet_files
from slow_disk import slow_disk

KINDS = ["none", "lz4", "zstd"]
ENGINES = ["duckdb", "polars"]
ROUNDS, SLOW_ROUNDS = 3, 1
SLOW_BYTES_PER_S = 125_000_000
DIGITS = {"MB": 0, "CPU ms a partition": 0}
os.environ["ROLLFIT_PARTITIONS__TO"] = "2017-01"

rollfit, directory = sys.argv[1], Path(sys.argv[2])
features, config = directory / "fx" / "features", directory / "rollfit.toml"
scanner = Path(__file__).with_name("scan.py")


def write(kind, group):
    forget(features)
    measured = measure([rollfit, "run", "--json", "--quiet", "--config", config], group, ROLLFIT_STORE__COMPRESSION=kind)
    told = measured.json()
    assert told["written"] == told["partitions"] > 0, measured.output
    return {"MB": bytes_of(features) / MB, "write": measured.wall_s, "CPU ms a partition": measured.processor_s / told["partitions"] * 1e3}


def read_back(kind):
    """Every checksum, by one worker."""
    command = [rollfit, "verify", "--quick", "--quiet", "--config", config, "--workers", "1"]
    return measure(command, ROLLFIT_STORE__COMPRESSION=kind).wall_s


def evict():
    """Has the kernel forget what it holds of the files."""
    for path in parquet_files(features):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def scan(engine, columns, group):
    return measure([sys.executable, "-B", scanner, engine, columns, features], group).json()


def scans(group, warm):
    """Seconds of each scan; the sums have to agree."""
    seconds, sums = {}, {}
    for engine in ENGINES:
        for columns in ["some", "all"]:
            evict()
            cold = scan(engine, columns, group)
            assert cold["bytes_read"] > 0, f"{engine} read nothing from the disk: its first scan was not cold"
            seconds[f"{engine} {columns} cold"] = cold["seconds"]
            sums.setdefault(columns, cold["sum"])
            assert abs(cold["sum"] - sums[columns]) <= 1e-6 * abs(sums[columns]), "DuckDB and Polars differ"
            if warm:
                seconds[f"{engine} {columns} warm"] = scan(engine, columns, group)["seconds"]
    return seconds


def measure_all(group, rounds, warm):
    """Medians by compression."""
    found = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            values = write(kind, group)
            if warm:
                values["verify --quick, 1 worker"] = read_back(kind)
            found[kind].append(values | scans(group, warm))
    return {kind: {key: statistics.median(each[key] for each in runs) for key in runs[0]} for kind, runs in found.items()}


def print_table(title, medians):
    """A table in Markdown, a compression a row."""
    columns = list(medians[KINDS[0]])
    whole = [f"write + first {engine} all" for engine in ENGINES]
    print(f"\n{title}; seconds where no unit is given\n\n| | " + " | ".join(columns + whole) + " |\n" + "|---" * (len(columns + whole) + 1) + "|")
    for kind, values in medians.items():
        sums = [values["write"] + values[f"{engine} all cold"] for engine in ENGINES]
        cells = [f"{values[key]:,.{DIGITS.get(key, 2)}f}" for key in columns] + [f"{seconds:.2f}" for seconds in sums]
        print(f"| `{kind}` | " + " | ".join(cells) + " |", flush=True)


def main():
    print_table("the disk here", measure_all(None, ROUNDS, warm=True))
    with slow_disk(directory, SLOW_BYTES_PER_S) as group:
        if group is None:
            print("\nskipped: the disk slowed to 125 MB/s, which takes root and control groups of version 1 with blkio")
        else:
            print_table("the same disk slowed to 125 MB/s, reading and writing", measure_all(group, SLOW_ROUNDS, warm=False))
    forget(features)


main()
