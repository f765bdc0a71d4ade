"""`rollfit.rolling`: names, arguments, values, causes of NULL, threads, and the bits of the stored months."""

import math
import os
import pathlib
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

import rollfit

STORED = [name for name, metric in rollfit.METRICS.items() if metric["stored"]]


def walk(rows, seed=1, holes=0.0):
    rng = random.Random(seed)
    value, values = 100.0, []
    for _ in range(rows):
        value += rng.uniform(-1, 1)
        values.append(math.nan if rng.random() < holes else value)
    return np.array(values)


def bits(table):
    return b"".join(np.asarray(table[name]).tobytes() for name in table.column_names)


def test_names_follow_the_windows_and_the_series():
    values = walk(20)
    table = rollfit.rolling(values, windows={"w15": 15, "agg": 9}, metrics=["r2", "prediction"], name="idx")
    assert table.column_names == ["r2_idx_w15", "prediction_idx_w15", "r2_idx_agg", "prediction_idx_agg"]
    assert rollfit.rolling(values, [15, 9], ["r2"]).column_names == ["r2_w15", "r2_w9"]
    assert rollfit.rolling(values, [3]).column_names == [f"{metric}_w3" for metric in STORED]
    every_kind = [(3, 4), range(3, 5), np.array([3, 4]), iter([3, 4]), {"w3": 3, "w4": np.int64(4)}, {3: 0, 4: 0}.keys()]
    for windows in every_kind:
        assert rollfit.rolling(values, windows, ["b"]).column_names == ["b_w3", "b_w4"]


BAD = [
    (dict(windows=[2]), ValueError, "window of 2 rows cannot be fitted: give 3 to 1048576 rows"),
    (dict(windows={"tiny": 0}), ValueError, 'window "tiny" of 0 rows'),
    (dict(windows=[-15]), ValueError, "-15 rows"),
    (dict(windows=[10**30]), ValueError, "rows cannot be fitted"),
    (dict(windows=[(1 << 20) + 1]), ValueError, "rows cannot be fitted"),
    (dict(windows=[]), ValueError, "windows is empty"),
    (dict(windows={}), ValueError, "windows is empty"),
    (dict(windows="w15"), TypeError, "windows must be a list, not str"),
    (dict(windows=15), TypeError, "windows must be a list, not int"),
    (dict(windows={15, 90}), TypeError, "windows must be a list, not set"),
    (dict(windows=["15"]), TypeError, "whole number of rows, not str"),
    (dict(windows=[15.0]), TypeError, "whole number of rows, not float"),
    (dict(windows=[True]), TypeError, "whole number of rows, not bool"),
    (dict(windows={15: "w15"}), TypeError, "labels of windows must be strings, not int"),
    (dict(windows={"": 15}), ValueError, "label is empty"),
    (dict(windows=[15, 15]), ValueError, 'two columns would be called "a2_w15"'),
    (dict(metrics=["r2", "r2"]), ValueError, 'two columns would be called "r2_w15"'),
    (dict(metrics=[]), ValueError, "metrics is empty"),
    (dict(metrics="r2"), TypeError, "metrics must be a list, not str"),
    (dict(metrics=["predicton"]), ValueError, 'unknown metric "predicton"; did you mean "prediction"'),
    (dict(metrics=["R2"]), ValueError, 'unknown metric "R2"; did you mean "r2"'),
    (dict(metrics=["zzzz"]), ValueError, "known are a2, a1, b"),
    (dict(metrics=[2]), TypeError, "a metric must be a name, not int"),
    (dict(name=""), ValueError, "name is empty"),
    (dict(name=3), TypeError, "name must be a string, not int"),
    (dict(threads=0), ValueError, "threads must be at least 1"),
    (dict(threads=-1), (ValueError, OverflowError), ""),
    (dict(out=[1]), TypeError, ""),
]


@pytest.mark.parametrize("arguments, error, words", BAD, ids=[str(at) for at in range(len(BAD))])
def test_bad_arguments_get_one_clear_error(arguments, error, words):
    with pytest.raises(error) as caught:
        rollfit.rolling(walk(20), **{"windows": [15], **arguments})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_values_are_those_of_a_least_squares_fit():
    values = walk(60)
    table = rollfit.rolling(values, [9], [*rollfit.METRICS])
    x = np.arange(9.0)
    for row in range(8, 60):
        window = values[row - 8 : row + 1]
        terms = np.polyfit(x, window, 2)
        assert np.isclose(np.asarray(table["prediction_w9"])[row], np.polyval(terms, 8.0), rtol=1e-9)
        assert np.isclose(np.asarray(table["residual_w9"])[row], window[-1] - np.polyval(terms, 8.0), atol=1e-9)
        fitted = rollfit.fit(window)
        for name in rollfit.METRICS:
            got = float(np.asarray(table[f"{name}_w9"])[row])
            assert got == fitted[name], name
            low, high = rollfit.bounds(window, name)
            assert low <= got <= high, name


