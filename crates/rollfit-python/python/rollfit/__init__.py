"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

from . import _polars_import, _rollfit
from ._rollfit import *  # noqa: F403

_polars_import.install()

__version__ = _rollfit.__version__
__all__ = ["Metric", *(name for name in _rollfit.__all__ if not name.startswith("_"))]


def __getattr__(name: str) -> object:
    if name == "Metric":
        # Made when it is asked for: importing rollfit imports nothing else.
        from typing import Literal

        return Literal[tuple(_rollfit.METRICS)]
    raise AttributeError(f"module 'rollfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
