"""`rollfit.Stream`: pushed one by one, in batches, into arrays, seeded and reset, the bits are those of `rollfit.rolling`."""

import array
import decimal
import math
import random
import threading

import numpy as np
import pytest

import rollfit

WINDOWS = {"w3": 3, "w7": 7, "long": 40}


def walk(rows, seed=1, holes=0.02):
    rng = random.Random(seed)
    value, values = 100.0, []
    for _ in range(rows):
        value += rng.uniform(-1, 1)
        values.append(math.nan if rng.random() < holes else value)
    return np.array(values)


def rows_of(table):
    return np.stack([np.asarray(table[name]) for name in table.column_names], axis=1)


def row_bits(row):
    return np.array([math.nan if value is None else value for value in row.values()]).tobytes()


@pytest.mark.parametrize("seed", range(8))
def test_values_in_any_batches_give_the_bits_of_rolling(seed):
    values = walk(500, seed)
    whole = rollfit.rolling(values, WINDOWS, name="idx")
    want = rows_of(whole)
    rng, stream, at, causes = random.Random(seed), rollfit.Stream(WINDOWS, name="idx"), 0, []
    assert stream.columns == whole.column_names
    while at < len(values):
        length = rng.choice([1, 1, 2, 39, 40, 41, 90])
        part = values[at : at + length]
        kind = rng.randrange(4)
        if kind == 0:
            got = np.stack([np.frombuffer(row_bits(stream.push(value))) for value in part])
        elif kind == 1:
            table = stream.push_many(part)
            got = rows_of(table)
            causes.append(table.null_counts["warmup"])
            assert table.null_counts["warmup"] == 15 * sum(
                max(0, min(w - 1, at + len(part)) - min(w - 1, at)) for w in WINDOWS.values()
            )
        elif kind == 2:
            got = np.zeros((len(part), 45), order=rng.choice("CF"))
            stream.push_into(part, got)
        else:
            history = values[:at]
            stream = rollfit.Stream.seeded(history, WINDOWS, name="idx")
            got = rows_of(stream.push_many(part))
        assert np.ascontiguousarray(got).tobytes() == want[at : at + len(part)].tobytes()
        at += len(part)


def test_a_row_is_a_dict_of_floats_and_none():
    stream = rollfit.Stream([3], metrics=["b", "r2"])
    assert stream.push(1.0) == stream.push(2) == {"b_w3": None, "r2_w3": None}
    row = stream.push(np.float32(3.0))
    assert list(row) == ["b_w3", "r2_w3"] and type(row["b_w3"]) is float and abs(row["b_w3"] - 2.0) < 1e-12
    assert stream.push(decimal.Decimal(4))["b_w3"] is not None
    for missing in [None, math.nan, math.inf, np.nan]:
        assert stream.push(missing) == {"b_w3": None, "r2_w3": None}


def test_reset_forgets_every_value():
    values, stream = walk(60, holes=0), rollfit.Stream(WINDOWS)
    stream.push_many(values)
    stream.reset()
    table = stream.push_many(values)
    assert rows_of(table).tobytes() == rows_of(rollfit.rolling(values, WINDOWS)).tobytes()
    assert table.null_counts == rollfit.rolling(values, WINDOWS).null_counts
    stream.reset()
    assert set(stream.push(1.0).values()) == {None}


def test_batches_may_be_empty_or_without_a_value():
    stream = rollfit.Stream([3], ["b"])
    assert len(stream.push_many(np.array([]))) == 0
    assert stream.push_many(np.full(5, np.nan))["b_w3"].null_counts == {"warmup": 2, "input": 3, "undefined": 0}
    assert rollfit.Stream.seeded(np.array([]), [3], ["b"]).push(1.0) == {"b_w3": None}
    stream.push_into(np.array([]), np.zeros((0, 1)))


