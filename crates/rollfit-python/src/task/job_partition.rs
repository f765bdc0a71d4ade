//! [`JobPartition`]: a partition of a job, as Python sees it.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rollfit_cli::TaskPartition;
use rollfit_job::partition::Partition;
use rollfit_job::selector::Selector;

use crate::error::ErrorKind;

/// A partition of a job: one key in one calendar month, quarter or year (UTC), or in all of time. Made by `rollfit.partitions`; sorts by
/// key and time.
#[pyclass(frozen, eq, ord, name = "Partition", module = "rollfit")]
#[derive(Clone, Debug)]
pub(crate) struct JobPartition {
    partition: Partition,
    /// The host that planned it, which is no part of what it is; none where an earlier version sent it.
    host: Option<String>,
}

impl JobPartition {
    pub(crate) fn new(partition: Partition, host: &str) -> Self {
        Self { partition, host: Some(host.to_owned()) }
    }

    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }

    pub(super) fn to_task(&self) -> TaskPartition {
        TaskPartition::Planned { partition: self.partition.clone(), host: self.host.clone() }
    }
}

impl PartialEq for JobPartition {
    fn eq(&self, other: &Self) -> bool {
        self.partition == other.partition
    }
}

impl Eq for JobPartition {}

impl PartialOrd for JobPartition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for JobPartition {
    fn cmp(&self, other: &Self) -> Ordering {
        self.partition.cmp(&other.partition)
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

    fn __str__(&self) -> String {
        self.partition.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Partition {}>", self.partition)
    }

    /// The same in every process, as engines need it that send partitions around.
    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.partition.hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let parts = (slf.get().key(), slf.get().period(), slf.get().host.clone());
        Ok((slf.get_type().getattr("_from_parts")?, parts.into_pyobject(slf.py())?))
    }

    #[staticmethod]
    #[pyo3(name = "_from_parts", signature = (key, period, host=None))]
    fn from_parts(key: &str, period: &str, host: Option<String>) -> PyResult<Self> {
        let wrong =
            |what: &str| ErrorKind::Config.error(format!("{key:?}, {period:?} is no partition: {what}"));
        let selector: Selector =
            format!("{key}:{period}").parse().map_err(|error| wrong(&format!("{error}")))?;
        let partition = selector.partition().ok_or_else(|| wrong("it means several"))?;
        Ok(Self { partition, host })
    }
}
