"""`rollfit.Table` and `rollfit.Column`: read by Polars, pyarrow, pandas, DuckDB and numpy without a copy, and without pyarrow."""

import array
import gc
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rollfit

VALUES = np.cumsum(np.random.default_rng(5).normal(size=200)) + 100
VALUES[[20, 21, 90]] = np.nan


def table(**arguments):
    return rollfit.rolling(VALUES, **{"windows": {"w15": 15, "agg": 30}, "metrics": ["r2", "b"], "name": "idx", **arguments})


def want(t, name):
    return [None if np.isnan(v) else v for v in np.asarray(t[name])]


def test_a_table_says_what_it_is():
    t = table()
    assert (t.num_rows, t.num_columns, len(t)) == (200, 4, 200)
    assert t.column_names == list(t) == ["r2_idx_w15", "b_idx_w15", "r2_idx_agg", "b_idx_agg"]
    assert "r2_idx_w15" in t and "r2" not in t and 3 not in t
    assert repr(t) == "<rollfit.Table: 200 rows x 4 columns: r2_idx_w15, b_idx_w15, r2_idx_agg, b_idx_agg>"
    assert repr(rollfit.rolling(VALUES, [15])) == "<rollfit.Table: 200 rows x 15 columns: a2_w15, a1_w15, ..., extrapolation_error_w15>"
    column = t["r2_idx_w15"]
    nulls = 14 + 16 + 15
    assert (column.name, len(column), column.null_count) == ("r2_idx_w15", 200, nulls)
    assert repr(column) == f"<rollfit.Column r2_idx_w15: 200 rows of Float64, {nulls} NULL>"
    assert column[0] is None and column[-1] == np.asarray(column)[199] and type(column[19]) is float
    for row in [200, -201, 10**18]:
        with pytest.raises(IndexError, match="the column has 200"):
            column[row]
    assert [type(v) for v in list(column)[13:15]] == [type(None), float]


def test_an_unknown_column_is_a_key_error_with_the_nearest():
    t = table()
    with pytest.raises(KeyError, match='did you mean \\\\?"r2_idx_w15'):
        t["r2_idx_w51"]
    with pytest.raises(KeyError, match="did you mean"):
        t.to_numpy("r2_idx")
    with pytest.raises(KeyError, match="t.column_names lists them"):
        t["zzz"]
    for key in [0, None, slice(1)]:
        with pytest.raises(TypeError, match="a column is found by its name"):
            t[key]


def test_numpy_reads_a_column_without_a_copy():
    t = table()
    column = t["b_idx_agg"]
    one, other = np.asarray(column), t.to_numpy("b_idx_agg")
    assert one.dtype == np.float64 and one.shape == (200,) and not one.flags.writeable and not one.flags.owndata
    assert one.ctypes.data == other.ctypes.data == column.to_numpy().ctypes.data and one.ctypes.data % 64 == 0
    assert np.isnan(one[:29]).all() and not np.isnan(one[-1])
    with pytest.raises(ValueError):
        one.flags.writeable = True
    copied = np.array(column)
    copied[0] = 1.0
    assert copied.flags.writeable and np.isnan(one[0]) and np.asarray(column, dtype="f4").dtype == np.float32
    view = memoryview(column)
    assert (view.format, view.shape, view.strides, view.readonly, view.itemsize) == ("d", (200,), (8,), True, 8)
    assert view.c_contiguous and view[199] == one[199] and bytes(view) == one.tobytes()
    assert len(array.array("d", bytes(column))) == 200
    with pytest.raises(TypeError):
        view[0] = 1.0
    del t, column, view
    gc.collect()
    assert np.isnan(one[0]) and one[199] == other[199]


def test_every_reader_gets_the_same_values():
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    t = table()
    frame, arrow = pl.DataFrame(t), pa.table(t)
    assert frame.columns == arrow.column_names == t.column_names and frame.shape == (200, 4)
    found = duckdb.sql("from t").fetchall()
    pandas = pd.DataFrame.from_arrow(t) if hasattr(pd.DataFrame, "from_arrow") else arrow.to_pandas()
    for at, name in enumerate(t.column_names):
        values = want(t, name)
        assert frame[name].to_list() == arrow[name].to_pylist() == [row[at] for row in found] == values
        assert [None if np.isnan(v) else v for v in pandas[name]] == values
        assert frame[name].null_count() == arrow[name].null_count == t[name].null_count
        assert pl.Series(t[name]).to_list() == pa.array(t[name]).to_pylist() == values
        assert frame[name].dtype == pl.Float64
    assert duckdb.sql('select count(*), count(r2_idx_agg), max(b_idx_w15) from t').fetchall() == [
        (200, 200 - t["r2_idx_agg"].null_count, np.nanmax(np.asarray(t["b_idx_w15"])))
    ]
    # No copy: the column's memory is in the block.
    address = np.asarray(t["b_idx_w15"]).ctypes.data
    assert arrow["b_idx_w15"].chunk(0).buffers()[1].address == address
    bitmaps = {arrow[name].chunk(0).buffers()[0].address for name in t.column_names}
    assert len(bitmaps) == 2, "one bitmap a window"
    assert pa.RecordBatchReader.from_stream(t).read_all() == arrow
    assert pa.record_batch(t).num_rows == 200 and pa.schema(t).names == t.column_names
    assert pa.field(t["r2_idx_w15"]).type == pa.float64()
    assert pa.chunked_array(t["r2_idx_w15"]).to_pylist() == want(t, "r2_idx_w15")


