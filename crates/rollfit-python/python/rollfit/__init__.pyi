# Stubs of `rollfit`.

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict, final

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
