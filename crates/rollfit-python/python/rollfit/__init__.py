"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

from ._rollfit import *  # noqa: F403
