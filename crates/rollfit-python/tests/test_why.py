"""`Dataset.why`: the stored value, where it comes from, why there is none, and what is promised of it."""

import shutil

import pytest

import rollfit
from dataset_support import MINUTE, ROWS, config_text, first_of, joined_rows, make_job, part, rows_of, stored, write_sources

pyarrow = pytest.importorskip("pyarrow")

FEBRUARY = first_of("2017-02")


@pytest.fixture(scope="module")
def made(tmp_path_factory, command):
    return make_job(tmp_path_factory.mktemp("why"), command).parent


@pytest.fixture(scope="module")
def ds(made):
    return rollfit.open(made / "rollfit.toml")


def test_a_value_is_explained_by_its_window_and_held_against_the_exact_one(ds, made):
    instant = FEBRUARY + 80 * MINUTE
    why = ds.why("eurusd", instant, "r2_bqx_w20")
    rows = [row for row in joined_rows("eurusd", "2017-02") if row[0] <= instant][-20:]
    assert why.stored == why.computed == stored(made)["eurusd"][instant]["r2_bqx_w20"]
    assert (why.is_stored, why.same_bits, why.null_cause, why.state) == (True, True, None, "done")
    assert pyarrow.table(why.inputs).to_pylist() == [{"ts_utc": at, "value": values["bqx"]} for at, values in rows]
    low, high = why.bound
    assert low <= why.exact <= high and low <= why.stored <= high
    assert 0 <= why.error_in_bounds <= 1
    assert (why.key, why.column, why.time, why.partition) == ("eurusd", "r2_bqx_w20", instant, "eurusd 2017-02")
    assert why.receipt["stored"]["rows"] == ROWS - 2 and why.receipt["definition"]["boundary"] == "reset"
    told = why.to_dict()
    assert told["input_times"] == [at for at, _ in rows] and told["input_values"] == [values["bqx"] for _, values in rows]
    assert (told["series"], told["metric"], told["window"], told["window_rows"]) == ("bqx", "r2", "w20", 20)
    for text in ["r2_bqx_w20 of eurusd at 2017-02-01T01:20:00Z", "the same bits as stored", "w20 = 20, 20 rows of bqx", why.receipt["input"]["digest"]]:
        assert text in repr(why) and text in why._repr_html_()


def test_every_null_and_every_value_of_a_column_is_explained(ds, made):
    rows = joined_rows("gbpusd", "2017-01")
    for column, rows_wanted in [("r2_idx_w5", 5), ("prediction_bqx_w20", 20)]:
        for at, (instant, _) in enumerate(rows):
            if at % 7 and not 50 <= at <= 65:
                continue
            why = ds.why("gbpusd", instant, column)
            value = stored(made, ["gbpusd"])["gbpusd"][instant][column]
            assert (why.stored, why.computed, why.same_bits) == (value, value, True)
            assert (why.null_cause is None) == (value is not None)
            if at < rows_wanted - 1:
                assert why.null_cause == f"warm-up: window w{rows_wanted} needs {rows_wanted} rows, and {at + 1} may be used up to this one"
                assert pyarrow.table(why.inputs).num_rows == at + 1
            elif value is None:
                assert why.null_cause.startswith("input: ")


def test_an_input_without_a_usable_value_is_named_with_its_instant(ds):
    bad = FEBRUARY + 60 * MINUTE
    why = ds.why("eurusd", bad + 3 * MINUTE, "a2_idx_w5")
    assert why.null_cause == "input: idx has no value at 2017-02-01T01:00:00Z"
    assert (why.stored, why.computed, why.exact, why.bound) == (None, None, None, None)
    assert "why NULL" in repr(why)
    why = ds.why("eurusd", FEBRUARY + 90 * MINUTE, "a2_bqx_w5")
    assert why.null_cause == "input: bqx has 1e200, which is beyond 1e100 or not finite at 2017-02-01T01:30:00Z"
    # The row before, and the first row whose window is past it.
    assert ds.why("eurusd", FEBRUARY + 89 * MINUTE, "a2_bqx_w5").null_cause is None
    assert ds.why("eurusd", bad + 5 * MINUTE, "a2_idx_w5").null_cause is None


