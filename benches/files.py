"""Runs into a Parquet store beside the least time in which the disk takes their bytes: files.py ROLLFIT FLOOR DIRECTORY [BEFORE].

ROLLFIT and BEFORE are commands, BEFORE that of an earlier revision; FLOOR is the example `floor` of rollfit-parquet; DIRECTORY holds
rollfit.toml and the store fx. Every block has each of them write the same 28 partitions, one month of every pair, into a store without
features, after the disk has come to rest. Called by ./bench.sh files.
"""

import filecmp
import os
import statistics
import sys
from pathlib import Path

from measured import bytes_of, forget, parquet_files
from parquet_store import ParquetStore, print_medians

BLOCKS = 5
os.environ["ROLLFIT_PARTITIONS__TO"] = "2017-01"

rollfit, floor, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
before = sys.argv[4] if len(sys.argv) > 4 else None
store = ParquetStore(directory, floor)


def held_files(name, **environment):
    """The files of a run, put aside for the floor; the rows in them."""
    held = directory / f"held_{name}"
    forget(held)
    rows = store.run(rollfit, **environment)["rows"]
    store.features.rename(held)
    return held, rows


def check_floor(held):
    """The floor's files are those that were held, byte for byte."""
    pairs = list(zip(parquet_files(held), parquet_files(store.scratch), strict=True))
    assert pairs and all(filecmp.cmp(one, other, shallow=False) for one, other in pairs), "the floor wrote other files"


def subjects():
    """What is measured in every block, by name and in order; the files held for the floors."""
    default, rows = held_files("default")
    smallest, _ = held_files("smallest", ROLLFIT_STORE__COMPRESSION="zstd")
    store.write_floor(default, rows, "direct")
    check_floor(default)
    runs = {}
    if before:
        state = str(directory / "state_before")
        runs["before"] = lambda: store.run(before, ROLLFIT_STATE_DIR=state)
        runs["before, 2 workers"] = lambda: store.run(before, "--workers", "2", ROLLFIT_STATE_DIR=state)
    runs["rollfit"] = lambda: store.run(rollfit)
    runs["floor"] = lambda: store.write_floor(default, rows, "direct")
    runs["rollfit, 2 workers"] = lambda: store.run(rollfit, "--workers", "2")
    if bytes_of(smallest) < bytes_of(default):
        runs["floor of zstd files"] = lambda: store.write_floor(smallest, rows, "direct")
    runs["floor, buffered"] = lambda: store.write_floor(default, rows, "buffered")
    return runs, [default, smallest]


def print_ratio(what, goal, blocks, one, other, key):
    """The median over blocks of one value over another of the same block, beside its goal."""
    if one in blocks[0] and other in blocks[0]:
        ratios = sorted(block[one][key] / block[other][key] for block in blocks)
        print(f"| {what} | {statistics.median(ratios):.2f} | {ratios[0]:.2f} to {ratios[-1]:.2f} | {goal} |")


def main():
    runs, held = subjects()
    blocks = []
    for number in range(BLOCKS):
        # Turns begin elsewhere each time, so that nobody always follows the same neighbour.
        names = list(runs)[number % len(runs) :] + list(runs)[: number % len(runs)]
        measured = {name: runs[name]() for name in names}
        blocks.append({name: measured[name] for name in runs})
        print(f"block {number + 1}: " + ", ".join(f"{name} {values['wall_s']:.2f} s" for name, values in blocks[-1].items()), flush=True)
    print()
    print_medians(blocks)
    print("\n| | median of blocks | least to most | goal |\n|---|---|---|---|")
    for ours, theirs in [("rollfit", "before"), ("rollfit, 2 workers", "before, 2 workers")]:
        print_ratio(f"seconds, {ours} over floor", "at most 1.4", blocks, ours, "floor", "wall_s")
        print_ratio(f"seconds, {ours} over floor of zstd files", "at most 1.4", blocks, ours, "floor of zstd files", "wall_s")
        print_ratio(f"rows/s, {ours} over {theirs}", "at least 3", blocks, ours, theirs, "rows_per_s")
        print_ratio(f"processor time, {ours} over {theirs}", "at most 0.25", blocks, ours, theirs, "processor_s")
    forget(store.features, store.scratch, directory / "state_before", *held)


main()
