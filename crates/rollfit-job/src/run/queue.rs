//! [`Queue`]: the partitions still to do.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::partition::Partition;

/// The partitions still to do: first those of the own share, then those of others that are helped with, then those that another runner held.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Those of other shares, until it is asked which of them are helped with; and how many they are.
    others: Mutex<Vec<Partition>>,
    others_len: AtomicUsize,
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
    /// First `own`, then what is helped with of `others`.
    pub(super) fn new(own: Vec<Partition>, others: Vec<Partition>, lock_wait: Duration) -> Self {
        let waiting = Waiting { fresh: own.into(), ..Waiting::default() };
        let others_len = AtomicUsize::new(others.len());
        Self { waiting: Mutex::new(waiting), others: Mutex::new(others), others_len, lock_wait }
    }

    /// The next partition. Once none of the own share is left, `to_help` is asked which of the others are helped with, and in which order.
    pub(super) fn take(&self, to_help: impl FnOnce(Vec<Partition>) -> Vec<Partition>) -> Option<Next> {
        if let Some(next) = self.take_fresh() {
            return Some(next);
        }
        self.begin_help(to_help);
        self.take_fresh().or_else(|| self.take_held())
    }

    fn take_fresh(&self) -> Option<Next> {
        let partition = lock(&self.waiting).fresh.pop_front()?;
        Some(Next { partition, was_held: false, may_wait: true })
    }

    fn take_held(&self) -> Option<Next> {
        let mut waiting = lock(&self.waiting);
        let held_since = *waiting.held_since.get_or_insert_with(Instant::now);
        let may_wait = held_since.elapsed() < self.lock_wait;
        waiting.held.pop_front().map(|partition| Next { partition, was_held: true, may_wait })
    }

    /// Who comes while it is asked waits for the answer.
    fn begin_help(&self, to_help: impl FnOnce(Vec<Partition>) -> Vec<Partition>) {
        let mut others = lock(&self.others);
        if others.is_empty() {
            return;
        }
        let helped = to_help(std::mem::take(&mut others));
        lock(&self.waiting).fresh.extend(helped);
        self.others_len.store(0, Ordering::Relaxed);
    }

    pub(super) fn put_back(&self, partition: Partition) {
        lock(&self.waiting).held.push_back(partition);
    }

    /// How many are left; of other shares, at most.
    pub(super) fn len(&self) -> usize {
        let others = self.others_len.load(Ordering::Relaxed);
        let waiting = lock(&self.waiting);
        others + waiting.fresh.len() + waiting.held.len()
    }

    /// How long to wait before a held partition is looked at again; nothing while there are others to do. The longer it has taken, the
    /// less often: many runners may wait for one.
    pub(super) fn held_pause(&self) -> Duration {
        const FIRST: Duration = Duration::from_millis(200);
        const LONGEST: Duration = Duration::from_secs(2);
        let waiting = lock(&self.waiting);
        if !waiting.fresh.is_empty() {
            return Duration::ZERO;
        }
        let waited = waiting.held_since.map(|since| since.elapsed()).unwrap_or_default();
        (waited / 8).clamp(FIRST, LONGEST)
    }
}
