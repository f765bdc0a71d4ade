"""What a column may be: every kind of array, cut, sliced, strided and masked, gives the same bits; the rest one clear error."""

import array
import ctypes
import datetime
import decimal
import random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rollfit

WINDOWS = [3, 7, 16]


def walk(rows, seed=1):
    rng = random.Random(seed)
    value, values = 100.0, []
    for _ in range(rows):
        value += rng.uniform(-1, 1)
        values.append(value)
    return values


def bits(table):
    return b"".join(np.asarray(table[name]).tobytes() for name in table.column_names)


def of(values, windows=WINDOWS):
    return bits(rollfit.rolling(values, windows))


def expected(numbers):
    return of(array.array("d", [float("nan") if n is None else n for n in numbers]))


class ArrowOnly:
    """Nothing but one method of the PyCapsule interface."""

    def __init__(self, inner, method):
        setattr(type(self), method, lambda self, requested_schema=None: getattr(inner, method)(requested_schema))


def arrow_only(inner, method):
    return type("Foreign", (ArrowOnly,), {})(inner, method)


def chunks(values, seed):
    rng, at, parts = random.Random(seed), 0, []
    while at < len(values):
        length = rng.choice([0, 1, 2, 5, 40])
        parts.append(pa.array(values[at : at + length], pa.float64()))
        at += length
    return parts


VALUES = walk(300)
HOLED = [None if row % 41 == 7 else value for row, value in enumerate(VALUES)]


@pytest.mark.parametrize("numbers", [VALUES, HOLED], ids=["full", "with NULL"])
def test_every_holder_of_doubles_gives_the_same_bits(numbers):
    want = expected(numbers)
    with_nan = np.array([np.nan if n is None else n for n in numbers])
    mask = np.array([n is None for n in numbers])
    holders = {
        "numpy": with_nan,
        "read-only": np.frombuffer(with_nan.tobytes()),
        "memoryview": memoryview(with_nan),
        "array": array.array("d", with_nan),
        "ctypes": (ctypes.c_double * len(with_nan))(*with_nan),
        "masked": np.ma.MaskedArray(np.where(mask, 1e6, with_nan), mask),
        "unmasked": np.ma.MaskedArray(with_nan),
        "big-endian": with_nan.astype(">f8"),
        "little-endian": with_nan.astype("<f8"),
        "polars": pl.Series(numbers),
        "pandas": pd.Series(with_nan),
        "pandas Float64": pd.Series(numbers, dtype="Float64"),
        "pandas arrow": pd.Series(numbers, dtype="float64[pyarrow]"),
        "pandas index": pd.Index(with_nan),
        "pyarrow": pa.array(numbers, pa.float64()),
        "chunked": pa.chunked_array(chunks(numbers, 1)),
        "array only": arrow_only(pa.array(numbers, pa.float64()), "__arrow_c_array__"),
        "stream only": arrow_only(pa.chunked_array(chunks(numbers, 2)), "__arrow_c_stream__"),
        "dictionary": pa.array(numbers, pa.float64()).dictionary_encode(),
        "decimal": pa.array([None if n is None else decimal.Decimal(repr(n)) for n in numbers], pa.decimal128(38, 20)),
        "frame": pl.DataFrame({"close": numbers})["close"],
    }
    for name, holder in holders.items():
        assert of(holder) == want, name


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_every_type_of_number_is_exact(kind):
    numbers = np.random.default_rng(3).integers(0, 100, 200).astype(kind)
    want = expected(numbers.tolist())
    for holder in [
        numbers,
        numbers.astype(numbers.dtype.newbyteorder(">")),
        np.repeat(numbers, 3)[::3],
        np.ma.MaskedArray(numbers),
        pa.array(numbers),
        pd.Series(numbers),
        *([] if kind == "f2" else [pl.Series(numbers)]),
    ]:
        assert of(holder) == want, type(holder)
    if kind[0] in "iu":
        holed = pd.Series(numbers, dtype=("UInt" if kind[0] == "u" else "Int") + str(8 * int(kind[1]))).copy()
        holed[5] = pd.NA
        assert of(holed) == expected([None if row == 5 else float(n) for row, n in enumerate(numbers)])


def test_whole_numbers_become_the_nearest_doubles():
    large = [2**53 + step for step in (0, 1, 3, 5, 9, 14, 1)]
    want = expected([float(n) for n in large])
    for holder in [np.array(large), pa.array(large), pl.Series(large), np.array(large, "u8"), np.array(large, ">i8")]:
        assert of(holder) == want
    # Neighbours: they are not all the same number.
    assert want != expected([float(2**53)] * len(large))


