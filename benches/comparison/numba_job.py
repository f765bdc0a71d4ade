"""Rolling quadratic features of one-minute closes: CLOSES/pair=KEY/YYYY-MM.parquet in, OUT/key=KEY/month=YYYY-MM/part.parquet out.

Run it again whenever you like: it makes the months that are missing, older than their closes, or of other columns.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import polars as pl

WINDOWS = {"w15": 15, "w30": 30, "w45": 45, "w60": 60, "w75": 75, "agg": 90}
METRICS = "a2 a1 b r2 rmse residual_mean residual_std prediction pred_interval_lower pred_interval_upper".split()
METRICS += "vertex_x vertex_y curvature fit_quality extrapolation_error".split()
NAMES = [f"{metric}_{series}_{window}" for series in ("idx", "bqx") for window in WINDOWS for metric in METRICS]
TINY = 1e-10


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def fit(y, w, out):
    """Fits a parabola to the last w values at each row, from orthogonal sums about the newest value."""
    middle, offset = (w - 1) / 2, (w * w - 1) / 12
    norm1, norm2, scale = w * offset, w * (w * w - 1) * (w * w - 4) / 180, np.sqrt(offset) + TINY
    for row in range(w - 1, len(y)):
        window = y[row - w + 1 : row + 1]
        total = slope = bend = 0.0
        for i in range(w):
            d, u = window[i] - y[row], i - middle
            total, slope, bend = total + d, slope + u * d, bend + (u * u - offset) * d
        mean, slope, bend, ss_res, ss_tot = total / w, slope / norm1, bend / norm2, 0.0, 0.0
        for i in range(w):
            d, u = (window[i] - y[row]) - mean, i - middle
            e = d - slope * u - bend * (u * u - offset)
            ss_res, ss_tot = ss_res + e * e, ss_tot + d * d
        a2, a1, b, x = bend * scale * scale, slope * scale, mean + y[row] - bend * offset, middle / scale
        r2, rmse, prediction, vertex = 1 - ss_res / (ss_tot + TINY), np.sqrt(ss_res / w), (a2 * x + a1) * x + b, -a1 / (2 * a2 + TINY)
        out[:, row] = (
            a2, a1, b, r2, rmse, 0.0, rmse, prediction, prediction - 1.96 * rmse, prediction + 1.96 * rmse, vertex,
            (a2 * vertex + a1) * vertex + b, abs(a2), min(max(r2, 0.0), 1.0), rmse / (abs(prediction) + TINY),
        )  # fmt: skip


def read_series(files):
    """Returns time, rate index and backward return of a key, without its first 15 rows, which have no return."""
    closes = pl.read_parquet(files).sort("ts")
    close = closes["close"].to_numpy()
    index = 100.0 * close / close[0]
    back = sum(index[15 - k : len(index) - k] - index[15:] for k in range(1, 16)) / index[15:]
    return pl.DataFrame({"ts_utc": closes["ts"][15:], "idx": index[15:], "bqx": back})


def make_month(rows, path):
    out = np.full((2, len(WINDOWS), len(METRICS), len(rows)), np.nan)
    for columns, series in zip(out, ("idx", "bqx")):
        for block, w in zip(columns, WINDOWS.values()):
            fit(rows[series].to_numpy(), w, block)
    features = pl.DataFrame(dict(zip(NAMES, out.reshape(len(NAMES), -1)))).fill_nan(None)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.select("ts_utc").hstack(features).write_parquet(path.with_suffix(".tmp"), compression="lz4")
    os.replace(path.with_suffix(".tmp"), path)  # A killed job leaves no half a file.


def is_done(path, source):
    return path.exists() and path.stat().st_mtime > source.stat().st_mtime and pl.read_parquet_schema(path).names()[1:] == NAMES


def main(closes, out):
    with ThreadPoolExecutor() as pool:
        jobs = []
        for pair in sorted(Path(closes).glob("pair=*")):
            files = sorted(pair.glob("*.parquet"))
            path = {file: Path(out, f"key={pair.name[5:]}", f"month={file.stem}", "part.parquet") for file in files}
            todo = [file for file in files if not is_done(path[file], file)]
            months = read_series(files).with_columns(month=pl.col("ts_utc").dt.strftime("%Y-%m")) if todo else None
            jobs += [pool.submit(make_month, months.filter(month=file.stem), path[file]) for file in todo]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
