"""`rollfit.open` over PostgreSQL, in both layouts: the bits of the same job in a Parquet store, and what somebody changed is told."""

import contextlib
import os
import signal
import struct
import threading
import time

import pytest

import rollfit
from dataset_support import KEYS, MINUTE, MONTHS, ROWS, TABLES, bits, bits_of, config_text, first_of, joined_rows, make_job, rows_in, rows_of, stored, wanted
from postgres_support import PASSWORD, connect, server

pytest.importorskip("pyarrow")

FEBRUARY = first_of("2017-02")


@pytest.fixture(scope="module")
def socket():
    with server() as directory:
        yield directory


@pytest.fixture(scope="module")
def parquet(tmp_path_factory, command):
    return make_job(tmp_path_factory.mktemp("parquet"), command, "carry").parent


def fill_sources(connection):
    for key in KEYS:
        for series, (prefix, time, value) in TABLES.items():
            kind = "timestamp" if series == "idx" else "timestamptz"
            connection.execute(f"CREATE TABLE {prefix}{key} ({time} {kind} PRIMARY KEY, {value} double precision)")
            rows = [row for month in MONTHS for row in rows_of(key, month) if row[1][series] is not None]
            rows = [(at.replace(tzinfo=None) if series == "idx" else at, None if v[series] != v[series] else v[series]) for at, v in rows]
            with connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {prefix}{key} VALUES (%s, %s)", rows)


class Job:
    """A job of its own in a database of its own."""

    def __init__(self, directory, socket, command, database, setting):
        connect(socket).execute(f"CREATE DATABASE {database}")
        connect(socket).execute(f"ALTER DATABASE {database} SET timezone = 'America/New_York'")
        self.directory, self.command = directory, command
        self.connection = connect(socket, database)
        self.connection.execute("SET TIME ZONE 'UTC'")
        fill_sources(self.connection)
        self.config = directory / "rollfit.toml"
        store = f'url = "postgres://postgres@/{database}?host={socket}"\npassword_command = "echo {PASSWORD}"\n{setting}'
        self.config.write_text(config_text("carry", store))
        command("run", "--quiet", cwd=directory)
        self.ds = rollfit.open(self.config)
        self.is_real = "real" in setting

    def held(self, row):
        """The bits that the columns hold of a row's values; a value that they cannot hold is NULL."""
        return {name: bits(self.held_value(value)) for name, value in row.items()}

    def held_value(self, value):
        if value is None or not self.is_real:
            return value
        try:
            return struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            return None

    def wanted(self, parquet, *selection):
        """The features of the job in Parquet, as these columns hold them."""
        values = {key: {at: {n: b and struct.unpack("<d", b)[0] for n, b in row.items()} for at, row in rows.items()} for key, rows in wanted(parquet, *selection).items()}
        return {key: {at: self.held(row) for at, row in rows.items()} for key, rows in values.items()}


SETTINGS = {"metrics": 'layout = "metrics"', "fits": 'layout = "fits"', "real": 'numbers = "real"'}


@pytest.fixture(scope="module", params=SETTINGS)
def job(request, tmp_path_factory, socket, command):
    return Job(tmp_path_factory.mktemp(request.param), socket, command, request.param, SETTINGS[request.param])


def test_features_have_the_bits_of_the_same_job_in_parquet(job, parquet):
    assert rows_in(job.ds.features()) == job.wanted(parquet)
    assert rows_in(job.ds.scan("gbpusd", "2017-02", columns="*_w20")) == job.wanted(
        parquet, ["gbpusd"], ["2017-02"], [name for name in job.ds.columns if name.endswith("_w20")]
    )
    assert PASSWORD not in repr(job.ds)


def test_live_rows_have_the_bits_of_the_same_job_in_parquet(job, parquet):
    expected = stored(parquet)["eurusd"]
    rows = [row for month in MONTHS for row in joined_rows("eurusd", month)]
    for seen in (ROWS - 10, 2 * ROWS - 50):
        live = job.ds.live("eurusd", until=rows[seen][0])
        for instant, values in rows[seen : seen + 30]:
            # As doubles, whatever the columns hold.
            assert bits_of(live.push(time=instant, **values)) == bits_of(expected[instant])
    live = job.ds.live("eurusd")
    assert live.last_time == rows[-1][0] and live.seeded_from[-1]["state"] == "done"


def test_why_reads_source_and_store(job, parquet):
    instant = FEBRUARY + 10 * MINUTE
    why = job.ds.why("gbpusd", instant, "prediction_bqx_w20")
    assert why.same_bits and why.stored == job.held_value(stored(parquet)["gbpusd"][instant]["prediction_bqx_w20"])
    assert why.to_dict()["input_times"][0] == FEBRUARY - 9 * MINUTE
    with pytest.raises(ValueError, match="00:29:00Z and 2017-02-01T00:32:00Z"):
        job.ds.why("gbpusd", FEBRUARY + 31 * MINUTE, "prediction_bqx_w20")


