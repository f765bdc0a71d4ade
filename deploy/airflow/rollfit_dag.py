"""deploy/airflow/rollfit_dag.py: a task a shard, retried where the exit code says that this helps."""

import os
import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

SHARDS = 16
# A task that is stopped gets no exception: Airflow kills its process after 5 s. setpriv (util-linux) has rollfit get SIGTERM then.
COMMAND = ["setpriv", "--pdeathsig", "TERM", "rollfit", "run", "--log-format", "json", "--stop-within", "50"]
CONFIG = "/etc/rollfit/rollfit.toml"
# Wrong usage or configuration, and partitions that wait for a person: the same again ends the same.
FINAL = {2: "the configuration is wrong", 4: "partitions were skipped"}


@task(retries=4, retry_delay=timedelta(minutes=1), retry_exponential_backoff=True, max_active_tis_per_dagrun=SHARDS)
def run_shard(index: int) -> None:
    environment = os.environ | {"ROLLFIT_SHARD": f"{index}/{SHARDS}", "ROLLFIT_CONFIG": CONFIG}
    process = subprocess.Popen(COMMAND, env=environment)
    try:
        code = process.wait()
    except BaseException:
        # execution_timeout is over: rollfit finishes the partitions in progress, or rolls them back after 50 s.
        process.terminate()
        process.wait(timeout=60)
        raise
    if code in FINAL:
        raise AirflowFailException(f"shard {index}/{SHARDS}: {FINAL[code]} (exit code {code})")
    if code != 0:
        raise AirflowException(f"shard {index}/{SHARDS}: exit code {code}")


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
def rollfit():
    run_shard.expand(index=list(range(SHARDS)))


rollfit()
