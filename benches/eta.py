"""How well a run's end is told after a quarter of it: eta.py ROLLFIT DIRECTORY [--runs N] [--json FILE].

Runs of 10 to 120 s with several stores, settings and numbers of workers; DIRECTORY holds the reference workload as bench.sh imports it.
`error` is the time told over the time that the rest took, less 1. Called by ./bench.sh eta.
"""

import argparse
import json
from statistics import median

from conditions import PARQUET, POSTGRES, Bench, Conditions

OFF_MAX = 0.15
SIX_KEYS = ("audcad", "audchf", "audjpy", "audnzd", "audusd", "cadchf")
FOUR_KEYS = ("k00", "k01", "k02", "k03")
NUMERIC = {"numbers": "numeric"}
FAR = {"data": "short", "first": "2013-01", "round_trip_s": 0.05}


def jobs():
    """Thirty runs, those that differ most first, so that a few of them tell something too."""
    files = lambda workers, **more: Conditions(PARQUET, workers, **({"last": "2017-12"} | more))
    server = lambda workers, **more: Conditions(POSTGRES, workers, **({"last": "2017-02"} | more))
    return [
        files("auto"),
        server("auto"),
        files("2", run={"cpu_max": 0.5}, last="2017-04"),
        server("2", keys=SIX_KEYS, sink=NUMERIC),
        server("auto", **FAR, last="2016-12", keys=FOUR_KEYS),
        files("auto", source_bytes_per_s=20e6, last="2017-03"),
        files("auto", busy=2),
        server("4", last="2017-03"),
        files("1", last="2017-06"),
        server("8", **FAR, last="2017-12"),
        server("auto", data="oversized", last="2017-01"),
        server("auto", busy=2),
        files("4", sink={"compression": "zstd"}, last="2017-08"),
        server("1", last="2017-01"),
        files("2", disk_bytes_per_s=150e6, last="2017-02"),
        server("auto", link_bytes_per_s=50e6, last="2017-01"),
        files("3"),
        server("auto", keys=SIX_KEYS, last="2017-12"),
        files("2", run={"store_write_mb_per_s_max": 200}, last="2017-03"),
        server("2", sync_ms=100, last="2017-01"),
        files("auto", sync_ms=100, last="2017-03"),
        server("3", last="2017-02"),
        files("4", force=True),
        server("auto", force=True, last="2017-01"),
        files("auto", run={"cpu_max": 1}),
        server("2", run={"order": "largest-first"}, last="2017-03"),
        files("2", cores="0", last="2017-10"),
        server("auto", cores="0", last="2017-01"),
        files("auto", source_in_server=True, source_bytes_per_s=5e6, last="2017-03"),
        server("auto", source_in_server=True, last="2017-03"),
    ]


def described(job):
    """What sets a job apart."""
    default = Conditions(job.store)
    changed = {name: value for name, value in vars(job).items() if value != getattr(default, name) and name != "workers"}
    return f"{job.store}, {job.workers} workers, " + ", ".join(f"{name}={value}" for name, value in changed.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rollfit")
    parser.add_argument("directory")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", help="a file for every figure")
    options = parser.parse_args()
    lines = []
    print(f"{'took':>7} {'told':>7} {'left':>7} {'error':>7}  run")
    with Bench(options.rollfit, options.directory) as bench:
        for job in jobs()[: options.runs]:
            run = bench.run(job)
            told = run.analysis["eta_vs_observed"]
            lines.append({"job": described(job), "took_s": run.took_s, "eta_vs_observed": told})
            figures = f"{told['eta_s']['expected']:>7.1f} {told['left_s']:>7.1f} {told['error']:>+7.0%}" if told else f"{'none told':>23}"
            print(f"{run.took_s:>7.1f} {figures}  {described(job)}", flush=True)
            if options.json:
                with open(options.json, "w") as out:
                    json.dump(lines, out)
    errors = [abs(line["eta_vs_observed"]["error"]) if line["eta_vs_observed"] else None for line in lines]
    close = sum(error is not None and error <= OFF_MAX for error in errors)
    told = [error for error in errors if error is not None]
    print(f"within {OFF_MAX:.0%}: {close} of {len(lines)}; median error {median(told):.0%}" if told else "no end was told")


main()
