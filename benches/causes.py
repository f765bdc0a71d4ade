"""One cause at a time in real runs: whether the analysis names it first, and whether removing it brings what was told.

causes.py ROLLFIT DIRECTORY [--only TEXT]... [--rounds N] [--json FILE] [--list]. DIRECTORY holds the reference workload as bench.sh imports
it. Each round runs a job with the cause and without it, by turns; times and gains are medians. Called by ./bench.sh causes.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass, replace
from statistics import median

from conditions import PARQUET, POSTGRES, STORES, Bench, Conditions, Skipped

GAIN_OFF_MAX = 0.2
# More workers pay where they make a job faster by more than this.
PAYS = 1.05
WORKERS = (1, 2, 3, 4)
TEN_KEYS = ("audcad", "audchf", "audjpy", "audnzd", "audusd", "cadchf", "cadjpy", "chfjpy", "euraud", "eurcad")
NEAR_S, WIDE_BYTES_PER_S = 1e-6, 1e12
FOUR_KEYS = ("k00", "k01", "k02", "k03")


@dataclass(frozen=True)
class Case:
    """A job with a cause and without, and how the analysis calls the cause."""

    name: str
    cause: str
    with_cause: Conditions
    without: Conditions


def case(name, cause, store, injected, **job):
    """A job on four workers, if it does not say so otherwise: enough that more are no remedy for anything else. Where a server is far or its way
    narrow, the way goes through the same forwarder without the cause: it costs processor time, too."""
    without = Conditions(store, **({"workers": "4"} | job))
    return Case(name, cause, replace(without, **injected), without)


CASES = [
    case("CPU quota", "cpu", PARQUET, {"quota_cores": 0.4}, last="2017-02"),
    case("CPU quota", "cpu", POSTGRES, {"quota_cores": 0.05}),
    case("memory limit", "memory", PARQUET, {"memory_bytes": 150_000_000}, workers="auto", last="2017-04"),
    case("killed for memory", "memory", PARQUET, {"memory_bytes": 160_000_000, "is_killed": True}, workers="2", data="heavy"),
    case("two busy processes", "cpu", PARQUET, {"busy": 2}, last="2017-04"),
    case("two busy processes", "cpu", POSTGRES, {"busy": 2}),
    case("far server", "store-latency", POSTGRES, {"round_trip_s": 0.05}, round_trip_s=NEAR_S, data="short", keys=FOUR_KEYS, first="2013-01", last="2013-12"),
    case("narrow link", "store-bandwidth", POSTGRES, {"link_bytes_per_s": 40e6}, link_bytes_per_s=WIDE_BYTES_PER_S, keys=TEN_KEYS),
    case("slow disk", "store-bandwidth", PARQUET, {"disk_bytes_per_s": 100e6}),
    case("slow source", "source-read", PARQUET, {"source_bytes_per_s": 15e6}),
    case("slow source", "source-read", POSTGRES, {"source_bytes_per_s": 5e6}),
    case("slow source, a server", "source-read", PARQUET, {"source_bytes_per_s": 2e6}, source_bytes_per_s=WIDE_BYTES_PER_S, source_in_server=True),
    case("slow fsync", "commit", PARQUET, {"sync_ms": 200}),
    case("slow fsync", "commit", POSTGRES, {"sync_ms": 100}, data="short", keys=FOUR_KEYS, first="2013-01", last="2014-12"),
    case("few sessions", "sessions", POSTGRES, {"run": {"store_sessions_max": 1}}),
    case("lock held", "locks", PARQUET, {"held_s": 10}, force=True, last="2017-02"),
    case("lock held", "locks", POSTGRES, {"held_s": 25}, force=True, keys=TEN_KEYS),
    case("cpu_max", "own-limit", PARQUET, {"run": {"cpu_max": 0.4}}, last="2017-02"),
    case("cpu_max", "own-limit", POSTGRES, {"run": {"cpu_max": 0.05}}),
    case("store_write_mb_per_s_max", "own-limit", PARQUET, {"run": {"store_write_mb_per_s_max": 120}}, last="2017-02"),
    case("store_write_mb_per_s_max", "own-limit", POSTGRES, {"run": {"store_write_mb_per_s_max": 60}}, keys=TEN_KEYS),
    *(
        Case("one giant partition", "oversized-partition", job, replace(job, run={"order": "largest-first"}))
        for job in (Conditions(store, "4", data="oversized") for store in STORES)
    ),
]


def first(analysis):
    """What the analysis names first; how it calls a run in which nothing is wrong."""
    finding = analysis["finding"]
    return finding.get("cause", finding["kind"])


def gain_of(analysis, cause):
    """The gain that is told of a cause; none where it is not found."""
    found = next((each for each in analysis["bottlenecks"] if each["cause"] == cause), None)
    return found and found["remedy"] and found["remedy"]["gain"]


def middle(gains):
    """The medians of the gains that were told."""
    gains = [gain for gain in gains if gain]
    return {key: median(gain[key] for gain in gains) for key in ("low", "expected", "high")} if gains else None


def commonest(words):
    return Counter(words).most_common(1)[0][0]


def judged(name, store, wanted, slow, fast):
    """The line about runs with a cause and without."""
    observed = median(run.took_s for run in slow) / median(run.took_s for run in fast)
    told = middle([gain_of(run.analysis, wanted) for run in slow])
    named = [first(run.analysis) for run in slow]
    return {
        "case": name,
        "store": store,
        "wanted": wanted,
        "named": commonest(named),
        "is_named": 2 * named.count(wanted) > len(named),
        "with_s": [run.took_s for run in slow],
        "without_s": [run.took_s for run in fast],
        "observed": observed,
        "told": told,
        "within": bool(told) and abs(observed / told["expected"] - 1) <= GAIN_OFF_MAX,
        "in_range": bool(told) and told["low"] <= observed <= told["high"],
        "analyses": [run.analysis for run in slow],
    }


def run_case(bench, case, rounds):
    if case.with_cause.is_killed:
        return named_alone(case, [bench.run(case.with_cause) for _ in range(rounds)])
    runs = [(bench.run(case.with_cause), bench.run(case.without)) for _ in range(rounds)]
    slow, fast = zip(*runs)
    return judged(case.name, case.with_cause.store, case.cause, slow, fast)


def named_alone(case, runs):
    """The line about runs of which no gain can be told."""
    named = [first(run.analysis) for run in runs]
    return {
        "case": case.name,
        "store": case.with_cause.store,
        "wanted": case.cause,
        "named": commonest(named),
        "is_named": 2 * named.count(case.cause) > len(named),
        "with_s": [run.took_s for run in runs],
        "analyses": [run.analysis for run in runs],
    }


def workers_wanted(analysis):
    """How many workers the analysis asks for; none where it leaves them alone."""
    for found in analysis["bottlenecks"]:
        if found["cause"] == "workers":
            observations = (each.get("workers_wanted") for each in found["evidence"])
            return next((wanted for wanted in observations if wanted), None)
    return None


def change_of(analysis):
    """The number of workers that the remedy sets."""
    for found in analysis["bottlenecks"]:
        if found["cause"] == "workers" and found["remedy"]:
            return found["remedy"]["change"].get("after")
    return None


def run_workers(bench, store, rounds):
    """1 to 4 workers and nothing wrong: more are asked for where they pay, and nowhere else."""
    last = "2017-03" if store == PARQUET else "2017-01"
    jobs = {workers: Conditions(store, str(workers), last=last) for workers in WORKERS}
    runs = {workers: [] for workers in WORKERS}
    for _ in range(rounds):
        for workers, job in jobs.items():
            runs[workers].append(bench.run(job))
    took_s = {workers: median(run.took_s for run in of) for workers, of in runs.items()}
    for workers, of in runs.items():
        pays = took_s[workers] / min(took_s[more] for more in WORKERS if more >= workers) > PAYS
        line = remedied(bench, jobs[workers], of) if pays else left_alone(store, workers, of)
        yield line | {"case": f"{workers} workers, nothing wrong", "asks_for_more": asks_for_more(of, workers), "more_pay": pays}


def asks_for_more(runs, workers):
    wanted = [workers_wanted(run.analysis) or 0 for run in runs]
    return 2 * sum(more > workers for more in wanted) > len(wanted)


def remedied(bench, job, runs):
    """What it brings to do what the analysis says of the workers."""
    after = commonest([change_of(run.analysis) for run in runs])
    if after is None:
        return judged("", job.store, "workers", runs, runs)
    return judged("", job.store, "workers", runs, [bench.run(replace(job, workers=str(after))) for _ in runs])


def left_alone(store, workers, runs):
    """More workers bring nothing: neither may the analysis ask for more."""
    named = commonest([first(run.analysis) for run in runs])
    return {
        "store": store,
        "wanted": "no more workers",
        "named": named,
        "is_named": not asks_for_more(runs, workers),
        "with_s": [run.took_s for run in runs],
        "analyses": [run.analysis for run in runs],
    }


def print_line(line):
    gains = ""
    if "observed" in line:
        told = line["told"]
        span = f"{told['expected']:.2f} ({told['low']:.2f} to {told['high']:.2f})" if told else "none"
        word = "" if line["within"] and line["in_range"] else "in range" if line["in_range"] else "near" if line["within"] else "off"
        gains = f"{median(line['without_s']):>7.1f} {span:<24} {line['observed']:>6.2f} {word}"
    mark = "" if line["is_named"] else "  <-- wrong"
    print(f"{line['case']:<26} {line['store']:<10} {median(line['with_s']):>6.1f} {line['named']:<20}{gains}{mark}", flush=True)


def summary(lines):
    with_gain = [line for line in lines if "observed" in line]
    count = lambda key, of: f"{sum(line[key] for line in of)} of {len(of)}"
    text = f"first finding right: {count('is_named', lines)}; gain within {GAIN_OFF_MAX:.0%}: {count('within', with_gain)}"
    text += f"; observed within the range: {count('in_range', with_gain)}"
    workers = [line for line in lines if "more_pay" in line]
    if workers:
        wrongly = sum(line["asks_for_more"] and not line["more_pay"] for line in workers)
        text += f"; runs that ask for more workers where they bring nothing: {wrongly} of {sum(not line['more_pay'] for line in workers)}"
    return text


def lines_of(bench, cases, stores_of_workers, rounds):
    for case in cases:
        try:
            yield run_case(bench, case, rounds)
        except Skipped as reason:
            print(f"{case.name:<26} {case.with_cause.store:<10} skipped: {reason}", flush=True)
    for store in stores_of_workers:
        yield from run_workers(bench, store, rounds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rollfit")
    parser.add_argument("directory")
    parser.add_argument("--only", action="append", help="cases that have this in `STORE: NAME`; `workers` for numbers of workers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="a file for every figure and every analysis")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    is_wanted = lambda store, name: not options.only or any(text in f"{store}: {name}" for text in options.only)
    cases = [case for case in CASES if is_wanted(case.with_cause.store, case.name)]
    stores_of_workers = [store for store in STORES if is_wanted(store, "workers")]
    if options.list:
        names = [f"{case.with_cause.store}: {case.name}" for case in cases] + [f"{store}: workers" for store in stores_of_workers]
        return print("\n".join(names))
    print(f"{'case':<26} {'store':<10} {'took':>6} {'named first':<20}{'without':>7} {'gain told':<24} {'observed':>6}")
    lines = []
    with Bench(options.rollfit, options.directory) as bench:
        for line in lines_of(bench, cases, stores_of_workers, options.rounds):
            print_line(line)
            lines.append(line)
            if options.json:
                with open(options.json, "w") as out:
                    json.dump(lines, out)
    print(summary(lines))


main()
