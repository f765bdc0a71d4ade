"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

from . import _polars
from ._rollfit import *  # noqa: F403

_polars.install()