def test_columns_that_share_memory_have_their_own_values():
    table = rollfit.rolling(walk(100), [9, 16], metrics=["fit_quality", "rmse", "r2", "residual_std", "b"])
    for window in ["w9", "w16"]:
        for one, other in [("r2", "fit_quality"), ("rmse", "residual_std")]:
            assert np.asarray(table[f"{one}_{window}"]).tobytes() == np.asarray(table[f"{other}_{window}"]).tobytes()
    alone = rollfit.rolling(walk(100), [9, 16], metrics=["residual_std"])
    assert np.asarray(alone["residual_std_w16"]).tobytes() == np.asarray(table["rmse_w16"]).tobytes()
    assert np.asarray(table["rmse_w9"]).tobytes() != np.asarray(table["r2_w9"]).tobytes()


def test_nulls_are_counted_by_cause():
    values = walk(100)
    values[[2, 50, 53, 99]] = [math.nan, math.inf, 2e100, math.nan]
    table = rollfit.rolling(values, {"w": 5, "long": 200}, ["b", "vertex_x"])
    # Rows 0 to 3 are warm-up whatever they hold; 4 to 6 reach the hole in row 2.
    assert table["b_w"].null_counts == {"warmup": 4, "input": 3 + 8 + 1, "undefined": 0}
    assert table["b_long"].null_counts == {"warmup": 100, "input": 0, "undefined": 0}
    assert table.null_counts == {"warmup": 2 * 104, "input": 2 * 12, "undefined": 0}
    for name in table.column_names:
        column = table[name]
        assert column.null_count == sum(column.null_counts.values()) == int(np.isnan(np.asarray(column)).sum())


def without_vertex():
    """Five values whose parabola has 2*a2 + 1e-10 = 0."""
    rng = random.Random(5)
    for _ in range(100_000):
        noise = [1e-11, -4e-11, 6e-11, -4e-11, 1e-11]
        x = [(row - 2) / (math.sqrt(2) + 1e-10) for row in range(5)]
        values = [-5e-11 * x[row] ** 2 + noise[row] + 1e-25 * rng.random() for row in range(5)]
        if rollfit.fit(np.array(values))["vertex_x"] is None:
            return np.array(values)
    raise AssertionError("one in some hundred has none")


def test_a_metric_without_a_value_is_null_and_its_neighbours_are_not():
    window = without_vertex()
    values = np.concatenate([walk(40), window, walk(40)])
    table = rollfit.rolling(values, {"w": 5}, ["vertex_y", "a1", "vertex_x"])
    assert table["vertex_y_w"].null_counts == {"warmup": 4, "input": 0, "undefined": 1} == table["vertex_x_w"].null_counts
    assert table["a1_w"].null_counts == {"warmup": 4, "input": 0, "undefined": 0}
    assert table["vertex_x_w"][44] is None and table["a1_w"][44] is not None
    for threads in [2, 3]:
        assert rollfit.rolling(values, {"w": 5}, ["vertex_y", "a1", "vertex_x"], threads=threads).null_counts == table.null_counts
    import pyarrow

    arrow = pyarrow.table(table)
    assert arrow["vertex_y_w"].null_count == 5 and arrow["a1_w"].null_count == 4
    assert arrow["vertex_y_w"].is_null().to_pylist() == [bool(v) for v in np.isnan(np.asarray(table["vertex_y_w"]))]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 63, 64, 65, 519, 520, 521, 1041, 5000])
def test_any_number_of_threads_gives_the_same_bits(rows):
    values = walk(rows, seed=rows, holes=0.01)
    values[0] = 1.0
    one = rollfit.rolling(values, [3, 15, 90], threads=1)
    assert len(one) == rows
    for threads in [2, 3, 8, 10_000]:
        many = rollfit.rolling(values, [3, 15, 90], threads=threads)
        assert bits(many) == bits(one) and many.null_counts == one.null_counts


@pytest.mark.parametrize("threads", [1, 3])
def test_a_table_larger_than_the_caches_has_the_bits_of_small_ones(threads):
    """Large tables are written past the caches."""
    values, windows = walk(30_003, seed=5, holes=0.0005), [3, 15, 30, 45, 75, 90]
    values[1000:1010] = 7.0
    large = rollfit.rolling(values, windows, threads=threads)
    assert 8 * len(large) * 13 * len(windows) > 16 << 20, "the test is of no use any more"
    small = [rollfit.rolling(values, [window], threads=1) for window in windows]
    assert bits(large) == b"".join(map(bits, small))
    assert [large[name].null_count for name in large.column_names] == [t[name].null_count for t in small for name in t.column_names]


