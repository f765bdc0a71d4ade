"""docs/own-data.md: its readers of a store in which two definitions lie side by side, and the metrics that follow from others."""

import re
from pathlib import Path

import pytest
from test_docs import blocks

import rollfit

duckdb = pytest.importorskip("duckdb")
pl = pytest.importorskip("polars")
for library in ("pandas", "pyarrow"):
    pytest.importorskip(library)

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "own-data.md").read_text()
MONTHS = ["2017-01", "2017-02"]


def section(heading):
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def with_metrics(config, metrics):
    """Changes the metrics of a job; returns its configuration."""
    text = re.sub(r"\n\[features\]\n.*?\n", "", config.read_text())
    config.write_text(f"{text}\n[features]\nmetrics = {metrics}\n")
    return config


@pytest.fixture
def config(made_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    return made_store(tmp_path, keys=["eurusd"], months=MONTHS, rows=300)


@pytest.mark.parametrize("first", MONTHS)
def test_readers_see_the_columns_of_both_definitions_whichever_file_comes_first(config, first):
    definitions = {month: '["a2", "r2"]' if month == first else '["r2", "rmse"]' for month in MONTHS}
    for month, metrics in definitions.items():
        rollfit.run(with_metrics(config, metrics), only=[f"eurusd:{month}"], progress=False)
    readers = {language: [] for language in ("sql", "python")}
    for language, code, _, _ in blocks(section("Partitions of two definitions")):
        readers[language].append(code)
    names = {}
    for code in readers["python"]:
        exec(code, names)
    seen = [duckdb.sql(readers["sql"][0]).pl(), names["in_polars"], pl.from_pandas(names["in_pandas"])]
    for frame in seen:
        counts = frame.group_by("month").agg(pl.len(), pl.col("a2_idx_w15", "r2_idx_w15", "rmse_idx_w15").count())
        rows = {str(row[0]): row[1:] for row in counts.rows()}
        assert rows == {month: expected(month, month == first) for month in MONTHS}


def expected(month, is_first):
    """The rows of a month, and the values of a2, r2 and rmse in it; a key's first 15 bars have no backward return."""
    rows = 285 if month == MONTHS[0] else 300
    fits = rows - 14
    return (rows, fits, fits, 0) if is_first else (rows, 0, fits, fits)


def test_metrics_that_follow_from_others_are_equal_to_the_bit(config):
    rollfit.run(config, progress=False)
    lines = re.findall(r"^\| (`.*`) \| (.*) \|$", section("Metrics that say the same"), re.M)
    formulas = {name: words for names, words in lines for name in re.findall(r"`(\w+)`", names)}
    assert len(formulas) == 8, "each metric of the table"
    features = "read_parquet('fx/features/*/*/*.parquet')"
    for series, window in [(series, window) for series in ("idx", "bqx") for window in ("w15", "w60")]:
        for name, words in formulas.items():
            formula = formula_of(name, words)
            column = re.compile(r"\b(residual_std|prediction|rmse|r2|a2|a1)\b")
            given = column.sub(rf"\1_{series}_{window}", formula)
            stored = f"{name}_{series}_{window}"
            different, rows = duckdb.sql(f"select count_if({stored} <> {given}), count({stored}) from {features}").fetchall()[0]
            assert different == 0 and rows > 400, (name, given)


def formula_of(name, words):
    """The formula of a metric that a line of the table is about."""
    if name.startswith("pred_interval"):
        sign = "-" if name.endswith("lower") else "+"
        assert words == "`prediction` -/+ `1.96 * rmse`"
        return f"prediction {sign} 1.96 * rmse"
    return words.split(":")[0].strip("`")
