"""What a task of Ray and of Dask costs that does a partition: one that is done already, minus a task of the engine that does nothing.
The medians of 9 alternating rounds, one task at a time, in ms, with the range of the rounds. The partition is tiny: 300 rows."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import rollfit

sys.path.append(str(Path(__file__).resolve().parents[1] / "crates/rollfit-python/tests"))
from made_job import make_job  # noqa: E402

ROUNDS, TASKS = 9, 20


def nothing(config, partition):
    return None


def ms_a_task(work, config, partition):
    begun = time.perf_counter()
    for _ in range(TASKS):
        work(config, partition)
    return (time.perf_counter() - begun) * 1e3 / TASKS


def measure(name, empty, task, config, partition):
    """Prints how long both take, by turns."""
    empty(config, partition), task(config, partition)
    rounds = [(ms_a_task(empty, config, partition), ms_a_task(task, config, partition)) for _ in range(ROUNDS)]
    more = [whole - own for own, whole in rounds]
    own, whole = (statistics.median(each) for each in zip(*rounds))
    print(f"{name}: {statistics.median(more):.1f} ms more ({min(more):.1f} to {max(more):.1f}); {own:.1f} ms for a task that does nothing, {whole:.1f} ms for a partition that is done")


def with_ray(config, partition):
    import ray

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    empty = ray.remote(nothing)
    task = ray.remote(lambda config, partition: rollfit.run_partition(config, partition))
    measure("Ray", lambda *of: ray.get(empty.remote(*of)), lambda *of: ray.get(task.remote(*of)), config, partition)
    ray.shutdown()


def with_dask(config, partition):
    from dask.distributed import Client

    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        def run(work):
            return lambda *of: client.submit(work, *of, pure=False).result()

        measure("Dask", run(nothing), run(rollfit.run_partition), config, partition)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        config = str(make_job(Path(directory) / "job") / "rollfit.toml")
        partition = rollfit.partitions(config)[0]
        rollfit.run_partition(config, partition)
        measure("a function call", nothing, rollfit.run_partition, config, partition)
        with_ray(config, partition)
        with_dask(config, partition)
