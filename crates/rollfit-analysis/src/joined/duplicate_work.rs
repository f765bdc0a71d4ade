//! [`DuplicateWork`]: what several runners did that one would have done.

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
        let worked = |kind| matches!(kind, EventKind::Written | EventKind::Read);
        let events = runners.iter().flat_map(|runner| &runner.events).filter(|event| worked(event.kind));
        // Sorted, which takes less memory for millions of partitions than a map does.
        let mut events: Vec<(u64, bool)> =
            events.map(|event| (event.partition, event.kind == EventKind::Written)).collect();
        events.sort_unstable();
        let partitions = || events.chunk_by(|a, b| a.0 == b.0);
        let written_by = |events: &[(u64, bool)]| events.iter().filter(|(_, is_written)| *is_written).count();
        Self {
            source_reads: runners.iter().map(|runner| runner.source_reads).sum(),
            partitions_read: partitions().count() as u64,
            seen_held: runners.iter().map(|runner| runner.seen_held).sum(),
            written_twice: partitions().filter(|events| written_by(events) > 1).count() as u64,
        }
    }

    /// The reads beyond one for each partition.
    pub fn reads_beyond(&self) -> u64 {
        self.source_reads.saturating_sub(self.partitions_read)
    }
}
