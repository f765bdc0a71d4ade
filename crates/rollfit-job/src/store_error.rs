//! [`StoreError`]: what failed in a store, where, what to do, and whether trying again can help ([`Fault`]).

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::foreign;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It may pass: try the partition again.
    Transient,
    /// It will not.
    Permanent,
    /// The store itself cannot be reached or opened: no partition can be done.
    Unreachable,
}

/// An error of a store: what failed, where, and what to do. Its message is safe to print, whatever names it holds.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", detail_text(detail.as_deref()))]
pub struct StoreError {
    fault: Fault,
    message: String,
    detail: Option<String>,
    is_damage: bool,
    attempts_max: Option<u32>,
    is_unconnected: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a cause beneath it.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: one_line(message),
            detail: None,
            is_damage: false,
            attempts_max: None,
            is_unconnected: false,
            source: None,
        }
    }

    /// An error that another one led to.
    pub fn caused_by(
        fault: Fault,
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { source: Some(source.into()), ..Self::new(fault, message) }
    }

    /// An error that will not pass.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Fault::Permanent, message)
    }

    /// An error because the connection to the store was lost or cannot be made.
    pub fn unconnected(fault: Fault, message: impl Into<String>) -> Self {
        Self { is_unconnected: true, ..Self::new(fault, message) }
    }

    /// An error of what rollfit wrote and what is not as it was written.
    pub fn damage(message: impl Into<String>) -> Self {
        Self { is_damage: true, ..Self::permanent(message) }
    }

    /// Whether something that rollfit wrote is damaged.
    pub fn is_damage(&self) -> bool {
        self.is_damage
    }

    /// The same error with what the store said in detail, which may be the same for many partitions.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(one_line(detail));
        self
    }

    /// The same error, for which a partition is tried so often at most.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts);
        self
    }

    /// Ends the work of this thread up to [`catch_store_error`], the partition or the command, whichever is next. For what only a store
    /// that is not what it says can cause, where a result could not be told from that of an honest one.
    pub fn throw(self) -> ! {
        resume_unwind(Box::new(self))
    }

    /// Whether trying again can help.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What the store said in detail; [`Display`](std::fmt::Display) ends with it.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The error without its detail.
    pub fn brief(&self) -> &str {
        &self.message
    }

    /// Whether the connection to the store was lost or cannot be made.
    pub fn is_unconnected(&self) -> bool {
        self.is_unconnected
    }

    /// How often a partition is tried at most that fails like this; none for as often as others.
    pub fn attempts_max(&self) -> Option<u32> {
        self.attempts_max
    }
}

/// What `work` gives, or the error that was thrown in it.
///
/// # Errors
/// Those of `work`.
pub fn catch_store_error<T, E: From<StoreError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match panic.downcast::<StoreError>() {
        Ok(error) => Err((*error).into()),
        Err(panic) => resume_unwind(panic),
    })
}

fn one_line(message: impl Into<String>) -> String {
    foreign::message(&message.into()).into_owned()
}

fn detail_text(detail: Option<&str>) -> String {
    detail.map(|detail| format!("; {detail}")).unwrap_or_default()
}