def test_strides_of_either_sign_and_of_zero():
    values = np.array(VALUES)
    both = np.stack([values, -values], axis=1)
    assert of(both[:, 0]) == of(values) and of(both[:, 1]) == of(-values)
    assert of(values[::-1]) == of(values[::-1].copy())
    assert of(values[10:200:7]) == of(values[10:200:7].copy())
    assert of(np.broadcast_to(np.float64(2.5), 50)) == of(np.full(50, 2.5))
    unaligned = np.frombuffer(b"x" + values.tobytes(), np.uint8)[1:].view("f8")
    assert not unaligned.flags.aligned and of(unaligned) == of(values)
    fields = np.zeros(len(values), [("flag", "i1"), ("close", "f8")])
    fields["close"] = values
    assert of(fields["close"]) == of(values)


@pytest.mark.parametrize("seed", range(40))
def test_cut_sliced_and_chunked_columns_with_nulls(seed):
    rng = random.Random(seed)
    numbers = [None if rng.random() < rng.choice([0.0, 0.02]) else v for v in walk(rng.randrange(1, 400), seed)]
    if all(n is None for n in numbers):
        numbers[0] = 1.0
    first = rng.randrange(len(numbers))
    rows = rng.randrange(1, len(numbers) - first + 1)
    want = expected(numbers[first : first + rows])
    whole = pa.array(numbers, pa.float64())
    series = pl.concat([pl.Series(part.to_pylist(), dtype=pl.Float64) for part in chunks(numbers, seed)], rechunk=False)
    for holder in [
        whole.slice(first, rows),
        pa.array([None, *numbers], pa.float64()).slice(first + 1, rows),
        pa.chunked_array(chunks(numbers, seed)).slice(first, rows),
        series.slice(first, rows),
        pl.Series(numbers, dtype=pl.Float64)[first : first + rows],
        whole.dictionary_encode().slice(first, rows),
        pd.Series(numbers, dtype="float64").iloc[first : first + rows],
    ]:
        if not all(n is None for n in numbers[first : first + rows]):
            assert of(holder) == want
    # Rows cut off at the end change nothing before.
    table = rollfit.rolling(whole, WINDOWS)
    shorter = rollfit.rolling(whole.slice(0, first + rows), WINDOWS)
    for name in table.column_names:
        assert np.asarray(table[name])[: first + rows].tobytes() == np.asarray(shorter[name]).tobytes()


BAD = [
    (lambda: "1.5, 2.5", TypeError, "array or a column of numbers, not str"),
    (lambda: b"12345678", TypeError, "not bytes"),
    (lambda: bytearray(8), TypeError, "not bytearray"),
    (lambda: None, TypeError, "not NoneType"),
    (lambda: 1.5, TypeError, "not float"),
    (lambda: np.float64(1.5), (TypeError, ValueError), "single number"),
    (lambda: {"close": [1.0]}, TypeError, "not dict"),
    (lambda: iter([1.0]), TypeError, "not list_iterator"),
    (lambda: [1.0, 2.0, 4.0], TypeError, "numpy.asarray"),
    (lambda: (1.0, 2.0, 4.0), TypeError, "numpy.asarray"),
    (lambda: np.ones((10, 2)), ValueError, "2 dimensions: pass one column"),
    (lambda: np.ones((10, 1)), ValueError, "2 dimensions"),
    (lambda: np.array(["a", "b"]), TypeError, "strings"),
    (lambda: np.array(["1.5", "2"], object), TypeError, "Python objects"),
    (lambda: np.array([True, False]), TypeError, "booleans"),
    (lambda: np.array([1j, 2]), TypeError, "complex"),
    (lambda: np.array(["2017-01-01"], "M8[s]"), TypeError, "numbers"),
    (lambda: np.array([b"ab", b"c"]), TypeError, "numbers"),
    (lambda: np.zeros(4, [("a", "f8"), ("b", "f8")]), TypeError, "numbers"),
    (lambda: pl.DataFrame({"close": [1.0]}), ValueError, 'df\\["close"\\]'),
    (lambda: pl.LazyFrame({"close": [1.0]}), ValueError, "pass one column"),
    (lambda: pl.col("close"), TypeError, "expression"),
    (lambda: pd.DataFrame({"close": [1.0]}), ValueError, "pass one column"),
    (lambda: pa.table({"close": [1.0]}), ValueError, "pass one column"),
    (lambda: pa.record_batch({"close": [1.0]}), ValueError, "pass one column"),
    (lambda: pl.Series([{"a": 1.0, "b": 2.0}]), ValueError, "2 columns"),
    (lambda: pl.Series([[1.0, 2.0]]), ValueError, "lists"),
    (lambda: pl.Series(["1.5", "2.5"]), TypeError, "strings"),
    (lambda: pd.Series(["1.5", "2.5"]), TypeError, "strings|objects"),
    (lambda: pd.Series([1.5, None], dtype=object), TypeError, "objects"),
    (lambda: pa.array(["a"]).dictionary_encode(), TypeError, "strings"),
    (lambda: pa.array([b"a"]), TypeError, "bytes"),
    (lambda: pl.Series([True, False]), TypeError, "booleans"),
    (lambda: pd.Series([True, False]), TypeError, "booleans"),
    (lambda: pl.Series([datetime.date(2017, 1, 1)]), TypeError, "dates"),
    (lambda: pl.Series([datetime.datetime(2017, 1, 1)]), TypeError, "times"),
    (lambda: pd.Series(pd.to_datetime(["2017-01-01"])), TypeError, "numbers"),
    (lambda: pl.Series([datetime.timedelta(1)]), TypeError, "durations"),
    (lambda: np.array([]), ValueError, "empty"),
    (lambda: pl.Series([], dtype=pl.Float64), ValueError, "empty"),
    (lambda: pa.chunked_array([], pa.float64()), ValueError, "empty"),
    (lambda: pl.Series([None, None, None]), ValueError, "no value"),
    (lambda: pl.Series([None, None, None], dtype=pl.Float64), ValueError, "no value"),
    (lambda: np.full(5, np.nan), ValueError, "no value"),
]


