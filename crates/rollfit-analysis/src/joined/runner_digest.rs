//! [`RunnerDigest`]: what a join needs of a runner's record.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use rollfit_job::activity::{Activity, Times};
use rollfit_job::partition::Partition;
use rollfit_job::record::{Header, PartitionEnd, PartitionOutcome, Record};

use super::time_use::{TimeUse, WorkerTime};
use crate::causes;
use crate::demand::{RoundTripTimes, written};
use crate::headline::{Headline, headline};
use crate::observed::Observed;
use crate::run_facts::{RunFacts, took_s};
use crate::run_summary::{RunSummary, summary};
use crate::step_series::{StepSeries, unfinished_count};
use crate::timeline::{TimelinePoint, timeline};

/// Into how many parts the time of a runner is divided.
const CELLS: usize = 120;

/// So many partitions that others held keep their names.
const HELD_NAMED: usize = 1000;

/// What a join needs of a record. A few dozen bytes a partition, not more.
#[derive(Debug)]
pub struct RunnerDigest {
    pub(super) header: Header,
    /// When it began, by its host's clock; none where the record does not say so in a way that can be read.
    pub(super) started_us: Option<i64>,
    pub(super) run: RunSummary,
    /// Whether it was still running when the record was read.
    pub(super) is_running: bool,
    pub(super) workers_max: usize,
    /// How many partitions it had in progress when the record breaks off.
    pub(super) in_progress: usize,
    pub(super) limit: Headline,
    pub(super) observed: Observed,
    pub(super) round_trip_s: Option<f64>,
    /// What its workers did while it was at work.
    pub(super) time: WorkerTime,
    /// The processor time of all that it did.
    pub(super) cpu_s: f64,
    pub(super) written: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) failed: u64,
    pub(super) seen_held: u64,
    pub(super) source_reads: u64,
    pub(super) share: Option<OwnShare>,
    pub(super) events: Vec<PartitionEvent>,
    pub(super) held: Vec<HeldEvent>,
    pub(super) timeline: Vec<TimelinePoint>,
    /// What its workers did in each of the equal parts of its time.
    pub(super) cells: Vec<Times>,
}

/// The partitions of a runner's own share, and what it did after them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OwnShare {
    pub(super) partitions: u64,
    /// Of other shares those that it wrote, and the workers' time that this took.
    pub(super) helped: u64,
    pub(super) helped_s: f64,
    /// Those of its own share that it did not get to.
    pub(super) left: u64,
}

/// A partition that a runner wrote, read or found done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PartitionEvent {
    pub(super) partition: u64,
    pub(super) kind: EventKind,
    pub(super) begun_ms: u64,
    pub(super) ended_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Written,
    /// Read, and not written.
    Read,
    /// Found done without being read.
    Done,
}

/// A partition that a runner saw held by another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeldEvent {
    pub(super) partition: Partition,
    pub(super) by: String,
    pub(super) begun_ms: u64,
    pub(super) ended_ms: u64,
}

impl RunnerDigest {
    /// That of a record.
    pub fn new(record: &Record) -> Self {
        let facts = RunFacts::from_record(record);
        let ranked = facts.as_ref().map(causes::ranked).unwrap_or_default();
        let run = summary(record, facts.as_ref());
        let workers_max = run.workers_max.max(1);
        let is = |outcome| record.partitions.iter().filter(move |end| end.outcome == outcome);
        let seen_held = |end: &&PartitionEnd| end.seen_held || end.outcome == PartitionOutcome::Held;
        let held: HashSet<&Partition> =
            record.partitions.iter().filter(seen_held).map(|end| &end.partition).collect();
        Self {
            started_us: record.header.started_us(),
            is_running: record.end.is_none() && !record.was_killed,
            workers_max,
            in_progress: unfinished_count(record),
            limit: facts.as_ref().map_or(Headline::NothingWritten, |facts| headline(facts, &ranked)),
            observed: Observed::new(record),
            round_trip_s: RoundTripTimes::from_record(record).sink_s,
            time: worker_time(record, facts.as_ref(), workers_max),
            cpu_s: record.partitions.iter().map(|end| end.cpu_us.total_us()).sum::<u64>() as f64 / 1e6,
            written: is(PartitionOutcome::Written).count() as u64,
            rows: is(PartitionOutcome::Written).map(|end| end.rows).sum(),
            bytes: is(PartitionOutcome::Written).map(|end| end.bytes).sum(),
            failed: is(PartitionOutcome::Failed).count() as u64,
            seen_held: held.len() as u64,
            source_reads: record.partitions.iter().map(source_reads).sum(),
            share: own_share(record),
            events: record.partitions.iter().filter_map(event).collect(),
            held: is(PartitionOutcome::Held).take(HELD_NAMED).map(held_event).collect(),
            timeline: timeline(record),
            cells: cells(record),
            header: record.header.clone(),
            run,
        }
    }

    /// Whether another record is of the same run.
    pub fn is_same_run(&self, other: &Self) -> bool {
        let identity = |header: &Header| {
            let Header { run, host, pid, started, .. } = header;
            (run.clone(), host.clone(), *pid, started.clone())
        };
        identity(&self.header) == identity(&other.header)
    }

