"""Counts the wrong cells of stored features. Computes every cell again from the closes in 80-bit floats, each window summed from its
own values, and shares no code with the two jobs that it judges.

docs/formulas.md promises bounds. A cell is `outside` if it is farther from the answer than that. It is wrong if it is a thousand times as
far, which no rounding of doubles is and a value of other closes is; if it is NULL where there is a value, or a value where there is none;
and if its row or its column is missing or should not be there. Where a metric's denominator may be 0 within the bounds, no digits are
promised, and none are judged.
"""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl

GUARD = np.longdouble(1e-10)
HALF = np.longdouble(1.96)
EPSILON = np.finfo(np.float64).eps
FAR = 1_000  # Bounds: beyond them a cell is wrong.
FORMULA = 8 * EPSILON  # What a formula may add, in units of its largest term.


def joined_rows(directory):
    """Time, rate index and backward return of a key; without its first 15 rows, which have no return."""
    closes = pl.read_parquet(Path(directory, "*.parquet")).sort("ts")
    close = closes["close"].to_numpy()
    index = (100.0 * close) / close[0]
    total = np.zeros(len(index) - 15)
    for k in range(1, 16):
        total += index[15 - k : len(index) - k] - index[15:]
    return pl.DataFrame({"ts_utc": closes["ts"][15:], "idx": index[15:], "bqx": total / index[15:]})


