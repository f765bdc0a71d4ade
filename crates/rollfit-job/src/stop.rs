//! [`Stop`]: the wish to stop, told from anywhere, heeded by the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

const RUNNING: u8 = 0;
const FINISHING: u8 = 1;
const ABANDONING: u8 = 2;

/// Shared by whoever wants a run to stop and the workers that do.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// No partition is begun after this; those in hand are finished.
    pub fn finish(&self) {
        self.0.fetch_max(FINISHING, Ordering::Relaxed);
    }

    /// What is uncommitted is rolled back, soon.
    pub fn abandon(&self) {
        self.0.fetch_max(ABANDONING, Ordering::Relaxed);
    }

    /// Whether no further partition is to be begun.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) > RUNNING
    }

    /// Whether the partitions in hand are to be rolled back.
    pub fn is_abandoning(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= ABANDONING
    }

    /// Sleeps; shorter if a stop is wanted.
    pub(crate) fn sleep(&self, duration: Duration) {
        sleep_unless(duration, || self.is_wanted());
    }

    /// Sleeps with a partition in hand; shorter if that is to be rolled back.
    pub(crate) fn sleep_in_hand(&self, duration: Duration) {
        sleep_unless(duration, || self.is_abandoning());
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
