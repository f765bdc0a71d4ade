//! [`StopSignal`]: a request to stop, made from anywhere and obeyed by the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

const RUNNING: u8 = 0;
const FINISHING: u8 = 1;
const ABANDONING: u8 = 2;

/// Shared by the code that stops a run and the workers.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicU8>);

impl StopSignal {
    /// Starts no partition after this; those in progress are finished.
    pub fn finish(&self) {
        self.0.fetch_max(FINISHING, Ordering::Relaxed);
    }

    /// What is uncommitted is rolled back, soon.
    pub fn abandon(&self) {
        self.0.fetch_max(ABANDONING, Ordering::Relaxed);
    }

    /// Whether no further partition may start.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) > RUNNING
    }

    /// Whether the partitions in progress are to be rolled back.
    pub fn abandon_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= ABANDONING
    }

    /// Sleeps; shorter if a stop is wanted.
    pub fn sleep(&self, duration: Duration) {
        sleep_unless(duration, || self.requested());
    }

    /// Sleeps with a partition in progress; shorter if that is to be rolled back.
    pub(crate) fn sleep_unless_abandoned(&self, duration: Duration) {
        sleep_unless(duration, || self.abandon_requested());
    }
}

fn sleep_unless(duration: Duration, is_over: impl Fn() -> bool) {
    let until = Instant::now() + duration;
    while !is_over() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}
