"""rollfit from Python beside what else Python has: nanoseconds a fit, which is one window at one row with its 15 metrics. All by turns in
one process, medians. Prints tables in Markdown. Called by ./bench.sh python.

Each result is what a user would go on with: columns of Arrow or Polars, NULL where the window is not full, in fresh memory unless the name
says otherwise. Rollfit takes the memory of a freed table for the next one; "earlier tables kept" shows what it costs when it can't. Rollfit's columns have one bitmap a window, and so have numba's. polars-ols and polars-ds give coefficients; the metrics
are made of these by Polars expressions, and what they take is shown apart.
"""

import argparse
import gc
import pathlib
import statistics
import time

import numpy as np
import polars as pl
import pyarrow as pa

import methods
import rollfit
from exact import METRICS
from methods import GUARD, grid

WINDOWS = [15, 30, 45, 60, 75, 90]
ROWS, KEYS, PASSES = 30_000, 28, 15
# Regressors are row numbers from -1 to 1: with plain ones the least-squares plugins keep fewer digits.
STEP = 2 / ROWS
MANY_PASSES = 3
EARLIER_KEPT = "`rollfit.rolling`, earlier tables kept"


def read_closes(directory):
    """The rate index of each key, 30,000 rows; random walks where there is no market data."""
    pairs = sorted(pathlib.Path(directory).glob("pair=*"))[:KEYS] if directory else []
    if len(pairs) < KEYS:
        dice = np.random.default_rng(1)
        return "random walks", {f"key{i:02}": 100 + np.cumsum(dice.normal(scale=0.01, size=ROWS)) for i in range(KEYS)}
    series = {}
    for pair in pairs:
        files = sorted(pair.glob("*.parquet"))[:2]
        close = np.concatenate([pl.read_parquet(file)["close"].to_numpy() for file in files])[:ROWS]
        series[pair.name.removeprefix("pair=")] = 100.0 * close / close[0]
    return "the rate index of minute bars", series


# Numba

sliding = methods.slide_every(256)


def numba_arrow(y):
    """Columns of Arrow in fresh memory, one bitmap a window."""
    out = np.empty((len(WINDOWS), len(METRICS), len(y)))
    sliding(y, WINDOWS, out)
    names, columns = [], []
    for w, block in zip(WINDOWS, out):
        full = np.ones(len(y), dtype=bool)
        full[: w - 1] = False
        bitmap = pa.py_buffer(np.packbits(full, bitorder="little"))
        names += [f"{metric}_w{w}" for metric in METRICS]
        columns += [pa.Array.from_buffers(pa.float64(), len(y), [bitmap, pa.py_buffer(column)], w - 1) for column in block]
    return pa.Table.from_arrays(columns, names)


# Polars

def over_key(expression, many):
    return expression.over("key") if many else expression


def in_polars(frame, many):
    """Rolling sums by hand, as in `rivals`."""
    first = over_key(pl.col("close").first(), many)
    frame = frame.lazy().with_columns(d=pl.col("close") - first, level=first)
    results = []
    for w in WINDOWS:
        fitted = frame
        moments, *later = methods.polars_expressions(w)
        for step in ([over_key(moment, many) for moment in moments], *later):
            fitted = fitted.with_columns(step)
        results.append(fitted.select(METRICS))
    return [result.collect() for result in results]


def metrics_of_coefficients(frame, w, many):
    """The 15 metrics from coefficients c2, c1, c0 of a parabola in `i`, which is `STEP` more at each row."""
    u_last, offset, norm1, norm2, scale = grid(w)
    middle = pl.col("i") - u_last * STEP
    d = pl.col("close") - over_key(pl.col("close").first(), many)
    steps = [
        [
            ((2 * pl.col("c2") * middle + pl.col("c1")) * STEP).alias("slope"),
            (pl.col("c2") * STEP**2).alias("bend"), over_key(d.rolling_var(w, ddof=0), many).alias("var"),
        ],
        [
            (pl.col("bend") * scale**2).alias("a2"), (pl.col("slope") * scale).alias("a1"),
            ((pl.col("c2") * middle + pl.col("c1")) * middle + pl.col("c0")).alias("b"),
            (pl.col("var") * w).alias("ss_tot"), (pl.col("slope") * norm1).alias("p1"), (pl.col("bend") * norm2).alias("p2"),
        ],
    ]  # fmt: skip
    _, _, *later = methods.polars_expressions(w)
    for step in (*steps, *later):
        frame = frame.with_columns(step)
    return frame.select(METRICS)


