//! [`PartitionResult`]: what came of one partition, as Python sees it.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rollfit_cli::TaskResult;
use rollfit_job::json_fault::json_fault;

use super::JobPartition;
use crate::error::ErrorKind;

/// What came of a partition. Made by `rollfit.run_partition`; small, and goes between processes. `str(result)` is what `rollfit run` logs of it.
#[pyclass(frozen, eq, module = "rollfit")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionResult(TaskResult);

impl PartitionResult {
    pub(crate) fn new(result: TaskResult) -> Self {
        Self(result)
    }

    pub(crate) fn result(&self) -> &TaskResult {
        &self.0
    }

    fn json(&self) -> PyResult<String> {
        serde_json::to_string(&self.0).map_err(|error| ErrorKind::Other.error(json_fault(&error)))
    }
}

#[pymethods]
impl PartitionResult {
    /// Which.
    #[getter]
    fn partition(&self) -> JobPartition {
        JobPartition::new(self.0.partition.clone(), &self.0.host)
    }

    /// `"written"`, `"already-done"`, `"written-by-other"` (another runner has written it meanwhile), `"waiting"` (no row is joined yet),
    /// `"empty"` (no features, and no series has a row) or `"skipped"`.
    #[getter]
    fn outcome(&self) -> &'static str {
        self.0.outcome.name()
    }

    /// The state before, such as `"missing"`, if it was written; the state for which it was skipped, such as `"foreign"`; None otherwise.
    #[getter]
    fn state(&self) -> Option<&str> {
        self.0.state.as_deref()
    }

    /// Why it was skipped, and what to do; empty otherwise.
    #[getter]
    fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Rows of features written.
    #[getter]
    fn rows(&self) -> u64 {
        self.0.rows
    }

    /// Bytes stored.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// How long it took.
    #[getter]
    fn seconds(&self) -> f64 {
        self.0.took().as_secs_f64()
    }

    /// Attempts that hit transient errors and were retried.
    #[getter]
    fn retries(&self) -> u64 {
        self.0.retries
    }

    /// The name of the machine that did it.
    #[getter]
    fn host(&self) -> &str {
        &self.0.host
    }

    /// The process that did it.
    #[getter]
    fn pid(&self) -> u32 {
        self.0.pid
    }

    /// All that is known, as a dict.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(py.import("json")?.call_method1("loads", (self.json()?,))?.cast_into()?)
    }

    fn __str__(&self) -> String {
        self.0.line()
    }

    fn __repr__(&self) -> String {
        format!("<PartitionResult {}>", self.0.line())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let parts = (slf.get().json()?,).into_pyobject(slf.py())?;
        Ok((slf.get_type().getattr("_from_json")?, parts))
    }

    #[staticmethod]
    #[pyo3(name = "_from_json")]
    fn from_json(json: &str) -> PyResult<Self> {
        serde_json::from_str(json).map(Self).map_err(|error| ErrorKind::Other.error(error.to_string()))
    }
}
