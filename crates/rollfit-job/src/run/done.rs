//! [`Done`]: what a run has done so far, counted by its workers.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Outcome;
use crate::activity;
use crate::lock::lock;
use crate::partition::Partition;
use crate::watch::Totals;

/// Counters that every worker adds to.
#[derive(Default)]
pub(super) struct Done {
    partitions: AtomicU64,
    ended: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    rows: AtomicU64,
    rows_committed: AtomicU64,
    bytes: AtomicU64,
    source_reads: AtomicU64,
    seen_held: Mutex<HashSet<Partition>>,
}

impl Done {
    pub(super) fn totals(&self) -> Totals {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            partitions: count(&self.partitions),
            ended: count(&self.ended),
            written: count(&self.written),
            failed: count(&self.failed),
            retries: count(&self.retries),
            rows: count(&self.rows),
            rows_committed: count(&self.rows_committed),
            bytes: count(&self.bytes),
        }
    }

    /// How often the source of a partition was read.
    pub(super) fn source_reads(&self) -> u64 {
        self.source_reads.load(Ordering::Relaxed)
    }

    /// The partitions that another runner was seen to have.
    pub(super) fn seen_held(&self) -> u64 {
        lock(&self.seen_held).len() as u64
    }

    /// Whether another runner was seen to have a partition.
    pub(super) fn has_seen_held(&self, partition: &Partition) -> bool {
        lock(&self.seen_held).contains(partition)
    }

    /// There are so many partitions more to do.
    pub(super) fn takes_on(&self, partitions: usize) {
        self.partitions.fetch_add(partitions as u64, Ordering::Relaxed);
    }

    /// A partition of another share was done by somebody else before it was begun.
    pub(super) fn need_not_help(&self) {
        self.partitions.fetch_sub(1, Ordering::Relaxed);
    }

    /// The source of a partition is read now.
    pub(super) fn reads_source(&self) {
        activity::note_source_read();
        self.source_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Another runner was seen to have a partition, or to have had it a moment ago.
    pub(super) fn sees_held(&self, partition: &Partition) {
        lock(&self.seen_held).insert(partition.clone());
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Rows and bytes more were handed to the sink.
    pub(super) fn handed_over(&self, rows: usize, bytes: u64) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A partition has ended for good.
    pub(super) fn ended(&self, outcome: &Outcome) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Written { counts, .. } => {
                self.rows_committed.fetch_add(counts.written_rows(), Ordering::Relaxed);
                self.written.fetch_add(1, Ordering::Relaxed)
            }
            Outcome::Failed(_) | Outcome::Held(_) => self.failed.fetch_add(1, Ordering::Relaxed),
            Outcome::AlreadyDone
            | Outcome::WrittenByOther
            | Outcome::Unchecked
            | Outcome::Waiting
            | Outcome::Empty
            | Outcome::LeftAlone(_)
            | Outcome::Abandoned => 0,
        };
    }
}
