"""A follower beside a feed that INSERTs closes: follow.py ROLLFIT URL DIRECTORY SERVER_PID.

The database of URL holds the bars of one month of each pair, imported, and tracks the times of commits. Freshness is the time from the
commit of a bar's close to the commit of its features, as the server recorded both, so that nothing has to watch them. Called by
./bench.sh follow. ROLLFIT_BENCH_FOLLOW_FIRST is how many rows a month has at first (26000), ROLLFIT_BENCH_FOLLOW_S how long each feed
lasts (600), ROLLFIT_BENCH_FOLLOW_ROWS how many rows are added to see whether memory grows (100000).
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psycopg

MONTH, POLL = "2017-03", "100ms"
FIRST_ROWS = int(os.environ.get("ROLLFIT_BENCH_FOLLOW_FIRST", 26_000))
SECONDS = float(os.environ.get("ROLLFIT_BENCH_FOLLOW_S", 600))
ADDED_ROWS = int(os.environ.get("ROLLFIT_BENCH_FOLLOW_ROWS", 100_000))
ROUNDS = 9
TICKS = os.sysconf("SC_CLK_TCK")

rollfit, url, directory, server = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
config = directory / "follow.toml"
database = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")


def rows(query, *values):
    return database.execute(query, values or None).fetchall()


def one(query, *values):
    return rows(query, *values)[0][0]


class Feed:
    """The closes of each key that the database does not have yet."""

    def __init__(self):
        self.keys = [name[3:] for (name,) in rows("SELECT tablename FROM pg_tables WHERE tablename LIKE 'm1\\_%' ORDER BY 1")]
        self.rest = {}
        for key in self.keys:
            # The name stays, because the base that the import stored belongs to it.
            database.execute(f"ALTER TABLE m1_{key} RENAME TO imported_{key}")
            database.execute(f"CREATE TABLE m1_{key} (time timestamp PRIMARY KEY, close double precision NOT NULL)")
            span = f"FROM imported_{key} WHERE time >= '{MONTH}-01' ORDER BY time"
            database.execute(f"INSERT INTO m1_{key} SELECT time, close {span} LIMIT {FIRST_ROWS}")
            self.rest[key] = iter(rows(f"SELECT time, close {span} OFFSET {FIRST_ROWS}"))
        database.execute("VACUUM ANALYZE")

    def insert(self, key, count=1):
        """So many bars in one commit; the instant of the last."""
        bars = [next(self.rest[key]) for _ in range(count)]
        values = [value for bar in bars for value in bar]
        database.execute(f"INSERT INTO m1_{key} VALUES {', '.join(['(%s, %s)'] * count)}", values)
        return bars[-1][0]

    def run(self, every_s, spread):
        """One bar of each key every so often, all at once or evenly apart; the first instant of each key, and how many bars."""
        first, bars, start = {}, 0, time.monotonic()
        step_s = every_s / len(self.keys) if spread else 0
        turns = max(1, round(SECONDS / every_s))
        for turn in range(turns):
            for at, key in enumerate(self.keys):
                time.sleep(max(0, start + turn * every_s + at * step_s - time.monotonic()))
                first.setdefault(key, self.insert(key))
                bars += 1
        time.sleep(max(0, start + turns * every_s - time.monotonic()))
        return first, bars

    def instant(self, key):
        return one(f"SELECT max(time) FROM m1_{key}")


def leaf(series, key):
    return f"reg_{series}_{key}_{MONTH.replace('-', '_')}"


def wait_for_features(feed):
    """Until the features of every close are there."""
    deadline = time.monotonic() + 60
    for key in feed.keys:
        last = feed.instant(key)
        while one(f"SELECT max(ts_utc) FROM {leaf('bqx', key)}") != last:
            if time.monotonic() > deadline:
                sys.exit(f"the features of {key} do not come")
            time.sleep(0.1)


def freshness_ms(feed, first):
    """From the commit of each close to that of its features."""
    found = []
    for key, since in first.items():
        query = f"""
            SELECT 1000 * extract(epoch FROM greatest(pg_xact_commit_timestamp(r.xmin), pg_xact_commit_timestamp(b.xmin))
                                             - pg_xact_commit_timestamp(c.xmin))::float8
            FROM m1_{key} c LEFT JOIN {leaf('rate', key)} r ON r.ts_utc = c.time LEFT JOIN {leaf('bqx', key)} b ON b.ts_utc = c.time
            WHERE c.time >= %s"""
        found += [took for (took,) in rows(query, since)]
    assert None not in found, "a close has no features, or a commit no time"
    return sorted(found)


def processor_s(pid, with_children=False):
    """Of a process, or of a server with those that it started, ended or not."""
    def fields(of):
        try:
            return Path(f"/proc/{of}/stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:
            return None
    own = fields(pid)
    ticks = int(own[11]) + int(own[12])
    if with_children:
        ticks += int(own[13]) + int(own[14])
        children = (fields(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        ticks += sum(int(child[11]) + int(child[12]) for child in children if child)
    return ticks / TICKS


def memory_mb(pid):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


class Usage:
    """What a stretch of time took: processor time of rollfit and of the server, and WAL."""

    def __init__(self, pid=None):
        self.pid, self.start, self.before = pid, time.monotonic(), self.look(pid)

    def look(self, pid):
        own = processor_s(pid) if pid else 0.0
        return own, processor_s(server, with_children=True), int(one("SELECT pg_current_wal_insert_lsn() - '0/0'"))

    def taken(self):
        seconds = time.monotonic() - self.start
        own, servers, wal = (after - before for before, after in zip(self.before, self.look(self.pid)))
        return own / seconds, servers / seconds, wal


class Follower:
    """`rollfit run --follow`, until the end of the block."""

    def __enter__(self):
        command = [rollfit, "run", "--follow", "--poll-interval", POLL, "--quiet", "--config", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.pid = self.process.pid
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait() != 0:
            sys.exit(f"the follower ended with {self.process.returncode}")


def write_config(feed):
    keys = ", ".join(f'"{key}"' for key in feed.keys)
    series = lambda name, derive, out: f"""
