"""`rollfit.open`: stored features as tables, bit for bit, and every way in which they may not be what was asked for."""

import datetime
import os
import re
import shutil
import signal
import sys
import threading
import time

import pytest

import rollfit
from dataset_support import (
    KEYS,
    MINUTE,
    ROWS,
    UTC,
    config_text,
    first_of,
    joined_rows,
    make_job,
    part,
    rows_in,
    rows_of,
    wanted,
    write_sources,
)
from made_job import Running, wait_until

pyarrow = pytest.importorskip("pyarrow")

FEBRUARY = first_of("2017-02")


@pytest.fixture(scope="module")
def made(tmp_path_factory, command):
    directory = tmp_path_factory.mktemp("dataset")
    return make_job(directory, command).parent


@pytest.fixture(scope="module")
def ds(made):
    return rollfit.open(made / "rollfit.toml")


@pytest.fixture
def copy(made, tmp_path):
    """A job of its own that a test may change."""
    shutil.copytree(made, tmp_path / "job")
    return tmp_path / "job"


def test_all_features_are_the_stored_bits_in_order_of_key_and_time(ds, made):
    table = pyarrow.table(ds.features())
    assert rows_in(table) == wanted(made)
    assert table.num_rows == sum(len(joined_rows(key, month)) for key in KEYS for month in ("2017-01", "2017-02"))
    assert table.column_names == ["key", "ts_utc", *ds.columns]
    assert table.schema.field("key").type == pyarrow.string()
    assert table.schema.field("ts_utc").type == pyarrow.timestamp("us", "UTC")
    assert {table.schema.field(name).type for name in ds.columns} == {pyarrow.float64()}
    assert table["r2_idx_w20"].null_count > 0


def test_what_the_dataset_is_about(ds):
    assert ds.keys == ["eurusd", "gbpusd"]
    assert ds.series == ["idx", "bqx"]
    assert ds.windows == {"idx": {"w5": 5, "w20": 20}, "bqx": {"w5": 5, "w20": 20}}
    assert ds.metrics["bqx"] == ["a2", "r2", "prediction", "vertex_x", "extrapolation_error"]
    assert ds.boundary == "reset"
    assert len(ds.columns) == 20 and ds.columns[1] == "r2_idx_w5"
    assert "20 features of idx, bqx" in repr(ds)
    states = pyarrow.table(ds.partitions()).to_pylist()
    assert [(row["key"], row["month"], row["state"]) for row in states] == [
        ("eurusd", "2017-01", "done"),
        ("eurusd", "2017-02", "done"),
        ("gbpusd", "2017-01", "done"),
        ("gbpusd", "2017-02", "done"),
    ]
    assert {row["rows"] for row in states} == {ROWS - 2}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [("eurusd", ["eurusd"]), (["gbpusd", "eurusd", "gbpusd"], KEYS), ("*usd", KEYS), (["g?pusd"], ["gbpusd"]), (None, KEYS)],
)
def test_keys_are_names_or_patterns(ds, made, keys, expected):
    assert rows_in(ds.features(keys, columns="r2_idx_w5")) == wanted(made, expected, columns=["r2_idx_w5"])


def test_columns_come_in_the_order_they_are_asked_for(ds, made):
    table = pyarrow.table(ds.features("eurusd", columns=["prediction_bqx_w5", "r2_*", "r2_idx_w5"]))
    columns = ["prediction_bqx_w5", "r2_idx_w5", "r2_idx_w20", "r2_bqx_w5", "r2_bqx_w20"]
    assert table.column_names[2:] == columns
    assert rows_in(table) == wanted(made, ["eurusd"], columns=columns)


NEW_YORK = datetime.timezone(datetime.timedelta(hours=-5))
MIDDLE = FEBRUARY + 100 * MINUTE


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2017-01", "2017-02", None, FEBRUARY),
        ("2017-02", None, FEBRUARY, None),
        ("2017-02-01", "2017-02-02", FEBRUARY, None),
        (datetime.date(2017, 2, 1), datetime.date(2017, 3, 1), FEBRUARY, None),
        (None, "2017-02-01T01:40Z", None, MIDDLE),
        (None, "2017-02-01 01:40", None, MIDDLE),
        (None, "2017-02-01T03:40:00.000000+02:00", None, MIDDLE),
        (MIDDLE, None, MIDDLE, None),
        (MIDDLE.replace(tzinfo=None), None, MIDDLE, None),
        (MIDDLE.astimezone(NEW_YORK), None, MIDDLE, None),
        (MIDDLE - datetime.timedelta(microseconds=1), MIDDLE + datetime.timedelta(microseconds=1), MIDDLE, MIDDLE + MINUTE),
    ],
)
def test_a_span_has_its_start_and_not_its_end(ds, made, start, end, first, last):
    found = rows_in(ds.features("eurusd", start, end, "a2_bqx_w5"))
    assert found == wanted(made, ["eurusd"], columns=["a2_bqx_w5"], start=first, end=last)
    assert found


