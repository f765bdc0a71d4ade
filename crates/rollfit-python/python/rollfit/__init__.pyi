"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

from typing import Final, Literal, TypeAlias

__all__ = ["METRICS", "Metric"]

__version__: Final[str]

Metric: TypeAlias = Literal[
    "a2",
    "a1",
    "b",
    "r2",
    "rmse",
    "residual_mean",
    "residual_std",
    "prediction",
    "pred_interval_lower",
    "pred_interval_upper",
    "vertex_x",
    "vertex_y",
    "curvature",
    "fit_quality",
    "extrapolation_error",
    "quadratic_term",
    "linear_term",
    "constant_term",
    "residual",
]
"""The name of a metric."""

METRICS: Final[tuple[Metric, ...]]
"""The names of all metrics, in the order of the catalogue."""