def test_push_into_writes_any_writable_array_of_its_shape():
    values, want = walk(50), rows_of(rollfit.rolling(walk(50), [3], ["b", "r2"]))

    def push_into(out):
        rollfit.Stream([3], ["b", "r2"]).push_into(values, out)

    larger = np.zeros((100, 6))
    push_into(larger[::2, 1:5:3])
    assert larger[::2, 1:5:3].tobytes() == want.tobytes() and not larger[1::2].any() and not larger[:, 2].any()
    push_into(larger[49::-1, :2])
    assert larger[49::-1, :2].tobytes() == want.tobytes()
    raw = bytearray(50 * 2 * 8)
    push_into(memoryview(raw).cast("d", (50, 2)))
    assert bytes(raw) == want.tobytes()
    readonly = np.zeros((50, 2))
    readonly.flags.writeable = False
    for out, error, words in [
        (np.zeros((50, 3)), ValueError, "50 rows and 2 columns"),
        (np.zeros((2, 50)), ValueError, "its shape is"),
        (np.zeros(100), ValueError, "its shape is"),
        (np.zeros((50, 2), "f4"), TypeError, 'type "f"'),
        (np.zeros((50, 2), ">f8"), TypeError, 'type ">d"'),
        (np.zeros((50, 2), "i8"), TypeError, 'type "l"'),
        (readonly, ValueError, "read-only"),
        ([[0.0] * 2] * 50, TypeError, "not list"),
        (None, TypeError, "not NoneType"),
    ]:
        stream = rollfit.Stream([3], ["b", "r2"])
        with pytest.raises(error, match=words):
            stream.push_into(values, out)
        # What was refused has not been pushed.
        assert rows_of(stream.push_many(values)).tobytes() == want.tobytes()


def test_push_into_a_table():
    values, stream = walk(100), rollfit.Stream(WINDOWS)
    table = stream.push_many(values[:50])
    assert stream.push_into(values[50:], table) is None
    assert rows_of(table).tobytes() == rows_of(rollfit.rolling(values, WINDOWS))[50:].tobytes()
    held = np.asarray(table["b_w3"])
    with pytest.raises(ValueError, match="still used"):
        stream.push_into(values[:50], table)
    del held
    with pytest.raises(ValueError, match="out has 50 rows"):
        stream.push_into(values[:49], table)


@pytest.mark.parametrize("value", ["1.5", b"1", [1.0], (1.0,), {}, True, np.array([1.0]), np.array(["a"]), 1j, object()])
def test_what_is_no_number_is_refused_and_changes_nothing(value):
    stream = rollfit.Stream([3], ["b"])
    stream.push_many(array.array("d", [1.0, 2.0]))
    with pytest.raises(TypeError, match="a value must be a number or None"):
        stream.push(value)
    assert abs(stream.push(3.0)["b_w3"] - 2.0) < 1e-12


def test_arguments_are_those_of_rolling():
    for arguments, error, words in [
        (dict(windows=[2]), ValueError, "window of 2 rows"),
        (dict(windows=[15], metrics=["predicton"]), ValueError, "prediction"),
        (dict(windows="w15"), TypeError, "windows must be a list"),
    ]:
        with pytest.raises(error, match=words):
            rollfit.Stream(**arguments)
        with pytest.raises(error, match=words):
            rollfit.Stream.seeded(walk(10), **arguments)
    with pytest.raises(TypeError, match="numpy.asarray"):
        rollfit.Stream([3]).push_many([1.0, 2.0])


def test_threads_take_turns():
    stream, values = rollfit.Stream([3, 90], ["b"]), np.full(2000, 2.5)

    def work():
        for _ in range(20):
            stream.push_many(values)
            stream.push(2.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert stream.push(2.5) == rollfit.Stream.seeded(values, [3, 90], ["b"]).push(2.5)


@pytest.mark.parametrize("value", [np.bool_(True), np.complex128(1 + 2j), np.datetime64("2017-01-01"), np.array([1.0])])
def test_push_refuses_what_only_looks_like_a_number(value):
    with pytest.raises(TypeError, match="must be a number or None, not"):
        rollfit.Stream([3]).push(value)


def test_push_takes_every_real_number():
    for value in [np.float16(2), np.float32(2), np.int8(2), np.uint64(2), np.array(2.0), decimal.Decimal(2)]:
        stream = rollfit.Stream.seeded(np.array([1.0, 3.0]), [3], ["b"])
        stream.push(value)
        assert stream.push(5.0) == {"b_w3": 2.0}
    stream = rollfit.Stream([3], ["b"])
    with pytest.raises(ValueError, match="beyond the largest double"):
        stream.push(10**400)


def test_a_push_that_is_refused_changes_nothing():
    stream = rollfit.Stream.seeded(np.array([1.0, 3.0]), [3], ["b"])
    for values, out in [(np.arange(4.0), np.empty((2, 1))), (np.arange(4.0), np.empty((4, 1), "f4")), ("text", np.empty((4, 1)))]:
        with pytest.raises((TypeError, ValueError)):
            stream.push_into(values, out)
    with pytest.raises(TypeError):
        stream.push("2")
    stream.push(2.0)
    assert stream.push(5.0) == {"b_w3": 2.0}