def in_polars_ols(frame, many, metrics=True):
    import polars_ols

    results = []
    for w in WINDOWS:
        fit = polars_ols.compute_rolling_least_squares(
            pl.col("close"), pl.col("i2"), pl.col("i"), add_intercept=True, mode="coefficients",
            rolling_kwargs=polars_ols.RollingKwargs(window_size=w, min_periods=w),
        )  # fmt: skip
        fit = over_key(fit, many).struct.rename_fields(["c2", "c1", "c0"]).alias("fit")
        if metrics:
            results.append(metrics_of_coefficients(frame.lazy().with_columns(fit).unnest("fit"), w, many).collect())
        else:
            results.append(frame.select(fit))
    return results


def in_polars_ds(frame, many, metrics=True):
    import polars_ds

    results = []
    for w in WINDOWS:
        fit = over_key(polars_ds.rolling_lin_reg("i2", "i", target="close", window_size=w, add_bias=True), many).alias("fit")
        if metrics:
            columns = [pl.col("fit").struct[0].list.get(i, null_on_oob=True).alias(name) for i, name in enumerate(("c2", "c1", "c0"))]
            results.append(metrics_of_coefficients(frame.lazy().with_columns(fit).with_columns(columns), w, many).collect())
        else:
            results.append(frame.select(fit))
    return results


# Measuring

def by_turns(contestants, passes, prepare=lambda name: None):
    """Medians of the seconds of each; the pass before the first is not counted. What a pass makes is dropped before the next. `prepare`
    is called before each, and not counted."""
    seconds = {name: [] for name in contestants}
    for number in range(passes + 1):
        for name, run in contestants.items():
            prepare(name)
            gc.collect()
            start = time.perf_counter()
            result = run()
            took = time.perf_counter() - start
            del result
            if number:
                seconds[name].append(took)
    return {name: (statistics.median(took), min(took), max(took)) for name, took in seconds.items()}


def frame_of(series):
    frames = [pl.DataFrame({"close": y, "i": np.arange(len(y)) * STEP - 1}).with_columns(key=pl.lit(key)) for key, y in series.items()]
    return pl.concat(frames, rechunk=True).with_columns(i2=pl.col("i") ** 2)


def one_and_many(series):
    """What each does with one key and with 28, as functions without arguments."""
    one, columns = next(iter(series.values())), {key: pl.Series(y) for key, y in series.items()}
    first, many = next(iter(columns.values())), frame_of(series)
    single = many[: len(one)]
    fit = pl.col("close").rollfit
    kept = rollfit.rolling(first, windows=WINDOWS, metrics=METRICS, threads=1)
    kept_many = [rollfit.rolling(y, windows=WINDOWS, metrics=METRICS, threads=1) for y in columns.values()]
    tables = []
    out, outs = np.full((6, 15, ROWS), np.nan), [np.full((6, 15, ROWS), np.nan) for _ in columns]
    return {
        "`rollfit.rolling`": (
            lambda: rollfit.rolling(first, windows=WINDOWS, metrics=METRICS, threads=1),
            lambda: [rollfit.rolling(y, windows=WINDOWS, metrics=METRICS, threads=1) for y in columns.values()],
        ),
        EARLIER_KEPT: (lambda: tables.append(rollfit.rolling(first, windows=WINDOWS, metrics=METRICS, threads=1)), None),
        "`rollfit.rolling`, `out=` reused": (
            lambda: rollfit.rolling(first, windows=WINDOWS, metrics=METRICS, threads=1, out=kept),
            lambda: [rollfit.rolling(y, windows=WINDOWS, metrics=METRICS, threads=1, out=o) for y, o in zip(columns.values(), kept_many)],
        ),
        "the Polars plugin (28 keys: `by=`)": (
            lambda: single.select(fit.rolling(WINDOWS, metrics=METRICS)),
            lambda: many.select(fit.rolling(WINDOWS, metrics=METRICS, by="key")),
        ),
        "numba, fresh Arrow output": (lambda: numba_arrow(one), lambda: [numba_arrow(y) for y in series.values()]),
        "numba, arrays reused": (
            lambda: sliding(one, WINDOWS, out),
            lambda: [sliding(y, WINDOWS, o) for y, o in zip(series.values(), outs)],
        ),
        "Polars expressions": (lambda: in_polars(single, False), lambda: in_polars(many, True)),
        "polars-ols": (lambda: in_polars_ols(single, False), lambda: in_polars_ols(many, True)),
        "polars-ols, coefficients alone": (lambda: in_polars_ols(single, False, False), None),
        "polars-ds": (lambda: in_polars_ds(single, False), lambda: in_polars_ds(many, True)),
        "polars-ds, coefficients alone": (lambda: in_polars_ds(single, False, False), None),
    }  # fmt: skip


