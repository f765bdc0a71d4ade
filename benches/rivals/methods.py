"""The rivals: every method gives the 15 metrics of each row and window, as `out[window, metric, row]`, NaN where the
window is not full. The compiled ones are written the way one would write them for speed, on one thread.
"""

import numba
import numpy as np
import polars as pl

from exact import METRICS

GUARD = 1e-10
BLOCK_ROWS = 256


def grid(w):
    """u at the last row, (w^2-1)/12, the norms of u and of u^2 - (w^2-1)/12, row units in one unit of x."""
    offset = (w * w - 1) / 12
    return (w - 1) / 2, offset, w * offset, w * (w * w - 1) * (w * w - 4) / 180, np.sqrt(offset) + GUARD


@numba.njit(error_model="numpy")
def finish(out, first, rows, mean, p1, p2, ss_res, ss_tot, w, grid):
    """All metrics of a block of rows from their sums about the mean. A loop a column, so that each becomes vector
    instructions: one loop over all columns does not.
    """
    u_last, offset, norm1, norm2, scale = grid
    a2_factor, a1_factor, centre = scale * scale / norm2, scale / norm1, offset / norm2
    x_last, share = u_last / scale, 1 / w
    end = first + rows
    a2, a1, b, r2, rmse = out[0][first:end], out[1][first:end], out[2][first:end], out[3][first:end], out[4][first:end]
    prediction, vertex_x, vertex_y = out[7][first:end], out[10][first:end], out[11][first:end]
    for r in range(rows):
        a2[r] = p2[r] * a2_factor
    for r in range(rows):
        a1[r] = p1[r] * a1_factor
    for r in range(rows):
        b[r] = mean[r] - p2[r] * centre
    for r in range(rows):
        r2[r] = 1 - ss_res[r] / (ss_tot[r] + GUARD)
    for r in range(rows):
        rmse[r] = np.sqrt(ss_res[r] * share)
    out[5][first:end] = 0.0
    out[6][first:end] = rmse
    for r in range(rows):
        prediction[r] = (a2[r] * x_last + a1[r]) * x_last + b[r]
    for column, side in ((8, -1.96), (9, 1.96)):
        interval = out[column][first:end]
        for r in range(rows):
            interval[r] = prediction[r] + side * rmse[r]
    for r in range(rows):
        vertex_x[r] = -a1[r] / (2 * a2[r] + GUARD)
    for r in range(rows):
        vertex_y[r] = (a2[r] * vertex_x[r] + a1[r]) * vertex_x[r] + b[r]
    curvature, fit_quality, extrapolation_error = out[12][first:end], out[13][first:end], out[14][first:end]
    for r in range(rows):
        curvature[r] = abs(a2[r])
    for r in range(rows):
        fit_quality[r] = min(max(r2[r], 0.0), 1.0)
    for r in range(rows):
        extrapolation_error[r] = rmse[r] / (abs(prediction[r]) + GUARD)


@numba.njit(error_model="numpy")
def slide(y, w, grid, restart_rows, out):
    """Sums about a pivot that one row enters and one leaves, begun afresh every `restart_rows` rows."""
    u_last, offset, norm1, norm2, _ = grid
    share, explained1, explained2 = 1 / w, 1 / norm1, 1 / norm2
    mean, p1, p2, ss_res, ss_tot = np.empty((5, restart_rows))
    for first in range(w - 1, len(y), restart_rows):
        rows = min(restart_rows, len(y) - first)
        pivot = y[first]
        s0 = s1 = s2 = squares = 0.0
        for i in range(w):
            d = y[first - w + 1 + i] - pivot
            u = i - u_last
            s0 += d
            s1 += u * d
            s2 += u * u * d
            squares += d * d
        for r in range(rows):
            if r > 0:
                old = y[first + r - w] - pivot
                new = y[first + r] - pivot
                s2 += s0 - old - 2 * (s1 + u_last * old) + u_last * u_last * (new - old)
                s1 += u_last * (old + new) - s0 + old
                s0 += new - old
                squares += new * new - old * old
            mean[r] = s0
            p1[r] = s1
            p2[r] = s2
            ss_tot[r] = squares
        for r in range(rows):
            p2[r] -= offset * mean[r]
            ss_tot[r] = max(ss_tot[r] - mean[r] * mean[r] * share, 0.0)
            mean[r] = mean[r] * share + pivot
        for r in range(rows):
            ss_res[r] = max(ss_tot[r] - p1[r] * p1[r] * explained1 - p2[r] * p2[r] * explained2, 0.0)
        finish(out, first, rows, mean, p1, p2, ss_res, ss_tot, w, grid)


