//! The exceptions of a dataset: what stores, partitions and configurations answer, as Python raises it.

use pyo3::prelude::*;
use rollfit_job::error_chain;
use rollfit_job::plan::PlanError;
use rollfit_job::store::StoreError;

use crate::error::ErrorKind;

/// Why features cannot be read.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The store failed, or what it holds is damaged.
    Store(StoreError),
    /// Partitions are not as they have to be to be read.
    Partitions(String),
    /// The job has no such partitions.
    Plan(String),
}

impl ReadFailure {
    /// What happened, where, and what to do.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Store(error) => error_chain(error),
            Self::Partitions(message) | Self::Plan(message) => message.clone(),
        }
    }
}

impl From<StoreError> for ReadFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PlanError> for ReadFailure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Store(error) => Self::Store(error),
            other => Self::Plan(error_chain(&other)),
        }
    }
}

impl From<ReadFailure> for PyErr {
    fn from(failure: ReadFailure) -> Self {
        let kind = match &failure {
            ReadFailure::Plan(_) => ErrorKind::Config,
            ReadFailure::Partitions(_) => ErrorKind::Partition,
            ReadFailure::Store(error) if error.is_unconnected() => ErrorKind::Unreachable,
            ReadFailure::Store(_) => ErrorKind::Store,
        };
        kind.error(failure.message())
    }
}
