//! `rollfit.run`: the job of the command `rollfit run`, in a Python process.

mod caller;
mod report;

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};
use rollfit_cli::{EmbeddedRun, Failure, FinishedRun};

pub(crate) use self::caller::{Display, PythonCaller};
pub(crate) use self::report::{PartitionProblem, RunReport};
use crate::error::{ErrorKind, from_failure};

/// Computes and stores the features of every partition that is missing or whose source has changed, as `rollfit run` does.
///
/// The same job as the command: it writes the same record, so that `rollfit status` and `rollfit.analyze` find it, and what one of both
/// has begun the other continues. The GIL is released while it works.
///
/// Parameters
/// ----------
/// config : str or path, optional
///     The configuration; without it `ROLLFIT_CONFIG` of the environment, or the nearest `rollfit.toml`, in the working directory or above it.
/// only : str or list of str, optional
///     Only these partitions: `"eurusd"`, `"eur*"`, `"eurusd:2017-01"`, `"eur*:2017-0?"`, `"eurusd:2017-03..2017-06"`, `":2017-03.."`. None for
///     all. One that matches nothing is a warning of the logger `rollfit`.
/// workers : int or str, optional
///     Partitions processed at once: `"auto"`, a number, or a range such as `"2..16"`; without it as configured.
/// replace : str or list of str, optional
///     Also replace partitions in these states: `"definition-changed"`, `"foreign"`, `"shrunk"`.
/// force : bool
///     Also rewrite partitions that are done.
/// shard : str, optional
///     The share of the job that is this machine's, from 0: `"3/8"` is the fourth of eight, `"0/1"` the whole job. Without it as
///     `ROLLFIT_SHARD` or an array job says. After its own share the run helps with what is missing of the others.
/// no_help : bool
///     With a shard, stop after its partitions.
/// stop_within : int, optional
///     After Ctrl-C, roll back partitions that do not finish within these seconds.
/// metrics_file, trace : str or path, optional
///     Files for Prometheus, and for chrome://tracing or Perfetto.
/// progress : bool or callable
///     True shows a bar in a terminal and a line in a notebook, False nothing. A callable gets a dict once a second and at the end, with
///     `partitions`, `ended`, `written`, `failed`, `retries`, `rows`, `bytes`, `rows_per_second`, `bytes_per_second`, `workers`,
///     `seconds`, `remaining_seconds` (None while unknown) and `line`, all of it as text.
/// check : bool
///     Whether partitions that failed raise PartitionError, and skipped ones are a RollfitWarning. The report says both in any case.
///
/// Returns
/// -------
/// RunReport
///     What was done. `report.exit_code` is that of the command.
///
/// Raises
/// ------
/// PartitionError
///     Some partitions failed; all others are done. `error.report` is the report.
/// ConfigError
///     The configuration or an option is wrong.
/// StoreUnreachableError, StoreError
///     The store cannot be opened.
/// KeyboardInterrupt
///     At Ctrl-C. The first lets partitions in progress finish, a second rolls them back; nothing is half-written, and the same call
///     continues. `error.report` is the report if the run had begun and ended in time. Any other exception that a handler of a
///     signal or `progress` raises stops the run in the same way.
///
/// Messages go to the logger `rollfit` of `logging`. No handler of signals is installed, and threads other than the main one, which gets
/// Ctrl-C, may run jobs too, several at once. Do not fork while a run is in progress.
#[pyfunction]
#[pyo3(signature = (config=None, *, only=None, workers=None, replace=None, force=false, shard=None, no_help=false,
    stop_within=None, metrics_file=None, trace=None, progress=None, check=true))]
