//! [`Shares`]: the partitions of a run's own share, and those of the others, which it helps with; [`OtherShares`]: what came of these.

use std::collections::HashMap;

use super::noted_marks::{NotedMarks, Since, contain};
use super::partition::Runner;
use super::{Outcome, RunOptions, order};
use crate::Job;
use crate::partition::Partition;
use crate::runners::sampled_definitions;
use crate::state::State;
use crate::store::StoreError;

/// What became of the partitions of other shares, as far as a runner of one share knows. Each is counted once.
#[derive(Debug, Default)]
pub struct OtherShares {
    /// How many there are.
    pub partitions: usize,
    /// Those that this runner helped with, or was about to, and how each ended; [`Outcome::Held`] where another still has it. And those that
    /// were seen in the end to be written by a runner with another configuration, which count as left alone.
    pub helped: Vec<(Partition, Outcome)>,
    /// Those that were written since this run began, by others; of which at most 64 were looked at, whether they are of this definition.
    pub written_by_others: usize,
    /// Those that have had features since this run began. Whether these are of the present source is for the runners of their shares to check.
    pub unchecked: usize,
    /// Those without features, in order: with [`RunOptions::no_help`], or where the run was stopped before it came to them.
    pub missing: Vec<Partition>,
    /// Those of which nothing is known, because the store could not be asked.
    pub unknown: usize,
}

/// The partitions of a job, as one runner divides them.
pub(super) struct Shares {
    /// Those that it begins with: all, where it has no share.
    pub(super) own: Vec<Partition>,
    /// The others.
    pub(super) others: Vec<Partition>,
}

impl Shares {
    pub(super) fn new(job: &Job<'_>, partitions: &[Partition]) -> Self {
        let (own, others) = partitions.iter().cloned().partition(|partition| is_own(job, partition));
        Self { own, others }
    }
}

/// Whether a partition is in the share of this runner. Where that is all of the job, every one is.
pub(super) fn is_own(job: &Job<'_>, partition: &Partition) -> bool {
    job.config.run.shard.is_none_or(|shard| shard.owns(&job.sink.output(partition)))
}

/// Whether what a partition of another share has may have to be written by whoever comes to it, with these options. Features of the job's own
/// definition are compared with the source, or written again by force, by the runner of their share alone, or each would do everything.
pub(super) fn may_replace_unread(options: &RunOptions, state: State) -> bool {
    match state {
        State::Missing => true,
        State::DefinitionChanged | State::Foreign => options.replace.contains(&state),
        State::Empty
        | State::Done
        | State::Grown
        | State::InputChanged
        | State::Shrunk
        | State::Blocked
        | State::Newer => false,
    }
}

impl Runner<'_> {
    /// Those of `others` that this runner helps with, as far as their marks tell, in its order.
    pub(super) fn to_help(&self, others: Vec<Partition>) -> Vec<Partition> {
        // A share without partitions has looked at none yet.
        self.note_marks();
        self.noted.look(self.job.sink, self.partitions);
        let replaces = [State::DefinitionChanged, State::Foreign]
            .iter()
            .any(|state| may_replace_unread(&self.options, *state));
        let is_due = |partition: &Partition| match self.noted.since(partition) {
            Since::Missing => true,
            Since::Kept => replaces,
            Since::Written => false,
        };
        let due: Vec<Partition> = others.into_iter().filter(is_due).collect();
        self.done.takes_on(due.len());
        order::helping(due)
    }

    /// Whether somebody has written a partition of another share meanwhile, so that there is nothing to help with.
    pub(super) fn need_not_help(&self, partition: &Partition) -> bool {
        if is_own(self.job, partition) {
            return false;
        }
        self.noted.refresh(self.job.sink, self.partitions);
        let is_written = self.noted.since(partition) == Since::Written;
        if is_written {
            self.done.need_not_help();
        }
        is_written
    }

    /// What became of `others`, of which some were helped with. A run that is to stop does not ask the store any more.
    pub(super) fn other_shares(
        &self,
        others: &[Partition],
        helped: Vec<(Partition, Outcome)>,
    ) -> OtherShares {
        let is_known = !self.stop.requested() && self.noted.look(self.job.sink, self.partitions);
        let (mut report, written) = OtherShares::new(others, helped, is_known.then_some(&self.noted));
        match self.left_otherwise(&written) {
            Ok(otherwise) => {
                report.written_by_others = written.len() - otherwise.len();
                report.helped.extend(otherwise);
            }
            Err(_) => report.unknown += written.len(),
        }
        report
    }

    /// Those of `written` that turn out to be of another definition, of a few that are looked at.
    fn left_otherwise(&self, written: &[Partition]) -> Result<Vec<(Partition, Outcome)>, StoreError> {
        if written.is_empty() {
            return Ok(Vec::new());
        }
        let definitions = contain(|| sampled_definitions(self.job, written))?;
        let otherwise = definitions.into_iter().filter_map(|(partition, definition)| {
            let difference = definition.difference(&self.definition)?;
            let outcome = self.note_other_configuration(&partition, difference);
            Some((partition, outcome))
        });
        Ok(otherwise.collect())
    }
}

impl OtherShares {
    /// What became of `others`: `helped` says it of some of them, and the marks of the rest, where they are known. Returns those beside it
    /// that others have written, which are yet to be counted.
    fn new(
        others: &[Partition],
        helped: Vec<(Partition, Outcome)>,
        marks: Option<&NotedMarks>,
    ) -> (Self, Vec<Partition>) {
        let mut written = Vec::new();
        let mut report = Self { partitions: others.len(), ..Self::default() };
        let known: HashMap<&Partition, &Outcome> =
            helped.iter().map(|(partition, outcome)| (partition, outcome)).collect();
        for partition in others.iter().filter(|partition| !known.contains_key(partition)) {
            match marks.map(|marks| marks.since(partition)) {
                None => report.unknown += 1,
                Some(Since::Missing) => report.missing.push(partition.clone()),
                Some(Since::Kept) => report.unchecked += 1,
                Some(Since::Written) => written.push(partition.clone()),
            }
        }
        report.helped = helped;
        (report, written)
    }
}