@numba.njit(error_model="numpy")
def sum_afresh(y, w, grid, out):
    """Every window summed from its own values, residuals included; the loops over rows become vector instructions."""
    u_last, offset, norm1, norm2, _ = grid
    mean, p1, p2, ss_res, ss_tot = np.empty((5, BLOCK_ROWS))
    for first in range(w - 1, len(y), BLOCK_ROWS):
        rows = min(BLOCK_ROWS, len(y) - first)
        newest = y[first : first + rows]
        mean[:] = 0.0
        p1[:] = 0.0
        p2[:] = 0.0
        ss_res[:] = 0.0
        ss_tot[:] = 0.0
        for i in range(w):
            u = i - u_last
            q = u * u - offset
            values = y[first - w + 1 + i : first - w + 1 + i + rows]
            for r in range(rows):
                d = values[r] - newest[r]
                mean[r] += d
                p1[r] += u * d
                p2[r] += q * d
        for r in range(rows):
            mean[r] /= w
        for i in range(w):
            u = i - u_last
            q = u * u - offset
            values = y[first - w + 1 + i : first - w + 1 + i + rows]
            for r in range(rows):
                d = (values[r] - newest[r]) - mean[r]
                e = d - p1[r] * (u / norm1) - p2[r] * (q / norm2)
                ss_tot[r] += d * d
                ss_res[r] += e * e
        for r in range(rows):
            mean[r] += newest[r]
        finish(out, first, rows, mean, p1, p2, ss_res, ss_tot, w, grid)


def slide_every(restart_rows):
    def run(y, windows, out):
        for w, columns in zip(windows, out):
            slide(y, w, grid(w), restart_rows, columns)

    return run


def afresh(y, windows, out):
    for w, columns in zip(windows, out):
        sum_afresh(y, w, grid(w), columns)


def polars_expressions(w):
    """The metrics of a window in steps of expressions over `d`, the values less the first one, which is `level`. Each
    window is multiplied with its weights: rolling sums of powers of the row number are no faster and lose most digits.
    """
    u_last, offset, norm1, norm2, scale = grid(w)
    u = np.arange(w) - u_last
    d = pl.col("d")
    moments = [
        d.rolling_sum(w, weights=list(u)).alias("p1"), d.rolling_sum(w, weights=list(u * u - offset)).alias("p2"),
        d.rolling_mean(w).alias("mean"), (d.rolling_var(w, ddof=0) * w).alias("ss_tot"),
    ]
    p1, p2 = pl.col("p1"), pl.col("p2")
    fit = [
        (p2 * (scale**2 / norm2)).alias("a2"), (p1 * (scale / norm1)).alias("a1"),
        (pl.col("mean") - p2 * (offset / norm2) + pl.col("level")).alias("b"),
    ]
    a2, a1, b, ss_tot = (pl.col(name) for name in ("a2", "a1", "b", "ss_tot"))
    x_last = u_last / scale
    explained = p1 * p1 / norm1 + p2 * p2 / norm2
    terms = [
        pl.max_horizontal(ss_tot - explained, 0.0).alias("ss_res"),
        ((a2 * x_last + a1) * x_last + b).alias("prediction"),
        (-a1 / (2 * a2 + GUARD)).alias("vertex_x"),
    ]
    ss_res, prediction, x = (pl.col(name) for name in ("ss_res", "prediction", "vertex_x"))
    parts = [(1 - ss_res / (ss_tot + GUARD)).alias("r2"), (ss_res / w).sqrt().alias("rmse")]
    r2, rmse = pl.col("r2"), pl.col("rmse")
    last = [
        (rmse * 0.0).alias("residual_mean"), rmse.alias("residual_std"),
        (prediction - 1.96 * rmse).alias("pred_interval_lower"), (prediction + 1.96 * rmse).alias("pred_interval_upper"),
        ((a2 * x + a1) * x + b).alias("vertex_y"), a2.abs().alias("curvature"), r2.clip(0.0, 1.0).alias("fit_quality"),
        (rmse / (prediction.abs() + GUARD)).alias("extrapolation_error"),
    ]
    return moments, fit, terms, parts, last


def polars_frames(y, windows):
    frame = pl.DataFrame({"d": y - y[0], "level": np.full(len(y), y[0])}).lazy()
    for w in windows:
        fitted = frame
        for step in polars_expressions(w):
            fitted = fitted.with_columns(step)
        yield fitted.select(METRICS).collect()


def polyfit_row(y):
    """One window as per-row jobs do it."""
    w = len(y)
    rows = np.arange(w)
    x = (rows - rows.mean()) / (rows.std() + GUARD)
    a2, a1, b = np.polyfit(x, y, 2)
    fitted = a2 * x**2 + a1 * x + b
    residuals = y - fitted
    ss_res = np.sum(residuals**2)
    r2 = 1 - ss_res / (np.sum((y - y.mean()) ** 2) + GUARD)
    std = residuals.std()
    prediction = fitted[-1]
    vertex_x = -a1 / (2 * a2 + GUARD)
    return (
        a2, a1, b, r2, np.sqrt(ss_res / w), residuals.mean(), std, prediction, prediction - 1.96 * std,
        prediction + 1.96 * std, vertex_x, a2 * vertex_x**2 + a1 * vertex_x + b, abs(a2), np.clip(r2, 0, 1),
        abs(std / (abs(prediction) + GUARD)),
    )


def polyfit(y, windows, out, rows):
    for w, columns in zip(windows, out):
        for row in rows:
            columns[:, row] = polyfit_row(y[row - w + 1 : row + 1])
