"""Rolling quadratic trend features: exact, fast, over columns and large partitioned tables."""

import datetime
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypedDict, final, overload

from typing_extensions import Buffer, CapsuleType, Self

__all__ = [
    "METRICS",
    "Analysis",
    "Column",
    "ConfigError",
    "Dataset",
    "Explanation",
    "FeatureScan",
    "LiveStream",
    "Metric",
    "PartitionError",
    "PartitionProblem",
    "RollfitError",
    "RollfitWarning",
    "RunReport",
    "StoreError",
    "StoreUnreachableError",
    "Stream",
    "Table",
    "analyze",
    "bounds",
    "fit",
    "open",
    "rolling",
    "run",
]

# Columns of features

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
    def __iter__(self) -> Iterator[Any]: ...
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

_Path: TypeAlias = str | os.PathLike[str]

# Exceptions

class RollfitError(Exception):
    exit_code: ClassVar[int]

class ConfigError(RollfitError, ValueError): ...

class StoreError(RollfitError): ...

class StoreUnreachableError(StoreError): ...

class PartitionError(RollfitError):
    report: RunReport | None

class RollfitWarning(UserWarning): ...

# Runs

_State: TypeAlias = Literal["definition-changed", "foreign", "shrunk"]

class _Progress(TypedDict):
    partitions: int
    ended: int
    written: int
    failed: int
    retries: int
    rows: int
    bytes: int
    rows_per_second: float
    bytes_per_second: float
    workers: int
    seconds: float
    remaining_seconds: float | None
    line: str

@final
class PartitionProblem:
    @property
    def key(self) -> str: ...
    @property
    def month(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...

@final
class RunReport:
    @property
    def run(self) -> str: ...
    @property
    def record(self) -> Path | None: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def partitions(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def already_done(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def not_started(self) -> int: ...
    @property
    def interrupted(self) -> bool: ...
    @property
    def retries(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def failures(self) -> list[PartitionProblem]: ...
    @property
    def skipped(self) -> list[PartitionProblem]: ...
    @property
    def counts(self) -> dict[str, int]: ...
    def to_dict(self) -> dict[str, Any]: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    @staticmethod
    def _from_parts(json: str, text: str, run: str, exit_code: int, record: _Path | None) -> RunReport: ...

def run(
    config: _Path | None = None,
    *,
    only: str | Iterable[str] | None = None,
    workers: int | str | None = None,
    replace: _State | Iterable[_State] | None = None,
    force: bool = False,
    shard: str | None = None,
    no_help: bool = False,
    stop_within: int | None = None,
    metrics_file: _Path | None = None,
    trace: _Path | None = None,
    progress: bool | Callable[[_Progress], object] | None = None,
    check: bool = True,
) -> RunReport: ...

# Analyses

@final
class Analysis:
    @property
    def run(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...
    def to_markdown(self) -> str: ...
    def to_html(self) -> str: ...
    def _repr_html_(self) -> str: ...

def analyze(run: RunReport | _Path | None = None, *, config: _Path | None = None) -> Analysis: ...

def _run_command(arguments: list[str]) -> int: ...

# Stored features

# A month "2017-01", a date, an instant "2017-01-04T10:31Z", or a datetime; also numpy's and pandas'. Without a zone it is UTC.
_Instant: TypeAlias = str | datetime.date | Any
_Names: TypeAlias = str | Iterable[str]
_Value: TypeAlias = float | None

def open(config: _Path | None = None) -> Dataset: ...

@final
class Dataset:
    """The features of a job, in the store where `rollfit run` keeps them. Made by `rollfit.open`."""

    def features(
        self,
        keys: _Names | None = None,
        start: _Instant | None = None,
        end: _Instant | None = None,
        columns: _Names | None = None,
        *,
        missing: Literal["error", "skip"] = "error",
        stale: Literal["error", "allow"] = "error",
    ) -> Table: ...
    def scan(
        self,
        keys: _Names | None = None,
        start: _Instant | None = None,
        end: _Instant | None = None,
        columns: _Names | None = None,
        *,
        missing: Literal["error", "skip"] = "error",
        stale: Literal["error", "allow"] = "error",
    ) -> FeatureScan: ...
    def live(self, key: str, *, until: _Instant | None = None) -> LiveStream: ...
    def why(self, key: str, time: _Instant, column: str) -> Explanation: ...
    def partitions(self) -> Table: ...
    @property
    def keys(self) -> list[str]: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def series(self) -> list[str]: ...
    @property
    def windows(self) -> dict[str, dict[str, int]]: ...
    @property
    def metrics(self) -> dict[str, list[str]]: ...
    @property
    def boundary(self) -> str: ...

@final
class FeatureScan:
    """Features that are read as they are consumed, one partition at a time."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...
    def __iter__(self) -> Iterator[Table]: ...

@final
class LiveStream:
    """The features of a key's next rows: push a row's values, get its features. Made by `Dataset.live`."""

    def push(
        self, *row: _Value | Mapping[str, _Value], time: _Instant | None = None, **values: _Value
    ) -> dict[str, float | None]: ...
    @property
    def key(self) -> str: ...
    @property
    def series(self) -> list[str]: ...
    @property
    def last_time(self) -> datetime.datetime | None: ...
    @property
    def seeded_rows(self) -> int: ...
    @property
    def seeded_from(self) -> list[dict[str, Any]]: ...

@final
class Explanation:
    """Why a stored feature has its value, or none. Made by `Dataset.why`."""

    @property
    def key(self) -> str: ...
    @property
    def time(self) -> datetime.datetime: ...
    @property
    def column(self) -> str: ...
    @property
    def stored(self) -> float | None: ...
    @property
    def is_stored(self) -> bool: ...
    @property
    def computed(self) -> float | None: ...
    @property
    def same_bits(self) -> bool | None: ...
    @property
    def null_cause(self) -> str | None: ...
    @property
    def exact(self) -> float | None: ...
    @property
    def bound(self) -> tuple[float, float] | None: ...
    @property
    def error_in_bounds(self) -> float | None: ...
    @property
    def inputs(self) -> Table: ...
    @property
    def partition(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def receipt(self) -> dict[str, Any] | None: ...
    def to_dict(self) -> dict[str, Any]: ...
    def _repr_html_(self) -> str: ...