def fits(y, w):
    """The parts of every full window: values, each with what it may be off by."""
    windows = np.lib.stride_tricks.sliding_window_view(y, w)
    pivot = windows[:, -1].astype(np.longdouble)
    u = np.arange(w, dtype=np.longdouble) - (w - 1) / np.longdouble(2)
    q = u * u - np.longdouble(w * w - 1) / 12
    d = [windows[:, i] - pivot for i in range(w)]
    mean, slope, bend = sum(d) / w, sum(a * b for a, b in zip(u, d)) / sum(u * u), sum(a * b for a, b in zip(q, d)) / sum(q * q)
    ss_res = sum((b - mean - slope * u[i] - bend * q[i]) ** 2 for i, b in enumerate(d))
    ss_tot = sum((b - mean) ** 2 for b in d)
    scale = np.sqrt(np.longdouble(w * w - 1) / 12) + GUARD
    spread, most = np.ptp(windows, axis=1), np.abs(windows).max(axis=1)
    level = 4 * np.spacing(most) + 1e-13 * spread
    x = u[-1] / scale
    a2, a1, b = bend * scale**2, slope * scale, mean + pivot + bend * q[(w - 1) // 2] - bend * u[(w - 1) // 2] ** 2
    rmse = np.sqrt(ss_res / w)
    return {
        "a2": (a2, 1e-13 * spread), "a1": (a1, 1e-13 * spread), "b": (b, level), "prediction": ((a2 * x + a1) * x + b, level),
        "rmse": (rmse, 1e-12 * rmse + 4e-15 * spread), "r2": (1 - ss_res / (ss_tot + GUARD), np.full(len(y) - w + 1, 1e-12)),
    }  # fmt: skip


def quotient(top, bottom):
    """A quotient, and the most that its parts can move it; infinite where the denominator may be 0."""
    (a, off_a), (b, off_b) = top, bottom
    least = np.abs(b) - off_b
    value = a / b
    return value, np.where(least > 0, (off_a + np.abs(value) * off_b) / np.where(least > 0, least, 1), np.inf) + FORMULA * np.abs(value)


def metrics(y, w):
    """Every metric of every full window: value, and how far from it a stored one may be."""
    parts = fits(y, w)
    (a2, off_a2), (a1, off_a1), (b, off_b) = (parts[name] for name in ("a2", "a1", "b"))
    (rmse, off_rmse), (prediction, off_prediction) = parts["rmse"], parts["prediction"]
    zero = np.zeros(len(rmse))
    vertex, off_vertex = quotient((-a1, off_a1), (2 * a2 + GUARD, 2 * off_a2 + FORMULA * GUARD))
    reach = np.abs(vertex) + off_vertex
    terms = np.maximum(np.maximum(np.abs(a2) * vertex**2, np.abs(a1 * vertex)), np.abs(b))
    off_height = np.abs(2 * a2 * vertex + a1) * off_vertex + (np.abs(a2) + off_a2) * off_vertex**2 + off_a2 * reach**2 + off_a1 * reach + off_b
    off_interval = off_prediction + HALF * off_rmse + FORMULA * np.maximum(np.abs(prediction), HALF * rmse)
    return parts | {
        "residual_mean": (zero, zero), "residual_std": parts["rmse"], "curvature": (np.abs(a2), off_a2), "fit_quality": parts["r2"],
        "pred_interval_lower": (prediction - HALF * rmse, off_interval), "pred_interval_upper": (prediction + HALF * rmse, off_interval),
        "vertex_x": (vertex, off_vertex), "vertex_y": ((a2 * vertex + a1) * vertex + b, off_height + FORMULA * terms),
        "extrapolation_error": quotient((rmse, off_rmse), (np.abs(prediction) + GUARD, off_prediction + FORMULA * GUARD)),
    }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Cells that are wrong, and cells that are right but less exact than rollfit promises."""

    wrong: int = 0
    outside: int = 0

    def __add__(self, other):
        return Verdict(self.wrong + other.wrong, self.outside + other.outside)


def judge_window(stored, answers, w, suffix):
    """The verdict on the columns of one window of a series, where all rows are there."""
    verdict = Verdict()
    there = stored["has"].fill_null(False).to_numpy()[w - 1 :]
    for name, (exact, within) in answers.items():
        column = stored.get_column(f"{name}_{suffix}", default=None)
        if column is None:
            verdict += Verdict(wrong=stored["has"].count())
            continue
        value = column.to_numpy()[w - 1 :].astype(np.longdouble)  # NULL becomes NaN, which is within nothing.
        error, judged = np.abs(value - exact), np.isfinite(within) & there
        is_wrong = ~(error <= FAR * within) & judged
        is_outside = (error > within) & judged & ~is_wrong
        verdict += Verdict(int(is_wrong.sum()) + len(column[: w - 1].drop_nulls()), int(is_outside.sum()))
    return verdict


def judge_files(paths, rows, windows):
    """The verdicts on some jobs' files of one month. The answers are computed once for all of them."""
    verdicts = []
    files = [pl.read_parquet(path, hive_partitioning=False) if path.exists() else rows.select("ts_utc").clear() for path in paths]
    for stored in files:
        one_sided = len(set(stored["ts_utc"]) ^ set(rows["ts_utc"]))
        needless = [name for name in stored.columns[1:] if name.rsplit("_", 1)[1] not in windows]
        verdicts.append(Verdict(one_sided * 2 * len(windows) * 15 + len(needless) * len(stored)))
    # Rows that only one side has are counted; the others are compared.
    files = [rows.select("ts_utc").join(stored.with_columns(has=True), on="ts_utc", how="left") for stored in files]
    for series in ("idx", "bqx"):
        for label, w in windows.items():
            answers = metrics(rows[series].to_numpy(), w) if len(rows) >= w else {}
            for i, stored in enumerate(files):
                if stored["has"].any():
                    verdicts[i] += judge_window(stored, answers, w, f"{series}_{label}")
    return verdicts


def months_of(closes):
    """The joined rows of each key and month."""
    for pair in sorted(Path(closes).glob("pair=*")):
        rows = joined_rows(pair).with_columns(month=pl.col("ts_utc").dt.strftime("%Y-%m"))
        for (month,), frame in rows.partition_by("month", as_dict=True, include_key=False).items():
            yield f"key={pair.name[5:]}/month={month}/part.parquet", frame


def digest(path):
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class Judge:
    """Judges whole stores of features, and remembers what it has judged."""

    def __init__(self):
        self.remembered = {}
        self.pool = ProcessPoolExecutor(mp_context=get_context("spawn"))

    def judge(self, closes, stores, windows):
        """The verdict on each store."""
        waiting = {}
        for name, rows in months_of(closes):
            paths = [Path(store, name) for store in stores]
            case = (name, rows.hash_rows().to_numpy().tobytes(), tuple(windows.items()), *map(digest, paths))
            if case not in self.remembered:
                waiting[case] = self.pool.submit(judge_files, paths, rows, windows)
            else:
                waiting[case] = None
        verdicts = [Verdict() for _ in stores]
        for case, future in waiting.items():
            if future is not None:
                self.remembered[case] = future.result()
            verdicts = [a + b for a, b in zip(verdicts, self.remembered[case])]
        return verdicts