def test_instants_of_pandas_and_numpy_are_taken_and_finer_ones_refused(ds, made):
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    expected = wanted(made, ["eurusd"], columns=["a2_bqx_w5"], start=MIDDLE)
    for start in [
        pandas.Timestamp(MIDDLE),
        pandas.Timestamp(MIDDLE).tz_localize(None),
        pandas.Timestamp(MIDDLE).tz_convert("America/New_York"),
        numpy.datetime64("2017-02-01T01:40"),
        numpy.datetime64("2017-02-01T01:40", "ns"),
    ]:
        assert rows_in(ds.features("eurusd", start, columns="a2_bqx_w5")) == expected, repr(start)
    for start in [pandas.Timestamp(MIDDLE) + pandas.Timedelta(1, "ns"), numpy.datetime64("2017-02-01T01:40:00.000000001"), "2017-02-01T01:40:00.0000001Z"]:
        with pytest.raises(ValueError, match="between two microseconds"):
            ds.features(start=start)
    for start in [pandas.NaT, numpy.datetime64("NaT")]:
        with pytest.raises(ValueError, match="NaT"):
            ds.features(start=start)
    with pytest.raises(TypeError, match="int64"):
        ds.features(start=numpy.int64(5))


@pytest.mark.parametrize("text", ["2017", "2017-1", "2017-13", "2017-02-30", "2017-02-01T25:00Z", "2017-02-01T01:40[Europe/Berlin]", "yesterday", ""])
def test_texts_that_mean_no_instant(ds, text):
    with pytest.raises(ValueError, match="is not an instant"):
        ds.features(start=text)


def test_arguments_without_sense(ds):
    for arguments, message in [
        ({"columns": "r2_idx_w6"}, 'unknown column "r2_idx_w6"; did you mean "r2_idx_w5"'),
        ({"columns": ["r2_idx_w5", "volume"]}, 'unknown column "volume"; there are 20'),
        ({"columns": "x*"}, 'unknown column "x\\*"'),
        ({"columns": []}, "no column is asked for"),
        ({"keys": "eursud"}, 'unknown key "eursud"; did you mean "eurusd"'),
        ({"keys": []}, "no key is asked for"),
        ({"start": "2017-01", "end": "2017-01"}, 'pass start="2017-01", end="2017-02"'),
        ({"start": "2018-01"}, "no partition between start and end; it has 2017-01 to 2017-02"),
        ({"missing": "ignore"}, 'pass "error" or "skip"'),
        ({"stale": "skip"}, 'pass "error" or "allow"'),
    ]:
        with pytest.raises(ValueError, match=message):
            ds.features(**arguments)
    for arguments in [{"keys": 5}, {"columns": [5]}, {"start": 5}, {"start": True}]:
        with pytest.raises(TypeError):
            ds.features(**arguments)


def test_missing_partitions_are_named_and_skipped_only_where_asked(copy, command):
    command("drop", "gbpusd:2017-01", cwd=copy)
    ds = rollfit.open(copy / "rollfit.toml")
    with pytest.raises(rollfit.PartitionError, match=r"1 partition has no features yet: gbpusd 2017-01; compute with rollfit.run\("):
        ds.features()
    # Neither does a span without it need it, nor another key.
    assert rows_in(ds.features(start="2017-02")) == wanted(copy, months=["2017-02"])
    assert rows_in(ds.features("eurusd")) == wanted(copy, ["eurusd"])
    expected = {**wanted(copy, ["eurusd"]), **wanted(copy, ["gbpusd"], ["2017-02"])}
    assert rows_in(ds.features(missing="skip")) == expected
    assert rows_in(ds.scan(missing="skip")) == expected
    command("run", "--quiet", cwd=copy)
    assert rows_in(ds.features()) == wanted(copy)


