"""One scan of stored features, in a process of its own: scan.py duckdb|polars some|all FEATURES.

Averages six columns or all of them over every file and prints, as JSON, the seconds it took without the start of Python, and the bytes
that were read from the disk.
"""

import json
import sys
import time
from pathlib import Path

SOME = ["r2_idx_w15", "a1_idx_w30", "rmse_idx_w45", "b_bqx_w60", "prediction_bqx_w75", "vertex_x_bqx_agg"]
NOT_FEATURES = ["ts_utc", "key", "month"]

engine, columns, features = sys.argv[1:]
files = f"{features}/*/*/part.parquet"


def with_duckdb():
    import duckdb

    connection = duckdb.connect()
    averages = ", ".join(f"avg({name})" for name in SOME) if columns == "some" else f"avg(columns(* exclude ({', '.join(NOT_FEATURES)})))"
    query = f"select {averages} from read_parquet('{files}', hive_partitioning = true)"
    return lambda: connection.execute(query).fetchall()[0]


def with_polars():
    import polars

    chosen = polars.col(SOME) if columns == "some" else polars.all().exclude(NOT_FEATURES)
    return lambda: polars.scan_parquet(files, hive_partitioning=True).select(chosen.mean()).collect().row(0)


def bytes_read():
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1])


scan = {"duckdb": with_duckdb, "polars": with_polars}[engine]()
read, start = bytes_read(), time.perf_counter()
averages = scan()
seconds = time.perf_counter() - start
expected = len(SOME) if columns == "some" else 180
assert len(averages) == expected and None not in averages, averages
print(json.dumps({"seconds": seconds, "bytes_read": bytes_read() - read, "sum": sum(averages)}))
