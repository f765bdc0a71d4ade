"""`Dataset.live`: the next rows pushed one at a time give the bits that a run stores, across months and rows without a value."""

import datetime
import shutil

import pytest

import rollfit
from dataset_support import KEYS, MINUTE, MONTHS, ROWS, bits_of, config_text, first_of, joined_rows, make_job, stored, write_sources

pytest.importorskip("pyarrow")

FEBRUARY = first_of("2017-02")
LAST = FEBRUARY + (ROWS - 1) * MINUTE


@pytest.fixture(scope="module", params=["reset", "carry"])
def boundary(request):
    return request.param


@pytest.fixture(scope="module")
def made(tmp_path_factory, command, boundary):
    return make_job(tmp_path_factory.mktemp("live"), command, boundary).parent


@pytest.fixture(scope="module")
def ds(made):
    return rollfit.open(made / "rollfit.toml")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("seen", [0, 1, 61, 100, ROWS - 30, ROWS + 1, 2 * ROWS - 10])
def test_rows_pushed_after_a_seed_have_the_stored_bits(ds, made, key, seen):
    rows = [row for month in MONTHS for row in joined_rows(key, month)]
    until = rows[seen][0] if seen < len(rows) else None
    expected = stored(made)[key]
    live = ds.live(key, until=until)
    assert live.last_time == (rows[seen - 1][0] if seen else None)
    for instant, values in rows[seen:]:
        assert bits_of(live.push(time=instant, **values)) == bits_of(expected[instant]), instant
        assert live.last_time == instant


def test_without_until_the_seed_ends_with_the_source(made, tmp_path, command):
    job = tmp_path / "job"
    shutil.copytree(made, job)
    ds = rollfit.open(job / "rollfit.toml")
    live = ds.live("eurusd")
    assert live.last_time == LAST
    assert live.seeded_rows == 20 and live.key == "eurusd" and live.series == ["idx", "bqx"]
    (seed,) = live.seeded_from
    assert (seed["partition"], seed["state"]) == ("eurusd 2017-02", "done")
    assert seed["receipt"]["stored"]["rows"] == ROWS - 2
    assert "seeded with 20 rows of 2017-02 (done)" in repr(live)
    later = [(LAST + row * MINUTE, {"idx": 99.0 + row, "bqx": row / 3}) for row in range(1, 6)]
    pushed = {instant: live.push(values, time=instant) for instant, values in later}
    assert list(pushed[LAST + MINUTE]) == ds.columns
    write_sources(job / "fx", "eurusd", "2017-02", later, "later")
    (seed,) = ds.live("eurusd").seeded_from
    assert seed["state"] == "grown"
    command("run", "--quiet", cwd=job)
    for instant, row in pushed.items():
        assert bits_of(row) == bits_of(stored(job)["eurusd"][instant])


def test_the_first_row_of_a_month(ds, boundary):
    live = ds.live("eurusd", until=FEBRUARY)
    row = live.push(idx=100.0, bqx=0.1, time=FEBRUARY)
    # Under `reset` no window reaches into the month before.
    assert (row["a2_idx_w5"] is None) == (boundary == "reset")


def test_a_row_needs_its_time_where_months_begin_anew(ds, boundary):
    live = ds.live("eurusd")
    if boundary == "reset":
        with pytest.raises(ValueError, match="time is missing"):
            live.push(idx=1.0, bqx=2.0)
        assert live.last_time == LAST
        return
    timed = ds.live("eurusd").push(idx=1.0, bqx=2.0, time=LAST + MINUTE)
    assert live.push(idx=1.0, bqx=2.0) == timed
    assert live.last_time is None and "unknown" in repr(live)
    assert live.push(idx=1.0, bqx=2.0, time=LAST + 2 * MINUTE)
    assert live.last_time == LAST + 2 * MINUTE


def test_a_refused_row_changes_nothing(ds):
    live, twin = ds.live("eurusd"), ds.live("eurusd")
    for arguments, error, message in [
        (((), {"idx": 1.0, "bqx": 2.0, "time": LAST}), ValueError, "not after the last row"),
        (((), {"idx": 1.0, "bqx": 2.0, "time": "2017-01-05"}), ValueError, "not after the last row"),
        (((), {"idx": 1.0, "bqx": 2.0, "time": "today"}), ValueError, "not an instant"),
        (((), {"idx": 1.0, "time": LAST + MINUTE}), TypeError, "push one value of each series: idx=value, bqx=value"),
        (((), {"idx": 1.0, "bqy": 2.0, "bqx": 2.0, "time": LAST + MINUTE}), ValueError, 'unknown series "bqy"; did you mean "bqx"|known: idx, bqx'),
        (((1.0,), {"time": LAST + MINUTE}), TypeError, "of each series"),
        (((1.0, 2.0), {"time": LAST + MINUTE}), TypeError, "of each series"),
        ((({"idx": 1.0},), {"bqx": 2.0, "time": LAST + MINUTE}), TypeError, "of each series"),
        (((), {"idx": "1", "bqx": 2.0, "time": LAST + MINUTE}), TypeError, "real number|float"),
        (((), {}), TypeError, "of each series"),
    ]:
        with pytest.raises(error, match=message):
            live.push(*arguments[0], **arguments[1])
    assert live.last_time == LAST
    row = {"idx": 100.2, "bqx": 0.3, "time": LAST + MINUTE}
    assert bits_of(live.push(**row)) == bits_of(twin.push(**row))


