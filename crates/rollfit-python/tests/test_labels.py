"""Labels joined to features without look-ahead: by instant, in one zone, in Polars, pandas and DuckDB whose own zone is New York's.

A label at an instant is the return from the close there to the close 15 minutes later. Expected rows are made in plain Python from the
closes; each library has to give the same. The twins are joins that a reader might write: with times that lack a zone, and by row.
"""

import datetime
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rollfit

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

HORIZON = datetime.timedelta(minutes=15)
FEATURE = "r2_idx_w15"
NEW_YORK = "America/New_York"
UTC = datetime.UTC
CONFIG = """
[store]
url = "parquet:./fx"
[partitions]
keys = "all"
from = "first"
to = "latest"
[series.idx]
table = "m1_{key}"
time = "time"
value = "rate_index"
features = "reg_rate_{key}_{yyyy}_{mm}"
[windows]
w15 = 15
[features]
metrics = ["r2", "prediction"]
[run]
boundary = "carry"
"""


def make_bars():
    """Closes of two keys over a change of clocks in New York and of a month; one minute in ten has no bar."""
    dice = random.Random(3)
    starts = [datetime.datetime(2024, 3, 10, 4, tzinfo=UTC), datetime.datetime(2024, 3, 31, 22, tzinfo=UTC)]
    instants = [start + datetime.timedelta(minutes=minute) for start in starts for minute in range(300)]
    bars = []
    for key, close in [("eurusd", 1.08), ("gbpusd", 1.27)]:
        for instant in instants:
            close = round(close + (dice.random() - 0.5) * 2e-4, 5)
            if dice.random() < 0.9:
                bars.append((key, instant, close))
    return bars


