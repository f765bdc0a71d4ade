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


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """The lines with errors in both examples, which the type checker reads at once: what they import takes it longer than they do."""
    pytest.importorskip("mypy")
    options = ["--strict", "--no-error-summary", "--cache-dir=/dev/null"]
    command = [sys.executable, "-m", "mypy", *options, "accepted.py", "refused.py"]
    done = subprocess.run(command, cwd=TYPED, capture_output=True, text=True)
    # That something is wrong, and not that it could not be checked.
    assert done.returncode == 1, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_a_typed_example_passes_strictly(errors: list[str]) -> None:
    assert [line for line in errors if not line.startswith("refused.py:")] == []


def test_what_is_wrong_is_refused_on_each_line_that_says_so(errors: list[str]) -> None:
    lines = (TYPED / "refused.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}
    found = {int(line.split(":")[1]) for line in errors if line.startswith("refused.py:")}
    assert wrong and found == wrong, errors