def test_large_series_are_shared_between_threads():
    values = walk(100_001, holes=0.0001)
    assert bits(rollfit.rolling(values, [15], ["r2"])) == bits(rollfit.rolling(values, [15], ["r2"], threads=1))


def test_eight_threads_at_once_are_right():
    series = [walk(3000, seed) for seed in range(8)]
    want = [bits(rollfit.rolling(values, [15, 90])) for values in series]
    wrong = []

    def work(at):
        for _ in range(5):
            if bits(rollfit.rolling(series[at], [15, 90])) != want[at]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_the_gil_is_released():
    values, ticks, done = walk(200_000), [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(1)
            done.wait(0.0002)

    thread = threading.Thread(target=tick)
    thread.start()
    during = 0
    for _ in range(50):
        before = len(ticks)
        rollfit.rolling(values, [15, 30, 60, 90], threads=1)
        during = max(during, len(ticks) - before)
        if during >= 4:
            break
    done.set()
    thread.join()
    # With the GIL held there would be a tick before and one after a call.
    assert during >= 4


def test_out_uses_the_memory_again():
    first, second = walk(3000, 1), walk(3000, 2, holes=0.01)
    want = bits(rollfit.rolling(second, [15, 90]))
    table = rollfit.rolling(first, [15, 90])
    address = np.asarray(table["a2_w15"]).ctypes.data
    got = rollfit.rolling(second, [15, 90], out=table)
    assert got is table and bits(table) == want and np.asarray(table["a2_w15"]).ctypes.data == address
    # Other names for as many columns.
    assert rollfit.rolling(first, [16, 91], name="x", out=table).column_names[0] == "a2_x_w16"
    assert bits(table) == bits(rollfit.rolling(first, [16, 91]))


def test_out_is_refused_where_its_memory_is_in_use_or_its_shape_differs():
    values = walk(300)
    for use in [np.asarray, memoryview, lambda column: column, lambda column: __import__("polars").Series(column)]:
        table = rollfit.rolling(values, [15])
        before, held = bits(table), use(table["b_w15"])
        with pytest.raises(ValueError, match="still used"):
            rollfit.rolling(-values, [15], out=table)
        assert bits(table) == before and table.null_counts["warmup"] == 14 * 15
        del held
        assert bits(rollfit.rolling(-values, [15], out=table)) == bits(rollfit.rolling(-values, [15]))
    frame = __import__("pyarrow").table(table)
    with pytest.raises(ValueError, match="still used"):
        rollfit.rolling(values, [15], out=table)
    assert frame.num_rows == 300
    del frame
    for other in [dict(values=walk(301)), dict(windows=[15, 16]), dict(metrics=["b"])]:
        with pytest.raises(ValueError, match="out has 300 rows x 15 columns"):
            rollfit.rolling(**{"values": values, "windows": [15], "out": table, **other})
    with pytest.raises(ValueError, match="still used"):
        rollfit.rolling(table["b_w15"], [15], out=table)
    assert bits(table) == bits(rollfit.rolling(-values, [15]))


def test_features_of_features():
    table = rollfit.rolling(walk(100), [15])
    again = rollfit.rolling(table["prediction_w15"], [15], ["b"])
    assert bits(again) == bits(rollfit.rolling(np.asarray(table["prediction_w15"]), [15], ["b"]))
    assert again["b_w15"].null_counts == {"warmup": 14, "input": 14, "undefined": 0}


def test_bounds_and_fit():
    ranges = rollfit.bounds(np.array([1.0, 2.0, 4.0, 8.0]))
    assert list(ranges) == list(rollfit.METRICS)
    low, high = ranges["prediction"]
    assert low < 7.95 < high and high - low < 1e-11
    assert rollfit.bounds(np.array([1.0, 2.0, 4.0, 8.0]), "prediction") == (low, high)
    assert rollfit.bounds(np.array([1.0, np.nan, 4.0])) == dict.fromkeys(rollfit.METRICS)
    assert rollfit.fit(np.array([1.0, np.nan, 4.0])) == dict.fromkeys(rollfit.METRICS)
    assert rollfit.fit(np.array([1.0, 4.0, 9.0]))["rmse"] < 1e-12
    for call in [rollfit.bounds, rollfit.fit]:
        with pytest.raises(ValueError, match="window of 2 rows"):
            call(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match='did you mean "prediction"'):
        rollfit.bounds(np.ones(3), "predicton")


CONFIG = """
[store]
url = "parquet:./fx"
[partitions]
keys = ["eurusd"]
from = "2017-02"
to = "2017-02"
[series.idx]
table = "m1_{key}"
time = "time"
value = "rate_index"
features = "reg_rate_{key}_{yyyy}_{mm}"
[windows]
w15 = 15
w60 = 60
agg = 90
"""


def real_month():
    """The bars of a real month; skips where there are none."""
    shared = os.environ.get("ROLLFIT_SHARED")
    folder = pathlib.Path(shared) if shared else pathlib.Path(__file__).resolve().parents[4] / "shared"
    file = folder / "data/m1/pair=eurusd/2017-02.parquet"
    if not file.is_file():
        pytest.skip(f"there are no real months: {file} is missing (ROLLFIT_SHARED names the folder)")
    return file


def command():
    """The command `rollfit`: ROLLFIT_COMMAND, or the console script beside this Python."""
    found = os.environ.get("ROLLFIT_COMMAND") or str(pathlib.Path(sys.executable).parent / "rollfit")
    shown = subprocess.run([found, "--version"], capture_output=True, text=True) if os.path.exists(found) else None
    if not (shown and shown.stdout.startswith("rollfit")):
        pytest.skip(f"there is no command {found} (ROLLFIT_COMMAND names it)")
    return found


def test_the_bits_of_a_stored_month(tmp_path):
    import polars as pl

    file, rollfit_command = real_month(), command()
    (tmp_path / "rollfit.toml").write_text(CONFIG)

    def run(*arguments):
        done = subprocess.run([rollfit_command, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run("import", "--format", "parquet", "--key", "eurusd", str(file))
    run("run")
    source = pl.read_parquet(tmp_path / "fx/sources/m1_eurusd/**/*.parquet").sort("time")["rate_index"]
    (stored,) = (pl.read_parquet(path) for path in (tmp_path / "fx").rglob("*.parquet") if "sources" not in path.parts)
    windows = {"w15": 15, "w60": 60, "agg": 90}
    table = rollfit.rolling(source, windows, name="idx")
    assert stored.height == len(table) > 25_000 and stored.columns[1:] == table.column_names
    stream = rollfit.Stream(windows, name="idx")
    parts = [stream.push_many(source[at : at + 777]) for at in range(0, 7770, 777)]
    for name in table.column_names:
        column = stored[name].fill_null(math.nan).to_numpy()
        assert np.asarray(table[name]).tobytes() == column.tobytes(), name
        assert b"".join(np.asarray(part[name]).tobytes() for part in parts) == column[:7770].tobytes(), name
        assert stored[name].null_count() == table[name].null_count
    for row in range(7770, 8000):
        pushed = stream.push(source[row])
        assert list(pushed.values()) == [stored[name][row] for name in table.column_names]


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"threads": 0}, ValueError, "at least 1, not 0"),
        ({"threads": -3}, ValueError, "at least 1, not -3"),
        ({"threads": True}, TypeError, "not bool"),
        ({"threads": 2.0}, TypeError, "not float"),
        ({"threads": "2"}, TypeError, "not str"),
        ({"out": np.zeros((200, 1))}, TypeError, "rollfit.Table that an earlier call returned, not ndarray"),
        ({"windows": {"a\0b": 7}}, ValueError, "a window's label holds a NUL"),
        ({"windows": {"\ud800": 7}}, ValueError, "half a surrogate"),
        ({"name": "a\0"}, ValueError, "name holds a NUL"),
        ({"metrics": ["R2"]}, ValueError, 'did you mean "r2"'),
        ({"metrics": ["\ud800"]}, ValueError, "unknown metric"),
    ],
)
def test_arguments_that_are_nearly_right(arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        rollfit.rolling(**{"values": np.arange(200.0), "windows": [7], **arguments})
    assert "\n" not in str(caught.value)


def test_any_number_of_threads_and_any_label_of_text():
    values = np.sin(np.arange(3000.0))
    want = rollfit.rolling(values, [7], ["r2"], threads=1).to_numpy("r2_w7").tobytes()
    for threads in [np.int64(2), 65, 10**9, 10**30]:
        table = rollfit.rolling(values, {"a \"b'\n\U0001f600": 7}, ["r2"], "\xfc", threads=threads)
        assert table.to_numpy("r2_\xfc_a \"b'\n\U0001f600").tobytes() == want


def test_where_there_are_no_more_threads_one_does_the_work():
    program = """if True:
        import array, resource, sys
        import rollfit
        values = array.array("d", (n % 7 for n in range(40_000)))
        want = bytes(memoryview(rollfit.rolling(values, [15], ["r2"], threads=1)["r2_w15"]))
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (12 << 20), -1))
        assert bytes(memoryview(rollfit.rolling(values, [15], ["r2"], threads=64)["r2_w15"])) == want
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