def make_store(directory, bars):
    """Imports bars, computes their features, and opens the store."""
    lines = [f"{instant:%Y-%m-%dT%H:%M:%S},{key},{close:.5f}\n" for key, instant, close in bars]
    Path(directory, "bars.csv").write_text("time,key,close\n" + "".join(lines))
    options = "--quiet --format csv --timezone UTC --key-column key --time-column time --close-column close".split()
    command = [Path(sys.executable).parent / "rollfit", "import", *options, "--into", f"parquet:{directory}/fx", directory / "bars.csv"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    config = Path(directory, "rollfit.toml")
    config.write_text(CONFIG)
    rollfit.run(config, progress=False)
    return rollfit.open(config)


@pytest.fixture(scope="module", autouse=True)
def own_records(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLFIT_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def bars():
    return make_bars()


@pytest.fixture(scope="module")
def dataset(bars, tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("labels"), bars)


@pytest.fixture(scope="module")
def features(dataset):
    return dataset.features(columns=[FEATURE])


@pytest.fixture(autouse=True)
def in_new_york(monkeypatch):
    monkeypatch.setenv("TZ", NEW_YORK)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def make_labels(bars, zone="UTC"):
    """The labels as a table of Arrow: key, time in a zone, label. Without a zone: what a clock in UTC shows."""
    closes = {(key, instant): close for key, instant, close in bars}
    known = [(key, instant, closes[key, instant + HORIZON] / close - 1) for key, instant, close in bars if (key, instant + HORIZON) in closes]
    keys, instants, labels = zip(*known)
    times = pyarrow.array(instants, pyarrow.timestamp("us", "UTC")).cast(pyarrow.timestamp("us", zone))
    return pyarrow.table({"key": keys, "ts_utc": times, "label": labels})


def micros(instant):
    return (instant - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(microseconds=1)


@pytest.fixture(scope="module")
def expected(bars):
    """Key, instant, feature and label of every row that has both, from the closes alone."""
    closes = {(key, instant): close for key, instant, close in bars}
    rows = []
    for name in ("eurusd", "gbpusd"):
        own = [(instant, close) for key, instant, close in bars if key == name]
        index = pyarrow.array([(100.0 * close) / own[0][1] for _, close in own])
        fitted = pyarrow.table(rollfit.rolling(index, windows=[15], metrics=["r2"]))["r2_w15"].to_pylist()
        for (instant, close), feature in zip(own, fitted):
            later = closes.get((name, instant + HORIZON))
            if feature is not None and later is not None:
                rows.append((name, micros(instant), feature, later / close - 1))
    assert len(rows) > 700
    return rows


def in_polars(features, labels):
    labels = polars.DataFrame(labels).with_columns(polars.col("ts_utc").dt.convert_time_zone("UTC"))
    joined = polars.DataFrame(features).cast({"key": polars.String}).join(labels, on=["key", "ts_utc"]).drop_nulls().sort("key", "ts_utc")
    return joined.select("key", polars.col("ts_utc").dt.epoch("us"), FEATURE, "label").rows()


def in_pandas(features, labels):
    features, labels = pyarrow.table(features).to_pandas().astype({"key": "str"}), labels.to_pandas()
    labels["ts_utc"] = labels["ts_utc"].dt.tz_convert("UTC")
    joined = features.merge(labels, on=["key", "ts_utc"]).dropna().sort_values(["key", "ts_utc"])
    instants = joined["ts_utc"].dt.as_unit("us").astype("int64")
    return list(zip(joined["key"], instants.tolist(), joined[FEATURE].tolist(), joined["label"].tolist()))


def in_duckdb(features, labels, label_time="labels.ts_utc"):
    database = duckdb.connect()
    database.sql(f"set TimeZone = '{NEW_YORK}'")
    return database.sql(f"""
        select features.key, epoch_us(features.ts_utc), {FEATURE}, label
        from features join labels on features.key = labels.key and features.ts_utc = {label_time}
        where {FEATURE} is not null order by 1, 2
    """).fetchall()


@pytest.mark.parametrize("join", [in_polars, in_pandas, in_duckdb])
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK])
def test_labels_meet_features_of_their_own_instant(join, zone, features, bars, expected):
    assert join(features, make_labels(bars, zone)) == expected


def test_times_without_a_zone_are_refused_by_polars(features, bars):
    with pytest.raises(polars.exceptions.SchemaError):
        polars.DataFrame(features).join(polars.DataFrame(make_labels(bars, None)), on=["ts_utc"])


def test_times_without_a_zone_are_refused_by_pandas(features, bars):
    with pytest.raises(ValueError, match="merge"):
        pyarrow.table(features).to_pandas().merge(make_labels(bars, None).to_pandas(), on=["ts_utc"])


def test_duckdb_takes_times_without_a_zone_for_its_own_and_finds_labels_of_other_hours(features, bars, expected):
    labels = make_labels(bars, None)
    naive = in_duckdb(features, labels)
    right = {row[:2]: row[3] for row in expected}
    # Here and there two returns are the same.
    assert len(naive) > 100 and sum(right.get(row[:2]) == row[3] for row in naive) < len(naive) / 20
    # What docs/python.md says to write in its place.
    assert in_duckdb(features, labels, "labels.ts_utc at time zone 'UTC'") == expected


def test_a_shift_by_rows_is_another_label_where_bars_are_missing(features, bars, expected):
    keys, instants, closes = zip(*bars)
    label = polars.col("close").shift(-15).over("key") / polars.col("close") - 1
    frame = polars.DataFrame({"key": keys, "ts_utc": polars.Series(instants).cast(polars.Datetime("us", "UTC")), "close": closes})
    shifted = in_polars(features, frame.select("key", "ts_utc", label=label).to_arrow())
    assert len(shifted) > 700 and sum(row not in expected for row in shifted) > 500


def test_features_do_not_see_what_comes_after_and_labels_only_their_horizon(dataset, bars, tmp_path):
    cut = bars[200][1]
    altered = [(key, instant, round(close * 1.01, 5) if instant > cut else close) for key, instant, close in bars]
    before, after = (polars.DataFrame(some.features()) for some in (dataset, make_store(tmp_path, altered)))
    known = polars.col("ts_utc") <= cut
    assert before.filter(known).height > 300 and before.filter(known).equals(after.filter(known))
    assert not before.filter(~known).equals(after.filter(~known))
    labels = [{(row["key"], row["ts_utc"]): row["label"] for row in make_labels(some).to_pylist()} for some in (bars, altered)]
    moved = [at[1] for at, label in labels[0].items() if label != labels[1][at] and at[1] <= cut]
    assert moved and min(moved) > cut - HORIZON
