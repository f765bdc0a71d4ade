"""deploy/airflow/rollfit_nightly.py: one task a night, retried where the exit code says that this helps."""

import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

# setpriv (util-linux) has rollfit get SIGTERM when Airflow kills the task.
COMMAND = ["setpriv", "--pdeathsig", "TERM", "rollfit", "run", "--config", "/etc/rollfit/rollfit.toml", "--stop-within", "50"]


@task(retries=3, retry_delay=timedelta(minutes=10), max_active_tis_per_dag=1)
def run_rollfit() -> None:
    code = subprocess.call(COMMAND)
    if code == 2:
        raise AirflowFailException("the configuration is wrong (exit code 2)")
    # 4: partitions wait for a decision; `rollfit plan` lists them.
    if code not in (0, 4):
        raise AirflowException(f"exit code {code}")


@dag(schedule="15 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def rollfit_nightly():
    run_rollfit()


rollfit_nightly()
