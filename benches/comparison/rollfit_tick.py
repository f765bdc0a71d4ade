"""One tick in a process that holds the past: with rollfit for Python. Prints lines, seconds and values as JSON."""

import inspect
import json
import sys
import time

import polars as pl
import rollfit


def start(key, closes):
    """The stream of a key, seeded from the store, its base and the rate indices that a return needs."""
    close = closes["close"].to_numpy()
    return rollfit.open("rollfit.toml").live(key), close[0], (100.0 * close / close[0])[-15:]


def push(live, base, index, time, close):
    """The features of one more close."""
    new = 100.0 * close / base
    back = sum(index[-k] - new for k in range(1, 16)) / new
    return live.push(idx=new, bqx=back, time=time)


def main():
    key, before, bar = sys.argv[1:]
    live, base, index = start(key, pl.read_parquet(before))
    bar = pl.read_parquet(bar)
    begin = time.perf_counter()
    values = push(live, base, index, bar["ts"][0], bar["close"][0])
    seconds = time.perf_counter() - begin
    lines = sum(len(inspect.getsource(part).splitlines()) - 1 for part in (start, push))
    print(json.dumps({"lines": lines, "seconds": seconds, "values": dict(values)}))


if __name__ == "__main__":
    main()
