"""A small job for the tests of `rollfit.open`: two keys and two months of a few hundred rows, with rows that only one series has and rows
without a usable value; and what is stored of it, read without rollfit."""

import datetime
import random
import struct
from pathlib import Path

UTC = datetime.UTC
KEYS = ["eurusd", "gbpusd"]
MONTHS = ["2017-01", "2017-02"]
ROWS = 200
MINUTE = datetime.timedelta(minutes=1)

CONFIG = """
[store]
{store}

[partitions]
keys = ["gbpusd", "eurusd"]
from = "2017-01"
to = "latest"

[series.idx]
table = "m1_{{key}}"
time = "time"
value = "rate_index"
features = "reg_rate_{{key}}_{{yyyy}}_{{mm}}"

[series.bqx]
table = "bqx_{{key}}"
time = "ts_utc"
value = "w15_bqx_return"
features = "reg_bqx_{{key}}_{{yyyy}}_{{mm}}"

[windows]
w5 = 5
w20 = 20

[features]
metrics = ["a2", "r2", "prediction", "vertex_x", "extrapolation_error"]

[run]
boundary = "{boundary}"
"""


def config_text(boundary="reset", store='url = "parquet:./fx"'):
    return CONFIG.format(boundary=boundary, store=store)


def first_of(month):
    return datetime.datetime.fromisoformat(f"{month}-01T00:00+00:00")


def rows_of(key, month):
    """The rows of a key in a month: instants, and the values of both series, one of which may lack a row (None) or a value (NaN)."""
    dice = random.Random(f"{key} {month}")
    # February continues where January ends, so that `carry` reaches over the boundary.
    start = first_of(month) if month != "2017-01" else first_of("2017-02") - ROWS * MINUTE
    idx = 100 + dice.random()
    rows = []
    for row in range(ROWS):
        idx += dice.gauss(0, 0.01)
        values = {"idx": idx, "bqx": dice.gauss(0, 0.1)}
        if row == 60:
            values["idx"] = float("nan")
        if row == 90:
            values["bqx"] = 1e200
        if row in (30, 31):
            values["bqx"] = None
        if 120 <= row < 150:
            values["idx"] = 1000.0 * row  # A long line: the denominator of vertex_x may be 0.
        rows.append((start + row * MINUTE, values))
    return rows


def joined_rows(key, month):
    return [(instant, values) for instant, values in rows_of(key, month) if values["bqx"] is not None]


TABLES = {"idx": ("m1_", "time", "rate_index"), "bqx": ("bqx_", "ts_utc", "w15_bqx_return")}


def write_sources(store, key, month, rows, name="part"):
    """Writes the rows of a month into a Parquet store."""
    import pyarrow
    import pyarrow.parquet

    for series, (prefix, time, value) in TABLES.items():
        own = [(instant, values[series]) for instant, values in rows if values[series] is not None]
        columns = {
            time: pyarrow.array([instant for instant, _ in own], pyarrow.timestamp("us", "UTC")),
            value: pyarrow.array([None if v != v else v for _, v in own], pyarrow.float64()),
        }
        path = Path(store, "sources", f"{prefix}{key}")
        path.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(columns), path / f"{month}-{name}.parquet")


def make_job(directory, command, boundary="reset", run=True):
    """A Parquet store with all rows, and their features; returns the configuration."""
    for key in KEYS:
        for month in MONTHS:
            write_sources(directory / "fx", key, month, rows_of(key, month))
    config = directory / "rollfit.toml"
    config.write_text(config_text(boundary))
    if run:
        command("run", "--quiet", cwd=directory)
    return config


def part(directory, key, month):
    return directory / "fx" / "features" / f"key={key}" / f"month={month}" / "part.parquet"


def stored(directory, keys=KEYS, months=MONTHS):
    """What the files of features hold: instant -> column -> value, of each key."""
    import pyarrow.parquet

    found = {}
    for key in keys:
        found[key] = {}
        for month in months:
            # Without a directory's path, from which pyarrow would make columns.
            with part(directory, key, month).open("rb") as file:
                rows = pyarrow.parquet.read_table(file).to_pylist()
            found[key].update({row.pop("ts_utc"): row for row in rows})
    return found


def bits(value):
    return None if value is None else struct.pack("<d", value)


def bits_of(row):
    return {name: bits(value) for name, value in row.items()}


def rows_in(table):
    """A table of features as key -> instant -> column -> bits, after a check of its order."""
    import pyarrow

    rows = pyarrow.table(table).to_pylist()
    places = [(row["key"], row["ts_utc"]) for row in rows]
    assert places == sorted(set(places))
    found = {}
    for row in rows:
        key, instant = row.pop("key"), row.pop("ts_utc")
        found.setdefault(key, {})[instant] = bits_of(row)
    return found


def wanted(directory, keys=KEYS, months=MONTHS, columns=None, start=None, end=None):
    """What `rows_in` should give."""
    found = {}
    for key, rows in stored(directory, keys, months).items():
        for instant, row in rows.items():
            if (start is None or instant >= start) and (end is None or instant < end):
                chosen = row if columns is None else {name: row[name] for name in columns}
                found.setdefault(key, {})[instant] = bits_of(chosen)
    return found
