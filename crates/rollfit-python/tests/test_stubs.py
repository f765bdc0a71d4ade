"""The stubs: names of metrics as in the catalogue, and an example that a type checker accepts, with twins that it refuses."""

import ast
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import rollfit

STUBS = Path(rollfit.__file__).with_suffix(".pyi")
TYPED = Path(__file__).parent / "typed"


def literal_in_stubs(name: str) -> tuple[str, ...]:
    """The strings of an alias of a Literal."""
    for statement in ast.parse(STUBS.read_text()).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name and statement.value:
            assert isinstance(statement.value, ast.Subscript)
            return tuple(ast.literal_eval(statement.value.slice))
    raise AssertionError(f"the stubs have no {name}")


def test_metrics_in_the_stubs_are_those_of_the_catalogue():
    assert literal_in_stubs("Metric") == tuple(rollfit.METRICS)


def test_metric_at_run_time_is_made_of_the_catalogue():
    assert typing.get_args(rollfit.Metric) == tuple(rollfit.METRICS)


def test_the_package_says_that_it_is_typed():
    assert STUBS.is_file() and STUBS.with_name("py.typed").is_file()


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir=/dev/null", path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True)


def test_a_typed_example_passes_strictly():
    done = checked(TYPED / "accepted.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_wrong_is_refused_on_each_line_that_says_so():
    path = TYPED / "refused.py"
    wrong = {number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# refused")}
    done = checked(path)
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line}
    assert wrong and found == wrong, done.stdout + done.stderr
