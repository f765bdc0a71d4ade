"""36 partitions of 1,488 rows from tables to tables of a server that is 50 ms away: far.py URL ROLLFIT [BASE]. First load and replacement,
with 1 and 10 workers, medians of 3 by turns; the times of an earlier command beside those of this one."""

import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import measure
from network import Link
from reference_series import SERIES

CONFIG = """
[store]
url = "{url}"
[partitions]
keys = [{keys}]
from = "2017-01"
to = "2017-12"
"""
ROUND_TRIP_S = 0.05
KEYS = ["eurusd", "gbpusd", "usdjpy"]
ROUNDS = 3


def sql(url, statements):
    subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", url], input=statements, text=True, check=True, capture_output=True)


def tables(url):
    """What the features are made of, and no features."""
    sql(url, "drop schema public cascade; create schema public")
    for key in KEYS:
        instants = "generate_series(timestamp '2017-01-01', timestamp '2017-12-31 23:30', interval '30 minutes') t"
        sql(url, f"""create table m1_{key} (time timestamp primary key, rate_index float8);
                     create table bqx_{key} (ts_utc timestamptz primary key, w15_bqx_return float8);
                     insert into m1_{key} select t, 100 + hashtext('{key}' || t) % 10000 / 8192.0::float8 from {instants};
                     insert into bqx_{key} select t at time zone 'UTC', hashtext('bqx{key}' || t) % 10000 / 65536.0::float8
                     from {instants}""")


def run_s(command, config, workers, *more):
    arguments = [command, "run", "--quiet", "--json", "--config", config, "--workers", str(workers), *more]
    measured = measure(arguments, ROLLFIT_STATE_DIR=str(Path(config).parent / "state"))
    if measured.json()["written"] != 12 * len(KEYS):
        raise SystemExit(measured.output)
    return measured.wall_s


def main():
    url, *commands = sys.argv[1:]
    host, port = (re.search(rf"{name}=([^&]*)", url).group(1) for name in ("host", "port"))
    far = Link(f"{host}/.s.PGSQL.{port}", ROUND_TRIP_S)
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "rollfit.toml"
        config.write_text(CONFIG.format(url=far.url, keys=", ".join(f'"{key}"' for key in KEYS)) + SERIES)
        for workers in (1, 10):
            took = {}
            for _ in range(ROUNDS):
                for command in commands:
                    tables(url)
                    took.setdefault(("first load", command), []).append(run_s(command, config, workers))
                    took.setdefault(("replacement", command), []).append(run_s(command, config, workers, "--force"))
            for work in ("first load", "replacement"):
                new, *old = (statistics.median(took[work, command]) for command in commands)
                before = "".join(f", before {seconds:.2f} s: {seconds / new:.2f}x" for seconds in old)
                print(f"{work}, {workers} workers: {new:.2f} s{before}")


main()