def test_features_older_than_their_source_are_an_error_unless_allowed(copy, command):
    before = wanted(copy)
    later = [(FEBRUARY + (ROWS + row) * MINUTE, {"idx": 100.0 + row, "bqx": 0.1 * row}) for row in range(3)]
    write_sources(copy / "fx", "eurusd", "2017-02", later, "later")
    ds = rollfit.open(copy / "rollfit.toml")
    with pytest.raises(rollfit.PartitionError, match=r"1 partition is older than its source: eurusd 2017-02 \(grown: 3 new rows after 2017-02-01T03:19:00Z\)"):
        ds.features()
    assert rows_in(ds.features(stale="allow")) == before
    # The new rows are not asked for.
    assert rows_in(ds.features(end=later[0][0] - MINUTE + datetime.timedelta(microseconds=1))) == before
    with pytest.raises(rollfit.PartitionError, match="grown"):
        ds.features(end=later[0][0])
    # Tables that have long been at rest are listed once; a file is rewritten in place.
    for table in (copy / "fx" / "sources").iterdir():
        os.utime(table, (0, 0))
    assert rows_in(ds.features(stale="allow")) == before
    rows = rows_of("gbpusd", "2017-01")
    rows[100][1]["idx"] += 1
    write_sources(copy / "fx", "gbpusd", "2017-01", rows)
    with pytest.raises(rollfit.PartitionError, match=r"2 partitions are older.*gbpusd 2017-01 \(input-changed"):
        ds.features(missing="skip")
    command("run", "--quiet", cwd=copy)
    assert rows_in(ds.features()) == wanted(copy) != before


def test_another_definition_and_rows_of_others_are_never_read(copy):
    config = copy / "rollfit.toml"
    config.write_text(config_text().replace("w20 = 20", "w20 = 21"))
    other = rollfit.open(config)
    for options in [{}, {"stale": "allow"}, {"missing": "skip"}, {"columns": "r2_idx_w5"}]:
        with pytest.raises(rollfit.PartitionError, match=r"eurusd 2017-01 \(definition-changed: windows \[5, 20\] became \[5, 21\]"):
            other.features(**options)
    config.write_text(config_text())
    pyarrow.parquet.write_table(pyarrow.table({"ts_utc": [FEBRUARY]}), part(copy, "eurusd", "2017-02"))
    ds = rollfit.open(config)
    with pytest.raises(rollfit.PartitionError, match=r"1 partition does not have the features of this job: eurusd 2017-02 \(foreign"):
        ds.features(stale="allow", missing="skip")
    assert rows_in(ds.features("gbpusd")) == wanted(copy, ["gbpusd"])


def test_damage_is_an_error_whatever_is_allowed(copy):
    path = part(copy, "eurusd", "2017-02")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    ds = rollfit.open(copy / "rollfit.toml")
    for options in [{}, {"stale": "allow", "missing": "skip"}, {"columns": "a2_bqx_w5"}]:
        with pytest.raises(rollfit.StoreError, match="eurusd 2017-02|month=2017-02"):
            ds.features(**options)
    assert rows_in(ds.features(end="2017-02")) == wanted(copy, months=["2017-01"])
    # A stream ends with the error, and does not go on behind the hole.
    tables = iter(ds.scan(columns="a2_bqx_w5"))
    assert pyarrow.table(next(tables)).num_rows == ROWS - 2
    with pytest.raises(Exception, match="2017-02"):
        next(tables)
    assert list(tables) == []
    with pytest.raises(Exception, match="2017-02"):
        pyarrow.table(ds.scan())


def test_a_scan_gives_the_same_rows_as_often_as_it_is_consumed(ds, made):
    scan = ds.scan(["eurusd", "gbpusd"], start="2017-01-31", columns=["r2_idx_w5", "a2_bqx_w20"])
    expected = wanted(made, columns=["r2_idx_w5", "a2_bqx_w20"])
    assert rows_in(scan) == expected == rows_in(scan)
    tables = [pyarrow.table(table) for table in scan]
    assert [table.num_rows for table in tables] == [ROWS - 2] * 4
    assert rows_in(pyarrow.concat_tables(tables)) == expected


