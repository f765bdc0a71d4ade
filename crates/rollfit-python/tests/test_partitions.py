"""`rollfit.partitions`, `rollfit.run_partition` and `rollfit.summarize`: a job one partition at a time."""

import concurrent.futures
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys

import pytest
from made_job import Running, command, heavy_job, is_writing, make_job, parts, slow_job, wait_until

import rollfit

ONE = """
import sys, rollfit
print("BEGUN", flush=True)
print(rollfit.run_partition(sys.argv[1], sys.argv[2]).outcome)
"""


@pytest.fixture(autouse=True)
def own_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("ROLLFIT_CONFIG", raising=False)
    yield
    rollfit.close()


@pytest.fixture
def job(tmp_path):
    return make_job(tmp_path / "job") / "rollfit.toml"


def test_the_partitions_of_a_job_are_small_values(job):
    found = rollfit.partitions(job)
    planned = json.loads(command("plan", "--json", cwd=job.parent).stdout)["partitions"]
    assert [(each.key, each.month) for each in found] == [tuple(each["partition"].values()) for each in planned]
    assert [str(each) for each in found] == ["eurusd 2017-01", "eurusd 2017-02", "gbpusd 2017-01", "gbpusd 2017-02"]
    again = pickle.loads(pickle.dumps(found))
    assert again == found and len({*found, *again}) == 4 and hash(again[0]) == hash(found[0])
    assert sorted(reversed(found)) == found and found[0] < found[1] and found[0] != found[1]
    assert repr(found[0]) == "<Partition eurusd 2017-01>" and len(pickle.dumps(found[0])) < 200
    assert rollfit.partitions(str(job), only="gbpusd:2017-02") == found[3:]
    assert not (job.parent / "fx" / "features").exists()


def test_a_task_on_another_machine_than_the_planner_is_told_of_a_store_that_is_not_there(job, caplog):
    (one, two) = rollfit.partitions(job, only="eurusd")
    assert rollfit.run_partition(job, one).outcome == "written"
    assert not [record for record in caplog.records if "were planned on" in record.getMessage()]
    rollfit.close()
    make, parts_of_one = two.__reduce__()
    elsewhere = make(*parts_of_one[:2], "elsewhere")
    assert elsewhere == two and hash(elsewhere) == hash(two)
    for _ in range(2):
        rollfit.run_partition(job, elsewhere)
    (told,) = [record.getMessage() for record in caplog.records if "were planned on" in record.getMessage()]
    assert "planned on elsewhere, and this is another machine: " in told


def test_only_takes_globs_ranges_and_lists_and_warns_of_what_matches_nothing(job, caplog):
    found = rollfit.partitions(job)
    for only, expected in [("*usd:2017-02", found[1::2]), (":..2017-01", found[::2]), (["eur*", "gbpusd:2017-02.."], found[:2] + found[3:])]:
        assert rollfit.partitions(job, only=only) == expected
    assert rollfit.partitions(job, only="eurusd:2017-02, gbpusd") == found[1:]
    for _ in range(2):
        caplog.clear()
        assert rollfit.partitions(job, only=["gbpusd", "eurusx"]) == found[2:]
        assert [record.getMessage() for record in caplog.records] == [
            "`eurusx` selects nothing: this job has no key eurusx; did you mean `eurusd`?"
        ]
    for nothing in ["nokey", "eurusd:2017-02..2017-01", ["eurusd", ""], "eurusd,"]:
        with pytest.raises(rollfit.ConfigError):
            rollfit.partitions(job, only=nothing)


def test_shards_are_shares_of_the_job(job):
    shares = [rollfit.partitions(job, shard=(at, 3)) for at in range(3)]
    assert sorted(sum(shares, [])) == rollfit.partitions(job)
    assert rollfit.partitions(job, shard="1/3") == shares[1]
    for shard, words in [("3/3", "no shard 3 of 3"), ((0, 0), "1 to 100000"), ((-1, 2), "write I/N"), ("x", "write I/N")]:
        with pytest.raises(rollfit.ConfigError, match=words):
            rollfit.partitions(job, shard=shard)
    with pytest.raises(TypeError):
        rollfit.partitions(job, shard=3)


