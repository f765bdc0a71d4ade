"""The compiled module. What it holds for users is described in `__init__.pyi`."""

from collections.abc import Sequence

def _run_command(arguments: Sequence[str]) -> int: ...
