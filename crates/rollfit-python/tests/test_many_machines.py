"""The recipes for Ray and Dask, as docs/many-machines.md shows them, on real clusters of this machine: 8 keys x 3 months, a worker process
killed at work, and the bits of a local run."""

import importlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_job import Running, make_job, parts, wait_until

import rollfit

psutil = pytest.importorskip("psutil")

EXAMPLES = Path(__file__).parents[1] / "examples"
KEYS = [f"key{at}" for at in range(8)]
# About two fifths of a second for each partition, so that one is in progress when its worker is killed.
SLOW = "store_write_mb_per_s_max = 0.5"
LINES_MAX = 25


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_job(tmp_path_factory.mktemp("many"), keys=KEYS, months=3, rows=400, run=SLOW)


def run_here(job):
    """Runs a job in this process, as fast as it goes; returns the features."""
    config = job / "rollfit.toml"
    config.write_text(config.read_text().replace(SLOW, ""))
    rollfit.run(config)
    return parts(job)


@pytest.fixture(scope="module")
def local(sources, tmp_path_factory):
    """The features of a run in this process."""
    directory = tmp_path_factory.mktemp("local") / "job"
    shutil.copytree(sources, directory)
    return run_here(directory)


@pytest.fixture
def job(sources, local, tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    shutil.copytree(sources, tmp_path / "job")
    return tmp_path / "job"


def engine_module(name):
    """A module of an engine; skips the test where it is not installed, but not where it is and its import fails."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"could not import {name!r}: it is not installed")
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def ray_address():
    """A Ray cluster on this machine; the recipes join it."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    ray = engine_module("ray")
    cluster = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
    yield cluster.address_info["gcs_address"]
    ray.shutdown()


@pytest.fixture(params=["ray", "dask"])
def engine(request, monkeypatch):
    if request.param == "ray":
        monkeypatch.setenv("RAY_ADDRESS", request.getfixturevalue("ray_address"))
        monkeypatch.setenv("RAY_LOG_TO_DRIVER", "0")
    else:
        engine_module("distributed")
    return request.param


def start(engine, job):
    return Running([sys.executable, str(EXAMPLES / f"{engine}_job.py"), "rollfit.toml"], cwd=job)


def busy_worker(engine, driver):
    """A worker process that has a task, or may have one."""
    if engine == "ray":
        found = [each for each in psutil.process_iter(["cmdline"]) if "ray::run_partition" in " ".join(each.info["cmdline"] or [])]
    else:
        found = [each for each in psutil.Process(driver.process.pid).children(recursive=True) if "spawn_main" in " ".join(each.cmdline())]
    return found[0] if found else None


def test_a_worker_is_killed_and_the_bits_are_those_of_a_local_run(engine, job, local):
    running = start(engine, job)
    running.wait_for("\n4/24 ")
    wait_until(lambda: busy_worker(engine, running))
    busy_worker(engine, running).send_signal(signal.SIGKILL)
    assert running.end() == 0, running.seen
    written = re.search(r"\n24 partitions: (\d+) written, (\d+) already done", running.seen)
    assert written and int(written[1]) + int(written[2]) == 24, running.seen
    assert parts(job) == local


def test_ctrl_c_finishes_what_runs_and_begins_nothing(engine, job, local):
    running = start(engine, job)
    running.wait_for("\n2/24 ")
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.end() == 130, running.seen
    assert re.search(r"24 partitions: \d+ written, 0 already done, 0 skipped, 0 failed, (\d+) not started", running.seen), running.seen
    assert "Traceback" not in running.seen
    stored = {name for name in parts(job) if name.endswith(".parquet")}
    assert 2 <= len(stored) < 24 and len(stored) == int(re.search(r": (\d+) written", running.seen)[1])
    assert run_here(job) == local


def test_an_exception_says_through_the_engine_whether_a_retry_helps(engine, job):
    config = job / "rollfit.toml"
    config.write_text(config.read_text().replace("parquet:fx", "postgres://nobody@127.0.0.1:1/none"))
    code = TASKS[engine] + "print(type(error).__name__, isinstance(error, rollfit.StoreUnreachableError), error.retry, error.exit_code)\n"
    done = subprocess.run([sys.executable, "-c", code, str(config)], capture_output=True, text=True, cwd=job, timeout=60)
    assert done.stdout.endswith("True True 3\n"), done.stdout + done.stderr


TASKS = {
    "ray": """
import sys, ray, rollfit
ray.init()
task = ray.remote(lambda config: rollfit.run_partition(config, "key0:2017-01"))
try:
    ray.get(task.remote(sys.argv[1]))
except rollfit.RollfitError as raised:
    error = raised
""",
    "dask": """
import sys, rollfit
from dask.distributed import Client
client = Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
error = client.submit(rollfit.run_partition, sys.argv[1], "key0:2017-01", pure=False).exception()
client.close()
""",
}


@pytest.mark.parametrize("name", ["ray", "dask"])
def test_a_recipe_is_short_and_shown_as_it_is(name):
    recipe = (EXAMPLES / f"{name}_job.py").read_text()
    assert sum(1 for line in recipe.splitlines() if line.strip()) <= LINES_MAX
    pages = (EXAMPLES.parents[2] / "docs").glob("many-machines*.md")
    assert any(f"```python\n{recipe}```" in page.read_text() for page in pages)
