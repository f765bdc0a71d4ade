"""`rollfit.run`: the job of the command in a Python process."""

import json
import logging
import multiprocessing
import os
import pickle
import pty
import signal
import subprocess
import sys
import threading
import time
import types
import warnings

import pytest
from made_job import (
    LONG, Running, command, long_job, make_job, parts, signal_when_writing, slow_job, unlimited, wait_until,
)

import rollfit

STOPPED = """
import json, logging, sys, rollfit
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
try:
    rollfit.run(progress=False, **json.loads(sys.argv[1]))
except KeyboardInterrupt as error:
    print("REPORT", json.dumps(error.report.to_dict()) if hasattr(error, "report") else None)
"""


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("ROLLFIT_CONFIG", raising=False)


@pytest.fixture
def job(tmp_path, monkeypatch):
    make_job(tmp_path / "job")
    monkeypatch.chdir(tmp_path / "job")
    return tmp_path / "job"


def test_a_run_does_what_the_command_does(job, tmp_path):
    report = rollfit.run()
    assert report.counts == {
        "written": 4, "already_done": 0, "waiting": 0, "empty": 0, "skipped": 0, "failed": 0, "not_started": 0,
    }
    assert report.exit_code == 0 and report.rows == 2 * (2 * 300 - 15) and report.seconds > 0
    assert "4 partitions: 4 written" in str(report) and "4 written" in repr(report)
    mine = parts(job)
    other = make_job(tmp_path / "other")
    printed = command("run", "--json", cwd=other)
    assert parts(other) == mine, "the same bytes"
    assert set(json.loads(printed.stdout)) <= set(report.to_dict())
    # The record is one that the command finds.
    assert report.run in command("status", report.run, cwd=job).stdout
    assert report.record.is_file() and str(report.record) == report.to_dict()["record"]
    again = rollfit.run(job / "rollfit.toml")
    assert again.already_done == 4 and again.record is None and again.run != report.run


def test_a_month_without_rows_is_empty_and_no_failure(job, monkeypatch):
    monkeypatch.setenv("ROLLFIT_PARTITIONS__TO", "2017-03")
    report = rollfit.run()
    assert (report.written, report.empty, report.counts["empty"], report.exit_code) == (4, 2, 2, 0)
    assert report.to_dict()["empty"] == [{"key": key, "month": "2017-03"} for key in ("eurusd", "gbpusd")]
    [march] = rollfit.partitions("rollfit.toml", only="eurusd:2017-03")
    result = rollfit.run_partition("rollfit.toml", march)
    assert result.outcome == "empty" and "no series has a row" in str(result)
    # No partition is missing, so that nothing has to be skipped.
    rollfit.open("rollfit.toml").features("eurusd")
    monkeypatch.setenv("ROLLFIT_RUN__REQUIRE_ROWS", "true")
    with pytest.raises(rollfit.PartitionError, match="2 of 6 partitions failed"):
        rollfit.run()


def test_options_are_those_of_the_command(job):
    assert rollfit.run(only="eurusd:2017-01").partitions == 1
    assert rollfit.run(only=["eurusd", "gbpusd:2017-02"], workers="2..3").written == 2
    assert rollfit.run(str(job / "rollfit.toml"), force=True, workers=2).written == 4
    report = rollfit.run(force=True, only="eurusd", metrics_file=job / "m.prom", trace="t.json", stop_within=5)
    assert report.written == 2 and (job / "m.prom").is_file() and (job / "t.json").is_file()


def test_shards_are_all_of_the_job_and_help_with_what_is_missing(job, monkeypatch):
    first = rollfit.run(shard="0/2", no_help=True)
    assert first.written == first.partitions == 4 - len(first.to_dict()["other_shards"]["missing"])
    monkeypatch.setenv("ROLLFIT_SHARD", "0/2")
    second = rollfit.run(shard="1/2")
    assert second.written == second.partitions == 4 - first.partitions
    assert rollfit.run(shard="0/1").already_done == 4


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"config": "none.toml"}, rollfit.ConfigError, "none.toml does not exist"),
        ({"workers": "fish"}, ValueError, "not a number of workers"),
        ({"workers": 0}, rollfit.ConfigError, "1 to 1024"),
        ({"workers": True}, TypeError, "workers takes"),
        ({"workers": 1.5}, TypeError, "workers takes"),
        ({"only": []}, rollfit.ConfigError, "None for all"),
        ({"only": "zzz"}, rollfit.ConfigError, "has no key zzz"),
        ({"only": "--force"}, rollfit.ConfigError, "not a key"),
        ({"only": b"eurusd"}, TypeError, "only takes"),
        ({"replace": "fish"}, rollfit.ConfigError, "cannot be replaced"),
        ({"shard": "4/4"}, rollfit.ConfigError, "there is no shard 4 of 4"),
        ({"no_help": True}, rollfit.ConfigError, "--no-help needs a shard"),
        ({"stop_within": -1}, rollfit.ConfigError, "stop-within"),
        ({"progress": 3}, TypeError, "progress takes"),
        ({"follow": True}, TypeError, "follow"),
    ],
)
def test_wrong_options_are_refused_and_write_nothing(job, options, error, words):
    with pytest.raises(error, match=words):
        rollfit.run(**options)
    assert not parts(job)


