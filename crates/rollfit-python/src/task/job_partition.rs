//! [`JobPartition`]: a partition of a job, as Python sees it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rollfit_job::partition::Partition;
use rollfit_job::selector::Selector;

use crate::error::ErrorKind;

/// A partition of a job: one key in one calendar month, quarter or year (UTC), or in all of time. Made by `rollfit.partitions`; sorts by
/// key and time.
#[pyclass(frozen, eq, ord, name = "Partition", module = "rollfit")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobPartition(Partition);

impl JobPartition {
    pub(crate) fn new(partition: Partition) -> Self {
        Self(partition)
    }

    pub(crate) fn partition(&self) -> &Partition {
        &self.0
    }
}

/// The month of a partition, where its period is one.
pub(crate) fn month_of(partition: &Partition) -> PyResult<String> {
    let period = partition.period;
    if period.unit().is_month() {
        return Ok(period.to_string());
    }
    Err(PyAttributeError::new_err(format!(
        "{partition} has no month, its period is \"{period}\": use .period"
    )))
}

#[pymethods]
impl JobPartition {
    /// What the series belong to, such as `"eurusd"`.
    #[getter]
    fn key(&self) -> &str {
        &self.0.key
    }

    /// The period (UTC), such as `"2017-01"`, `"2017-Q1"`, `"2017"` or `"all"`.
    #[getter]
    fn period(&self) -> String {
        self.0.period.to_string()
    }

    /// The calendar month (UTC), such as `"2017-01"`; an AttributeError where the period is none.
    #[getter]
    fn month(&self) -> PyResult<String> {
        month_of(&self.0)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Partition {}>", self.0)
    }

    /// The same in every process, as engines need it that send partitions around.
    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let parts = (slf.get().key(), slf.get().period());
        Ok((slf.get_type().getattr("_from_parts")?, parts.into_pyobject(slf.py())?))
    }

    #[staticmethod]
    #[pyo3(name = "_from_parts")]
    fn from_parts(key: &str, period: &str) -> PyResult<Self> {
        let wrong =
            |what: &str| ErrorKind::Config.error(format!("{key:?}, {period:?} is no partition: {what}"));
        let selector: Selector =
            format!("{key}:{period}").parse().map_err(|error| wrong(&format!("{error}")))?;
        selector.partition().map(Self).ok_or_else(|| wrong("it means several"))
    }
}
