"""The console script: exit codes, signals, pipes and arguments, as the executable has them."""

import os
import signal
import subprocess
import sys

import pytest
from made_job import LONG, SCRIPT, Running, command, long_job, make_job, parts, slow_job, unlimited, wait_until


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))


def test_exit_codes_and_output(tmp_path):
    job = make_job(tmp_path)
    assert command("--version", cwd=job).stdout.startswith("rollfit ")
    assert "Usage: rollfit" in command("--help", cwd=job).stdout
    assert "complete -F _rollfit" in command("completions", "bash", cwd=job).stdout
    assert ".TH rollfit 1" in command("man", cwd=job).stdout
    refused = command("run", "--fish", cwd=job)
    assert refused.returncode == 2 and "unexpected argument '--fish'" in refused.stderr and not refused.stdout
    done = command("run", cwd=job)
    assert done.returncode == 0 and "4 written" in done.stdout and "[4/4]" in done.stderr
    (job / "fx/sources/m1_eurusd/2017-02.parquet").unlink()
    assert command("run", cwd=job).returncode == 4
    assert command("run", "--only", "gbpusd:2018-01", cwd=job).returncode == 2
    assert command("plan", "--config", "none.toml", cwd=job).returncode == 2
    assert command("check", "--fish", cwd=job).returncode == 3


def test_a_partition_that_fails_is_exit_code_1_and_the_others_are_done(tmp_path):
    job = make_job(tmp_path)
    (job / "fx/sources/m1_eurusd/2017-02.parquet").unlink()
    failed = command("run", cwd=job)
    assert failed.returncode == 1 and "eurusd 2017-02" in failed.stderr + failed.stdout and "Traceback" not in failed.stderr
    assert len(parts(job)) == 3
    assert command("run", "--only", "gbpusd", cwd=job).returncode == 0


def test_the_package_is_run_as_the_script_is(tmp_path):
    job = make_job(tmp_path)
    module = [sys.executable, "-m", "rollfit"]
    shown = subprocess.run([*module, "--help"], cwd=job, capture_output=True, text=True)
    assert shown.stdout == command("--help", cwd=job).stdout and shown.returncode == 0
    assert subprocess.run([*module, "run", "--quiet"], cwd=job).returncode == 0 and len(parts(job)) == 4
    refused = subprocess.run([*module, "run", "--fish"], cwd=job, capture_output=True, text=True)
    assert refused.returncode == 2 and "'--fish'" in refused.stderr


def test_hangup_is_ignored_under_nohup_and_stops_a_run_without(tmp_path):
    job = slow_job(tmp_path / "kept")
    kept = Running(["nohup", SCRIPT, "run"], cwd=job)
    kept.wait_for("[1/4]")
    kept.signal(signal.SIGHUP)
    assert kept.end() == 0 and len(parts(job)) == 4
    job = long_job(tmp_path / "stopped")
    stopped = Running([SCRIPT, "run"], cwd=job)
    stopped.wait_for_second(job)
    stopped.signal(signal.SIGHUP)
    assert stopped.end() != 0 and len(parts(job)) < LONG


def test_arguments_are_bytes(tmp_path):
    job = make_job(tmp_path)
    name = os.fsencode(job) + b"/caf\xe9.toml"
    os.rename(job / "rollfit.toml", name)
    ran = subprocess.run([SCRIPT, b"run", b"--config", name], capture_output=True, cwd=job)
    assert ran.returncode == 0, ran.stderr
    assert len(parts(job)) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_finishes_what_is_in_progress(tmp_path, number):
    job = long_job(tmp_path)
    running = Running([SCRIPT, "run"], cwd=job)
    running.wait_for_second(job)
    running.signal(number)
    running.wait_for("warning: finishing the partitions in progress")
    assert running.end() == 130
    assert "Interrupted." in running.seen and "Traceback" not in running.seen
    assert 2 <= len(parts(job)) < LONG


def test_a_second_signal_rolls_back(tmp_path):
    job = long_job(tmp_path)
    running = Running([SCRIPT, "run"], cwd=job)
    running.wait_for_second(job)
    running.signal()
    running.wait_for("finishing the partitions in progress")
    running.signal()
    running.wait_for("rolling back uncommitted work")
    assert running.end() == 130
    assert len(parts(job)) < LONG and "Traceback" not in running.seen
    assert command("run", cwd=job, **unlimited()).returncode == 0 and len(parts(job)) == LONG


def waiting(tmp_path, **options):
    """A command that waits for the text of its configuration, and handles no signal; and the pipe for that text."""
    os.mkfifo(tmp_path / "config")
    process = subprocess.Popen(
        [SCRIPT, "plan", "--config", "config"], cwd=tmp_path, stderr=subprocess.PIPE, text=True, **options
    )
    pipes = []

    def is_read():
        try:
            pipes.append(os.open(tmp_path / "config", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    wait_until(is_read)
    return process, pipes[0]


def test_ctrl_c_ends_a_command_that_handles_no_signals_without_a_traceback(tmp_path):
    process, pipe = waiting(tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == ""
    os.close(pipe)
    assert process.returncode == -signal.SIGINT


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    process, pipe = waiting(tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    os.write(pipe, b"fish")
    os.close(pipe)
    assert "config: TOML parse error" in process.communicate(timeout=20)[1] and process.returncode == 2


def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    job = make_job(tmp_path)
    shell = subprocess.run(
        ["bash", "-c", f"'{SCRIPT}' metrics | head -n 1; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True
    )
    assert shell.stdout.splitlines()[-1] == "0" and shell.stderr == ""
    # A log that nobody reads ends no run.
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run([SCRIPT, "run"], cwd=job, stdout=writer, stderr=writer)
    os.close(writer)
    assert ran.returncode == 0 and len(parts(job)) == 4


def test_closed_streams_are_no_files_of_the_store(tmp_path):
    job = make_job(tmp_path / "job")
    whole = make_job(tmp_path / "whole")
    assert command("run", cwd=whole).returncode == 0
    closed = subprocess.run(["bash", "-c", f"exec '{SCRIPT}' run <&- >&- 2>&-"], cwd=job)
    assert closed.returncode == 0
    assert parts(job) == parts(whole)


def test_the_script_imports_nothing_that_is_slow():
    code = "import sys; before = set(sys.modules); import rollfit._command; print(*sorted(set(sys.modules) - before))"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    slow = {"numpy", "polars", "pandas", "pyarrow", "IPython", "logging", "json"}
    assert not slow & set(imported), imported
