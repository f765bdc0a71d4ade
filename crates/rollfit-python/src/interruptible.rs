//! [`interruptible`]: work that waits for a store, and Ctrl-C that does not wait for the work.
//!
//! Invariant: the work owns what it uses, since its caller may leave before it ends.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use pyo3::prelude::*;

/// How often handlers of signals get their turn.
const PERIOD: Duration = Duration::from_millis(50);

/// Works without the GIL, on a thread of its own, and returns the result.
///
/// # Errors
/// What a handler of a signal raises meanwhile, such as `KeyboardInterrupt`: the work is then no longer waited for, and ends by itself.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (told, heard) = sync_channel(1);
    let thread = Builder::new().name("rollfit read".to_owned()).spawn(move || {
        // Nobody hears it where the caller has left.
        let _ = told.send(work());
    })?;
    let mut waiting = Waiting { heard, thread: Some(thread) };
    loop {
        // Moved, since a receiver belongs to one thread.
        let (returned, word) = py.detach(move || {
            let word = waiting.heard.recv_timeout(PERIOD);
            (waiting, word)
        });
        waiting = returned;
        match word {
            Ok(result) => {
                waiting.join();
                return Ok(result);
            }
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            // It panicked before it said anything.
            Err(RecvTimeoutError::Disconnected) => waiting.join(),
        }
    }
}

/// Work that has begun.
struct Waiting<T> {
    heard: Receiver<T>,
    thread: Option<JoinHandle<()>>,
}

impl<T> Waiting<T> {
    /// Waits for the end of the thread; its panic goes on here.
    fn join(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
    }
}
