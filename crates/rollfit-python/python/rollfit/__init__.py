"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

from . import _polars_import
from ._rollfit import *  # noqa: F403

_polars_import.install()
