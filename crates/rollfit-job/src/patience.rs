//! [`patiently`]: a store that is starting, full or restarting is waited for, before a job starts that would retry
//! itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::store::{Fault, StoreError};

/// How long to wait. A server that restarts takes a few seconds; a user who typed a command should not wait longer.
static PATIENCE_MS: AtomicU64 = AtomicU64::new(10_000);
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Makes every store that gives no connection an error at once, in the whole process. For fuzzers.
#[doc(hidden)]
pub fn wait_for_no_store() {
    PATIENCE_MS.store(0, Ordering::Relaxed);
}

/// Asks a store until it answers, for 10 s while a server is there that gives no connection. Says once that it waits.
///
/// # Errors
/// [`Fault::Unreachable`] where there is still no connection, and every other error at once.
pub fn patiently<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let (started, patience) = (Instant::now(), Duration::from_millis(PATIENCE_MS.load(Ordering::Relaxed)));
    let mut pause = PAUSE_FIRST;
    let mut is_waiting = false;
    loop {
        let error = match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // A server that was there a moment ago may be restarting.
        let may_pass = error.is_unconnected() && (is_waiting || error.fault() == Fault::Transient);
        if !may_pass {
            return Err(error);
        }
        if started.elapsed() + pause > patience {
            return Err(StoreError::unconnected(Fault::Unreachable, error.to_string()));
        }
        if !is_waiting {
            tracing::warn!("{error}; waiting up to {} s for the store", patience.as_secs());
        }
        is_waiting = true;
        std::thread::sleep(pause);
        pause = (2 * pause).min(PAUSE_MAX);
    }
}
