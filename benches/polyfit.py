"""One partition the plain way: a numpy.polyfit for every row, window and series, and the 15 metrics of each fit.

Reads rollfit's source tables; prints rows, seconds and microseconds a fit. Called by ./bench.sh polyfit.
"""

import sys
import time
import warnings

import numpy as np
import pyarrow.parquet as pq

WINDOWS = [15, 30, 45, 60, 75, 90]


def column(sources, table, month, name):
    return pq.ParquetFile(f"{sources}/{table}/{month}.parquet").read([name])[name].to_numpy()


def metrics(y, x, w):
    a2, a1, b = np.polyfit(x, y, 2)
    fitted = a2 * x**2 + a1 * x + b
    residual = y - fitted
    ss_res = np.sum(residual**2)
    r2 = 1 - ss_res / (np.sum((y - y.mean()) ** 2) + 1e-10)
    std = residual.std()
    prediction = fitted[-1]
    vertex = -a1 / (2 * a2 + 1e-10)
    return (
        a2, a1, b, r2, np.sqrt(ss_res / w), residual.mean(), std,
        prediction - 1.96 * std, prediction + 1.96 * std, prediction, vertex,
        a2 * vertex**2 + a1 * vertex + b, abs(a2), np.clip(r2, 0, 1), abs(std / (abs(prediction) + 1e-10)),
    )


def fit_series(values):
    fits = 0
    for w in WINDOWS:
        x = (np.arange(w) - (w - 1) / 2) / (np.sqrt((w * w - 1) / 12) + 1e-10)
        out = np.full((len(values), 15), np.nan)
        for row in range(w - 1, len(values)):
            out[row] = metrics(values[row - w + 1 : row + 1], x, w)
            fits += 1
    return fits


def main():
    sources, key, month = sys.argv[1:]
    warnings.simplefilter("ignore")
    series = [
        column(sources, f"m1_{key}", month, "rate_index"),
        column(sources, f"bqx_{key}", month, "w15_bqx_return"),
    ]
    start = time.perf_counter()
    fits = sum(fit_series(values) for values in series)
    seconds = time.perf_counter() - start
    print(f"{len(series[0]):,} rows, {fits:,} fits in {seconds:.1f} s: {1e6 * seconds / fits:.0f} us a fit, nothing stored")


if __name__ == "__main__":
    main()
