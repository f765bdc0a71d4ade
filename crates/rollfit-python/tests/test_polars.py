"""The expression ``pl.col(...).rollfit.rolling(...)``; runs under every Polars that is claimed, 1.0 to 2.1."""

import gc
import io
import json
import os
import pickle
import subprocess
import sys
import threading
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

pl = pytest.importorskip("polars")

import rollfit  # noqa: E402

WINDOWS = {"w5": 5, "agg": 15}
METRICS = ["r2", "prediction", "vertex_x"]
VERSION = tuple(int(part) for part in pl.__version__.split(".")[:2])


def prices(rows, seed=1):
    return 100 + np.random.default_rng(seed).normal(size=rows).cumsum()


def expr(column="close", by=None, name=None):
    return pl.col(column).rollfit.rolling(WINDOWS, METRICS, name, by=by)


def features(frame, **kwargs):
    return frame.select(expr(**kwargs).alias("fit")).unnest("fit")


def streamed(lazy):
    """What the streaming engine gives, under its name in this version."""
    try:
        return lazy.collect(engine="streaming")
    except (TypeError, ValueError):
        return lazy.collect(streaming=True)


def bits(frame):
    """The bits of every value, and where there is none; two NaN are alike only if their bits are."""
    return {name: (frame[name].is_null().to_list(), frame[name].fill_null(0.0).to_numpy().tobytes()) for name in frame.columns}


def key_by_key(frame, keys):
    """The features of each run of rows of one key, computed alone."""
    parts = frame.partition_by(keys, maintain_order=True)
    return pl.concat([features(part) for part in parts])


# What it gives


def test_fields_and_bits_are_those_of_rolling():
    values = prices(500)
    values[100] = np.nan
    table = rollfit.rolling(values, WINDOWS, METRICS, "idx")
    frame = features(pl.DataFrame({"close": values}), name="idx")
    assert frame.columns == list(table.column_names)
    assert frame.columns[:4] == ["r2_idx_w5", "prediction_idx_w5", "vertex_x_idx_w5", "r2_idx_agg"]
    for name in frame.columns:
        column, expected = frame[name], np.asarray(table.to_numpy(name))
        assert column.is_null().to_list() == np.isnan(expected).tolist(), name
        assert column.drop_nulls().to_numpy().tobytes() == expected[~np.isnan(expected)].tobytes(), name
    assert features(pl.DataFrame({"close": values})).columns[0] == "r2_w5", "no name, no middle part"
    listed = pl.DataFrame({"close": values}).select(pl.col("close").rollfit.rolling([5, 90], ["r2"]))
    assert listed.unnest("close").columns == ["r2_w5", "r2_w90"]


def test_column_keeps_its_name_and_schema_is_known_before_it_is_computed():
    lazy = pl.LazyFrame({"close": prices(40)}).select(expr())
    schema = lazy.collect_schema()
    assert schema == lazy.collect().schema
    assert list(schema) == ["close"]
    assert [field.name for field in schema["close"].fields] == [f"{m}_{w}" for w in WINDOWS for m in METRICS]
    default = pl.LazyFrame({"close": [1.0]}).select(pl.col("close").rollfit.rolling([5])).collect_schema()
    assert len(default["close"].fields) == 15


def test_windows_restart_with_each_key():
    frame = pl.DataFrame({"key": ["b"] * 40 + ["a"] * 3 + [None] * 25 + ["c"] + ["d"] * 60, "close": prices(129)})
    by = features(frame, by="key")
    assert bits(by) == bits(key_by_key(frame, ["key"]))
    assert by["r2_w5"].null_count() == 4 + 3 + 4 + 1 + 4
    over = frame.select(expr().over("key").alias("fit")).unnest("fit")
    assert bits(over) == bits(by)
    grouped = frame.group_by("key", maintain_order=True).agg(expr().alias("fit")).explode("fit").select("fit").unnest("fit")
    assert bits(grouped) == bits(by)
    assert bits(features(frame)) != bits(by), "without by, windows reach across keys"


