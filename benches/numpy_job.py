"""The per-row job that rollfit replaces, written as such jobs are: a numpy.polyfit for every row, window and series,
the 15 metrics of each fit by their definitions, and one INSERT a row.

    numpy_job.py --read STORE --write URL  KEY YYYY-MM    into reg_rate_* and reg_bqx_*, made with NUMERIC where missing
    numpy_job.py --read STORE --dump FILE  KEY YYYY-MM    for docs/formulas.md, "Agreement with other implementations"

STORE is a directory of rollfit's Parquet source tables, or the postgres:// URL of a database with m1_{key} and
bqx_{key}. A window never reaches into the month before. Rows without a full window and values that are not finite
become NULL. psycopg sends doubles, which the server casts to NUMERIC with 15 digits. 30,000 rows take half a minute.
Needs numpy, pyarrow for Parquet and psycopg 3 for PostgreSQL.
"""

import argparse
import datetime
import pathlib
import warnings

import numpy as np

WINDOWS = {"w15": 15, "w30": 30, "w45": 45, "w60": 60, "w75": 75, "agg": 90}
SERIES = {"idx": "reg_rate_{key}_{yyyy}_{mm}", "bqx": "reg_bqx_{key}_{yyyy}_{mm}"}
METRICS = [
    "a2", "a1", "b", "r2", "rmse", "residual_mean", "residual_std", "prediction", "pred_interval_lower",
    "pred_interval_upper", "vertex_x", "vertex_y", "curvature", "fit_quality", "extrapolation_error",
]


def scaled_rows(w):
    rows = np.arange(w)
    return (rows - rows.mean()) / (rows.std() + 1e-10)


def metrics(y, x):
    a2, a1, b = np.polyfit(x, y, 2)
    fitted = a2 * x**2 + a1 * x + b
    residuals = y - fitted
    ss_res = np.sum(residuals**2)
    ss_tot = np.sum((y - y.mean()) ** 2)
    r2 = 1 - ss_res / (ss_tot + 1e-10)
    rmse = np.sqrt(ss_res / len(y))
    residual_std = residuals.std()
    prediction = fitted[-1]
    vertex_x = -a1 / (2 * a2 + 1e-10)
    vertex_y = a2 * vertex_x**2 + a1 * vertex_x + b
    return [
        a2, a1, b, r2, rmse, residuals.mean(), residual_std, prediction, prediction - 1.96 * residual_std,
        prediction + 1.96 * residual_std, vertex_x, vertex_y, abs(a2), np.clip(r2, 0, 1),
        abs(residual_std / (abs(prediction) + 1e-10)),
    ]


def features(values):
    """The 90 feature columns of a series as an array of rows; NaN where there is no value."""
    columns = []
    for w in WINDOWS.values():
        x = scaled_rows(w)
        out = np.full((len(values), len(METRICS)), np.nan)
        for row in range(w - 1, len(values)):
            y = values[row - w + 1 : row + 1]
            if np.isfinite(y).all():
                out[row] = metrics(y, x)
        columns.append(out)
    table = np.hstack(columns)
    table[~np.isfinite(table)] = np.nan
    return table


def read_parquet(directory, key, month):
    import pyarrow.parquet as pq

    def table(name, instant, column):
        read = pq.ParquetFile(directory / f"{name}_{key}" / f"{month}.parquet").read([instant, column])
        return read[instant].to_numpy().astype("datetime64[us]"), read[column].to_numpy()

    instants, rate_index = table("m1", "time", "rate_index")
    bqx_instants, bqx = table("bqx", "ts_utc", "w15_bqx_return")
    both, in_rate, in_bqx = np.intersect1d(instants, bqx_instants, assume_unique=True, return_indices=True)
    return both.tolist(), {"idx": rate_index[in_rate], "bqx": bqx[in_bqx]}


def read_postgres(url, key, month):
    import psycopg
    from psycopg import sql

    query = sql.SQL(
        "SELECT m.time, m.rate_index::float8, b.w15_bqx_return::float8 FROM {} m JOIN {} b"
        " ON b.ts_utc = m.time AT TIME ZONE 'UTC' WHERE m.time >= %s AND m.time < %s ORDER BY m.time"
    ).format(sql.Identifier(f"m1_{key}"), sql.Identifier(f"bqx_{key}"))
    first = datetime.datetime.strptime(month, "%Y-%m")
    following = (first + datetime.timedelta(days=31)).replace(day=1)
    with psycopg.connect(url) as connection:
        rows = connection.execute(query, (first, following)).fetchall()
    instants, rate_index, bqx = zip(*rows) if rows else ([], [], [])
    return list(instants), {"idx": np.array(rate_index, dtype=float), "bqx": np.array(bqx, dtype=float)}


def read(store, key, month):
    if "://" in store:
        return read_postgres(store, key, month)
    return read_parquet(pathlib.Path(store), key, month)


def write(url, key, month, instants, tables):
    import psycopg

    yyyy, mm = month.split("-")
    with psycopg.connect(url) as connection:
        for series, table in tables.items():
            insert(connection, SERIES[series].format(key=key, yyyy=yyyy, mm=mm), series, instants, table)


def insert(connection, name, series, instants, table):
    from psycopg import sql

    columns = [sql.Identifier(f"{metric}_{series}_{label}") for label in WINDOWS for metric in METRICS]
    connection.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} (ts_utc TIMESTAMP NOT NULL PRIMARY KEY, {})").format(
            sql.Identifier(name), sql.SQL(", ").join(sql.SQL("{} NUMERIC").format(column) for column in columns)
        )
    )
    statement = sql.SQL("INSERT INTO {} (ts_utc, {}) VALUES ({})").format(
        sql.Identifier(name), sql.SQL(", ").join(columns), sql.SQL(", ").join([sql.Placeholder()] * (len(columns) + 1))
    )
    rows = (
        [instant] + [None if np.isnan(value) else value for value in values]
        for instant, values in zip(instants, table.tolist())
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def dump(file, values, tables):
    """Doubles: the number of rows, the values of each series, the feature columns of each, one after the other."""
    count = np.array([len(values["idx"])])
    parts = [count, *values.values(), *(table.T.ravel() for table in tables.values())]
    np.concatenate(parts).astype("<f8").tofile(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--read", required=True, metavar="STORE")
    parser.add_argument("--write", metavar="URL")
    parser.add_argument("--dump", metavar="FILE")
    parser.add_argument("key")
    parser.add_argument("month", metavar="YYYY-MM")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    instants, values = read(options.read, options.key, options.month)
    tables = {series: features(values[series]) for series in SERIES}
    if options.write:
        write(options.write, options.key, options.month, instants, tables)
    if options.dump:
        dump(options.dump, values, tables)
    print(f"{options.key} {options.month}: {len(instants)} rows")


if __name__ == "__main__":
    main()