#[expect(clippy::too_many_arguments, reason = "the options of the command, by name")]
pub(crate) fn run(
    py: Python<'_>,
    config: Option<PathBuf>,
    only: Option<Bound<'_, PyAny>>,
    workers: Option<Bound<'_, PyAny>>,
    replace: Option<Bound<'_, PyAny>>,
    force: bool,
    shard: Option<String>,
    no_help: bool,
    stop_within: Option<i64>,
    metrics_file: Option<PathBuf>,
    trace: Option<PathBuf>,
    progress: Option<Bound<'_, PyAny>>,
    check: bool,
) -> PyResult<RunReport> {
    let mut options = Options::default();
    options.add_path("--config", config);
    options.add_each("only", only.as_ref())?;
    options.add_each("replace", replace.as_ref())?;
    options.add_workers(workers.as_ref())?;
    options.0.extend(force.then(|| "--force".into()));
    options.0.extend(shard.map(|shard| format!("--shard={shard}").into()));
    options.0.extend(no_help.then(|| "--no-help".into()));
    options.0.extend(stop_within.map(|seconds| format!("--stop-within={seconds}").into()));
    options.add_path("--metrics-file", metrics_file);
    options.add_path("--trace", trace);
    let job = EmbeddedRun::parse(&options.0).map_err(|failure| from_failure(&failure))?;
    let display = Display::new(py, progress.as_ref())?;
    let with_bar = display.is_bar();
    let mut caller = PythonCaller::new(display);
    let outcome = py.detach(|| job.run(with_bar, &mut caller));
    finish(py, outcome, caller, check)
}

/// The report, or what there is to raise.
fn finish(
    py: Python<'_>,
    outcome: Result<FinishedRun, Failure>,
    caller: PythonCaller,
    check: bool,
) -> PyResult<RunReport> {
    let report = outcome.map(RunReport::new);
    if let Some(error) = caller.into_error() {
        let value = error.value(py);
        // An exception that takes no attributes goes without.
        let _ = match report {
            Ok(report) => value.setattr("report", report?),
            Err(failure) => value
                .call_method1("add_note", (format!("rollfit: {}", failure.lines().join("\n")),))
                .map(drop),
        };
        return Err(error);
    }
    let report = report.map_err(|failure| from_failure(&failure))??;
    if check { report.check(py) } else { Ok(report) }
}

/// Options as the command takes them, each in one piece, so that no value passes for an option.
#[derive(Default)]
struct Options(Vec<OsString>);

impl Options {
    fn add(&mut self, name: &str, value: &std::ffi::OsStr) {
        let mut option = OsString::from(format!("{name}="));
        option.push(value);
        self.0.push(option);
    }

    fn add_path(&mut self, name: &str, path: Option<PathBuf>) {
        path.into_iter().for_each(|path| self.add(name, path.as_os_str()));
    }

    fn add_each(&mut self, name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        texts(name, given)?.iter().for_each(|text| self.add(&format!("--{name}"), text.as_ref()));
        Ok(())
    }

    fn add_workers(&mut self, workers: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(workers) = workers else { return Ok(()) };
        if workers.is_instance_of::<PyBool>() {
            return Err(PyTypeError::new_err(format!("workers takes a number or a text, not {workers}")));
        }
        let text = match (workers.extract::<String>(), workers.extract::<i64>()) {
            (Ok(text), _) => text,
            (_, Ok(number)) => number.to_string(),
            _ => {
                return Err(PyTypeError::new_err(format!("workers takes a number or a text, not {workers}")));
            }
        };
        self.add("--workers", text.as_ref());
        Ok(())
    }
}

/// A text or several, of the argument of this name; none where it is missing. None at all would mean all partitions to the command.
pub(crate) fn texts(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<String>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(vec![text.extract()?]);
    }
    let texts = given.try_iter().and_then(|each| each.map(|text| text?.extract()).collect());
    let texts: Vec<String> = texts.map_err(|_: PyErr| {
        PyTypeError::new_err(format!("{name} takes a text or a list of texts, not {given}"))
    })?;
    if texts.is_empty() && name == "only" {
        return Err(ErrorKind::Config.error("only is empty, which selects no partition; pass None for all"));
    }
    Ok(texts)
}