def test_partitions_that_fail_raise_and_the_others_are_done(job):
    (job / "fx/sources/m1_eurusd/2017-02.parquet").unlink()
    with pytest.raises(rollfit.PartitionError, match="1 of 4 partitions failed") as raised:
        rollfit.run()
    report = raised.value.report
    assert report.written == 3 and report.exit_code == 1
    (failure,) = report.failures
    assert (failure.key, failure.month, failure.state) == ("eurusd", "2017-02", "failed")
    assert "m1_eurusd" in failure.reason and failure.reason in str(raised.value) and failure.reason in str(report)
    error = pickle.loads(pickle.dumps(raised.value))
    assert error.report.to_dict() == report.to_dict() and str(error) == str(raised.value)
    report = rollfit.run(check=False)
    assert len(report.failures) == 1 and report.exit_code == 1


def test_partitions_that_are_skipped_are_a_warning(job):
    rollfit.run()
    config = job / "rollfit.toml"
    config.write_text(config.read_text().replace("w30 = 30", "w30 = 31"))
    with pytest.warns(rollfit.RollfitWarning, match="4 of 4 partitions were skipped") as caught:
        report = rollfit.run()
    assert caught[0].filename == __file__
    assert report.exit_code == 4 and {problem.state for problem in report.skipped} == {"definition-changed"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rollfit.run(check=False).exit_code == 4
        assert rollfit.run(replace=["definition-changed"]).written == 4


def test_progress_is_called_on_the_callers_thread(job):
    seen = []
    rollfit.run(progress=lambda figures: seen.append((threading.get_ident(), figures)))
    thread, last = seen[-1]
    assert thread == threading.get_ident()
    assert (last["ended"], last["partitions"], last["failed"]) == (4, 4, 0)
    assert "4/4 partitions" in last["line"]


def test_an_exception_of_progress_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(long_job(tmp_path / "long"))

    def refuse(figures):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough") as raised:
        rollfit.run(progress=refuse)
    assert raised.value.report.interrupted and raised.value.report.exit_code == 130
    monkeypatch.setenv("ROLLFIT_RUN__STORE_WRITE_MB_PER_S_MAX", "1000")
    assert rollfit.run().exit_code == 0


def test_messages_go_to_the_logger(job, caplog, capfd):
    with caplog.at_level(logging.INFO, logger="rollfit"):
        rollfit.run(progress=False)
    assert any("eurusd 2017-01: written" in record.message for record in caplog.records)
    assert {record.name for record in caplog.records} == {"rollfit"}
    assert capfd.readouterr() == ("", "")


def test_every_run_warns_of_the_tables_that_it_skips(job, caplog):
    config = job / "rollfit.toml"
    config.write_text(config.read_text().replace('["eurusd", "gbpusd"]', '"all"'))
    (job / "fx/sources/bqx_gbpusd").rename(job / "fx/sources/bqx_usdjpy")
    for _ in range(2):
        caplog.clear()
        rollfit.run(only="eurusd")
        (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert "skips 2 tables" in warning.message


def test_a_notebook_has_a_line_that_changes(job, monkeypatch, capfd):
    lines = []

    class Handle:
        def update(self, bundle, raw):
            lines.append(bundle["text/plain"])

    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display.display = lambda bundle, raw, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    rollfit.run()
    assert "4/4 partitions" in lines[-1] and "\n" not in lines[-1]
    count = len(lines)
    rollfit.run(force=True, progress=False)
    assert len(lines) == count, "silent"
    # IPython in a terminal has no kernel.
    ipython.get_ipython = lambda: types.SimpleNamespace()
    rollfit.run(force=True)
    assert len(lines) == count and capfd.readouterr() == ("", "")


def test_the_line_of_a_notebook_says_how_far_a_stopped_run_got(tmp_path, monkeypatch):
    job = long_job(tmp_path / "long")
    monkeypatch.chdir(job)
    lines = []

    class Handle:
        def update(self, bundle, raw):
            lines.append(bundle["text/plain"])
            if is_broken:
                raise LookupError("no output")

    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display.display = lambda bundle, raw, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    is_broken = False
    with pytest.raises(KeyboardInterrupt) as stopped:
        signal_when_writing(job, signal.SIGINT)
        rollfit.run()
    report = stopped.value.report
    assert 0 < report.written < LONG and f"{report.written}/{LONG} partitions" in lines[-1]
    # An output that raises stops the run once: it does not roll back what is in progress.
    is_broken = True
    with pytest.raises(LookupError) as broken:
        rollfit.run(force=True)
    assert broken.value.report.written > 0


def output_on_terminal(code, cwd):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], cwd=cwd, stderr=theirs, stdout=theirs)
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 65536):
            output += chunk
    except OSError:
        pass
    os.close(ours)
    assert process.wait() == 0, output
    return output.decode()