def test_a_requested_type_is_honoured():
    import pyarrow as pa

    t = table()
    narrow = pa.array(t["r2_idx_w15"], pa.float32())
    assert narrow.type == pa.float32() and narrow.null_count == t["r2_idx_w15"].null_count


def test_readers_need_no_pyarrow():
    script = textwrap.dedent(
        """
        import sys
        sys.modules["pyarrow"] = None
        import array, numpy as np, polars as pl, pandas as pd, duckdb, rollfit
        values = np.arange(100.0) ** 1.5
        t = rollfit.rolling(values, [15], ["r2", "b"])
        want = [None if np.isnan(v) else v for v in np.asarray(t["b_w15"])]
        assert pl.DataFrame(t)["b_w15"].to_list() == want
        assert [row[0] for row in duckdb.sql("select b_w15 from t").fetchall()] == want
        assert duckdb.sql("from t").fetchall()[50][1] == want[50]
        for column in [pd.Series(values), pl.Series(values), pl.DataFrame({"x": values})["x"], array.array("d", values)]:
            assert np.asarray(rollfit.rolling(column, [15])["b_w15"]).tobytes() == np.asarray(t["b_w15"]).tobytes()
        frame = pd.DataFrame({name: t.to_numpy(name) for name in t.column_names})
        assert frame["b_w15"].isna().sum() == 14
        print("without pyarrow")
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "without pyarrow\n", done.stderr


def test_importing_imports_nothing_else():
    script = "import sys, rollfit; print([m for m in ('numpy', 'polars', 'pyarrow', 'pandas', 'duckdb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    script = (
        "import sys, array, rollfit; t = rollfit.rolling(array.array('d', range(50)), [15]); s = rollfit.Stream([15]);"
        "s.push(1.0); memoryview(t['b_w15']); print([m for m in ('numpy', 'polars', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_table_is_no_array_of_names():
    pd, pl, pa = (pytest.importorskip(name) for name in ["pandas", "polars", "pyarrow"])
    table = rollfit.rolling(np.arange(9.0), [3], ["b"])
    for make in [np.asarray, np.array, pd.DataFrame]:
        with pytest.raises(TypeError, match="several columns, not one array.*DataFrame"):
            make(table)
    assert pl.DataFrame(table).columns == pa.table(table).column_names == list(table) == ["b_w3"]


def test_a_column_is_iterated_and_is_a_series_of_pandas():
    pd = pytest.importorskip("pandas")
    column = rollfit.rolling(np.array([1.0, 2.0, 4.0, 8.0]), [3], ["b"])["b_w3"]
    assert list(column) == [None, None, 2.0, 4.0] and 4.0 in column and 5.0 not in column
    assert list(iter(column)) == list(column)
    series = pd.DataFrame({"b": column})["b"]
    assert series.dtype == "float64" and series.isna().tolist() == [True, True, False, False]
    assert pd.Series(column).equals(pd.Series(np.asarray(column)))


def test_a_column_has_no_slices_and_says_what_has():
    column = rollfit.rolling(np.arange(9.0), [3], ["b"])["b_w3"]
    for index in [slice(1, 3), "b", 1.0, None]:
        with pytest.raises(TypeError, match="numpy.asarray"):
            column[index]
    assert np.asarray(column)[4:6].tolist() == [column[4], column[np.int64(5)]]


def test_the_array_of_a_column_is_copied_only_where_it_must_be():
    column = rollfit.rolling(np.arange(9.0), [3], ["b"])["b_w3"]
    lent = column.to_numpy()
    for array in [column.__array__(), column.__array__("f8"), column.__array__(copy=False)]:
        assert np.shares_memory(array, lent) and not array.flags.writeable
    for array in [column.__array__("f4"), column.__array__(copy=True), column.__array__("f8", copy=True)]:
        assert not np.shares_memory(array, lent) and array.flags.writeable
    with pytest.raises(ValueError, match="without a copy"):
        column.__array__("f4", copy=False)