def test_where_a_denominator_may_be_zero_nothing_is_promised(ds):
    why = ds.why("eurusd", FEBRUARY + 149 * MINUTE, "vertex_x_idx_w20")
    assert why.bound is None and why.exact is None and why.same_bits
    assert "no digits are promised" in repr(why)
    assert ds.why("eurusd", FEBRUARY + 149 * MINUTE, "r2_idx_w20").bound == (pytest.approx(1), 1.0)


def test_carry_shows_inputs_of_the_month_before(tmp_path, command):
    ds = rollfit.open(make_job(tmp_path, command, "carry"))
    why = ds.why("eurusd", FEBRUARY, "a2_idx_w20")
    assert why.same_bits and why.stored is not None
    assert pyarrow.table(why.inputs)["ts_utc"][0].as_py() == FEBRUARY - 19 * MINUTE
    assert ds.why("eurusd", FEBRUARY - ROWS * MINUTE, "a2_idx_w20").null_cause.startswith("warm-up")


def test_an_instant_without_a_row_names_the_rows_next_to_it(ds):
    last = FEBRUARY + (ROWS - 1) * MINUTE
    for instant, message in [
        (FEBRUARY + 30 * MINUTE, "has no row at 2017-02-01T00:30:00Z; the rows next to it are at 2017-02-01T00:29:00Z and 2017-02-01T00:32:00Z"),
        ("2017-01-15", "the first row after it is at 2017-01-31T20:40:00Z"),
        ("2017-02-01T00:00:00.5Z", "the rows next to it are at 2017-02-01T00:00:00Z and 2017-02-01T00:01:00Z"),
        (FEBRUARY - MINUTE / 2, "at 2017-01-31T23:59:00Z and 2017-02-01T00:00:00Z"),
        (last + MINUTE, "the last row before it is at 2017-02-01T03:19:00Z"),
        ("2015-06-15", "there is no row near it"),
    ]:
        with pytest.raises(ValueError, match=message):
            ds.why("eurusd", instant, "a2_idx_w5")


def test_names_that_are_not_there(ds):
    with pytest.raises(ValueError, match='unknown column "r2_idx_w6"; did you mean "r2_idx_w5"'):
        ds.why("eurusd", FEBRUARY, "r2_idx_w6")
    with pytest.raises(ValueError, match='unknown key "gpbusd"; did you mean "gbpusd"'):
        ds.why("gpbusd", FEBRUARY, "r2_idx_w5")


def test_a_store_that_is_not_as_it_should_be_is_explained_too(made, tmp_path, command):
    job = tmp_path / "job"
    shutil.copytree(made, job)
    instant = FEBRUARY + 50 * MINUTE
    ds = rollfit.open(job / "rollfit.toml")
    before = ds.why("eurusd", instant, "a2_idx_w5")

    # The source has another value now: the stored one no longer follows from it.
    rows = rows_of("eurusd", "2017-02")
    rows[50][1]["idx"] += 1
    write_sources(job / "fx", "eurusd", "2017-02", rows)
    why = ds.why("eurusd", instant, "a2_idx_w5")
    assert (why.state, why.same_bits, why.stored) == ("input-changed", False, before.stored)
    assert why.computed != before.computed and "OTHER BITS" in repr(why)

    # Rows that the store does not have yet.
    later = FEBRUARY + ROWS * MINUTE
    write_sources(job / "fx", "gbpusd", "2017-02", [(later, {"idx": 100.0, "bqx": 0.0})], "later")
    why = ds.why("gbpusd", later, "a2_idx_w5")
    assert (why.state, why.is_stored, why.stored, why.same_bits) == ("grown", False, None, None)
    assert why.computed is not None and "no such row" in repr(why)

    # Another definition, no features at all, damage.
    (job / "rollfit.toml").write_text(config_text().replace("w20 = 20", "w20 = 21"))
    why = rollfit.open(job / "rollfit.toml").why("gbpusd", FEBRUARY - MINUTE, "a2_idx_w20")
    assert (why.state, why.is_stored, why.same_bits) == ("definition-changed", False, None)
    assert why.receipt["definition"]["series"][0]["windows"] == [5, 20]
    (job / "rollfit.toml").write_text(config_text())
    path = part(job, "gbpusd", "2017-01")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(Exception, match="gbpusd 2017-01|month=2017-01"):
        ds.why("gbpusd", FEBRUARY - MINUTE, "a2_idx_w5")
    path.unlink()
    why = ds.why("gbpusd", FEBRUARY - MINUTE, "a2_idx_w5")
    assert (why.state, why.is_stored, why.receipt) == ("missing", False, None)
