//! [`Exit`]: the exit codes, part of the contract; and [`Failure`]: an error with the code it leads to.

use rollfit_bars::ImportError;
use rollfit_job::config::ConfigError;
use rollfit_job::plan::PlanError;
use rollfit_job::store::{Fault, StoreError};
use rollfit_job::{error_chain, foreign};

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// Some partitions failed, or a verification or a comparison found a difference.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The store cannot be reached.
    Unreachable = 3,
    /// Nothing failed, but partitions were skipped, or verify or compare found some without features.
    Skipped = 4,
    /// Stopped by a signal.
    Interrupted = 130,
}

impl Exit {
    /// The exit code for the outcomes of partitions. An interruption comes before all of them.
    pub(crate) fn from_partitions(is_interrupted: bool, some_failed: bool, some_skipped: bool) -> Self {
        match (is_interrupted, some_failed, some_skipped) {
            (true, ..) => Self::Interrupted,
            (_, true, _) => Self::Failed,
            (.., true) => Self::Skipped,
            _ => Self::Done,
        }
    }
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as Self
    }
}

/// An error and the exit code it leads to. What it says is safe to print.
#[derive(Debug)]
pub struct Failure {
    pub(crate) exit: Exit,
    /// Whether a store is the cause.
    is_of_store: bool,
    /// Whether trying again can help.
    may_pass: bool,
    /// What went wrong, and notes below it.
    lines: Vec<String>,
}

impl Failure {
    /// The exit code that the error leads to.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether a store could not do what it was asked for: it is away, damaged, full or refuses.
    pub fn is_of_store(&self) -> bool {
        self.is_of_store
    }

    /// Whether trying again can help: a store is away or busy, or another runner is at work.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// What went wrong, and notes below it; safe to print.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Exit::Usage, &message.to_string())
    }

    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self::new(Exit::Failed, &message.to_string())
    }

    /// What trying again later can help against.
    pub(crate) fn passing(message: impl std::fmt::Display) -> Self {
        Self { may_pass: true, ..Self::failed(message) }
    }

    pub(crate) fn skipped(message: impl std::fmt::Display) -> Self {
        Self::new(Exit::Skipped, &message.to_string())
    }

    /// What a caller wanted that does not wait for the end.
    pub(crate) fn stopped() -> Self {
        Self::new(Exit::Interrupted, "stopped; run it again to continue")
    }

    fn new(exit: Exit, message: &str) -> Self {
        Self {
            exit,
            is_of_store: false,
            may_pass: false,
            lines: vec![foreign::message(message).into_owned()],
        }
    }

    /// The error with everything that led to it.
    fn from_error(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self { exit, is_of_store: false, may_pass: false, lines: vec![error_chain(error)] }
    }

    /// The same with another exit code.
    #[must_use]
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same after these words.
    #[must_use]
    pub(crate) fn after(mut self, words: &str) -> Self {
        if let Some(first) = self.lines.first_mut() {
            *first = format!("{} {first}", foreign::message(words));
        }
        self
    }

    /// The same with more of the sentence at its end.
    #[must_use]
    pub(crate) fn before(mut self, words: &str) -> Self {
        if let Some(first) = self.lines.first_mut() {
            *first = format!("{first}; {}", foreign::message(words));
        }
        self
    }

    /// The same with a note below it.
    #[must_use]
    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.lines.push(foreign::message(note).into_owned());
        self
    }
}

impl From<ConfigError> for Failure {
    /// The notes of a configuration's error have lines of their own.
    fn from(error: ConfigError) -> Self {
        let lines = error.to_string().lines().map(|line| foreign::message(line).into_owned()).collect();
        Self { exit: Exit::Usage, is_of_store: false, may_pass: false, lines }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.fault() {
            Fault::Unreachable => Exit::Unreachable,
            Fault::Transient | Fault::Permanent => Exit::Failed,
        };
        let may_pass = error.fault() != Fault::Permanent;
        Self { is_of_store: true, may_pass, ..Self::from_error(exit, &error) }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Store(error) => error.into(),
            PlanError::Config(error) => error.into(),
            error => Self::from_error(Exit::Usage, &error),
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
        Self::from_error(exit, &error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(Exit::Failed, &error)
    }
}
