"""The judge of docs/comparison.md finds each kind of wrong cell and no other, and both jobs that it judges give what it expects."""

import datetime
import importlib.util
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pl = pytest.importorskip("polars")

BENCHES = Path(__file__).resolve().parents[3] / "benches/comparison"
WINDOWS = {"w15": 15, "w30": 30, "w45": 45, "w60": 60, "w75": 75, "agg": 90}
ROWS = 300


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


judge = load("judge")


@pytest.fixture(scope="module")
def closes(tmp_path_factory):
    """A walk of one key with a stretch that does not move, where metrics have no value or no digits."""
    directory = tmp_path_factory.mktemp("closes")
    dice, close, rows = random.Random(5), 1.1, []
    for minute in range(ROWS + 15):
        close += 0 if 100 <= minute < 120 else (dice.random() - 0.5) * 1e-4
        rows.append((datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC) + datetime.timedelta(minutes=minute), round(close, 5)))
    (directory / "pair=eurusd").mkdir()
    frame = pl.DataFrame(rows, schema={"ts": pl.Datetime("us", "UTC"), "close": pl.Float64}, orient="row")
    frame.write_parquet(directory / "pair=eurusd/2024-01.parquet")
    return directory


@pytest.fixture(scope="module")
def features(closes, tmp_path_factory):
    """The month's file of rollfit."""
    comparison = load("comparison")
    directory = tmp_path_factory.mktemp("rollfit") / "job"
    job = comparison.Rollfit(directory, Path(sys.executable).parent / "rollfit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLFIT_STATE_DIR", str(directory / "state"))
        comparison.run(job, closes)
    return job.features / "key=eurusd/month=2024-01/part.parquet"


def verdict(closes, file, windows=WINDOWS):
    [(_, rows)] = judge.months_of(closes)
    return judge.judge_files([file], rows, windows)[0]


def altered(features, directory, change):
    change(pl.read_parquet(features, hive_partitioning=False)).write_parquet(directory / "part.parquet")
    return directory / "part.parquet"


def cell(row, column, value):
    return pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(column).alias(column)


def test_what_rollfit_stores_is_right_and_within_its_promise(closes, features):
    assert verdict(closes, features) == judge.Verdict(0, 0)


def test_the_script_is_right_too(closes, tmp_path):
    pytest.importorskip("numba")
    shutil.copy(BENCHES / "numba_job.py", tmp_path)  # numba's cache lies beside it.
    subprocess.run([sys.executable, tmp_path / "numba_job.py", closes, tmp_path], check=True)
    assert verdict(closes, tmp_path / "key=eurusd/month=2024-01/part.parquet") == judge.Verdict(0, 0)


@pytest.mark.parametrize(
    ("change", "wrong", "outside"),
    [
        (lambda f: f.with_columns(cell(200, "a1_idx_w30", pl.col("a1_idx_w30") * 1.001)), 1, 0),
        (lambda f: f.with_columns(cell(200, "r2_bqx_agg", None)), 1, 0),
        (lambda f: f.with_columns(cell(3, "r2_bqx_agg", 0.5)), 1, 0),
        (lambda f: f.with_columns(cell(200, "r2_idx_w15", pl.col("r2_idx_w15") + 1e-11)), 0, 1),
        (lambda f: f.filter(pl.int_range(pl.len()) != 150), 180, 0),
        (lambda f: f.drop("r2_idx_w15"), ROWS, 0),
        (lambda f: f.with_columns(pl.lit(1.0).alias("r2_idx_w120")), ROWS, 0),
        (lambda f: f.clear(), ROWS * 180, 0),
    ],
    ids=["another number", "no value", "a value in warm-up", "less exact", "a row less", "a column less", "a column more", "no rows"],
)
def test_each_kind_of_wrong_cell_is_counted(closes, features, tmp_path, change, wrong, outside):
    assert verdict(closes, altered(features, tmp_path, change)) == judge.Verdict(wrong, outside)


def test_a_file_that_is_missing_is_wrong_in_every_cell(closes, tmp_path):
    assert verdict(closes, tmp_path / "nothing.parquet") == judge.Verdict(ROWS * 180, 0)
