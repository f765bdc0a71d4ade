"""What the analyses of runs with N workers say of other numbers, beside what runs with those numbers gave.

predictions.py ROLLFIT DIRECTORY [--setup NAME]... [--store STORE] [--rounds N] [--json FILE] [--records DIRECTORY] [--again] [--list]. DIRECTORY holds the reference
workload as bench.sh imports it. Every number of 1 to 4 workers predicts each other one that its table has a figure for. The figures of a
number are the medians of its rounds. Called by ./bench.sh workers.
"""

import argparse
import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

from conditions import PARQUET, POSTGRES, STORES, Bench, Conditions
from measured import measure

WORKERS = (1, 2, 3, 4)
OFF_MAX = 0.15
THREE_KEYS = ("eurusd", "gbpusd", "usdjpy")
SIX_KEYS = ("audcad", "audchf", "audjpy", "audnzd", "audusd", "cadchf")
# What a constant of the model is fitted on is one thing, what it is judged by another.
SETUPS = {
    "default": [Conditions(PARQUET, last="2017-02"), Conditions(POSTGRES)],
    "one core": [Conditions(PARQUET, cores="0", last="2017-02"), Conditions(POSTGRES, cores="0")],
    "numeric": [Conditions(POSTGRES, sink={"numbers": "numeric"}, keys=SIX_KEYS)],
    "five times the partitions": [Conditions(PARQUET, last="2017-10"), Conditions(POSTGRES, last="2017-05")],
    "a year of few keys": [Conditions(store, keys=THREE_KEYS, last="2017-12") for store in STORES],
    "a narrow link": [Conditions(POSTGRES, link_bytes_per_s=100e6)],
    "zstd": [Conditions(PARQUET, sink={"compression": "zstd"}, last="2017-03")],
}


def measured(bench, job, rounds, records):
    """The analyses of runs with each number of workers, which take turns. Their records are kept in the directory `records`, if there is one."""
    analyses = {workers: [] for workers in WORKERS}
    for number in range(rounds):
        for workers in WORKERS:
            analyses[workers].append(bench.run(replace(job, workers=str(workers))).analysis)
            if records:
                shutil.copy(max((bench.directory / "state").rglob("*.jsonl"), key=os.path.getmtime), records / f"{workers}-{number}.jsonl")
    return analyses


def analysed_again(rollfit, records):
    """As `measured`, of the records that an earlier call kept."""
    analyse = lambda path: measure([rollfit, "analyze", "--json", str(path)]).json()
    return {workers: [analyse(path) for path in sorted(records.glob(f"{workers}-*.jsonl"))] for workers in WORKERS}


def told(analyses, workers, key):
    """The median of what the tables say of so many workers; none where only ceilings are told."""
    lines = [line[key] for analysis in analyses for line in analysis["scaling"] if line["workers"] == workers and line[key]]
    return {end: median(line[end] for line in lines) for end in ("low", "expected", "high")} if lines else None


def pairs(analyses):
    """A line for each number of workers and each other one: what is told of rows a second and of the whole job, and what was."""
    observed = {
        workers: {"rows_per_s": median(each["run"]["rows_per_s"] for each in of), "job_s": median(each["run"]["took_s"] for each in of)}
        for workers, of in analyses.items()
    }
    for by, of in analyses.items():
        for workers in WORKERS:
            if workers == by:
                continue
            line = {"by": by, "workers": workers}
            for key in ("rows_per_s", "job_s"):
                line[key] = {"observed": observed[workers][key], "told": (estimate := told(of, workers, key))}
                if estimate:
                    line[key]["off"] = estimate["expected"] / observed[workers][key] - 1
                    line[key]["in_range"] = estimate["low"] <= observed[workers][key] <= estimate["high"]
            yield line


def print_pairs(setup, store, lines):
    for line in lines:
        rows, job = line["rows_per_s"], line["job_s"]
        begin = f"{setup:<26} {store:<10} {line['by']:>2} -> {line['workers']} {rows['observed']:>10,.0f}"
        if not rows["told"]:
            print(f"{begin} {'none told':>10}")
            continue
        span = f"{rows['told']['low']:,.0f} to {rows['told']['high']:,.0f}"
        off = f"{job['off']:>+8.0%}" if job["told"] else f"{'':>8}"
        print(f"{begin} {rows['told']['expected']:>10,.0f} {span:<22} {rows['off']:>+6.0%} {off}{'' if rows['in_range'] else '  outside'}", flush=True)


def summary(lines, key):
    """How many are close enough, how far off they are on average, how many ranges hold what was observed."""
    of = [line[key] for line in lines if line[key]["told"]]
    if not of:
        return "nothing is told"
    close = sum(abs(line["off"]) <= OFF_MAX for line in of)
    worst = max((line["off"] for line in of), key=abs)
    text = f"{close} of {len(of)} within {OFF_MAX:.0%}, mean error {mean(abs(line['off']) for line in of):.1%}, worst {worst:+.0%}"
    return f"{text}, in the range {mean(line['in_range'] for line in of):.0%}; {len(lines) - len(of)} of {len(lines)} not told"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rollfit")
    parser.add_argument("directory")
    parser.add_argument("--setup", action="append", choices=SETUPS)
    parser.add_argument("--store", choices=STORES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="a file for every pair and every analysis")
    parser.add_argument("--records", type=Path, help="a directory to keep the records of all runs in")
    parser.add_argument("--again", action="store_true", help="no runs: analyse the records kept there")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        return print("\n".join(SETUPS))
    kept, everything = [], []
    print(f"{'set-up':<26} {'store':<10} {'workers':>7} {'rows/s':>10} {'told':>10} {'range':<22} {'off':>6} {'job off':>8}")
    with nullcontext() if options.again else Bench(options.rollfit, options.directory) as bench:
        for setup in options.setup or SETUPS:
            of_setup = []
            for job in SETUPS[setup]:
                if options.store and job.store != options.store:
                    continue
                records = options.records and options.records / f"{setup.replace(' ', '-')}-{job.store}"
                if options.again:
                    if not records.is_dir():
                        continue
                    analyses = analysed_again(options.rollfit, records)
                else:
                    if records:
                        records.mkdir(parents=True, exist_ok=True)
                    analyses = measured(bench, job, options.rounds, records)
                lines = list(pairs(analyses))
                print_pairs(setup, job.store, lines)
                of_setup += lines
                kept.append({"setup": setup, "store": job.store, "pairs": lines, "analyses": analyses})
                if options.json:
                    with open(options.json, "w") as out:
                        json.dump(kept, out)
            everything += of_setup
            print(f"{setup}: rows/s {summary(of_setup, 'rows_per_s')}\n", flush=True)
    for key, name in (("rows_per_s", "rows/s"), ("job_s", "whole job")):
        print(f"all, {name}: {summary(everything, key)}")


main()
