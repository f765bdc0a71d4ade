"""A text import beside Polars: import.py ROLLFIT DIRECTORY.

Makes a file as HistData's and, by turns, has Polars read time and close of it on two threads and `rollfit import` read it, check it and
write it to a Parquet store. Prints medians, and that of the ratios of neighbours, which other programs on the machine disturb least; the
same with a process for each scan, which loads Polars first, as `rollfit import` is a process that starts."""

import datetime
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "2"
import polars

ROWS, ROUNDS = 3_600_000, 9


def make(path):
    if os.path.exists(path):
        return
    moves, close, at = random.Random(1), 1.05522, datetime.datetime(2007, 1, 1)
    with open(path + ".tmp", "w") as file:
        rows = 0
        while rows < ROWS:
            weekend = at.weekday() == 5 or at.weekday() == 4 and at.hour >= 17 or at.weekday() == 6 and at.hour < 18
            if not weekend:
                opened, close = close, max(0.5, close + moves.gauss(0, 0.0001))
                high, low = max(opened, close) + 0.00005, min(opened, close) - 0.00005
                file.write(f"{at:%Y%m%d %H%M%S};{opened:.6f};{high:.6f};{low:.6f};{close:.6f};0\n")
                rows += 1
            at += datetime.timedelta(minutes=1)
    os.rename(path + ".tmp", path)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def scan(path):
    text = polars.scan_csv(path, has_header=False, separator=";", infer_schema=False, new_columns=list("tohlcv"))
    bars = text.select("t", polars.col("c").cast(polars.Float64)).collect()
    assert bars.height == ROWS


def scan_in_a_process(path):
    subprocess.run([sys.executable, "-B", __file__, "--scan", path], check=True)


def store(rollfit, path, into):
    shutil.rmtree(into, ignore_errors=True)
    command = [rollfit, "import", "--quiet", "--format", "histdata", "--into", f"parquet:{into}", path]
    return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def peak_mb(rollfit, path, into):
    """Started by a small process: a child of Python has had Python's memory."""
    command = ["/usr/bin/time", "-f", "%M", rollfit, "import", "--quiet", "--format", "histdata", "--into", f"parquet:{into}", path]
    timed = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    shutil.rmtree(into)
    return int(timed.stderr.split()[-1]) / 1e3


def main(rollfit, directory):
    path, into = os.path.join(directory, "DAT_ASCII_EURUSD_M1_2007.csv"), os.path.join(directory, "text_import")
    make(path)
    scan(path)
    pairs = [(seconds(lambda: scan(path)), store(rollfit, path, into)) for _ in range(ROUNDS)]
    scans, imports = zip(*pairs)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [(seconds(lambda: scan_in_a_process(path)), store(rollfit, path, into)) for _ in range(ROUNDS)]
    shutil.rmtree(into)
    size = os.path.getsize(path) / 1e6
    print(f"file:                    {size:.0f} MB, {ROWS / 1e6:.1f} M rows")
    print(f"Polars, two threads:     {statistics.median(scans):.2f} s")
    print(f"rollfit import:          {statistics.median(imports):.2f} s, {size / statistics.median(imports):.0f} MB/s")
    print(f"of which processor time: {(used.ru_utime + used.ru_stime) / ROUNDS:.2f} s")
    print(f"ratio of neighbours:     {statistics.median(second / first for first, second in pairs):.1f}")
    print(f"Polars, as a process:    {statistics.median(first for first, _ in processes):.2f} s")
    print(f"ratio to that:           {statistics.median(second / first for first, second in processes):.1f}")
    print(f"peak memory of import:   {peak_mb(rollfit, path, into):.0f} MB, of which {ROWS * 16 / 1e6:.0f} MB are the bars")


if sys.argv[1] == "--scan":
    scan(sys.argv[2])
else:
    main(*sys.argv[1:])
