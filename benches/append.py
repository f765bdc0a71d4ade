"""One bar added to a month of 30,000 rows x 2 x 91 NUMERIC in PostgreSQL: append.py ROLLFIT URL [BARS]. The wall clock of the
command and of the partition, what is logged and how the tables grow; beside it the plain INSERT of the same two rows."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import measure
from reference_series import SERIES

ROWS = 30_000
TABLES = ["reg_rate_eurusd_2017_01", "reg_bqx_eurusd_2017_01"]
CONFIG = """
[store]
url = "{url}"
numbers = "numeric"
[partitions]
keys = ["eurusd"]
from = "2017-01"
to = "2017-01"
"""

rollfit, url = sys.argv[1:3]
bars = int(sys.argv[3]) if len(sys.argv) > 3 else 40


def sql(statements):
    """The lines that psql prints."""
    command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", url]
    return subprocess.run(command, input=statements, text=True, check=True, capture_output=True).stdout.splitlines()


def add_bars(first, last):
    instant = "timestamp '2017-01-01' + n * interval '1 minute'"
    numbers = f"generate_series({first}, {last}) n"
    sql(f"""insert into m1_eurusd select {instant}, 100 + hashtext('rate' || n) % 10000 / 8192.0::float8 from {numbers};
            insert into bqx_eurusd select ({instant}) at time zone 'UTC', hashtext('bqx' || n) % 10000 / 65536.0::float8
            from {numbers}""")


def logged():
    return int(sql("select (pg_current_wal_insert_lsn() - '0/0')::int8")[0])


def size(what):
    return sum(int(line) for table in TABLES for line in sql(f"select {what.format(table=table)}"))


def median_of(values, unit):
    return f"median {statistics.median(values):,.0f} {unit}, worst {max(values):,.0f} {unit}"


def run_once(config):
    only = ["--only", "eurusd:2017-01", "--config", config, "--json"]
    return measure([rollfit, "run", *only], ROLLFIT_STATE_DIR=str(config.parent / "state"))


def partition_ms(config):
    """What the partition of the last run took."""
    newest = max((config.parent / "state").glob("runs/*.jsonl"))
    ended = next(event for event in map(json.loads, newest.open()) if event["event"] == "partition")
    return ended["at_ms"] - ended["begun_ms"]


def plain_inserts():
    """Milliseconds of a transaction that inserts the same two rows, in one session, from the first to the last statement."""
    sql("".join(f"drop table if exists plain_{table}; create table plain_{table} (like {table} including all);"
                f"insert into plain_{table} select * from {table} where ts_utc < (select max(ts_utc) from {table});"
                for table in TABLES))
    values = {table: sql(f"select quote_literal(t::text) from {table} t order by ts_utc desc limit 1")[0] for table in TABLES}
    insert = "".join(f"insert into plain_{table} select (({values[table]})::{table}).*;\n" for table in TABLES)
    remove = "".join(f"delete from plain_{table} where ts_utc = (select max(ts_utc) from {table});\n" for table in TABLES)
    script = (f"\\timing on\nbegin;\n{insert}commit;\n\\timing off\n{remove}" * bars)
    times = [float(line.split()[1]) for line in sql(script) if line.startswith("Time:")]
    each = len(times) // bars
    return [sum(times[at:at + each]) for at in range(0, len(times), each)]


with tempfile.TemporaryDirectory() as directory:
    config = Path(directory) / "rollfit.toml"
    config.write_text(CONFIG.format(url=url) + SERIES)
    sql("""drop schema public cascade; create schema public;
           create table m1_eurusd (time timestamp primary key, rate_index float8);
           create table bqx_eurusd (ts_utc timestamptz primary key, w15_bqx_return float8)""")
    add_bars(1, ROWS)
    print(f"the month, written as a whole: {run_once(config).wall_s:.2f} s")
    walls, partitions, processor, wal, idle = [], [], [], [], []
    pages, rows = size("pg_relation_size('{table}')"), ROWS
    for _ in range(bars):
        rows += 1
        add_bars(rows, rows)
        before = logged()
        measured = run_once(config)
        if measured.json()["written"] != 1:
            raise SystemExit(measured.output)
        walls.append(measured.wall_s * 1000)
        partitions.append(partition_ms(config))
        processor.append(measured.processor_s * 1000)
        wal.append((logged() - before) / 1000)
        idle.append(run_once(config).wall_s * 1000)
    print(f"one bar, `rollfit run --only eurusd:2017-01`: {median_of(walls, 'ms')}")
    print(f"its partition, with reading and digesting: {median_of(partitions, 'ms')}")
    print(f"its processor time, without the server's: {median_of(processor, 'ms')}")
    print(f"the same with nothing to do: {median_of(idle, 'ms')}")
    print(f"WAL of one bar: {median_of(wal, 'kB')}")
    added = "coalesce(sum(pg_column_size(t.*)), 0) from {table} t where ts_utc > timestamp '2017-01-01' + interval '30000 minutes'"
    grown, held = size("pg_relation_size('{table}')") - pages, size(added)
    print(f"the tables grew by {grown / 1000:,.0f} kB for rows of {held / 1000:,.0f} kB")
    print(f"plain INSERT of the two rows: {median_of(plain_inserts(), 'ms')}")
