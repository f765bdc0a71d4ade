"""The exact answer: sums of a window in integers, metrics from their definitions in decimals of 60 digits.

Shares nothing with rollfit and nothing with the methods it judges.
"""

import decimal
from decimal import Decimal
from fractions import Fraction

METRICS = [
    "a2", "a1", "b", "r2", "rmse", "residual_mean", "residual_std", "prediction", "pred_interval_lower",
    "pred_interval_upper", "vertex_x", "vertex_y", "curvature", "fit_quality", "extrapolation_error",
]
# The others repeat one of these, or are 0.
JUDGED = [name for name in METRICS if name not in ("residual_mean", "residual_std", "curvature", "fit_quality")]
# A double has no more.
MOST_DIGITS = 16.0

decimal.setcontext(decimal.Context(prec=60, Emax=10**6, Emin=-(10**6)))
GUARD = Decimal(1e-10)


def to_decimal(fraction):
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


def fit(values):
    """a2, a1, b, ss_res and ss_tot of a window, oldest value first."""
    w = len(values)
    exact = [Fraction(float(value)) for value in values]
    denominator = max(value.denominator for value in exact)
    y = [value.numerator * (denominator // value.denominator) for value in exact]
    # The weights 1, 2u and 12(u^2 - (w^2-1)/12) are integers and at right angles to each other.
    slopes = [2 * i - (w - 1) for i in range(w)]
    bends = [3 * t * t - (w * w - 1) for t in slopes]
    total, total_squares = sum(y), sum(value * value for value in y)
    slope, bend = (sum(a * b for a, b in zip(weights, y)) for weights in (slopes, bends))
    slope_norm, bend_norm = sum(t * t for t in slopes), sum(t * t for t in bends)
    ss_tot = Fraction(total_squares) - Fraction(total * total, w)
    ss_res = ss_tot - Fraction(slope * slope, slope_norm) - Fraction(bend * bend, bend_norm)
    c1 = Fraction(2 * slope, slope_norm * denominator)
    c2 = Fraction(12 * bend, bend_norm * denominator)
    scale = (Decimal(w * w - 1) / 12).sqrt() + GUARD
    b = Fraction(total, w * denominator) - c2 * Fraction(w * w - 1, 12)
    squares = [to_decimal(part / denominator**2) for part in (ss_res, ss_tot)]
    return to_decimal(c2) * scale * scale, to_decimal(c1) * scale, to_decimal(b), *squares


def metrics(values):
    """Every judged metric of a window, by name."""
    a2, a1, b, ss_res, ss_tot = fit(values)
    w = len(values)
    x_last = Decimal(w - 1) / 2 / ((Decimal(w * w - 1) / 12).sqrt() + GUARD)
    rmse = (ss_res / w).sqrt()
    prediction = (a2 * x_last + a1) * x_last + b
    vertex_x = -a1 / (2 * a2 + GUARD)
    half = Decimal(1.96) * rmse
    return {
        "a2": a2, "a1": a1, "b": b, "r2": 1 - ss_res / (ss_tot + GUARD), "rmse": rmse, "prediction": prediction,
        "pred_interval_lower": prediction - half, "pred_interval_upper": prediction + half,
        "vertex_x": vertex_x, "vertex_y": (a2 * vertex_x + a1) * vertex_x + b,
        "extrapolation_error": rmse / (abs(prediction) + GUARD),
    }


def digits(value, exact):
    """How many decimal digits of `exact` a double `value` keeps: none if it is not finite or of another size."""
    value = Decimal(float(value))
    if not value.is_finite() or exact == 0:
        return 0.0
    error = abs(value - exact) / abs(exact)
    return MOST_DIGITS if error == 0 else min(MOST_DIGITS, max(0.0, -float(error.log10())))