def test_a_partition_that_is_gone_and_a_source_that_has_grown(job, parquet):
    job.command("drop", "gbpusd:2017-01", cwd=job.directory)
    with pytest.raises(rollfit.PartitionError, match="1 partition has no features yet: gbpusd 2017-01"):
        job.ds.features()
    later = FEBRUARY + ROWS * MINUTE
    job.connection.execute("INSERT INTO m1_eurusd VALUES (%s, 100.0)", [later.replace(tzinfo=None)])
    # Its other half is still to come.
    assert rows_in(job.ds.features("eurusd")) == job.wanted(parquet, ["eurusd"])
    job.connection.execute("INSERT INTO bqx_eurusd VALUES (%s, 0.5)", [later])
    with pytest.raises(rollfit.PartitionError, match=r"eurusd 2017-02 \(grown: 1 new row after"):
        job.ds.features("eurusd")
    assert rows_in(job.ds.features("eurusd", stale="allow")) == job.wanted(parquet, ["eurusd"])
    pushed = job.ds.live("eurusd", until=later).push(idx=100.0, bqx=0.5, time=later)
    job.command("run", "--quiet", cwd=job.directory)
    assert rows_in(job.ds.features())["eurusd"][later] == job.held(pushed)


def test_a_cell_that_somebody_changed_is_never_read(job):
    table, column = ("reg_rate_gbpusd_2017_02", "a2_idx_w5")
    (relation,) = job.connection.execute(
        "SELECT table_name FROM information_schema.columns c JOIN pg_class r ON r.relname = c.table_name AND r.relkind = 'r'"
        " WHERE table_name LIKE %s AND column_name LIKE %s",
        [f"%{table}", f"%{column}"],
    ).fetchone()
    (stored_column,) = job.connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name LIKE %s", [relation, f"%{column}"]
    ).fetchone()
    instant = FEBRUARY + 100 * MINUTE
    for change in (f'"{stored_column}" * 2', "NULL", "'NaN'"):
        job.connection.execute(f'CREATE TABLE kept AS SELECT * FROM "{relation}"')
        changed = job.connection.execute(f'UPDATE "{relation}" SET "{stored_column}" = {change} WHERE ts_utc = %s', [instant])
        assert changed.rowcount == 1
        # Whichever column is asked for.
        for columns in (column, "r2_bqx_w20"):
            with pytest.raises(rollfit.StoreError, match="gbpusd 2017-02: the stored features are not those that were written"):
                job.ds.features("gbpusd", "2017-02", columns=columns, stale="allow", missing="skip")
        with pytest.raises(rollfit.StoreError, match="rollfit run --force --only gbpusd:2017-02"):
            job.ds.why("gbpusd", instant, column)
        with job.connection.transaction():
            job.connection.execute(f'DELETE FROM "{relation}"')
            job.connection.execute(f'INSERT INTO "{relation}" SELECT * FROM kept')
            job.connection.execute("DROP TABLE kept")
        assert job.ds.why("gbpusd", instant, column).same_bits


def test_a_password_is_in_no_error(job, socket, monkeypatch, tmp_path):
    text = job.config.read_text()
    (tmp_path / "rollfit.toml").write_text(text.replace(f"echo {PASSWORD}", f"echo {PASSWORD}-wrong"))
    with pytest.raises(rollfit.RollfitError, match="password") as failed:
        rollfit.open(tmp_path / "rollfit.toml")
    assert PASSWORD not in str(failed.value)
    monkeypatch.setenv("ROLLFIT_STORE__URL", f"postgres://postgres@/nowhere?host={socket}")
    with pytest.raises(rollfit.RollfitError, match="nowhere"):
        rollfit.open(job.config)


@contextlib.contextmanager
def ctrl_c_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def test_ctrl_c_ends_what_waits_for_a_lock_and_the_dataset_goes_on(job, socket, parquet):
    expected = job.wanted(parquet, ["gbpusd"])
    calls = {
        "features": lambda: job.ds.features("gbpusd"),
        "why": lambda: job.ds.why("gbpusd", FEBRUARY + 10 * MINUTE, "r2_idx_w5"),
        "live": lambda: job.ds.live("gbpusd"),
        "partitions": lambda: job.ds.partitions(),
    }
    for name, call in calls.items():
        with job.connection.transaction():
            job.connection.execute("LOCK TABLE m1_gbpusd IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt), ctrl_c_after(0.2):
                call()
            assert time.monotonic() - began < 10, name
    assert rows_in(job.ds.features("gbpusd")) == expected


def test_calls_leave_no_sessions_and_none_in_a_transaction(job, socket):
    def sessions():
        query = "SELECT state FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'rollfit%%'"
        return [state for (state,) in connect(socket).execute(query, [job.connection.info.dbname])]

    job.ds.features()
    before = len(sessions())
    for _ in range(8):
        job.ds.features("gbpusd", "2017-02")
        job.ds.why("gbpusd", FEBRUARY + 10 * MINUTE, "r2_idx_w5")
    assert len(sessions()) <= before and set(sessions()) == {"idle"}
    connect(socket).execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rollfit%'")
    assert job.ds.why("gbpusd", FEBRUARY + 10 * MINUTE, "r2_idx_w5").same_bits, "it connects again"