@pytest.mark.parametrize(
    "key",
    [
        pl.Series([3, 3, 3, 3, 1, 1, 1, 1, None, None]),
        pl.Series([3, 3, 3, 3, 1, 1, 1, 1, None, None]).cast(pl.String).cast(pl.Categorical),
        pl.Series([0.5, 0.5, 0.5, 0.5, float("nan"), float("nan"), float("nan"), float("nan"), None, None]),
        pl.Series([True] * 4 + [False] * 4 + [None] * 2),
        pl.Series([date(2024, 1, 2)] * 4 + [date(2024, 1, 1)] * 4 + [None] * 2),
        pl.Series(["b"] * 4 + ["a"] * 4 + [None] * 2).cast(pl.Enum(["a", "b"])),
        pl.Series([b"b"] * 4 + [b""] * 4 + [None] * 2),
    ],
    ids=lambda key: str(key.dtype),
)
def test_keys_of_any_type(key):
    frame = pl.DataFrame({"key": key, "close": prices(10)})
    out = frame.select(pl.col("close").rollfit.rolling([3], ["r2"], by="key")).unnest("close")["r2_w3"]
    assert out.is_null().to_list() == [True, True, False, False] * 2 + [True, True]


def test_several_keys():
    frame = pl.DataFrame({"a": [1] * 40 + [2] * 40, "b": ["x"] * 20 + ["y"] * 20 + ["y"] * 20 + ["x"] * 20, "close": prices(80)})
    expected = bits(key_by_key(frame, ["a", "b"]))
    for by in (["a", "b"], ("b", "a"), [pl.col("a"), "b"], pl.struct("a", "b")):
        assert bits(features(frame, by=by)) == expected
    # The pairs differ, though each of the keys alone comes back.
    with pytest.raises(pl.exceptions.ComputeError, match="by: the key of row 60"):
        features(frame, by="b")


