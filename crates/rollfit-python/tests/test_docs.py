"""docs/python.md does what it says: every block runs, in order, in one process and a fresh directory, and prints what is shown."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

for library in ("polars", "pandas", "pyarrow", "duckdb"):
    pytest.importorskip(library)

DOCS = Path(__file__).resolve().parents[3] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)


def blocks(text):
    """Language, code, line and, where a block of text follows directly, the output that is shown."""
    found = list(BLOCK.finditer(text))
    for block, following in zip(found, [*found[1:], None]):
        shows = following and following[1] == "text" and not text[block.end() : following.start()].strip()
        line = text.count("\n", 0, block.start()) + 1
        if block[1] != "text":
            yield block[1], block[2], line, following[2] if shows else None


def run_python(code, line, names):
    """Runs a block in the names of those before; returns what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile("\n" * line + code, "page", "exec"), names)
    return output.getvalue()


def is_shown(printed, shown):
    """Whether a block's output is what the page shows, where `...` stands for anything."""
    pattern = ".*".join(map(re.escape, shown.rstrip().split("...")))
    return re.fullmatch(pattern, printed.rstrip(), re.S)


def run_shell(code):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", "-ec", code], capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_page(text, names=None):
    """Runs all blocks of a page in the working directory; returns how many ran."""
    names, ran = names if names is not None else {}, 0
    for language, code, line, shown in blocks(text):
        if code.startswith("pip install"):
            continue
        printed = run_python(code, line, names) if language == "python" else run_shell(code)
        assert shown is None or is_shown(printed, shown), f"line {line}: it prints\n{printed}"
        ran += 1
    return ran


@pytest.fixture(autouse=True)
def fresh_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def stamps():
    return {str(path): path.stat().st_mtime_ns for path in Path("fx").glob("features/*/*/part.parquet")}


def test_the_notebooks_way_runs_as_written():
    page = (DOCS / "python.md").read_text()
    # Between the two runs of the page: the second writes nothing.
    page = page.replace("again = rollfit", "first = stamps()\nagain = rollfit")
    names = {"stamps": stamps}
    assert run_page(page, names) >= 12
    months = [f"fx/features/key={key}/month=2024-{month}/part.parquet" for key in ("eurusd", "gbpusd") for month in ("01", "02")]
    assert sorted(names["first"]) == months and names["first"] == stamps()

    # Labels meet the same features in each library.
    columns = ["key", "ts_utc", "r2_idx_w60", "label"]
    train = names["train"].select(columns).cast({"key": str}).sort("key", "ts_utc")
    for other in (names["pl"].from_pandas(names["in_pandas"]), names["in_duckdb"].pl()):
        other = other.select(columns).cast({"key": str, "ts_utc": train.schema["ts_utc"]}).sort("key", "ts_utc")
        assert other.equals(train)


def test_the_example_of_the_readme_runs_as_written():
    section = (DOCS.parent / "README.md").read_text().split("\n## In Python\n")[1].split("\n## ")[0]
    assert run_page(section) >= 1


def test_a_page_that_shows_something_else_is_found():
    assert run_page("```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n") == 1
    assert run_page("```python\nprint(1 + 1, 3)\n```\n\n```text\n2 ...\n```\n") == 1
    with pytest.raises(AssertionError, match="line 1"):
        run_page("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")


def test_a_block_that_raises_names_its_line():
    with pytest.raises(ZeroDivisionError) as raised:
        run_page("Words.\n\n```python\n1\n1 / 0\n```\n")
    assert raised.traceback[-1].lineno + 1 == 5
