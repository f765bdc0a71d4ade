//! [`RunReport`]: what a run did, as Python sees it.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rollfit_cli::FinishedRun;
use rollfit_job::json_fault::json_fault;
use rollfit_job::partition::Partition;
use serde::Deserialize;

use crate::error::ErrorKind;
use crate::task::month_of;

/// The most lines of a report that are shown without being asked for, and partitions that a message names.
const LINES_MAX: usize = 30;
const NAMED_MAX: usize = 10;

/// A partition that was not done, and why.
#[pyclass(frozen, module = "rollfit")]
#[derive(Clone, Debug)]
pub(crate) struct PartitionProblem {
    partition: Partition,
    /// `"failed"`, `"held"`, or the state for which it was skipped, such as `"foreign"`.
    #[pyo3(get)]
    state: String,
    /// Why, and what to do.
    #[pyo3(get)]
    reason: String,
}

impl PartitionProblem {
    fn line(&self) -> String {
        format!("  {}: {}: {}", self.partition, self.state, self.reason)
    }
}

#[pymethods]
impl PartitionProblem {
    /// What the series belong to, such as `"eurusd"`.
    #[getter]
    fn key(&self) -> &str {
        &self.partition.key
    }

    /// The period (UTC), such as `"2017-01"`, `"2017-Q1"`, `"2017"` or `"all"`.
    #[getter]
    fn period(&self) -> String {
        self.partition.period.to_string()
    }

    /// The calendar month (UTC), such as `"2017-01"`; an AttributeError where the period is none.
    #[getter]
    fn month(&self) -> PyResult<String> {
        month_of(&self.partition)
    }

    fn __repr__(&self) -> String {
        format!("<PartitionProblem {}>", self.line().trim())
    }
}

/// The document of the command, as far as attributes show it.
#[derive(Deserialize)]
struct RunDocument {
    partitions: u64,
    written: u64,
    already_done: u64,
    waiting: u64,
    empty: Vec<Partition>,
    skipped: Vec<Undone>,
    failed: Vec<Undone>,
    not_started: u64,
    interrupted: bool,
    retries: u64,
    rows: u64,
    bytes: u64,
    workers: u64,
    seconds: f64,
}

#[derive(Deserialize)]
struct Undone {
    partition: Partition,
    state: String,
    cause: String,
}

impl From<Undone> for PartitionProblem {
    fn from(undone: Undone) -> Self {
        Self { partition: undone.partition, state: undone.state, reason: undone.cause }
    }
}

/// What a run did. `str(report)` is what `rollfit run` prints, `report.to_dict()` what it prints with `--json`.
#[pyclass(frozen, module = "rollfit")]
#[derive(Clone, Debug)]
pub(crate) struct RunReport {
    /// The run's name, by which `rollfit analyze` and `rollfit status` find it.
    #[pyo3(get)]
    run: String,
    /// The file of its record; None if all was done already, or it could not be written.
    #[pyo3(get)]
    pub(crate) record: Option<PathBuf>,
    /// What the command would have ended with: 0 done, 1 some partitions failed, 4 some were skipped, 130 interrupted.
    #[pyo3(get)]
    exit_code: u8,
    /// The partitions selected.
    #[pyo3(get)]
    partitions: u64,
    /// Those that were written.
    #[pyo3(get)]
    written: u64,
    /// Those that had nothing to do.
    #[pyo3(get)]
    already_done: u64,
    /// Those of which no row is joined yet.
    #[pyo3(get)]
    waiting: u64,
    /// Those without features of which no series has a row.
    #[pyo3(get)]
    empty: u64,
    /// Those that a stop left out.
    #[pyo3(get)]
    not_started: u64,
    /// Whether it was stopped before all was done.
    #[pyo3(get)]
    interrupted: bool,
    /// Attempts that hit transient errors and were retried.
    #[pyo3(get)]
    retries: u64,
    /// Rows of features written.
    #[pyo3(get)]
    rows: u64,
    /// Bytes written.
    #[pyo3(get)]
    bytes: u64,
    /// The most workers at once.
    #[pyo3(get)]
    workers: u64,
    /// How long it took.
    #[pyo3(get)]
    seconds: f64,
    /// The partitions that failed.
    #[pyo3(get)]
    failures: Vec<PartitionProblem>,
    /// The partitions that were skipped: rewritten only with `replace`.
    #[pyo3(get)]
    skipped: Vec<PartitionProblem>,
    text: String,
    json: String,
}

