//! [`Queue`]: the partitions still to do.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::partition::Partition;

/// The partitions still to do: first those not yet tried, then those that another runner held.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    lock_wait: Duration,
}

#[derive(Default)]
struct Waiting {
    fresh: VecDeque<Partition>,
    held: VecDeque<Partition>,
    /// When the last fresh partition was taken: from then on held ones are waited for.
    held_since: Option<Instant>,
}

/// The next partition to do.
pub(super) struct Next {
    pub(super) partition: Partition,
    /// Whether another runner had it when it was tried before.
    pub(super) was_held: bool,
    /// Whether it may be put back again if it still is: not after the wait is over.
    pub(super) may_wait: bool,
}

impl Queue {
    pub(super) fn new(partitions: Vec<Partition>, lock_wait: Duration) -> Self {
        let waiting = Waiting { fresh: partitions.into(), ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), lock_wait }
    }

    pub(super) fn take(&self) -> Option<Next> {
        let mut waiting = lock(&self.waiting);
        if let Some(partition) = waiting.fresh.pop_front() {
            return Some(Next { partition, was_held: false, may_wait: true });
        }
        let held_since = *waiting.held_since.get_or_insert_with(Instant::now);
        let may_wait = held_since.elapsed() < self.lock_wait;
        waiting.held.pop_front().map(|partition| Next { partition, was_held: true, may_wait })
    }

    pub(super) fn put_back(&self, partition: Partition) {
        lock(&self.waiting).held.push_back(partition);
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        let waiting = lock(&self.waiting);
        waiting.fresh.len() + waiting.held.len()
    }
}
