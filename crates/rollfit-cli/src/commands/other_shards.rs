//! [`OtherShards`]: what a run with a shard did, and did not do, about the partitions of the other shards.
//!
//! Invariant: nothing of it changes the exit code, which is that of the own share.

use rollfit_job::partition::Partition;
use rollfit_job::run::Outcome;

use super::undone::UndonePartition;
use crate::format;
use crate::output::{ENTRIES_MAX, rest_line};

/// The partitions of the other shards, as they are printed.
#[derive(Default, serde::Serialize)]
pub(super) struct OtherShards {
    partitions: usize,
    /// Those that this run has written.
    pub(super) written: usize,
    /// Those that other runners wrote since it began.
    written_by_others: usize,
    /// Those of which no row is joined yet.
    waiting: usize,
    skipped: Vec<UndonePartition>,
    failed: Vec<UndonePartition>,
    /// Those that other runners still have.
    held: Vec<UndonePartition>,
    /// Those that were left to their own runners: all of them without help, else those that have features, which only their own runners
    /// compare with the source, and those that were not reached before a stop.
    left: usize,
    /// Whether the run was told to stop after its own share.
    no_help: bool,
}

impl OtherShards {
    /// Of so many partitions that are in other shards.
    pub(super) fn new(partitions: usize, no_help: bool) -> Self {
        Self { partitions, left: partitions, no_help, ..Self::default() }
    }

    /// Adds how one of them ended.
    pub(super) fn add(&mut self, partition: &Partition, outcome: &Outcome) {
        if matches!(outcome, Outcome::AlreadyDone | Outcome::Abandoned) {
            return;
        }
        self.left = self.left.saturating_sub(1);
        match outcome {
            Outcome::Written { .. } => self.written += 1,
            Outcome::WrittenByOther => self.written_by_others += 1,
            Outcome::Waiting => self.waiting += 1,
            Outcome::LeftAlone(_) => self.skipped.extend(UndonePartition::new(partition, outcome)),
            Outcome::Held(_) => self.held.extend(UndonePartition::new(partition, outcome)),
            _ => self.failed.extend(UndonePartition::new(partition, outcome)),
        }
    }

    /// What there is to say about them; nothing where there are none.
    pub(super) fn lines(&self, cause: impl Fn(&UndonePartition) -> String) -> Vec<String> {
        if self.partitions == 0 {
            return Vec::new();
        }
        let undone = || self.held.iter().chain(&self.failed).chain(&self.skipped);
        let mut lines = vec![self.counts()];
        lines.extend(undone().take(ENTRIES_MAX).map(|problem| {
            format!("  {} (another shard): {}: {}", problem.partition, problem.state, cause(problem))
        }));
        lines.extend(rest_line(undone().count(), "partition"));
        lines
    }

    fn counts(&self) -> String {
        let of_others = format!("{} of other shards", format::plural(self.partitions, "partition"));
        if self.no_help {
            return format!("{of_others}: left to their runners (--no-help)");
        }
        let some = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let counts = [
            Some(format!("{} written here", self.written)),
            some(self.written_by_others, "written by other runners"),
            some(self.waiting, "waiting"),
            some(self.skipped.len(), "skipped"),
            some(self.failed.len(), "failed"),
            some(self.held.len(), "still in use"),
            Some(format!("{} left to their runners", self.left)),
        ];
        format!("{of_others}: {}", counts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