def print_times(contestants):
    plain, keeping = (contestants[name][0] for name in ("`rollfit.rolling`", EARLIER_KEPT))
    # Whoever ran before, a freed table's memory is there; unless all are kept.
    prepare = lambda name: keeping() if name == EARLIER_KEPT else plain()
    one = by_turns({name: run for name, (run, _) in contestants.items()}, PASSES, prepare)
    many = by_turns({name: run for name, (_, run) in contestants.items() if run}, MANY_PASSES)
    print("| | one key: ns a fit | least to most | 28 keys: ns a fit | least to most |\n|---|---|---|---|---|")
    for name in contestants:
        cells = []
        for times, keys in ((one, 1), (many, KEYS)):
            if name not in times:
                cells += [" | "]
                continue
            median, least, most = (1e9 * seconds / (ROWS * len(WINDOWS) * keys) for seconds in times[name])
            cells += [f"{median:.3g} | {least:.3g} to {most:.3g}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def print_threads(series):
    """One thread and two over one column of 28 times the rows."""
    y = pl.Series(np.concatenate(list(series.values())))
    runs = {count: lambda count=count: rollfit.rolling(y, windows=WINDOWS, metrics=METRICS, threads=count) for count in (1, 2)}
    kept = rollfit.rolling(y, windows=WINDOWS, metrics=METRICS)
    runs |= {(count, "out"): lambda count=count: rollfit.rolling(y, windows=WINDOWS, metrics=METRICS, threads=count, out=kept) for count in (1, 2)}
    took = {name: times[0] for name, times in by_turns(runs, 7).items()}
    print(f"\n| {len(y):,} rows in one column | ns a fit, 1 thread | 2 threads | ratio |\n|---|---|---|---|")
    for label, one, two in (("`rollfit.rolling`", 1, 2), ("`rollfit.rolling`, `out=` reused", (1, "out"), (2, "out"))):
        nanoseconds = [1e9 * took[name] / (len(y) * len(WINDOWS)) for name in (one, two)]
        print(f"| {label} | {nanoseconds[0]:.3g} | {nanoseconds[1]:.3g} | {nanoseconds[0] / nanoseconds[1]:.2f} |")


def print_same_numbers(series):
    """How far the predictions of the others lie from rollfit's, so that nobody's speed is that of another fit."""
    y, single = next(iter(series.values())), frame_of(series)[:ROWS]
    ours = pl.DataFrame(rollfit.rolling(pl.Series(y), windows=WINDOWS, metrics=["prediction"]))
    numba = numba_arrow(y)
    theirs = {"numba": [pl.DataFrame({"prediction": numba[f"prediction_w{w}"]}) for w in WINDOWS]}
    theirs |= {name: run(single, False) for name, run in (("Polars expressions", in_polars), ("polars-ols", in_polars_ols), ("polars-ds", in_polars_ds))}
    print("\nLargest relative difference of a prediction from rollfit's, windows of 15 and 90 rows:", end=" ")
    far = []
    for name, frames in theirs.items():
        worst = [np.nanmax(np.abs(frames[i]["prediction"].to_numpy() / ours[f"prediction_w{WINDOWS[i]}"].to_numpy() - 1)) for i in (0, -1)]
        far += [f"{name} {worst[0]:.0e} and {worst[1]:.0e}"]
    print("; ".join(far) + ".")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--closes", help="directory of one-minute closes: pair=KEY, a Parquet file a month")
    options = parser.parse_args()
    np.seterr(all="ignore")
    origin, series = read_closes(options.closes)
    print(f"{ROWS:,} rows a key of {origin}, {len(WINDOWS)} windows x {len(METRICS)} metrics, one thread\n")
    print_times(one_and_many(series))
    print_same_numbers(series)
    print_threads(series)


if __name__ == "__main__":
    main()
