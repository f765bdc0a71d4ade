//! [`StoreWatcher`]: looks at what a store holds of a job, again and again.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use super::commit_pace::Commit;
use super::{CommitPace, HoldingCounts, StoreProgress};
use crate::absence::Absence;
use crate::config::JobConfig;
use crate::empty::empty_partitions;
use crate::partition::Partition;
use crate::receipt::Definition;
use crate::store::{Found, Holding, HoldingMark, Sink, Source, StoreError};
use crate::workers::for_each;

/// How many partitions are asked about at once.
const TOGETHER: usize = 128;

/// What there is of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldingKind {
    /// A receipt of this definition, of so many rows.
    Done {
        rows: u64,
    },
    DefinitionChanged,
    Missing,
    /// Nothing, and no series has a row.
    Empty,
    Foreign,
    Newer,
    Unreadable,
}

impl HoldingKind {
    fn new(holding: &Result<Holding, StoreError>, definition: &Definition) -> Self {
        match holding.as_ref().map(|holding| &holding.found) {
            Ok(Found::Ours(receipt)) if *receipt.definition == *definition => {
                Self::Done { rows: receipt.input.rows }
            }
            Ok(Found::Ours(_)) => Self::DefinitionChanged,
            Ok(Found::Nothing) => Self::Missing,
            Ok(Found::Foreign(_) | Found::Blocked(_)) => Self::Foreign,
            Ok(Found::Newer(_)) => Self::Newer,
            Err(_) => Self::Unreadable,
        }
    }
}

/// A partition, as it was when it was looked at last.
#[derive(Clone, Debug, Default)]
struct Watched {
    mark: Option<HoldingMark>,
    /// None where it was not looked at since its mark changed.
    kind: Option<HoldingKind>,
}

/// What there is of a job's partitions in a store, as far as it was looked at.
pub struct StoreWatcher<'a> {
    sink: &'a dyn Sink,
    partitions: &'a [Partition],
    definition: Definition,
    absence: Absence,
    workers: usize,
    /// What says which partitions are empty.
    source: Option<(&'a dyn Source, &'a JobConfig)>,
    watched: Vec<Watched>,
}

impl<'a> StoreWatcher<'a> {
    /// Nothing is looked at yet. Receipts are read on so many threads.
    pub fn new(
        sink: &'a dyn Sink,
        partitions: &'a [Partition],
        definition: Definition,
        absence: Absence,
        workers: usize,
    ) -> Self {
        let watched = vec![Watched::default(); partitions.len()];
        Self { sink, partitions, definition, absence, workers, source: None, watched }
    }

    /// The same, and asks the source of the job which of the missing partitions are empty; once of each.
    #[must_use]
    pub fn with_source(self, source: &'a dyn Source, config: &'a JobConfig) -> Self {
        Self { source: Some((source, config)), ..self }
    }

    /// Looks at the whole job. Receipts are read for `time` at most, those of the last commits first, and then some of all; the rest is
    /// [`HoldingCounts::unread`], and read by the next looks.
    ///
    /// # Errors
    /// When the store cannot be asked for what all partitions have in common.
    pub fn look(&mut self, time: Option<Duration>) -> Result<StoreProgress, StoreError> {
        let marks = self.absence.look(|| self.sink.marks(self.partitions))?;
        for (watched, mark) in self.watched.iter_mut().zip(marks) {
            if watched.mark != mark || watched.kind == Some(HoldingKind::Unreadable) {
                *watched = Watched { mark, kind: None };
            }
        }
        // After the marks: where those of many partitions take long, receipts are read all the same.
        let started = Instant::now();
        self.read_receipts(|| time.is_some_and(|time| started.elapsed() > time));
        let runners = self.absence.look(|| self.sink.runners(self.partitions))?;
        let now_us = self.absence.look(|| self.sink.clock_us())?.unwrap_or_else(local_clock_us);
        let pace = CommitPace::new(&self.commits(), now_us);
        let progress = StoreProgress {
            counts: self.counts(),
            rows: self.rows(),
            now_us,
            last_commit_us: self.commits().iter().map(|&(at_us, _)| at_us).max(),
            pace,
            remaining: None,
            is_stalled: false,
            runners,
        };
        Ok(self.with_remaining(progress))
    }

    /// The same with the time that is left.
    fn with_remaining(&self, progress: StoreProgress) -> StoreProgress {
        let held = progress.runners.iter().flat_map(|runner| &runner.held);
        let stuck: HashSet<&Partition> =
            held.filter(|held| progress.is_held_long(held)).map(|held| &held.partition).collect();
        let watched = self.partitions.iter().zip(&self.watched);
        let left: Vec<&Partition> =
            watched.filter(|(_, watched)| watched.is_left()).map(|(of, _)| of).collect();
        let is_stalled = !left.is_empty() && left.iter().all(|partition| stuck.contains(partition));
        let is_known = !left.is_empty() && !is_stalled && progress.is_at_work();
        let remaining = progress.pace.filter(|_| is_known).and_then(|pace| pace.remaining(left.len() as u64));
        StoreProgress { remaining, is_stalled, ..progress }
    }