impl RunReport {
    pub(crate) fn new(finished: FinishedRun) -> PyResult<Self> {
        let FinishedRun { run, exit, json, text, record } = finished;
        Self::from_parts(json, text, run, exit.into(), record)
    }

    /// The report, unless partitions failed; warns if some were skipped.
    pub(crate) fn check(self, py: Python<'_>) -> PyResult<Self> {
        let named = |problems: &[PartitionProblem]| {
            let lines: Vec<String> = problems.iter().take(NAMED_MAX).map(PartitionProblem::line).collect();
            let more = problems.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            format!("{}{more}", lines.join("\n"))
        };
        let (failed, skipped, all) = (self.failures.len(), self.skipped.len(), self.partitions);
        if failed > 0 {
            let message = format!(
                "{failed} of {all} partitions failed; `report` of this exception has them\n{}",
                named(&self.failures)
            );
            let error = ErrorKind::Partition.error(message);
            error.value(py).setattr("report", self)?;
            return Err(error);
        }
        if skipped > 0 {
            let message = format!(
                "{skipped} of {all} partitions were skipped, and their features are as they were; `replace=[STATE]` rewrites those \
                 that can be\n{}",
                named(&self.skipped)
            );
            let class = ErrorKind::Warning.class(py)?;
            py.import("warnings")?.call_method1("warn", (message, class, 1))?;
        }
        Ok(self)
    }
}

#[pymethods]
impl RunReport {
    /// The number of partitions by how they ended.
    #[getter]
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        counts.set_item("written", self.written)?;
        counts.set_item("already_done", self.already_done)?;
        counts.set_item("waiting", self.waiting)?;
        counts.set_item("empty", self.empty)?;
        counts.set_item("skipped", self.skipped.len())?;
        counts.set_item("failed", self.failures.len())?;
        counts.set_item("not_started", self.not_started)?;
        Ok(counts)
    }

    /// All that is known, as what `rollfit run --json` prints, with `run`, `record` and `exit_code` beside it.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let all = py.import("json")?.call_method1("loads", (&self.json,))?;
        all.set_item("run", &self.run)?;
        all.set_item("record", self.record.as_ref().map(|path| path.as_os_str()))?;
        all.set_item("exit_code", self.exit_code)?;
        Ok(all)
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let more = lines.len().saturating_sub(LINES_MAX);
        let more = if more > 0 { format!("\n... and {more} more lines") } else { String::new() };
        let shown = lines[..lines.len().min(LINES_MAX)].join("\n");
        format!("<RunReport, exit code {}>\n{shown}{more}", self.exit_code)
    }

    /// For pickle: between processes a report goes as its parts.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let report = slf.get();
        let parts = (
            &report.json,
            &report.text,
            &report.run,
            report.exit_code,
            report.record.as_ref().map(|path| path.as_os_str()),
        );
        Ok((slf.get_type().getattr("_from_parts")?, parts.into_pyobject(slf.py())?))
    }

    #[staticmethod]
    #[pyo3(name = "_from_parts")]
    fn from_parts(
        json: String,
        text: String,
        run: String,
        exit_code: u8,
        record: Option<PathBuf>,
    ) -> PyResult<Self> {
        let document: RunDocument =
            serde_json::from_str(&json).map_err(|error| ErrorKind::Other.error(json_fault(&error)))?;
        Ok(Self {
            run,
            record,
            exit_code,
            partitions: document.partitions,
            written: document.written,
            already_done: document.already_done,
            waiting: document.waiting,
            empty: document.empty.len() as u64,
            not_started: document.not_started,
            interrupted: document.interrupted,
            retries: document.retries,
            rows: document.rows,
            bytes: document.bytes,
            workers: document.workers,
            seconds: document.seconds,
            failures: document.failed.into_iter().map(PartitionProblem::from).collect(),
            skipped: document.skipped.into_iter().map(PartitionProblem::from).collect(),
            text,
            json,
        })
    }
}