def test_the_features_are_those_of_a_run(job, tmp_path):
    results = {partition: rollfit.run_partition(job, partition) for partition in rollfit.partitions(job)}
    for partition, result in results.items():
        assert (result.partition, result.outcome, result.state) == (partition, "written", "missing")
        assert result.rows > 0 and result.bytes > 0 and result.seconds > 0 and result.pid == os.getpid() and result.host
        assert str(result).startswith(f"{partition}: written (was missing), {result.rows} rows")
        again = pickle.loads(pickle.dumps(result))
        assert again == result and again.to_dict() == result.to_dict() and len(pickle.dumps(result)) < 2000
    report = rollfit.summarize(results)
    assert report.exit_code == 0 and "4 partitions: 4 written, 0 already done" in str(report)
    local = rollfit.run(make_job(tmp_path / "local") / "rollfit.toml")
    assert parts(job.parent) == parts(tmp_path / "local")
    assert (report.rows, report.bytes, report.written) == (local.rows, local.bytes, local.written)
    assert report.to_dict()["source_reads"] == local.to_dict()["source_reads"] == 4
    assert {rollfit.run_partition(job, partition).outcome for partition in results} == {"already-done"}
    forced = rollfit.run_partition(job, "eurusd:2017-01", force=True)
    assert (forced.outcome, forced.state) == ("written", "done")


def test_what_is_skipped_is_a_result(job):
    rollfit.run(job)
    job.write_text(job.read_text().replace("w30 = 30", "w30 = 40"))
    first = rollfit.partitions(job)[0]
    skipped = rollfit.run_partition(job, first)
    assert (skipped.outcome, skipped.state, skipped.rows) == ("skipped", "definition-changed", 0) and skipped.reason
    report = rollfit.summarize({first: skipped})
    assert report.exit_code == 4 and [problem.state for problem in report.skipped] == ["definition-changed"]
    assert rollfit.run_partition(job, first, replace="definition-changed").outcome == "written"


def test_what_is_wrong_with_an_argument_is_said(job, tmp_path):
    for partition, words in [
        ("eurusd", "is not one partition"), ("eur*:2017-01", "is not one partition"), ("nokey:2017-01", "has no key nokey"),
        ("eurusd:2019-01", "selects nothing: this job has"),
        ("eurusd:2017-13", "is no partition"), (("eurusd", "x"), "is no partition"),
    ]:
        with pytest.raises(rollfit.ConfigError, match=words) as raised:
            rollfit.run_partition(job, partition)
        assert raised.value.retry is False
    for partition in [3, ("eurusd",), None]:
        with pytest.raises(TypeError, match="partition takes"):
            rollfit.run_partition(job, partition)
    with pytest.raises(rollfit.ConfigError):
        rollfit.run_partition(job, "eurusd:2017-01", replace="done")
    other = make_job(tmp_path / "other", keys=("usdjpy",)) / "rollfit.toml"
    with pytest.raises(rollfit.ConfigError, match="planned with another one"):
        rollfit.run_partition(job, rollfit.partitions(other)[0])


def test_a_partition_that_fails_says_that_a_retry_does_not_help(job):
    [partition] = rollfit.partitions(job, only="eurusd:2017-01")
    [table] = (job.parent / "fx" / "sources").glob("*m1_eurusd*") or [None]
    for path in sorted(table.rglob("*.parquet")) if table.is_dir() else [table]:
        path.write_bytes(b"PAR1 no longer")
    with pytest.raises(rollfit.StoreError, match="eurusd 2017-01: ") as raised:
        rollfit.run_partition(job, partition)
    error = pickle.loads(pickle.dumps(raised.value))
    assert (error.retry, error.exit_code, str(error)) == (False, 1, str(raised.value))
    report = rollfit.summarize({partition: error})
    assert report.exit_code == 1 and report.failures[0].reason and "eurusd 2017-01" not in report.failures[0].reason


def test_a_store_that_is_away_is_worth_a_retry(job):
    job.write_text(job.read_text().replace("parquet:fx", "postgres://nobody@127.0.0.1:1/none"))
    with pytest.raises(rollfit.StoreUnreachableError) as raised:
        rollfit.run_partition(job, "eurusd:2017-01")
    error = pickle.loads(pickle.dumps(raised.value))
    assert (error.retry, error.exit_code) == (True, 3) and type(error) is rollfit.StoreUnreachableError


def start(job, partition):
    """Does a slow partition in another process, which has it when this returns."""
    running = Running([sys.executable, "-c", ONE, str(job), partition], cwd=job.parent)
    running.wait_for("BEGUN")
    wait_until(lambda: is_writing(job.parent) or list(parts(job.parent)))
    return running


def test_another_runner_is_waited_for(tmp_path):
    job = slow_job(tmp_path / "slow") / "rollfit.toml"
    other = start(job, "slow:2017-01")
    result = rollfit.run_partition(job, rollfit.partitions(job)[0])
    assert other.end() == 0 and "written" in other.seen
    assert (result.outcome, result.rows) == ("already-done", 0)