def test_polars_pandas_and_duckdb_read_features_and_scans(ds, made):
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    expected = wanted(made, ["eurusd"], columns=["r2_idx_w5"])
    table = ds.features("eurusd", columns="r2_idx_w5")
    scan = ds.scan("eurusd", columns="r2_idx_w5")
    for read in (table, scan):
        frame = polars.DataFrame(read)
        assert frame.schema["ts_utc"] == polars.Datetime("us", "UTC")
        assert rows_in(frame.to_arrow().cast(pyarrow.table(table).schema)) == expected
        assert duckdb.sql("SELECT count(*), count(r2_idx_w5) FROM read").fetchall() == [(2 * (ROWS - 2), frame["r2_idx_w5"].count())]


def test_features_are_a_table_whose_columns_numpy_reads(ds):
    numpy = pytest.importorskip("numpy")
    table = ds.features(columns="r2_idx_w5")
    arrow = pyarrow.table(table)
    assert isinstance(table, rollfit.Table) and table.column_names == ["key", "ts_utc", "r2_idx_w5"]
    assert (len(table), table.null_counts) == (arrow.num_rows, {"unknown": arrow["r2_idx_w5"].null_count})
    assert table.to_numpy("key").tolist() == arrow["key"].to_pylist()
    times = table.to_numpy("ts_utc")
    assert times.dtype == "M8[us]" and times.tolist() == [time.replace(tzinfo=None) for time in arrow["ts_utc"].to_pylist()]
    values = numpy.asarray(table["r2_idx_w5"])
    assert [None if numpy.isnan(value) else value for value in values] == arrow["r2_idx_w5"].to_pylist()
    assert (table["key"][0], table["r2_idx_w5"][0], table["r2_idx_w5"].null_counts) == ("eurusd", None, table.null_counts)
    assert table["ts_utc"][0] == times[0] and numpy.asarray(table["ts_utc"]).dtype == "M8[us]"
    with pytest.raises(KeyError, match="did you mean"):
        table["r2_idx_w6"]
    with pytest.raises((BufferError, TypeError), match="only float64 columns are buffers"):
        memoryview(table["key"])
    with pytest.raises(ValueError, match="out has"):
        rollfit.rolling(values, [5], ["r2"], out=table)