    /// Whether this record of a run says more than another of the same run, which was copied earlier.
    pub fn is_longer(&self, other: &Self) -> bool {
        self.run.took_s > other.run.took_s
    }

    /// The run's name.
    pub fn run(&self) -> &str {
        &self.header.run
    }

    /// Whether a text names this runner as the one that holds something.
    pub(super) fn is_named_in(&self, text: &str) -> bool {
        let host = self.header.host.split('.').next().unwrap_or_default();
        let name = format!("{}@{host}", self.header.pid);
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')'))
            .any(|word| word.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

/// The number that stands for a partition in a digest.
pub(super) fn partition_number(partition: &Partition) -> u64 {
    let mut hasher = DefaultHasher::new();
    partition.hash(&mut hasher);
    hasher.finish()
}

/// How often the source of a partition was read; records of earlier versions say only whether anything was read from it.
fn source_reads(end: &PartitionEnd) -> u64 {
    u64::from(end.source_reads.unwrap_or_else(|| u32::from(end.wall_us.get(Activity::Reading) > 0)))
}

fn event(end: &PartitionEnd) -> Option<PartitionEvent> {
    let kind = match end.outcome {
        PartitionOutcome::Written => EventKind::Written,
        _ if source_reads(end) > 0 => EventKind::Read,
        PartitionOutcome::Done => EventKind::Done,
        _ => return None,
    };
    Some(PartitionEvent {
        partition: partition_number(&end.partition),
        kind,
        begun_ms: end.begun_ms,
        ended_ms: end.at_ms,
    })
}

fn held_event(end: &PartitionEnd) -> HeldEvent {
    let by = end.locked_by.as_ref().or(end.cause.as_ref()).cloned().unwrap_or_default();
    HeldEvent { partition: end.partition.clone(), by, begun_ms: end.begun_ms, ended_ms: end.at_ms }
}

fn lasted_s(end: &PartitionEnd) -> f64 {
    end.at_ms.saturating_sub(end.begun_ms) as f64 / 1e3
}

fn worker_time(record: &Record, facts: Option<&RunFacts<'_>>, workers_max: usize) -> WorkerTime {
    let took_s = took_s(record);
    let mut time = facts.map(|facts| WorkerTime::of_written(&facts.demand)).unwrap_or_default();
    let is_counted = |end: &&PartitionEnd| end.outcome == PartitionOutcome::Written && end.rows > 0;
    let not_written_s: f64 = record.partitions.iter().filter(|end| !is_counted(end)).map(lasted_s).sum();
    let worked_s = StepSeries::in_progress(record).mean(0.0, took_s) * took_s;
    let written_s: f64 = written(record).map(lasted_s).sum();
    // What was in progress when the record breaks off was not written either.
    let open_s = (worked_s - written_s - not_written_s).max(0.0);
    time.add(TimeUse::NotWritten, not_written_s + open_s);
    time.add(TimeUse::Idle, workers_max as f64 * took_s - worked_s);
    time
}

/// A runner begins with its own share, of which its header says how many partitions it has: those it begins after as many are of others.
fn own_share(record: &Record) -> Option<OwnShare> {
    record.header.shard.as_ref()?;
    let partitions = record.header.partitions;
    let mut begun: Vec<&PartitionEnd> = record.partitions.iter().collect();
    begun.sort_by_key(|end| end.begun_ms);
    let mut own: HashSet<&Partition> = HashSet::new();
    let (mut helped, mut helped_s) = (0, 0.0);
    let mut ended: HashSet<&Partition> = HashSet::new();
    for end in begun {
        if own.contains(&end.partition) || (own.len() as u64) < partitions {
            own.insert(&end.partition);
            let is_done = matches!(end.outcome, PartitionOutcome::Written | PartitionOutcome::Done);
            if is_done {
                ended.insert(&end.partition);
            }
        } else if end.outcome == PartitionOutcome::Written {
            helped += 1;
            helped_s += lasted_s(end);
        }
    }
    Some(OwnShare { partitions, helped, helped_s, left: partitions.saturating_sub(ended.len() as u64) })
}

/// What the workers did in each of [`CELLS`] equal parts of the run's time. A partition's activities are spread evenly over its time.
fn cells(record: &Record) -> Vec<Times> {
    let cell_ms = (took_s(record) * 1e3 / CELLS as f64).max(1.0);
    let mut cells = vec![Times::default(); CELLS];
    for end in &record.partitions {
        let (from_ms, to_ms) = (end.begun_ms as f64, (end.at_ms.max(end.begun_ms + 1)) as f64);
        let first = ((from_ms / cell_ms) as usize).min(CELLS - 1);
        let last = ((to_ms / cell_ms) as usize).min(CELLS - 1);
        for (at, cell) in cells.iter_mut().enumerate().take(last + 1).skip(first) {
            let begin_ms = at as f64 * cell_ms;
            let inside_ms = (to_ms.min(begin_ms + cell_ms) - from_ms.max(begin_ms)).max(0.0);
            for activity in Activity::ALL {
                let us = end.wall_us.get(activity) as f64 * inside_ms / (to_ms - from_ms);
                cell.add(activity, us.round() as u64);
            }
        }
    }
    cells
}