[series.{name}]
table = "m1_{{key}}"
time = "time"
value = "close"
derive = "{derive}"
features = "reg_{out}_{{key}}_{{yyyy}}_{{mm}}"
"""
    windows = "w15 = 15\nw30 = 30\nw45 = 45\nw60 = 60\nw75 = 75\nagg = 90\n"
    config.write_text(f'[store]\nurl = "{url}"\nnumbers = "numeric"\n\n[partitions]\nkeys = [{keys}]\nfrom = "{MONTH}"\nto = "{MONTH}"\n'
                      + series("idx", "rate_index", "rate") + series("bqx", "backward_return(15)", "bqx") + f"\n[windows]\n{windows}")


def print_feeds(feed):
    print(f"--poll-interval {POLL}, features NUMERIC, {FIRST_ROWS:,} rows a month at first; from the commit of a close to that of its features; "
          "processor time in cores, the server's with the feed's INSERTs\n")
    alone, bars = Usage(), [feed.insert(key) for _ in range(10) for key in feed.keys]
    print(f"WAL of a close alone: {alone.taken()[2] / len(bars) / 1e3:.1f} kB")
    with Follower() as follower:
        wait_for_features(feed)
        print(f"\n{'28 keys, one bar each':<34} {'bars':>6} {'median':>8} {'p99':>8} {'max':>8} {'rollfit':>8} {'server':>8} {'WAL/bar':>9}")
        for name, every_s, spread in [("every second, all at once", 1, False), ("every second, evenly apart", 1, True),
                                      ("every minute, all at once", 60, False)]:
            usage = Usage(follower.pid)
            first, bars = feed.run(every_s, spread)
            wait_for_features(feed)
            own, servers, wal = usage.taken()
            took = freshness_ms(feed, first)
            assert len(took) == bars
            p99 = took[min(len(took) - 1, round(0.99 * len(took)))]
            print(f"{name:<34} {bars:>6,} {statistics.median(took):>5.0f} ms {p99:>5.0f} ms {took[-1]:>5.0f} ms "
                  f"{own:>8.3f} {servers:>8.3f} {wal / bars / 1e3:>6.0f} kB", flush=True)
        print_memory(feed, follower)


def print_memory(feed, follower):
    """Many rows, as fast as they are taken."""
    batch, before = 10, memory_mb(follower.pid)
    turns = -(-ADDED_ROWS // (batch * len(feed.keys)))
    halfway, start = before, time.monotonic()
    for turn in range(turns):
        for key in feed.keys:
            feed.insert(key, batch)
        if turn % 10 == 9 or turn == turns - 1:
            wait_for_features(feed)
        if turn == turns // 2:
            halfway = memory_mb(follower.pid)
    count, seconds, after = turns * batch * len(feed.keys), time.monotonic() - start, memory_mb(follower.pid)
    print(f"\n{count:,} rows added in {seconds:.0f} s: memory {before:.1f} MB before, {halfway:.1f} MB halfway, {after:.1f} MB after")


def timed_run(keys):
    start = time.perf_counter()
    only = [word for key in keys for word in ("--only", key)]
    subprocess.run([rollfit, "run", "--quiet", "--config", str(config), *only], check=True, stdout=subprocess.DEVNULL)
    return 1e3 * (time.perf_counter() - start)


def print_runs(feed):
    """A bar of one key by `rollfit run`, and one of each key."""
    key, one_key, all_keys = feed.keys[0], [], []
    there = one(f"SELECT count(*) FROM {leaf('rate', key)}")
    for _ in range(ROUNDS):
        feed.insert(key)
        one_key.append(timed_run([key]))
        for other in feed.keys:
            feed.insert(other)
        all_keys.append(timed_run([]))
    alone, together = statistics.median(one_key), statistics.median(all_keys)
    print(f"\n`rollfit run` with one new bar of a month of {there:,} rows: {alone:.0f} ms; with one of each of {len(feed.keys)} keys: "
          f"{together:.0f} ms, {together / alone:.1f}x (medians of {ROUNDS})")


def main():
    feed = Feed()
    write_config(feed)
    timed_run([])
    print_feeds(feed)
    print_runs(feed)


if __name__ == "__main__":
    main()
