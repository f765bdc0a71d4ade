//! [`Exit`]: the exit codes, part of the contract; and [`Failure`]: an error with the code it leads to.

use rollfit_job::plan::PlanError;
use rollfit_job::spec::SpecError;
use rollfit_job::store::{Fault, StoreError};
use rollfit_store::import::ImportError;

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done = 0,
    /// Some partitions failed, or a verification or a comparison found a difference.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The store cannot be reached.
    Unreachable = 3,
    /// Nothing failed, but partitions were left alone, or verify or compare found some without features.
    LeftAlone = 4,
    /// Stopped by a signal.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error and the exit code it leads to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, error: anyhow::anyhow!("{message}") }
    }

    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Failed, error: anyhow::anyhow!("{message}") }
    }
}

impl std::fmt::Display for Failure {
    /// The error with everything that led to it, in one line a cause.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.fault() {
            Fault::Unreachable => Exit::Unreachable,
            Fault::Transient | Fault::Permanent => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Store(error) => error.into(),
            error => Self { exit: Exit::Usage, error: error.into() },
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let exit = match error {
            ImportError::NoZone { .. }
            | ImportError::NoKey { .. }
            | ImportError::Key { .. }
            | ImportError::KeyContradiction { .. }
            | ImportError::TwoSymbols { .. }
            | ImportError::ZoneContradiction { .. }
            | ImportError::Columns { .. }
            | ImportError::Options { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Self { exit, error: error.into() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}
