"""One tick in a process that holds the past: with the functions of numba_job.py. Prints lines, seconds and values as JSON."""

import inspect
import json
import sys
import time

import numba_job
import numpy as np
import polars as pl


def start(closes):
    """The state that a feed would hold: the base, and as many rate indices as the longest window and a return need."""
    close = closes["close"].to_numpy()
    longest = max(numba_job.WINDOWS.values()) + 15
    return close[0], (100.0 * close / close[0])[-longest:]


def push(base, index, close):
    """The features of one more close, and the new state."""
    index = np.append(index[1:], 100.0 * close / base)
    back = sum(index[15 - k : len(index) - k] - index[15:] for k in range(1, 16)) / index[15:]
    values = []
    for series in (index[15:], back):
        for w in numba_job.WINDOWS.values():
            out = np.empty((len(numba_job.METRICS), w))
            numba_job.fit(series[-w:], w, out)
            values += out[:, -1].tolist()
    return index, values


def main():
    _, before, bar = sys.argv[1:]
    base, index = start(pl.read_parquet(before))
    index, _ = push(base, index, pl.read_parquet(before)["close"][-1])  # Compiles, as the first tick of a day would.
    base, index = start(pl.read_parquet(before))
    close, begin = pl.read_parquet(bar)["close"][0], time.perf_counter()
    _, values = push(base, index, close)
    seconds = time.perf_counter() - begin
    lines = sum(len(inspect.getsource(part).splitlines()) - 1 for part in (start, push))
    print(json.dumps({"lines": lines, "seconds": seconds, "values": dict(zip(numba_job.NAMES, values))}))


if __name__ == "__main__":
    main()
