//! The exceptions of a dataset: what stores, partitions and configurations answer, as Python raises it.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rollfit_cli::OpenError;
use rollfit_job::error_chain;
use rollfit_job::plan::PlanError;
use rollfit_job::store::StoreError;

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
            // Nobody has typed the option of the command.
            other => Self::Plan(error_chain(&other).replace("--only ", "")),
        }
    }
}

impl From<ReadFailure> for PyErr {
    fn from(failure: ReadFailure) -> Self {
        let message = failure.message();
        match failure {
            ReadFailure::Plan(_) => PyValueError::new_err(message),
            ReadFailure::Store(_) | ReadFailure::Partitions(_) => PyRuntimeError::new_err(message),
        }
    }
}

/// The exception for a configuration or store that cannot be opened.
pub(super) fn open_error(error: OpenError) -> PyErr {
    match error.exit_code {
        2 => PyValueError::new_err(error.message),
        _ => PyRuntimeError::new_err(error.message),
    }
}
