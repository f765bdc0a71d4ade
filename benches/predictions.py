"""What analyses of runs with N workers said of other numbers, beside what runs with those gave.

Reads STORE-WORKERS-ROUND.json, as `rollfit analyze --json` wrote them, and prints a line for each number of workers: the
median rows a second, and what the median analysis of runs with half as many workers, rounded up, said. Called by
./bench.sh workers.
"""

import json
import statistics
import sys
from pathlib import Path

store, directory = sys.argv[1], Path(sys.argv[2])


def analyses(workers):
    return [json.loads(path.read_text()) for path in sorted(directory.glob(f"{store}-{workers}-*.json"))]


def told(analysis, workers):
    """The line of the table about so many workers; none where only ceilings are told of them."""
    lines = (line["rows_per_s"] for line in analysis["scaling"] if line["workers"] == workers)
    return next((line for line in lines if line), None)


for workers in (1, 2, 3, 4):
    observed = statistics.median(analysis["run"]["rows_per_s"] for analysis in analyses(workers))
    by = 2 if workers == 1 else (workers + 1) // 2
    estimates = [estimate for analysis in analyses(by) if (estimate := told(analysis, workers))]
    if not estimates:
        print(f"{store:<12} {workers:>8} {observed:>12,.0f} {'none':>12}")
        continue
    expected, low, high = (statistics.median(each[key] for each in estimates) for key in ("expected", "low", "high"))
    span = f"{low:,.0f} to {high:,.0f}"
    print(f"{store:<12} {workers:>8} {observed:>12,.0f} {expected:>12,.0f} {span:<22} {100 * (expected / observed - 1):>+7.0f}%  (from runs with {by})")