def test_none_and_nan_are_rows_without_a_value(ds):
    ends = []
    for value in [None, float("nan"), float("inf"), 1e101]:
        live = ds.live("eurusd")
        first = live.push(idx=value, bqx=0.1, time=LAST + MINUTE)
        assert first["a2_idx_w5"] is None and first["a2_bqx_w5"] is not None
        rows = [live.push(idx=100.0 + row, bqx=0.1, time=LAST + (2 + row) * MINUTE) for row in range(5)]
        assert [row["a2_idx_w5"] is None for row in rows] == [True] * 4 + [False]
        ends.append(bits_of(rows[-1]))
    assert ends == ends[:1] * 4


def test_instants_and_keys_that_mean_nothing(ds):
    with pytest.raises(ValueError, match='unknown key "eurus"; did you mean "eurusd"'):
        ds.live("eurus")
    with pytest.raises(ValueError, match="is not an instant"):
        ds.live("eurusd", until="soon")
    assert ds.live("eurusd", until="2016-01").last_time is None
    assert ds.live("eurusd", until="2030-01").last_time == LAST


def test_one_series_takes_one_value(tmp_path, command):
    text = config_text("carry").replace('from = "2017-01"', 'from = "first"')
    head, tail = text.split("[series.bqx]")
    (tmp_path / "rollfit.toml").write_text(head + tail[tail.index("[windows]") :])
    rows = [(FEBRUARY + row * MINUTE, {"idx": 100 + row**0.5, "bqx": None}) for row in range(40)]
    for key in KEYS:
        write_sources(tmp_path / "fx", key, "2017-02", rows)
    ds = rollfit.open(tmp_path / "rollfit.toml")
    # The store has no features yet: the rows of the source are enough.
    live = ds.live("gbpusd", until=FEBRUARY + 30 * MINUTE)
    assert live.seeded_from[0]["state"] == "missing" and live.seeded_from[0]["receipt"] is None
    pushed = [live.push(values["idx"]) for _, values in rows[30:36]]
    pushed += [live.push(idx=rows[36][1]["idx"]), live.push({"idx": rows[37][1]["idx"]})]
    command("run", "--quiet", cwd=tmp_path)
    expected = stored(tmp_path, ["gbpusd"], ["2017-02"])["gbpusd"]
    assert [bits_of(row) for row in pushed] == [bits_of(expected[instant]) for instant, _ in rows[30:38]]
    with pytest.raises(TypeError, match="push one value, or idx=value"):
        live.push()


def test_derived_series_take_the_values_that_follow_from_closes(tmp_path, command):
    import pyarrow
    import pyarrow.parquet

    text = config_text("carry").replace('from = "2017-01"', 'from = "first"').replace("bqx_{key}", "m1_{key}").replace('"ts_utc"', '"time"')
    text = text.replace('value = "rate_index"', 'value = "close"\nderive = "rate_index"\nbase = 1.05')
    text = text.replace('value = "w15_bqx_return"', 'value = "close"\nderive = "backward_return(15)"\nbase = 1.05')
    (tmp_path / "rollfit.toml").write_text(text)
    times = [FEBRUARY + row * MINUTE for row in range(60)]
    closes = [1.05 + 1e-5 * (row * row % 31) for row in range(60)]
    for key in KEYS:
        path = tmp_path / "fx" / "sources" / f"m1_{key}"
        path.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.table({"time": pyarrow.array(times, pyarrow.timestamp("us", "UTC")), "close": closes}), path / "a.parquet")
    command("run", "--quiet", cwd=tmp_path)
    idx = [(100.0 * close) / 1.05 for close in closes]
    bqx = [sum((idx[at - k] - idx[at] for k in range(1, 16)), 0.0) / idx[at] if at >= 15 else None for at in range(60)]
    ds = rollfit.open(tmp_path / "rollfit.toml")
    expected = stored(tmp_path, ["eurusd"], ["2017-02"])["eurusd"]
    for seen in (15, 16, 40):
        live = ds.live("eurusd", until=times[seen])
        assert live.seeded_rows == min(seen - 15, 20)
        for at in range(seen, 60):
            assert bits_of(live.push(idx=idx[at], bqx=bqx[at], time=times[at])) == bits_of(expected[times[at]])


def test_a_naive_time_is_utc(ds):
    live = ds.live("eurusd")
    live.push(idx=1.0, bqx=1.0, time=(LAST + MINUTE).replace(tzinfo=None))
    assert live.last_time == LAST + MINUTE
    zone = datetime.timezone(datetime.timedelta(hours=9))
    live.push(idx=1.0, bqx=1.0, time=(LAST + 2 * MINUTE).astimezone(zone))
    assert live.last_time == LAST + 2 * MINUTE


def test_a_value_that_is_no_number_names_its_series_and_changes_nothing(ds):
    one, other = ds.live("eurusd"), ds.live("eurusd")
    with pytest.raises(TypeError, match="bqx: must be real number, not str"):
        one.push(idx=100.0, bqx="0.2", time=LAST + MINUTE)
    assert one.last_time == LAST
    row = {"idx": 100.0, "bqx": 0.2, "time": LAST + MINUTE}
    assert bits_of(one.push(**row)) == bits_of(other.push(**row))