@pytest.mark.parametrize("make, error, words", BAD, ids=[str(at) for at in range(len(BAD))])
def test_what_is_no_column_of_numbers_gets_one_clear_error(make, error, words):
    with pytest.raises(error, match=words) as caught:
        rollfit.rolling(make(), [3])
    assert "\n" not in str(caught.value)


def test_objects_whose_methods_fail_keep_their_own_error():
    class Broken:
        def __arrow_c_array__(self, requested_schema=None):
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        rollfit.rolling(Broken(), [3])


def test_anything_with_array_is_a_column():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array(VALUES)

    assert of(Tensor()) == expected(VALUES)


def test_values_beyond_1e100_and_infinities_are_no_values():
    values = np.array(VALUES)
    for bad in [np.inf, -np.inf, 1.0000001e100, np.nan]:
        broken = values.copy()
        broken[50] = bad
        table = rollfit.rolling(broken, {"w": 7})
        assert [row for row, v in enumerate(np.asarray(table["b_w"])) if np.isnan(v)] == [*range(6), *range(50, 57)]
    values[50] = 1e100
    assert rollfit.rolling(values, {"w": 7})["b_w"].null_count == 6


class Lender:
    """Returns the same capsules at each call, as an object that isn't to be used twice does."""

    def __init__(self, capsules):
        self.capsules = capsules

    def __arrow_c_array__(self, requested_schema=None):
        return self.capsules


def test_an_array_that_is_used_up_is_an_error():
    lender = Lender(pa.array(VALUES).__arrow_c_array__())
    assert of(lender) == of(pa.array(VALUES))
    for used in [lender, Lender(pa.array(VALUES).__arrow_c_array__())]:
        if used is not lender:
            pa.Array._import_from_c_capsule(*used.capsules)
        with pytest.raises(ValueError, match="used up already"):
            of(used)


@pytest.mark.parametrize("capsules", [None, 5, (), (1, 2), (None, None)])
def test_what_is_no_pair_of_capsules_is_a_type_error(capsules):
    with pytest.raises(TypeError, match="must return two capsules"):
        of(Lender(capsules))


def test_extension_types_are_no_numbers():
    periods = pd.Series(pd.period_range("2017-01-01", periods=9))
    for values in [periods, pa.array([1, 0, 1], pa.bool8()), pd.Series(pd.interval_range(0, 5))]:
        with pytest.raises(TypeError, match="holds the extension type .*cast it"):
            of(values)
    # Neighbours: what is stored as numbers for its owner's sake only.
    assert of(pd.Series(VALUES).astype("category")) == expected(VALUES)
    assert of(pd.Series(VALUES, dtype="Sparse[float64]")) == expected(VALUES)


def test_types_that_arrow_has_not_are_named():
    with pytest.raises(TypeError, match="a type that Arrow has not, .*i128.*cast it to Float64"):
        of(pl.Series(range(9), dtype=pl.Int128))
    assert of(pl.Series(range(9), dtype=pl.Int128).cast(pl.Float64)) == expected(range(9))


def test_a_stream_that_fails_says_so_in_one_line():
    def batches():
        yield pa.record_batch({"close": VALUES})
        raise OSError("the disk is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("close", pa.float64())]), batches())
    with pytest.raises(ValueError, match="the disk is gone") as caught:
        of(reader)
    assert "\n" not in str(caught.value)


def test_a_column_without_memory_for_its_copy_is_a_memory_error():
    for rows in [10**12, 2**62 // 8]:
        with pytest.raises(MemoryError, match=f"copy of {rows} values"):
            of(np.broadcast_to(1.0, rows))
    assert of(np.broadcast_to(1.0, 100)) == of(np.ones(100))
