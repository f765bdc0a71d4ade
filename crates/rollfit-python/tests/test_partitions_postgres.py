"""`rollfit.run_partition` with PostgreSQL: sessions that are kept, lost, closed, and not shared with a forked process."""

import os

import pytest
from dataset_support import config_text
from made_job import wait_until
from postgres_support import PASSWORD, connect, server
from test_dataset_postgres import fill_sources

import rollfit


@pytest.fixture(scope="module")
def socket():
    with server() as directory:
        yield directory


@pytest.fixture
def job(socket, tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    connect(socket).execute("DROP DATABASE IF EXISTS tasks WITH (FORCE)")
    connect(socket).execute("CREATE DATABASE tasks")
    fill_sources(connect(socket, "tasks"))
    config = tmp_path / "rollfit.toml"
    store = f'url = "postgres://postgres@/tasks?host={socket}"\npassword_command = "echo {PASSWORD}"\n'
    config.write_text(config_text("carry", store))
    yield config
    rollfit.close()


def sessions(socket):
    asked = "SELECT pid FROM pg_stat_activity WHERE datname = 'tasks' AND application_name LIKE 'rollfit%'"
    return {pid for (pid,) in connect(socket).execute(asked)}


def test_sessions_stay_open_between_tasks_until_they_are_closed(job, socket):
    first, second, *_ = rollfit.partitions(job)
    assert not sessions(socket)
    assert rollfit.run_partition(job, first).outcome == "written"
    kept = sessions(socket)
    assert kept
    assert rollfit.run_partition(job, second).outcome == "written" and sessions(socket) == kept
    rollfit.close()
    wait_until(lambda: not sessions(socket))
    assert rollfit.run_partition(job, second).outcome == "already-done"


def test_a_session_that_was_lost_in_between_is_opened_again(job, socket):
    first, second, *_ = rollfit.partitions(job)
    rollfit.run_partition(job, first)
    lost = sessions(socket)
    connect(socket).execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tasks'")
    wait_until(lambda: not sessions(socket))
    assert rollfit.run_partition(job, second).outcome == "written" and not sessions(socket) & lost


def test_a_forked_process_has_sessions_of_its_own(job, socket):
    wanted = rollfit.partitions(job)
    assert rollfit.run_partition(job, wanted[0]).outcome == "written"
    kept = sessions(socket)
    child = os.fork()
    if child == 0:
        outcomes = [rollfit.run_partition(job, partition).outcome for partition in wanted]
        rollfit.close()
        os._exit(0 if outcomes == ["already-done"] + ["written"] * (len(wanted) - 1) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert kept <= sessions(socket)
    assert rollfit.run_partition(job, wanted[1]).outcome == "already-done" and sessions(socket) == kept


def test_a_database_that_goes_away_is_worth_a_retry(job, socket):
    [first, *_] = rollfit.partitions(job)
    rollfit.run_partition(job, first)
    connect(socket).execute("ALTER DATABASE tasks ALLOW_CONNECTIONS false")
    connect(socket).execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tasks'")
    job.write_text(job.read_text().replace("[run]", "[run]\nattempts = 1"))
    with pytest.raises(rollfit.StoreError) as raised:
        rollfit.run_partition(job, first)
    assert "tasks" in str(raised.value) and PASSWORD not in str(raised.value)
    connect(socket).execute("ALTER DATABASE tasks ALLOW_CONNECTIONS true")
    assert rollfit.run_partition(job, first).outcome == "already-done"