def test_one_that_another_runner_keeps_is_worth_a_retry(tmp_path):
    job = slow_job(tmp_path / "slow") / "rollfit.toml"
    job.write_text(job.read_text().replace("[run]", "[run]\nlock_wait_s = 0"))
    other = start(job, "slow:2017-01")
    other.pause()
    with pytest.raises(rollfit.PartitionError, match="slow 2017-01: still in use by") as raised:
        rollfit.run_partition(job, "slow:2017-01")
    other.signal(signal.SIGCONT)
    assert raised.value.retry and pickle.loads(pickle.dumps(raised.value)).retry
    assert other.end() == 0


def test_ctrl_c_and_a_kill_leave_nothing_of_a_partition_in_progress(tmp_path):
    job = heavy_job(tmp_path / "heavy") / "rollfit.toml"
    features = job.parent / "fx" / "features"
    for month, number in [("2017-01", signal.SIGINT), ("2017-02", signal.SIGKILL)]:
        running = start(job, f"heavy:{month}")
        # Looked at while it does nothing: it has not committed, and the most of its work is left.
        running.pause()
        assert not list(features.rglob("part.parquet"))
        running.signal(number)
        running.signal(signal.SIGCONT)
        ended = running.end()
        if number == signal.SIGINT:
            assert ended in (1, -signal.SIGINT) and "KeyboardInterrupt" in running.seen
        else:
            assert ended == -signal.SIGKILL
        assert not list(features.rglob("part.parquet")) and "written" not in running.seen
    states = json.loads(command("plan", "--json", cwd=job.parent).stdout)["partitions"]
    assert [each["state"] for each in states] == ["missing"] * 2
    job.write_text(job.read_text().replace("w701 = 701", "w15 = 15").split("w702")[0] + "[run]\nworkers = 1\n")
    assert rollfit.run_partition(job, "heavy:2017-02").outcome == "written"
    assert command("verify", "--only", ":2017-02", cwd=job.parent).returncode == 0


def test_threads_and_forked_processes_work_at_once(job):
    wanted = rollfit.partitions(job)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda partition: rollfit.run_partition(job, partition), wanted))
    assert {result.outcome for result in results} == {"written"}
    child = os.fork()
    if child == 0:
        done = all(rollfit.run_partition(job, partition).outcome == "already-done" for partition in wanted)
        os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_configuration_of_now_counts(job, tmp_path, monkeypatch):
    assert rollfit.run_partition(job, "eurusd:2017-01").outcome == "written"
    shutil.copytree(job.parent / "fx" / "sources", tmp_path / "other" / "sources")
    monkeypatch.setenv("ROLLFIT_STORE__URL", f"parquet:{tmp_path / 'other'}")
    assert rollfit.run_partition(job, "eurusd:2017-01").outcome == "written"
    monkeypatch.delenv("ROLLFIT_STORE__URL")
    assert rollfit.run_partition(job, "eurusd:2017-01").outcome == "already-done"
    job.write_text("nonsense")
    with pytest.raises(rollfit.ConfigError):
        rollfit.run_partition(job, "eurusd:2017-01")


def test_a_summary_names_what_failed_and_what_was_not_started(job):
    wanted = rollfit.partitions(job)
    ends = dict.fromkeys(wanted)
    assert rollfit.summarize(ends).exit_code == 130 and rollfit.summarize({}).partitions == 0
    ends[wanted[0]] = rollfit.run_partition(job, wanted[0])
    ends[wanted[1]] = rollfit.StoreError(f"{wanted[1]}: broken")
    ends[wanted[2]] = MemoryError("too little")
    report = pickle.loads(pickle.dumps(rollfit.summarize(ends)))
    assert (report.written, len(report.failures), report.not_started, report.interrupted) == (1, 2, 1, True)
    assert [problem.reason for problem in report.failures] == ["broken", "MemoryError: too little"]
    with pytest.raises(TypeError):
        rollfit.summarize({"eurusd:2017-01": None})
    with pytest.raises(TypeError):
        rollfit.summarize({wanted[0]: "written"})
    with pytest.raises(rollfit.RollfitError, match="is given as that of"):
        rollfit.summarize({wanted[3]: ends[wanted[0]]})


def test_reports_go_between_processes_with_their_exception(job):
    error = rollfit.PartitionError("2 failed")
    error.report = rollfit.run(job)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "2 failed" and str(again.report) == str(error.report) and again.retry is False


def test_nothing_is_imported_for_it(job):
    code = "import sys, rollfit; before = set(sys.modules); rollfit.partitions(sys.argv[1]); print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code, str(job)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