def test_a_terminal_has_the_bar_and_it_is_taken_away(tmp_path):
    job = slow_job(tmp_path / "slow")
    shown = output_on_terminal("import rollfit; rollfit.run(); print('END')", job)
    assert "/4 partitions" in shown and "CPU" in shown
    assert "partitions" not in shown[shown.rindex("END") :]
    assert output_on_terminal("import rollfit; rollfit.run(force=True, progress=False)", job) == ""


def signals_caught():
    with open("/proc/self/status") as status:
        return [line for line in status if line.startswith(("SigCgt", "SigIgn", "SigBlk"))]


def test_nothing_is_set_for_the_process(job):
    # Other libraries that earlier tests imported keep threads of their own.
    threads = set(os.listdir("/proc/self/task"))
    before, handler = signals_caught(), signal.getsignal(signal.SIGINT)
    rollfit.run()
    assert signals_caught() == before and signal.getsignal(signal.SIGINT) is handler
    assert set(os.listdir("/proc/self/task")) <= threads, "no thread is left"


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_leaves_no_half_partition_and_the_next_run_completes_the_job(tmp_path, signals):
    undisturbed = long_job(tmp_path / "undisturbed")
    assert command("run", "--quiet", cwd=undisturbed, **unlimited()).returncode == 0
    job = long_job(tmp_path / "job")
    running = Running([sys.executable, "-c", STOPPED, "{}"], cwd=job)
    running.wait_for_second(job)
    running.signal()
    running.wait_for("WARNING finishing the partitions in progress")
    if signals == 2:
        running.signal()
        running.wait_for("WARNING rolling back uncommitted work")
    assert running.end() == 0, running.seen
    report = json.loads(running.seen.split("REPORT ")[1])
    assert report["interrupted"] and report["exit_code"] == 130
    assert report["written"] + report["not_started"] == LONG and report["not_started"] > 0
    whole = parts(undisturbed)
    left = parts(job)
    assert len(left) == report["written"] and left.items() <= whole.items(), "whole partitions and nothing else"
    assert command("run", "--quiet", cwd=job, **unlimited()).returncode == 0
    assert parts(job) == whole


def test_the_grace_period_rolls_back(tmp_path):
    job = long_job(tmp_path / "job")
    running = Running([sys.executable, "-c", STOPPED, '{"stop_within": 0}'], cwd=job)
    running.wait_for_second(job)
    running.signal()
    running.wait_for("rolling back uncommitted work")
    assert running.end() == 0
    assert json.loads(running.seen.split("REPORT ")[1])["not_started"] > 0


def test_ctrl_c_while_a_store_is_opened_ends_at_once(tmp_path):
    job = make_job(tmp_path / "job")
    config = job / "rollfit.toml"
    url = 'url = "postgres://nobody@127.0.0.1:1/none"\npassword_command = "touch asked; sleep 20"'
    config.write_text(config.read_text().replace('url = "parquet:fx"', url))
    running = Running([sys.executable, "-c", STOPPED, "{}"], cwd=job)
    wait_until((job / "asked").exists)
    began = time.monotonic()
    running.signal()
    running.wait_for("REPORT None")
    assert time.monotonic() - began < 10, "the password was not waited for"
    running.end()


def test_handlers_of_other_signals_may_stop_a_run_too(tmp_path, monkeypatch):
    job = long_job(tmp_path / "long")
    monkeypatch.chdir(job)

    def time_out(number, frame):
        raise TimeoutError("too long")

    before = signal.signal(signal.SIGALRM, time_out)
    try:
        signal_when_writing(job, signal.SIGALRM)
        with pytest.raises(TimeoutError) as raised:
            rollfit.run()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert raised.value.report.not_started > 0


def test_runs_at_once_on_several_threads_are_right(job, tmp_path):
    other = make_job(tmp_path / "other", keys=("usdjpy",))
    reports = {}

    def run(at, config):
        reports[at] = rollfit.run(config, workers=2)

    configs = [job / "rollfit.toml"] * 3 + [other / "rollfit.toml"]
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(configs)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sum(reports[at].written for at in range(3)) == 4 and reports[3].written == 2
    assert len({report.run for report in reports.values()}) == 4
    for directory in (job, other):
        assert command("verify", cwd=directory).returncode == 0


def test_other_threads_work_during_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(slow_job(tmp_path / "slow"))
    turns = 0
    is_over = threading.Event()

    def count():
        nonlocal turns
        while not is_over.wait(0.01):
            turns += 1

    thread = threading.Thread(target=count)
    thread.start()
    report = rollfit.run()
    is_over.set()
    thread.join()
    assert turns > report.seconds / 0.01 / 10


def forked(queue):
    queue.put(rollfit.run(force=True))


def test_a_forked_child_can_run_again(job):
    first = rollfit.run()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=forked, args=(queue,))
    child.start()
    report = queue.get(timeout=60)
    child.join()
    assert child.exitcode == 0 and report.written == 4 and report.run != first.run
    assert rollfit.run().already_done == 4
