//! [`HelpSummary`]: what a run with a shard did, and did not do, about the partitions of the other shards.
//!
//! Invariant: nothing of it changes the exit code, which is that of the own share.

use rollfit_job::few::few;
use rollfit_job::partition::Partition;
use rollfit_job::run::{OtherShares, Outcome};

use super::undone::UndonePartition;
use crate::format;

/// The partitions of the other shards, as they are printed.
#[derive(Default, serde::Serialize)]
pub(super) struct HelpSummary {
    partitions: usize,
    /// Those that this run has written.
    written: usize,
    /// Those that other runners wrote since it began.
    written_by_others: usize,
    /// Those of which no row is joined yet.
    waiting: usize,
    /// Those without features of which no series has a row.
    empty: usize,
    skipped: Vec<UndonePartition>,
    failed: Vec<UndonePartition>,
    /// Those that other runners still have.
    held: Vec<UndonePartition>,
    /// Those that had features before, which the runners of their shards compare with the source.
    unchecked: usize,
    /// Those without features that were left as they are.
    missing: Vec<Partition>,
    /// Those of which nothing is known, because the store did not answer or the run was stopped.
    unknown: usize,
    /// Whether the run was told to stop after its own share.
    no_help: bool,
}

impl HelpSummary {
    pub(super) fn new(others: &OtherShares, no_help: bool) -> Self {
        let mut summary = Self {
            partitions: others.partitions,
            written_by_others: others.written_by_others,
            unchecked: others.unchecked,
            missing: others.missing.clone(),
            unknown: others.unknown,
            no_help,
            ..Self::default()
        };
        others.helped.iter().for_each(|(partition, outcome)| summary.add(partition, outcome));
        summary
    }

    /// Adds how a partition ended that it helped with, or was about to.
    fn add(&mut self, partition: &Partition, outcome: &Outcome) {
        let undone = UndonePartition::new(partition, outcome);
        match outcome {
            Outcome::Written { .. } => self.written += 1,
            Outcome::WrittenByOther | Outcome::AlreadyDone => self.written_by_others += 1,
            Outcome::Unchecked => self.unchecked += 1,
            Outcome::Waiting => self.waiting += 1,
            Outcome::Empty => self.empty += 1,
            Outcome::Abandoned => self.missing.push(partition.clone()),
            Outcome::LeftAlone(_) => self.skipped.extend(undone),
            Outcome::Held(_) => self.held.extend(undone),
            _ => self.failed.extend(undone),
        }
    }

    /// What there is to say about them; nothing where there are none.
    pub(super) fn lines(&self, cause: impl Fn(&UndonePartition) -> String) -> Vec<String> {
        if self.partitions == 0 {
            return Vec::new();
        }
        let mut lines = vec![self.counts_line()];
        for problems in [&self.held, &self.failed, &self.skipped] {
            let problems: Vec<&UndonePartition> = problems.iter().collect();
            lines.extend(UndonePartition::lines(&problems, " (another shard)", &cause));
        }
        lines.extend((!self.missing.is_empty()).then(|| format!("  missing: {}", few(&self.missing))));
        lines
    }

    fn counts_line(&self) -> String {
        let some = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let missing = if self.no_help { "missing, not started (--no-help)" } else { "missing" };
        let counts = [
            Some(format!("{} written here", self.written)),
            some(self.written_by_others, "written by other runners"),
            some(self.unchecked, "not checked (they have features)"),
            some(self.waiting, "waiting"),
            some(self.empty, "empty"),
            some(self.skipped.len(), "skipped"),
            some(self.failed.len(), "failed"),
            some(self.held.len(), "still in use"),
            some(self.missing.len(), missing),
            some(self.unknown, "not reached"),
        ];
        let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!("{} of other shards: {counts}", format::plural(self.partitions, "partition"))
    }
}

#[cfg(test)]
mod tests {
    use rollfit_job::store::StoreError;

    use super::*;

    fn partitions(number: usize) -> Vec<Partition> {
        (1..=number)
            .map(|month| Partition::new("eurusd", format!("2017-{month:02}").parse().unwrap()))
            .collect()
    }

    #[test]
    fn each_partition_of_another_shard_is_told_once() {
        let mut helped = partitions(6).into_iter();
        let mut next = |outcome| (helped.next().unwrap(), outcome);
        let others = OtherShares {
            partitions: 16,
            helped: vec![
                next(Outcome::WrittenByOther),
                next(Outcome::Unchecked),
                next(Outcome::Waiting),
                next(Outcome::Held("process 7 on worker-3".to_owned())),
                next(Outcome::Failed(StoreError::permanent("the disk is full"))),
                next(Outcome::Abandoned),
            ],
            written_by_others: 2,
            unchecked: 3,
            missing: partitions(4),
            unknown: 1,
        };
        let lines = HelpSummary::new(&others, false).lines(|problem| problem.cause.clone());
        assert_eq!(
            lines,
            [
                "16 partitions of other shards: 0 written here, 3 written by other runners, 4 not checked (they have features), 1 waiting, \
                 1 failed, 1 still in use, 5 missing, 1 not reached",
                "  eurusd 2017-04 (another shard): held: still in use by process 7 on worker-3",
                "  eurusd 2017-05 (another shard): failed: the disk is full",
                "  missing: eurusd 2017-01, eurusd 2017-02, eurusd 2017-03, eurusd 2017-04, eurusd 2017-06",
            ]
        );
    }

    #[test]
    fn without_help_what_is_missing_is_told() {
        let others = OtherShares { partitions: 3, missing: partitions(3), ..OtherShares::default() };
        assert_eq!(
            HelpSummary::new(&others, true).lines(|problem| problem.cause.clone()),
            [
                "3 partitions of other shards: 0 written here, 3 missing, not started (--no-help)",
                "  missing: eurusd 2017-01, eurusd 2017-02, eurusd 2017-03",
            ]
        );
        let none = HelpSummary::new(&OtherShares::default(), true);
        assert!(none.lines(|problem| problem.cause.clone()).is_empty());
    }
}
