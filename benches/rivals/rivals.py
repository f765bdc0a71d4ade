"""What Python has to offer for rollfit's 15 metrics, beside rollfit: the time of a fit and the digits it keeps, on the same
series in the same call, one thread each. Prints a table in Markdown and writes a picture. Called by ./bench.sh rivals.

The series are 30,900 rows each: `idx`, the rate index of minute bars; `bqx`, its backward return; `hard`, a walk of
steps of 0.001 at a level of a million. A method's digits are those of 11 metrics (the other four repeat one or are 0) of
every window at rows drawn at random, against the exact answer.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import polars as pl

import exact
import methods

WINDOWS = [15, 30, 45, 60, 75, 90]
ROWS = 30_900
SAMPLED_ROWS = 400
PASSES = 15


def rate_index(closes):
    """The first rows of the series as SPEC and `rollfit import` make it from one-minute closes."""
    files = sorted(pathlib.Path(closes).glob("*.parquet"))
    close = np.concatenate([pl.read_parquet(file)["close"].to_numpy() for file in files[:2]])
    return 100.0 * close[: ROWS + 15] / close[0]


def backward_return(index):
    total = np.zeros(len(index) - 15)
    for k in range(1, 16):
        total += index[15 - k : len(index) - k] - index[15:]
    return total / index[15:]


def all_series(closes):
    index = rate_index(closes)
    steps = np.random.default_rng(7).normal(scale=1e-3, size=ROWS)
    return {"idx": index[15:].copy(), "bqx": backward_return(index), "hard": 1e6 + np.cumsum(steps)}


def median_ns(run, fits, passes=PASSES):
    """Of the passes after the first, which compiles and touches memory."""
    run()
    seconds = []
    for _ in range(passes):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 1e9 * statistics.median(seconds) / fits


def compiled(method):
    def measure(y, out, _):
        return median_ns(lambda: method(y, WINDOWS, out), y.size * len(WINDOWS))

    return measure


def in_polars(y, out, _):
    """Polars makes its own memory; what copies it into `out` is not timed."""
    for columns, frame in zip(out, methods.polars_frames(y, WINDOWS)):
        columns[:] = frame.to_numpy().T
    return median_ns(lambda: list(methods.polars_frames(y, WINDOWS)), y.size * len(WINDOWS))


def in_polyfit(y, out, rows):
    return median_ns(lambda: methods.polyfit(y, WINDOWS, out, rows), len(rows) * len(WINDOWS), passes=3)


def in_rollfit(program):
    def measure(y, out, _):
        with tempfile.TemporaryDirectory() as directory:
            values, columns = (os.path.join(directory, name) for name in ("values", "columns"))
            y.astype("<f8").tofile(values)
            windows = ",".join(map(str, WINDOWS))
            printed = subprocess.run([program, values, columns, windows], check=True, capture_output=True, text=True)
            out[:] = np.fromfile(columns, dtype="<f8").reshape(out.shape)
            return float(printed.stdout)

    return measure


def kept_digits(y, out, rows, answers):
    """The digits of all judged metrics of the windows at `rows`."""
    kept = []
    for columns, w in zip(out, WINDOWS):
        for row in rows:
            for name, value in answers[w, row].items():
                kept.append(exact.digits(columns[exact.METRICS.index(name), row], value))
    return np.array(kept)


def measure_series(name, y, rivals):
    """For each rival nanoseconds a fit, and its digits: median, what 99 % have at least, worst."""
    rows = sorted(np.random.default_rng(1).choice(np.arange(max(WINDOWS) - 1, len(y)), SAMPLED_ROWS, replace=False))
    answers = {(w, row): exact.metrics(y[row - w + 1 : row + 1]) for w in WINDOWS for row in rows}
    results = {}
    for rival, measure in rivals.items():
        out = np.full((len(WINDOWS), len(exact.METRICS), len(y)), np.nan)
        nanoseconds = measure(y, out, rows)
        kept = kept_digits(y, out, rows, answers)
        results[rival] = (nanoseconds, np.median(kept), np.quantile(kept, 0.01), kept.min())
    return results


def print_table(results):
    names = list(results)
    print("| | " + " | ".join(f"{name}: ns a fit | digits" for name in names) + " |")
    print("|---" * (1 + 2 * len(names)) + "|")
    for rival in results[names[0]]:
        cells = []
        for name in names:
            nanoseconds, *digits = results[name][rival]
            cells += [f"{nanoseconds:,.3g}" if nanoseconds < 1000 else f"{nanoseconds:,.0f}"]
            cells += [" / ".join(f"{count:.1f}" for count in digits)]
        print(f"| {rival} | " + " | ".join(cells) + " |")
    print("\nDigits: median / what 99 % of the values have at least / worst.")


def draw(results, file):
    import matplotlib

    matplotlib.use("svg")
    style = {"svg.fonttype": "none", "svg.hashsalt": "rollfit", "font.size": 9, "xtick.minor.bottom": False}
    matplotlib.rcParams.update(style)
    import matplotlib.pyplot as plot

    figure, panels = plot.subplots(1, len(results), figsize=(11, 4), sharey=True, layout="constrained")
    for panel, (name, rivals) in zip(panels, results.items()):
        for rival, (nanoseconds, median, most, worst) in rivals.items():
            reach = [[most - worst], [median - most]]
            panel.errorbar(nanoseconds, most, yerr=reach, fmt="o", capsize=3, label=rival)
        panel.set(xscale="log", title=name, xlabel="nanoseconds a fit", ylim=(0, 16.5))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("digits: worst, 99 %, median")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(file, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--closes", required=True, help="directory of one-minute closes, a Parquet file a month")
    parser.add_argument("--rollfit", required=True, help="the example `columns` of the crate rollfit")
    parser.add_argument("--picture", required=True, help="SVG to write")
    options = parser.parse_args()
    np.seterr(all="ignore")
    rivals = {
        "rollfit": in_rollfit(options.rollfit),
        "numba, sliding sums restarted every 64 rows": compiled(methods.slide_every(64)),
        "numba, sliding sums restarted every 256 rows": compiled(methods.slide_every(256)),
        "numba, every window summed afresh": compiled(methods.afresh),
        "Polars expressions": in_polars,
        "numpy.polyfit, a call a row": in_polyfit,
    }
    results = {name: measure_series(name, y, rivals) for name, y in all_series(options.closes).items()}
    print_table(results)
    draw(results, options.picture)


if __name__ == "__main__":
    main()
