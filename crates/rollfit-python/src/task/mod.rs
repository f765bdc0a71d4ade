//! `rollfit.partitions`, `rollfit.run_partition` and `rollfit.summarize`: a job one partition at a time, for Ray, Dask and other engines.

mod job_partition;
mod kept_stores;
mod partition_result;
mod summary;

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rollfit_cli::{
    Failure, OpenStores, PartitionTask, RunCaller, TaskPartition, host_name, keep_messages, take_messages,
};
use rollfit_job::runners::{Shard, ShardError};
use rollfit_job::selection::Selection;
use rollfit_job::selector::Selector;
use rollfit_job::warn_once::say_warnings_again;

pub(crate) use self::job_partition::{JobPartition, month_of};
use self::kept_stores::KeptStores;
pub(crate) use self::partition_result::PartitionResult;
pub(crate) use self::summary::summarize;
use crate::error::from_failure;
use crate::error::{ErrorKind, error_of_kind, kind_of};
use crate::interruptible::interruptible;
use crate::run::{Display, PythonCaller, texts};

/// The partitions of a job, in the order in which `rollfit plan` lists them. No series is read and nothing is written.
///
/// Parameters
/// ----------
/// config : str or path, optional
///     The configuration; without it `ROLLFIT_CONFIG` of the environment, or the nearest `rollfit.toml`, in the working directory or above it.
/// only : str or list of str, optional
///     Only these partitions: `"eurusd"`, `"eur*"`, `"eurusd:2017-01"`, `"eur*:2017-0?"`, `"eurusd:2017-03..2017-06"`, `":2017-03.."`. None for
///     all. One that matches nothing is a warning of the logger `rollfit`.
/// shard : str or tuple of int, optional
///     One share of several that are about equal: `"3/8"` or `(3, 8)` is the fourth of eight. None for all of them; the shard that
///     `ROLLFIT_SHARD` names is the command's.
///
/// Returns
/// -------
/// list of Partition
///     Small, picklable and hashable: what `run_partition` takes, on any machine that reads the same configuration.
///
/// Raises
/// ------
/// ConfigError
///     The configuration is wrong, there is no such shard, or `only` selects nothing.
/// StoreUnreachableError, StoreError
///     The store cannot be opened.
#[pyfunction]
#[pyo3(signature = (config=None, *, only=None, shard=None))]
pub(crate) fn partitions(
    py: Python<'_>,
    config: Option<PathBuf>,
    only: Option<&Bound<'_, PyAny>>,
    shard: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<JobPartition>> {
    let only = texts("only", only)?;
    let selectors = only.iter().flat_map(|text| text.split(','));
    let only = selectors.map(selector).collect::<PyResult<Selection>>()?;
    let shard = shard.map(shard_of).transpose()?;
    keep_messages();
    say_warnings_again();
    let config =
        config.map_or_else(OpenStores::usual_config, Ok).map_err(|failure| from_failure(&failure))?;
    let work = move || OpenStores::open(config)?.partitions(&only, shard);
    let found = interruptible(py, work)?.map_err(|failure| from_failure(&failure))?;
    let mut caller = PythonCaller::new(Display::Silent);
    py.detach(|| take_messages().iter().for_each(|message| caller.log(message)));
    if let Some(error) = caller.into_error() {
        return Err(error);
    }
    let host = host_name();
    Ok(found.into_iter().map(|partition| JobPartition::new(partition, &host)).collect())
}

/// Computes and stores the features of one partition, if they are missing or its source has changed: a task for Ray, Dask or any other engine.
///
/// It works in this process and on one core, and several threads may call it at once. Nothing that is written is visible to others before all
/// of it is, and a process that is killed leaves nothing half-written. Another runner that has the partition is waited for, at most
/// `lock_wait_s` of the configuration; attempts and limits of `[run]` are those of each task. The stores stay open for the next call, until
/// a minute has passed without one, the configuration or a variable `ROLLFIT_*` or `PG*` of the environment changes, or `rollfit.close()`.
/// A forked process opens its own.
///
/// Parameters
/// ----------
/// config : str or path or None
///     The configuration, as this machine sees it; None for `ROLLFIT_CONFIG` of the environment, or the nearest `rollfit.toml`, in the working directory or above it.
/// partition : Partition, str or tuple of str
///     One of `rollfit.partitions(config)`; or `"eurusd:2017-01"`, or `("eurusd", "2017-01")`, which is planned again first.
/// replace : str or list of str, optional
///     Also replace a partition in these states: `"definition-changed"`, `"foreign"`, `"shrunk"`.
/// force : bool
///     Also rewrite a partition that is done.
///
/// Returns
/// -------
/// PartitionResult
///     What was done, small and picklable. A partition that is skipped is a result too, with its state and the reason.
///
/// Raises
/// ------
/// RollfitError
///     With `error.retry` True where trying again can help: the store is away (StoreUnreachableError) or has passing trouble (StoreError), or
///     another runner still has the partition (PartitionError). Otherwise it does not help: the configuration is wrong (ConfigError), the
///     source is missing, something is damaged or not permitted, a disk is full. Attempts that the configuration allows have been made by then.
/// KeyboardInterrupt
///     At Ctrl-C in the main thread. What is uncommitted is rolled back.
#[pyfunction]
#[pyo3(signature = (config, partition, *, replace=None, force=false))]
pub(crate) fn run_partition(
    py: Python<'_>,
    config: Option<PathBuf>,
    partition: &Bound<'_, PyAny>,
    replace: Option<&Bound<'_, PyAny>>,
    force: bool,
) -> PyResult<PartitionResult> {
    let replace = texts("replace", replace)?;
    let task = PartitionTask::new(partition_of(partition)?, &replace, force);
    let task = task.map_err(|failure| from_failure(&failure))?;
    let config =
        config.map_or_else(OpenStores::usual_config, Ok).map_err(|failure| from_failure(&failure))?;
    let config = std::path::absolute(config)?;
    close_at_exit(py)?;
    let mut caller = PythonCaller::new(Display::Silent);
    let done = py.detach(|| {
        let opened = config.clone();
        let done = task.run(move || KeptStores::of_process().open(&opened), &mut caller);
        if done.as_ref().is_err_and(|failure| failure.is_of_store() && failure.may_pass()) {
            // Another try asks anew for addresses, passwords and what the server can.
            KeptStores::of_process().forget(&config);
        }
        done
    });
    match caller.into_error() {
        Some(error) => Err(error),
        None => done.map(PartitionResult::new).map_err(|failure| task_error(&failure)),
    }
}

/// Closes what `rollfit.run_partition` keeps open in this process for its next call: connections to stores. What is in progress in other threads
/// is not disturbed. That is done anyway after a minute without a call, and at the end of the process.
#[pyfunction]
pub(crate) fn close(py: Python<'_>) {
    py.detach(|| KeptStores::of_process().close());
}

/// A session that is closed in order is no line in the server's log.
fn close_at_exit(py: Python<'_>) -> PyResult<()> {
    if KeptStores::of_process().is_first_use() {
        let close = py.import("rollfit._rollfit")?.getattr("close")?;
        py.import("atexit")?.call_method1("register", (close,))?;
    }
    Ok(())
}

/// What is neither the configuration's fault nor a store's is a partition's.
fn task_error(failure: &Failure) -> PyErr {
    match kind_of(failure) {
        ErrorKind::Other => error_of_kind(ErrorKind::Partition, failure),
        kind => error_of_kind(kind, failure),
    }
}

fn selector(text: &str) -> PyResult<Selector> {
    text.parse().map_err(|error| ErrorKind::Config.error(format!("{text:?} is no partition: {error}")))
}

fn partition_of(partition: &Bound<'_, PyAny>) -> PyResult<TaskPartition> {
    if let Ok(planned) = partition.cast::<JobPartition>() {
        return Ok(planned.get().to_task());
    }
    if let Ok(text) = partition.cast::<PyString>() {
        return selector(&text.to_cow()?).map(TaskPartition::Named);
    }
    let Ok((key, month)) = partition.extract::<(String, String)>() else {
        return Err(PyTypeError::new_err(format!(
            "partition takes a Partition, \"eurusd:2017-01\" or (\"eurusd\", \"2017-01\"), not {partition}"
        )));
    };
    selector(&format!("{key}:{month}")).map(TaskPartition::Named)
}

fn shard_of(shard: &Bound<'_, PyAny>) -> PyResult<Shard> {
    let found: Result<Shard, ShardError> = match (shard.extract::<String>(), shard.extract::<(i64, i64)>()) {
        (Ok(text), _) => text.parse(),
        (_, Ok((index, count))) => format!("{index}/{count}").parse(),
        _ => return Err(PyTypeError::new_err(format!("shard takes \"3/8\" or (3, 8), not {shard}"))),
    };
    found.map_err(|error| ErrorKind::Config.error(error.to_string()))
}
