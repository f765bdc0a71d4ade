"""Memory: what anything uses stays as it is, and is given back once nothing does."""

import gc
import itertools
import resource

import numpy as np
import pytest

import rollfit

ROWS = 20_000


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def values(rows=ROWS, seed=1):
    return np.cumsum(np.random.default_rng(seed).normal(size=rows)) + 100


def checksums(t):
    return [np.asarray(t[name]).tobytes() for name in t.column_names]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_inputs_and_outputs_may_go_in_any_order(order):
    import polars as pl
    import pyarrow as pa

    source = pl.Series(values())
    want = rollfit.rolling(values(), [15], ["b"]).to_numpy("b_w15").tobytes()
    t = rollfit.rolling(source, [15], ["b"])
    alive = {0: source, 1: t, 2: pa.table(t), 3: np.asarray(t["b_w15"])}
    held = pl.DataFrame(t)
    del source, t
    for at in order:
        del alive[at]
        gc.collect()
        # Whatever is freed is written over.
        others = [rollfit.rolling(values(seed=seed), [15], ["b"]) for seed in range(2, 4)]
        assert held["b_w15"].fill_null(float("nan")).to_numpy().tobytes() == want
        if 3 in alive:
            assert alive[3].tobytes() == want
        if 2 in alive:
            assert alive[2]["b_w15"].null_count == 14
        del others


def test_a_freed_block_that_is_used_again_harms_nobody():
    first = rollfit.rolling(values(), [15, 30, 45])
    want = checksums(first)
    tables = [first]
    for seed in range(2, 8):
        rollfit.rolling(values(seed=seed), [15, 30, 45])
        tables.append(rollfit.rolling(values(seed=seed), [15, 30, 45]))
    assert checksums(first) == want
    assert len({np.asarray(t["b_w15"]).ctypes.data for t in tables}) == len(tables)
    assert checksums(tables[3]) == checksums(rollfit.rolling(values(seed=4), [15, 30, 45]))


def calls():
    import polars as pl
    import pyarrow as pa

    small, arrow, series = values(300), pa.chunked_array([values(100), values(200)]), pl.Series(values(300))
    stream = rollfit.Stream([15], ["r2", "b"])
    matrix = np.zeros((300, 2))
    yield "numpy", 10_000, lambda: rollfit.rolling(small, [15], ["r2", "b"])
    yield "arrow", 10_000, lambda: pa.table(rollfit.rolling(arrow, [15], ["r2", "b"]))
    yield "polars", 3_000, lambda: pl.DataFrame(rollfit.rolling(series, [15], ["r2", "b"]))
    yield "column", 10_000, lambda: memoryview(rollfit.rolling(small, [15], ["b"])["b_w15"])[5]
    yield "array", 10_000, lambda: rollfit.rolling(small, [15], ["b"]).to_numpy("b_w15")
    yield "large", 150, lambda: rollfit.rolling(values(30_000), [15, 30, 45, 60, 75, 90])
    yield "push", 10_000, lambda: stream.push(1.5)
    yield "push_into", 3_000, lambda: stream.push_into(small, matrix)
    yield "refused", 10_000, lambda: pytest.raises(ValueError, rollfit.rolling, small, [2])
    yield "not numbers", 10_000, lambda: pytest.raises(TypeError, rollfit.rolling, np.array(["a"]), [3])
    yield "bounds", 1_000, lambda: rollfit.bounds(small)


def test_memory_stays_flat_over_many_calls():
    for name, count, call in calls():
        for _ in range(count // 5):
            call()
        gc.collect()
        before = resident_bytes()
        for _ in range(count):
            call()
        gc.collect()
        grown = resident_bytes() - before
        assert grown < 4 << 20, f"{name}: {grown} bytes more after {count} calls"


def test_no_more_than_one_block_is_kept():
    def round_trip(rows):
        rollfit.rolling(values(rows), [15, 30, 45, 60, 75, 90])

    round_trip(1_000)
    gc.collect()
    before = resident_bytes()
    for rows in [20_000, 30_000, 60_000, 100_000, 5_000, 200_000, 50_000]:
        round_trip(rows)
    gc.collect()
    assert resident_bytes() - before < (64 + 16) << 20


def test_memory_that_there_is_not_is_an_error():
    from numpy.lib.stride_tricks import as_strided

    with pytest.raises((MemoryError, ValueError)):
        endless = as_strided(np.ones(1), (1 << 45,), (0,))
        rollfit.Stream([3]).push_into(np.ones(3), endless)