def test_many_threads_read_at_once(ds, made):
    expected, found = wanted(made), []
    threads = [threading.Thread(target=lambda: found.append(rows_in(ds.features()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_a_month_whose_rows_wait_for_another_series_is_not_missing(copy, command):
    # A key's newest month has rows of one series only: there is nothing that a run could compute.
    write_sources(copy / "fx", "eurusd", "2017-02", [(first_of("2017-02") + 27 * 24 * 60 * MINUTE, {"idx": 100.0, "bqx": 0.0})], "later")
    command("run", "--quiet", cwd=copy)
    write_sources(copy / "fx", "eurusd", "2017-03", [(first_of("2017-03"), {"idx": 100.0, "bqx": None})])
    ds = rollfit.open(copy / "rollfit.toml")
    assert rows_in(ds.features("eurusd")) == wanted(copy, ["eurusd"])
    write_sources(copy / "fx", "eurusd", "2017-03", [(first_of("2017-03"), {"idx": 100.0, "bqx": 0.0})])
    with pytest.raises(rollfit.PartitionError, match="1 partition has no features yet: eurusd 2017-03"):
        ds.features("eurusd")


def test_configurations_that_cannot_be_opened(tmp_path, made):
    with pytest.raises(rollfit.ConfigError, match="does not exist; `rollfit init` writes one"):
        rollfit.open(tmp_path / "rollfit.toml")
    (tmp_path / "rollfit.toml").write_text(config_text().replace("windows", "widnows"))
    with pytest.raises(rollfit.ConfigError, match="widnows"):
        rollfit.open(tmp_path / "rollfit.toml")
    assert rollfit.open(str(made / "rollfit.toml")).keys == KEYS


def advice(error):
    """The call that a message tells to make."""
    return re.search(r"rollfit\.run\(.*?\)", str(error)).group()


def test_the_advice_of_an_error_is_a_call_that_helps(copy, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(copy / "state"))
    config = copy / "rollfit.toml"
    # A run leaves alone what has lost rows, and what has another definition.
    path = next((copy / "fx" / "sources" / "m1_gbpusd").glob("2017-02*"))
    rows = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(rows.slice(0, rows.num_rows - 10), path)
    ds = rollfit.open(config)
    with pytest.raises(rollfit.PartitionError, match=r'gbpusd 2017-02 \(shrunk.*replace=\["shrunk"\]') as shrunk:
        ds.features()
    assert eval(advice(shrunk.value)).written == 1
    assert rows_in(ds.features()) == wanted(copy)
    config.write_text(config_text().replace("w20 = 20", "w20 = 21"))
    other = rollfit.open(config)
    why = other.why("gbpusd", FEBRUARY, "r2_idx_w20")
    assert "nothing of this job, since its partition is definition-changed" in str(why)
    with pytest.raises(rollfit.PartitionError, match=r'replace=\["definition-changed"\]') as changed:
        other.features()
    assert eval(advice(changed.value)).written == 4
    assert rows_in(other.features()) == wanted(copy)
    # Rows of others are not replaced by a call that was copied.
    pyarrow.parquet.write_table(pyarrow.table({"ts_utc": [FEBRUARY]}), part(copy, "eurusd", "2017-02"))
    with pytest.raises(rollfit.PartitionError, match="see `rollfit plan`") as foreign:
        other.features()
    assert "rollfit.run" not in str(foreign.value)


def test_the_configuration_that_is_not_named_is_the_one_of_the_command(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLLFIT_CONFIG", str(made / "rollfit.toml"))
    assert rollfit.open().keys == KEYS
    with pytest.raises(rollfit.ConfigError, match="other.toml does not exist"):
        rollfit.open("other.toml")
    monkeypatch.delenv("ROLLFIT_CONFIG")
    with pytest.raises(rollfit.ConfigError, match="rollfit.toml does not exist"):
        rollfit.open()
    with pytest.raises(rollfit.ConfigError, match="cannot find the configuration"):
        rollfit.open("")


def test_a_dataset_stays_with_its_files_wherever_the_process_works(copy, made, tmp_path, monkeypatch):
    # Another job lies where the relative paths would lead to.
    other = tmp_path / "other"
    shutil.copytree(made, other)
    shutil.rmtree(other / "fx" / "features")
    monkeypatch.chdir(copy)
    ds = rollfit.open("rollfit.toml")
    monkeypatch.chdir(other)
    assert rows_in(ds.features()) == wanted(copy)
    assert ds.live("eurusd").seeded_from[0]["state"] == "done"
    with pytest.raises(rollfit.PartitionError, match="have no features yet"):
        rollfit.open("rollfit.toml").features()


def test_numpy_instants(ds, made):
    numpy = pytest.importorskip("numpy")
    for february in ("2017-02", "2017-02-01T00:00:00.000000000"):
        assert rows_in(ds.features(start=numpy.datetime64(february))) == wanted(made, months=["2017-02"])
    # Years that microseconds do not reach, whose lowest bits are some instant.
    for beyond in (numpy.datetime64(300_000_000_000, "Y"), numpy.datetime64(-(2**62), "s")):
        with pytest.raises(ValueError, match="is not an instant"):
            ds.features(start=beyond)
    with pytest.raises(ValueError, match="between two microseconds"):
        ds.features(start=numpy.datetime64("2017-02-01T00:00:00.000000001"))
    for several in (["2017-02"], ["2017-02", "2017-03"]):
        with pytest.raises(TypeError, match="an array of datetime64"):
            ds.features(start=numpy.array(several, dtype="datetime64[M]"))


OPENED = """
import sys, time, rollfit
began = time.monotonic()
try:
    rollfit.open(sys.argv[1])
    print("OPEN", flush=True)
except BaseException as error:
    print("RAISED", type(error).__name__, flush=True)
print("LATE" if time.monotonic() - began > 10 else "SOON", flush=True)
"""


def test_ctrl_c_is_not_waited_for_while_a_store_is_opened(tmp_path):
    url = f'url = "postgres://nobody@127.0.0.1:1/none"\npassword_command = "touch {tmp_path}/asked; sleep 20"'
    (tmp_path / "rollfit.toml").write_text(config_text(store=url))
    running = Running([sys.executable, "-c", OPENED, "rollfit.toml"], cwd=tmp_path)
    wait_until((tmp_path / "asked").exists)
    running.signal()
    assert running.end() == 0
    assert "RAISED KeyboardInterrupt" in running.seen and "SOON" in running.seen


def test_signals_whose_handlers_raise_nothing_end_no_reading(made, ds):
    seen, main = [], threading.main_thread().ident
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    is_over = threading.Event()

    def send():
        while not is_over.wait(0.005):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            assert rows_in(ds.features("eurusd", "2017-02")) == wanted(made, ["eurusd"], ["2017-02"])
    finally:
        is_over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert seen
