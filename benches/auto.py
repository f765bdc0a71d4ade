"""`workers = "auto"` beside the best fixed number: auto.py ROLLFIT DIRECTORY [--only NAME]... [--rounds N] [--first N] [--scale X] [--json FILE].

The best fixed number is found in a first block of --first runs each, and timed again in a second one of --rounds runs, by turns with
`auto`; medians. A run's time may be longer by the goal, or by twice what the best number's times differ between the blocks, whichever is
more. DIRECTORY holds the reference workload as bench.sh imports it; --scale makes jobs shorter. Called by ./bench.sh auto.
"""

import argparse
import json
from dataclasses import dataclass, replace
from statistics import median

from conditions import PARQUET, POSTGRES, Bench, Conditions

FEW, MANY = (1, 2, 3, 4), (8, 16, 32)


@dataclass(frozen=True)
class Setting:
    """A job of at least 20 s with the best number of workers, the numbers to try, and how much slower `auto` may be."""

    job: Conditions
    candidates: tuple
    goal: float
    months: int
    first_year: int = 2017

    def shortened(self, scale):
        """The job with a share of its months."""
        month = max(1, round(self.months * scale)) - 1
        return replace(self.job, first=f"{self.first_year}-01", last=f"{self.first_year + month // 12}-{month % 12 + 1:02}")


SETTINGS = {
    "Parquet": Setting(Conditions(PARQUET, data="twice"), FEW, 0.10, 12),
    "PostgreSQL": Setting(Conditions(POSTGRES), FEW, 0.10, 3),
    "50 ms away": Setting(Conditions(POSTGRES, data="short", round_trip_s=0.05), MANY, 0.25, 36, 2013),
    "a slow source": Setting(Conditions(PARQUET, source_bytes_per_s=8e6), MANY, 0.25, 12),
    "beside two busy processes": Setting(Conditions(PARQUET, busy=2), FEW, 0.15, 12),
    "PostgreSQL beside two busy processes": Setting(Conditions(POSTGRES, busy=2), FEW, 0.15, 2),
}


def took(runs):
    return median(run.took_s for run in runs)


def best_fixed(bench, setting, job, rounds):
    """The fastest number of workers of the first block, and the runs of each."""
    block = {workers: [] for workers in setting.candidates}
    for _ in range(rounds):
        for workers, runs in block.items():
            runs.append(bench.run(replace(job, workers=str(workers))))
    return min(block, key=lambda workers: took(block[workers])), block


def compare(bench, setting, options):
    job = setting.shortened(options.scale)
    best, block = best_fixed(bench, setting, job, options.first)
    fixed, auto = [], []
    for _ in range(options.rounds):
        auto.append(bench.run(replace(job, workers="auto")))
        fixed.append(bench.run(replace(job, workers=str(best))))
    spread = abs(took(fixed) / took(block[best]) - 1)
    ratio, allowed = took(auto) / took(fixed), 1 + max(setting.goal, 2 * spread)
    slowdown = lambda runs: median(run.busy_slowdown for run in runs) if setting.job.busy else None
    return {
        "block": {workers: [run.took_s for run in runs] for workers, runs in block.items()},
        "best": best,
        "fixed_s": [run.took_s for run in fixed],
        "auto_s": [run.took_s for run in auto],
        "ratio": ratio,
        "allowed": allowed,
        "is_met": ratio <= allowed,
        "busy_slowdown": {"fixed": slowdown(fixed), "auto": slowdown(auto)},
        "decisions": [run.analysis["decisions"] for run in auto],
    }


def print_line(name, line):
    block = ", ".join(f"{workers}: {median(times):.1f}" for workers, times in line["block"].items())
    word = "met" if line["is_met"] else "MISSED"
    times = f"{median(line['auto_s']):>7.1f} {median(line['fixed_s']):>7.1f} ({line['best']:>2})"
    print(f"{name:<37} {times} {line['ratio']:>6.2f} {line['allowed']:>8.2f} {word:<7} {block}")
    if line["busy_slowdown"]["auto"]:
        slowdown = line["busy_slowdown"]
        print(f"{'':<37} the busy processes were {slowdown['auto']:.2f} times slower beside auto, {slowdown['fixed']:.2f} beside the fixed number")
    print(end="", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rollfit")
    parser.add_argument("directory")
    parser.add_argument("--only", action="append", choices=SETTINGS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the months of each job")
    parser.add_argument("--json", help="a file for every time and decision")
    options = parser.parse_args()
    lines = {}
    print(f"{'':<37} {'auto':>7} {'fixed':>12} {'ratio':>6} {'allowed':>8} {'':<7} first block")
    with Bench(options.rollfit, options.directory) as bench:
        for name in options.only or SETTINGS:
            lines[name] = compare(bench, SETTINGS[name], options)
            print_line(name, lines[name])
            if options.json:
                with open(options.json, "w") as out:
                    json.dump(lines, out)
    print(f"goals met: {sum(line['is_met'] for line in lines.values())} of {len(lines)}")


main()