def test_key_that_comes_back_is_refused():
    frame = pl.DataFrame({"key": ["a"] * 20 + ["b"] * 20 + ["a"] * 20, "close": prices(60)})
    for collect in (lambda lazy: lazy.collect(), streamed):
        with pytest.raises(pl.exceptions.ComputeError, match=r"row 40 .*sort by the key"):
            collect(frame.lazy().select(expr(by="key")))
    nulls = frame.with_columns(pl.col("key").replace("a", None))
    with pytest.raises(pl.exceptions.ComputeError, match="row 40 "):
        nulls.select(expr(by="key"))
    long = pl.DataFrame({"key": [at // 70_000 for at in range(280_000)], "close": prices(280_000)})
    long = pl.concat([long, long.slice(69_999, 1)], rechunk=False).lazy()
    for collect in (lambda lazy: lazy.collect(), streamed):
        with pytest.raises(pl.exceptions.ComputeError, match="row 280000 "):
            collect(long.select(expr(by="key")))
    ordered = frame.sort("key", maintain_order=True)
    assert features(ordered, by="key")["r2_w5"].null_count() == 8


def test_frames_without_rows_and_keys_of_one_row():
    empty = pl.DataFrame({"key": [], "close": []}, schema={"key": pl.String, "close": pl.Float64})
    for by in (None, "key"):
        assert features(empty, by=by).shape == (0, 6)
        assert streamed(empty.lazy().select(expr(by=by))).shape == (0, 1)
    rows = pl.DataFrame({"key": list(range(50)), "close": prices(50)})
    out = features(rows, by="key")
    assert sum(out.null_count().row(0)) == 50 * 6
    groups = rows.filter(pl.col("key") < 0).group_by("key").agg(expr())
    assert groups.height == 0
    mixed = rows.group_by("key", maintain_order=True).agg(pl.col("close").filter(pl.col("key") < 0).rollfit.rolling([5], ["r2"]))
    assert mixed["close"].list.len().to_list() == [0] * 50, "a group whose rows are all filtered out"


def test_chunks_slices_and_nulls():
    values = pl.Series("close", prices(400))
    values = values.to_frame().select(pl.when(pl.int_range(pl.len()) % 90 == 50).then(None).otherwise("close").alias("close"))["close"]
    key = pl.Series("key", [f"k{at // 100}" for at in range(400)])
    whole = pl.DataFrame([values, key])
    expected = bits(features(whole, by="key"))
    filled = whole.with_columns(pl.col("close").fill_null(float("nan")))
    assert bits(features(filled, by="key")) == expected
    assert bits(features(filled.with_columns(pl.col("close").fill_nan(float("inf"))), by="key")) == expected
    for cuts in ([33], [100, 200], [1, 2, 3, 399], range(10, 400, 10)):
        edges = [0, *cuts, 400]
        pieces = [whole.slice(a, b - a) for a, b in zip(edges, edges[1:])]
        chunked = pl.concat(pieces, rechunk=False)
        assert chunked["close"].n_chunks() == len(pieces)
        assert bits(features(chunked, by="key")) == expected
    # Chunks of both columns end in different rows.
    assert bits(features(pl.DataFrame([pl.concat([values[:7], values[7:]], rechunk=False), key]), by="key")) == expected
    for start, rows in ((1, 399), (13, 200), (399, 1), (77, 5)):
        part = whole.slice(start, rows)
        copied = pl.DataFrame({"close": part["close"].to_list(), "key": part["key"].to_list()}, schema=part.schema)
        assert bits(features(part, by="key")) == bits(features(copied, by="key"))


@pytest.mark.parametrize("kind", ["Float32", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"])
def test_numbers_of_other_types_are_exact(kind):
    whole = pl.DataFrame({"close": [1, 5, 2, None, 7, 3, 9, 4, 100, 6, 8, 0, 1, 1, 2, 3, 5, 8]})
    typed = whole.with_columns(pl.col("close").cast(getattr(pl, kind)))
    assert bits(features(typed)) == bits(features(whole.with_columns(pl.col("close").cast(pl.Float64))))


def test_integers_that_no_double_holds_are_refused():
    assert features(pl.DataFrame({"close": [2**53, -(2**53), 1, 2, 3]})).height == 5
    for kind, value in ((pl.Int64, 2**53 + 1), (pl.Int64, -(2**53) - 1), (pl.UInt64, 2**64 - 1)):
        frame = pl.DataFrame({"close": pl.Series([value, 1, 2], dtype=kind)})
        with pytest.raises(pl.exceptions.ComputeError, match="close"):
            features(frame)


@pytest.mark.parametrize(
    "values",
    [
        pl.Series(["1.0"]),
        pl.Series([True]),
        pl.Series([date(2024, 1, 1)]),
        pl.Series([[1.0]]),
        pl.Series([{"a": 1.0}]),
        pl.Series(["a"]).cast(pl.Categorical),
        pl.Series([b"a"]),
        pl.Series([Decimal("1.5")]),
    ],
    ids=lambda values: str(values.dtype),
)
def test_columns_of_other_types_are_refused(values):
    frame = pl.DataFrame({"close": values})
    with pytest.raises(pl.exceptions.ComputeError, match='column "close" .*cast it'):
        frame.select(expr())
    with pytest.raises(pl.exceptions.ComputeError, match='column "close" .*cast it'):
        frame.lazy().select(expr()).collect()


def test_column_of_nothing_but_null():
    for values in (pl.Series([None] * 9), pl.Series([None] * 9, dtype=pl.Float64)):
        out = features(pl.DataFrame({"close": values}))
        assert sum(out.null_count().row(0)) == 9 * 6


def test_arguments_are_refused_as_rolling_refuses_them():
    cases = [
        (([2],), ValueError),
        (([],), ValueError),
        (([5, 5],), ValueError),
        (("w15",), TypeError),
        (([1.5],), TypeError),
        (([2**21],), ValueError),
        (([-5],), ValueError),
        (([5], ["r3"]), ValueError),
        (([5], []), ValueError),
        (([5], "r2"), TypeError),
        (([5], ["r2", "r2"]), ValueError),
        (([5], None, 3), TypeError),
    ]
    for arguments, error in cases:
        with pytest.raises(error) as refused:
            pl.col("close").rollfit.rolling(*arguments)
        with pytest.raises(error) as plainly:
            rollfit.rolling(np.arange(9.0), *arguments)
        assert str(refused.value) == str(plainly.value)
    for by, error in (([], ValueError), ([3], TypeError), (3, TypeError), (b"key", TypeError)):
        with pytest.raises(error, match="by"):
            pl.col("close").rollfit.rolling([5], by=by)
    for by in ("key", ["key"], [3]):
        with pytest.raises(TypeError, match="by must be series"):
            pl.Series("close", prices(9)).rollfit.rolling([5], by=by)


def test_key_of_another_length_is_refused():
    frame = pl.DataFrame({"key": ["a"] * 30, "close": prices(30)})
    with pytest.raises(pl.exceptions.PolarsError):
        frame.select(pl.col("close").head(7).rollfit.rolling([5], by="key"))
    with pytest.raises(pl.exceptions.PolarsError):
        frame.select(expr(by="absent"))


# How it is run


def cases_of_plans(source, full):
    """Plans that could be cut before the windows were full, and what they must give."""
    fit = expr(by="key").alias("fit")
    late = pl.col("close") > 100
    yield source.with_columns(fit), full
    yield source.with_columns(fit).filter(pl.col("key") == "k1"), full.filter(pl.col("key") == "k1")
    yield source.with_columns(fit).filter(late), full.filter(late)
    yield source.with_columns(fit).head(1000), full.head(1000)
    yield source.with_columns(fit).slice(100_050, 40), full.slice(100_050, 40)
    yield source.with_columns(fit).tail(3), full.tail(3)
    yield source.with_columns(fit).unnest("fit"), full.unnest("fit")
    yield source.select(fit.struct.field("r2_agg")), full.select(pl.col("fit").struct.field("r2_agg"))
    yield source.select(fit.gather_every(7)), full.select(pl.col("fit").gather_every(7))
    yield source.select(fit.filter(pl.col("key") == "k2")), full.select(pl.col("fit").filter(pl.col("key") == "k2"))
    yield source.with_row_index().with_columns(fit).filter(pl.col("index") % 1000 == 999).drop("index"), full.gather_every(1000, 999)


def test_plans_are_not_cut_within_windows(tmp_path):
    rows = 300_000
    frame = pl.DataFrame({"key": [f"k{at // 100_000}" for at in range(rows)], "close": prices(rows)})
    edges = [0, 30_000, 90_001, 150_000, 150_001, 270_000, rows]
    for at, (start, end) in enumerate(zip(edges, edges[1:])):
        frame.slice(start, end - start).write_parquet(tmp_path / f"{at}.parquet", row_group_size=10_000)
    full = frame.with_columns(expr(by="key").alias("fit"))
    assert bits(full.select("fit").unnest("fit")) == bits(key_by_key(frame, ["key"]))
    for source in (frame.lazy(), pl.scan_parquet(tmp_path / "*.parquet")):
        for at, (lazy, expected) in enumerate(cases_of_plans(source, full)):
            assert lazy.collect().equals(expected), at
            assert streamed(lazy).equals(expected), at


def test_expression_of_an_expression_and_of_several_columns():
    frame = pl.DataFrame({"key": ["a"] * 30 + ["b"] * 30, "x": prices(60), "y": prices(60, seed=2)})
    logs = frame.select(pl.col("x").log().rollfit.rolling(WINDOWS, METRICS, by="key").alias("fit")).unnest("fit")
    assert bits(logs) == bits(features(frame.select("key", close=pl.col("x").log()), by="key"))
    both = frame.select(pl.col("x", "y").rollfit.rolling(WINDOWS, METRICS, by="key"))
    assert both.columns == ["x", "y"]
    assert bits(both.select("y").unnest("y")) == bits(features(frame, column="y", by="key"))
    nested = frame.select(expr("x", by="key").struct.field("r2_w5").rollfit.rolling([5], ["prediction"], by="key"))
    assert nested.height == 60


def test_groups_of_every_kind_are_series_of_their_own():
    frame = pl.DataFrame({"at": range(60), "key": ["a"] * 30 + ["b"] * 30, "close": prices(60)})
    expected = bits(features(frame, by="key"))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    ordered = shuffled.group_by("key").agg(pl.col("close").sort_by("at").rollfit.rolling(WINDOWS, METRICS)).sort("key")
    assert bits(ordered.explode("close").select("close").unnest("close")) == expected
    assert bits(frame.select(expr(by="key").over("key")).unnest("close")) == expected
    assert bits(frame.group_by("key", maintain_order=True).agg(expr(by="key")).explode("close").select("close").unnest("close")) == expected
    lists = frame.group_by("key", maintain_order=True).agg("close")
    lists = lists.select(pl.col("close").list.eval(pl.element().rollfit.rolling(WINDOWS, METRICS)))
    assert bits(lists.explode("close").unnest("close")) == expected


def test_series_has_it_too():
    frame = pl.DataFrame({"key": ["a"] * 30 + ["b"] * 30, "close": prices(60)})
    series = frame["close"].rollfit.rolling(WINDOWS, METRICS, by=frame["key"])
    assert series.name == "close"
    assert bits(series.struct.unnest()) == bits(features(frame, by="key"))
    assert bits(frame["close"].rollfit.rolling(WINDOWS, METRICS).struct.unnest()) == bits(features(frame))
    several = frame["close"].rollfit.rolling(WINDOWS, METRICS, by=[frame["key"], frame["key"]])
    assert bits(several.struct.unnest()) == bits(features(frame, by="key"))


def test_plan_is_computed_in_another_process(tmp_path):
    frame = pl.DataFrame({"key": ["a"] * 30 + ["b"] * 30, "close": prices(60)})
    lazy = frame.lazy().select(expr(by="key").alias("fit")).unnest("fit")
    assert bits(pickle.loads(pickle.dumps(lazy)).collect()) == bits(lazy.collect())
    again = frame.select(pickle.loads(pickle.dumps(expr(by="key").alias("fit")))).unnest("fit")
    assert bits(again) == bits(lazy.collect())
    plan = tmp_path / "plan"
    plan.write_bytes(lazy.serialize())
    read = "import io, sys; import polars as pl; assert 'rollfit' not in sys.modules; sys.stdout.write(pl.LazyFrame.deserialize(io.BytesIO(open(sys.argv[1], 'rb').read())).collect().write_json())"
    done = subprocess.run([sys.executable, "-c", read, str(plan)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(lazy.collect().write_json())


@pytest.mark.parametrize(
    "kwargs",
    [
        {"rolling": 3},
        {"rolling": "no json"},
        {"rolling": '{"windows":[],"metrics":["r2"],"name":null}'},
        {"rolling": '{"windows":[["w2",2]],"metrics":["r2"],"name":null}'},
        {"rolling": '{"windows":[["w5",5]],"metrics":["r3"],"name":null}'},
        {"rolling": '{"windows":[["w5",5]],"metrics":["r2"],"name":null,"more":1}'},
        {"other": '{"windows":[["w5",5]],"metrics":["r2"],"name":null}'},
        {"rolling": '{"windows":[["w5",5]],"metrics":["r2"],"name":null}', "more": "x"},
        {"rolling": "[" * 100_000},
        {"rolling": ["rolling", "x"]},
    ],
    ids=range(10),
)
def test_plan_of_another_version_is_refused(kwargs):
    from polars.plugins import register_plugin_function

    from rollfit._polars import LIBRARY

    call = register_plugin_function(plugin_path=LIBRARY, function_name="rollfit_rolling", args=[pl.col("close")], kwargs=kwargs)
    with pytest.raises(pl.exceptions.ComputeError, match="this version of rollfit"):
        pl.DataFrame({"close": prices(30)}).select(call)


def test_many_windows_fit_into_the_arguments():
    # Their text is beyond what pickle writes in one frame.
    windows = {f"a label that is rather long {at}": at for at in range(3, 2003)}
    out = pl.DataFrame({"close": prices(10)}).select(pl.col("close").rollfit.rolling(windows, ["r2"]))
    assert len(out.schema["close"].fields) == 2000
    odd = pl.DataFrame({"close": prices(10)}).select(pl.col("close").rollfit.rolling({'ü"\\\n': 5}, ["r2"], "ε"))
    assert odd.unnest("close").columns == ['r2_ε_ü"\\\n']


# Memory and threads


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_ten_thousand_calls_leave_no_memory():
    frame = pl.DataFrame({"key": ["a"] * 150 + ["b"] * 150, "close": prices(300)})
    chunked = pl.concat([frame[:200], frame[200:]], rechunk=False)
    wrong = pl.DataFrame({"key": ["a", "b", "a"] * 100, "close": prices(300)})

    def calls(count):
        for at in range(count):
            (frame if at % 2 else chunked).select(expr(by="key"))
            if at % 10 == 0:
                with pytest.raises(pl.exceptions.ComputeError):
                    wrong.select(expr(by="key"))

    calls(1000)
    gc.collect()
    before = resident_bytes()
    calls(10_000)
    gc.collect()
    # One leaked column a call would be 24 MB, one leaked input as much.
    assert resident_bytes() - before < 12e6


def test_output_outlives_input():
    for rows in (0, 1, 3, 64, 1000, 50_000):
        frame = pl.DataFrame({"close": prices(rows)})
        expected = bits(features(frame))
        out = features(frame)
        field = out["r2_w5"]
        del frame, out
        gc.collect()
        _ = [pl.Series(np.full(rows, 7.0)) for _ in range(10)]
        assert field.fill_null(0.0).to_numpy().tobytes() == expected["r2_w5"][1]


def test_eight_threads_at_once():
    frames = [pl.DataFrame({"key": ["a"] * 5000 + ["b"] * 5000, "close": prices(10_000, seed)}) for seed in range(8)]
    expected = [bits(features(frame, by="key")) for frame in frames]
    wrong = []

    def work(at):
        for _ in range(10):
            if bits(features(frames[at], by="key")) != expected[at]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# The namespace


def run_python(script):
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


USE = "assert pl.DataFrame({'x': [1.0, 2, 3, 4]}).select(pl.col('x').rollfit.rolling([3], ['r2'])).unnest('x').height == 4;"


@pytest.mark.parametrize(
    "script",
    [
        "import rollfit, sys; assert 'polars' not in sys.modules; import polars as pl;" + USE,
        "import polars as pl, rollfit;" + USE,
        "import rollfit; from polars import col; import polars as pl;" + USE,
        "import rollfit, polars as pl, importlib; importlib.reload(pl);" + USE,
        "import rollfit, polars as pl, importlib; importlib.reload(pl.api);" + USE,
        "import polars as pl, rollfit, importlib; importlib.reload(rollfit);" + USE,
        "import rollfit, importlib; importlib.reload(rollfit); import polars as pl;" + USE,
    ],
    ids=["first", "second", "from", "reload-polars", "reload-api", "reload-rollfit", "reload-before"],
)
def test_namespace_is_there_in_either_order(script):
    run_python(script)


def test_other_importers_see_nothing():
    out = run_python(
        "import rollfit, polars.api as api, sys, importlib.machinery as m;"
        "print(type(api.__loader__) is m.SourceFileLoader, api.__spec__.loader is api.__loader__);"
        "print(sum(type(finder).__module__ == 'rollfit._polars_import' for finder in sys.meta_path))"
    )
    assert out == ["True", "True", "1"]
    absent = (
        "import sys; sys.modules['polars'] = None; import rollfit\n"
        "try:\n import polars\nexcept ImportError:\n print('absent')"
    )
    assert run_python(absent) == ["absent"]


def test_namespace_is_there_when_two_threads_import():
    script = (
        "import threading, importlib, sys\n"
        "start = threading.Barrier(2)\n"
        "def work(name):\n start.wait(); importlib.import_module(name)\n"
        "threads = [threading.Thread(target=work, args=(name,)) for name in ('polars', 'rollfit')]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "import polars as pl, rollfit\n" + USE
    )
    for _ in range(3):
        run_python(script)


def test_several_columns_of_one_expression_are_one_key():
    rows = np.arange(120)
    frame = pl.DataFrame({"key": rows // 60, "other": rows // 20 % 4, "close": prices(120), "twice": prices(120, seed=2)})
    want = bits(features(frame, by=["key", "other"]))
    for by in (pl.col("key", "other"), [pl.col("key", "other")], pl.col("^key|other$")):
        assert bits(features(frame, by=by)) == want
    # Not dealt out to several values one by one, either.
    for frame_of in (lambda key: frame.select(expr(["close", "twice"], by=key)), lambda key: frame.select(expr("twice", by=key))):
        both, one_by_one = frame_of(pl.col("key", "other")), frame_of(["key", "other"])
        assert all(bits(both.select(name).unnest(name)) == bits(one_by_one.select(name).unnest(name)) for name in both.columns)


def test_an_expression_with_half_a_key_is_refused():
    from polars.plugins import register_plugin_function

    def forged(*keys):
        text = rollfit._rollfit._polars_kwargs([3], ["b"])
        return register_plugin_function(
            plugin_path=rollfit._polars.LIBRARY, function_name="rollfit_rolling", args=["x", *keys], kwargs={"rolling": text}
        )

    frame = pl.DataFrame({"x": [1.0, 2.0, 4.0, 8.0], "run": pl.Series([0, 0, 1, 1], dtype=pl.UInt32)})
    assert frame.select(forged()).unnest("x")["b_w3"].null_count() == 2
    assert frame.select(forged("run", pl.lit(None, pl.UInt32))).unnest("x")["b_w3"].null_count() == 4
    for keys in (["run"], ["run", "run", "run"]):
        with pytest.raises(pl.exceptions.ComputeError, match="by: .*make it again"):
            frame.select(forged(*keys))
