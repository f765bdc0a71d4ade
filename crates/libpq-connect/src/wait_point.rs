//! [`WaitPoint`]: what an attempt to connect is waiting for, for the message of a time limit.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared between an attempt and its stream.
#[derive(Clone, Debug)]
pub(crate) struct WaitPoint(Arc<Mutex<&'static str>>);

impl WaitPoint {
    pub(crate) fn new(waited_for: &'static str) -> Self {
        Self(Arc::new(Mutex::new(waited_for)))
    }

    pub(crate) fn set(&self, waited_for: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waited_for;
    }

    pub(crate) fn get(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
