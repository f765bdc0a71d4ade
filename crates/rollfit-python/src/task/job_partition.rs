//! [`JobPartition`]: a partition of a job, as Python sees it.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rollfit_cli::TaskPartition;
use rollfit_job::partition::Partition;
use rollfit_job::selector::Selector;

use crate::error::ErrorKind;

/// A partition of a job: one key in one calendar month (UTC). Made by `rollfit.partitions`; sorts by key and month.
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

#[pymethods]
impl JobPartition {
    /// What the series belong to, such as `"eurusd"`.
    #[getter]
    fn key(&self) -> &str {
        &self.partition.key
    }

    /// The calendar month (UTC), such as `"2017-01"`.
    #[getter]
    fn month(&self) -> String {
        self.partition.period.to_string()
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
        let parts = (slf.get().key(), slf.get().month(), slf.get().host.clone());
        Ok((slf.get_type().getattr("_from_parts")?, parts.into_pyobject(slf.py())?))
    }

    #[staticmethod]
    #[pyo3(name = "_from_parts", signature = (key, month, host=None))]
    fn from_parts(key: &str, month: &str, host: Option<String>) -> PyResult<Self> {
        let wrong =
            |what: &str| ErrorKind::Config.error(format!("{key:?}, {month:?} is no partition: {what}"));
        let selector: Selector =
            format!("{key}:{month}").parse().map_err(|error| wrong(&format!("{error}")))?;
        let partition = selector.partition().ok_or_else(|| wrong("it means several"))?;
        Ok(Self { partition, host })
    }
}
