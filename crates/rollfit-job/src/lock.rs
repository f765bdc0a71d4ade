//! [`lock`] and [`unpoisoned`]: access to what a mutex guards, also after a thread panicked while it held the lock. Only for
//! values that are consistent at every step.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, poisoned or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// Returns what a poisoned lock, or a wait for one, would have given.
pub fn unpoisoned<G>(result: Result<G, PoisonError<G>>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