    /// Reads the receipts that are not known, until there is no more time.
    fn read_receipts(&mut self, is_over: impl Fn() -> bool + Sync) {
        let order = self.unread();
        let batches: Vec<&[usize]> = order.chunks(TOGETHER).collect();
        let read =
            for_each(&batches, self.workers, |batch| if is_over() { Vec::new() } else { self.kinds(batch) });
        let mut missing = Vec::new();
        for (at, kind) in batches.iter().zip(read).flat_map(|(batch, kinds)| batch.iter().zip(kinds)) {
            self.watched[*at].kind = Some(kind);
            missing.extend((kind == HoldingKind::Missing).then_some(*at));
        }
        self.find_empty(missing);
    }

    /// Tells those that are empty of the partitions at these positions, of which there is nothing.
    fn find_empty(&mut self, mut missing: Vec<usize>) {
        let Some((source, config)) = self.source else { return };
        missing.sort_unstable();
        let partitions: Vec<Partition> = missing.iter().map(|&at| self.partitions[at].clone()).collect();
        let empty = empty_partitions(source, config, &partitions, self.workers);
        for (at, partition) in missing.into_iter().zip(partitions) {
            if empty.contains(&partition) {
                self.watched[at].kind = Some(HoldingKind::Empty);
            }
        }
    }

    /// What there is of the partitions at these positions.
    fn kinds(&self, batch: &[usize]) -> Vec<HoldingKind> {
        let partitions: Vec<Partition> = batch.iter().map(|&at| self.partitions[at].clone()).collect();
        match self.absence.look(|| self.sink.holdings(&partitions, false)) {
            Ok(holdings) => {
                holdings.iter().map(|holding| HoldingKind::new(holding, &self.definition)).collect()
            }
            Err(_) => vec![HoldingKind::Unreadable; batch.len()],
        }
    }

    /// The positions of the partitions to look at: those without a receipt, for which little is to be read; the last commits, from which the
    /// pace follows; then the others, spread over the job, so that the first of them say something of all.
    fn unread(&self) -> Vec<usize> {
        const LAST_COMMITS: usize = 2000;
        let is_unread = |at: &usize| self.watched[*at].kind.is_none();
        let (bare, mut marked): (Vec<usize>, Vec<usize>) =
            (0..self.watched.len()).filter(is_unread).partition(|&at| self.watched[at].mark.is_none());
        let committed_us = |at: &usize| self.watched[*at].mark.as_ref().and_then(|mark| mark.committed_us);
        marked.sort_by_key(|at| std::cmp::Reverse(committed_us(at)));
        let mut others = marked.split_off(marked.len().min(LAST_COMMITS));
        others.sort_by_key(|&at| spread(at));
        [bare, marked, others].concat()
    }

    fn commits(&self) -> Vec<Commit> {
        let commit = |watched: &Watched| {
            let rows = match watched.kind {
                Some(HoldingKind::Done { rows }) => Some(rows),
                _ => None,
            };
            Some((watched.mark.as_ref()?.committed_us?, rows))
        };
        self.watched.iter().filter_map(commit).collect()
    }

    fn counts(&self) -> HoldingCounts {
        let partitions = self.watched.len() as u64;
        let add = |mut counts: HoldingCounts, watched: &Watched| {
            let count = match watched.kind {
                Some(HoldingKind::Done { .. }) => &mut counts.done,
                Some(HoldingKind::DefinitionChanged) => &mut counts.definition_changed,
                Some(HoldingKind::Missing) => &mut counts.missing,
                Some(HoldingKind::Empty) => &mut counts.empty,
                Some(HoldingKind::Foreign) => &mut counts.foreign,
                Some(HoldingKind::Newer) => &mut counts.newer,
                Some(HoldingKind::Unreadable) => &mut counts.unreadable,
                None => &mut counts.unread,
            };
            *count += 1;
            counts
        };
        self.watched.iter().fold(HoldingCounts { partitions, ..HoldingCounts::default() }, add)
    }

    fn rows(&self) -> u64 {
        let rows = |watched: &Watched| match watched.kind {
            Some(HoldingKind::Done { rows }) => rows,
            _ => 0,
        };
        self.watched.iter().map(rows).fold(0, u64::saturating_add)
    }
}

impl Watched {
    /// Whether a run has to write it, as far as is known.
    fn is_left(&self) -> bool {
        match self.kind {
            Some(kind) => kind == HoldingKind::Missing,
            None => self.mark.is_none(),
        }
    }
}

/// An order that looks random and is always the same: multiplication by an odd number changes the places of numbers and loses none.
fn spread(at: usize) -> u64 {
    (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn local_clock_us() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
