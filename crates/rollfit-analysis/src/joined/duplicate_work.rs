//! [`DuplicateWork`]: what several runners did that one would have done.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::runner_digest::{EventKind, RunnerDigest};

/// Work that was done more than once, or in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateWork {
    /// How often the source of a partition was read.
    pub source_reads: u64,
    /// Of how many partitions.
    pub partitions_read: u64,
    /// How often a runner saw a partition held by another.
    pub seen_held: u64,
    /// Partitions that more than one runner wrote.
    pub written_twice: u64,
}

impl DuplicateWork {
    pub(super) fn new(runners: &[RunnerDigest]) -> Self {
        // By partition how often it was read, and whether it was written.
        let mut partitions: HashMap<u64, (u32, u32)> = HashMap::new();
        let worked = |kind| matches!(kind, EventKind::Written | EventKind::Read);
        for event in runners.iter().flat_map(|runner| &runner.events).filter(|event| worked(event.kind)) {
            let (read, written) = partitions.entry(event.partition).or_default();
            *read += 1;
            *written += u32::from(event.kind == EventKind::Written);
        }
        Self {
            source_reads: runners.iter().map(|runner| runner.source_reads).sum(),
            partitions_read: partitions.len() as u64,
            seen_held: runners.iter().map(|runner| runner.seen_held).sum(),
            written_twice: partitions.values().filter(|(_, written)| *written > 1).count() as u64,
        }
    }

    /// The reads beyond one for each partition.
    pub fn reads_beyond(&self) -> u64 {
        self.source_reads.saturating_sub(self.partitions_read)
    }
}
