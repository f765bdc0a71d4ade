"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypedDict, final, overload

from typing_extensions import Buffer, CapsuleType, Self

__all__ = ["METRICS", "Column", "Metric", "Stream", "Table", "bounds", "fit", "rolling"]

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

class _MetricEntry(TypedDict):
    unit: str
    formula: str
    stored: bool

METRICS: Final[MappingProxyType[Metric, _MetricEntry]]
"""The catalogue, in its order: for each metric its `unit` ("y" is the unit of the series, "x" standard deviations of the row number, "1" a pure
number), its `formula`, and whether it is `stored` where no metrics are named."""

_Values: TypeAlias = Any
"""One column of numbers: anything with the Arrow PyCapsule interface or the buffer protocol."""
_Windows: TypeAlias = Mapping[str, int] | Iterable[int]
_NullCounts: TypeAlias = dict[Literal["warmup", "input", "undefined", "unknown"], int]

def rolling(
    values: _Values,
    windows: _Windows,
    metrics: Iterable[Metric] | None = None,
    name: str | None = None,
    *,
    threads: int | None = None,
    out: Table | None = None,
) -> Table: ...
def fit(values: _Values) -> dict[Metric, float | None]: ...
@overload
def bounds(values: _Values, metric: None = None) -> dict[Metric, tuple[float, float] | None]: ...
@overload
def bounds(values: _Values, metric: Metric) -> tuple[float, float] | None: ...
@final
class Table:
    @property
    def column_names(self) -> list[str]: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def num_columns(self) -> int: ...
    @property
    def null_counts(self) -> _NullCounts: ...
    def to_numpy(self, name: str) -> Any: ...
    def __len__(self) -> int: ...
    def __getitem__(self, name: str, /) -> Column: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __arrow_c_array__(self, requested_schema: CapsuleType | None = None) -> tuple[CapsuleType, CapsuleType]: ...
    def __arrow_c_schema__(self) -> CapsuleType: ...
    def __arrow_c_stream__(self, requested_schema: CapsuleType | None = None) -> CapsuleType: ...

@final
class Column(Buffer):
    @property
    def name(self) -> str: ...
    @property
    def null_count(self) -> int: ...
    @property
    def null_counts(self) -> _NullCounts: ...
    def to_numpy(self) -> Any: ...
    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Any: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __arrow_c_array__(self, requested_schema: CapsuleType | None = None) -> tuple[CapsuleType, CapsuleType]: ...
    def __arrow_c_schema__(self) -> CapsuleType: ...
    def __arrow_c_stream__(self, requested_schema: CapsuleType | None = None) -> CapsuleType: ...

@final
class Stream:
    def __new__(cls, windows: _Windows, metrics: Iterable[Metric] | None = None, name: str | None = None) -> Self: ...
    @classmethod
    def seeded(
        cls, history: _Values, windows: _Windows, metrics: Iterable[Metric] | None = None, name: str | None = None
    ) -> Self: ...
    @property
    def columns(self) -> list[str]: ...
    def push(self, value: float | None) -> dict[str, float | None]: ...
    def push_many(self, values: _Values) -> Table: ...
    def push_into(self, values: _Values, out: Buffer | Table) -> None: ...
    def reset(self) -> None: ...
