//! [`RunStatus`]: the state or the result of a run, from its record and, while it is running, its live file.

use std::collections::BTreeMap;
use std::path::Path;

use rollfit_analysis::Estimate;
use rollfit_job::activity::Activity;
use rollfit_job::partition::Partition;
use rollfit_job::record::{FollowChange, FollowChangeKind, Header, PartitionEnd, PartitionOutcome, Record};
use rollfit_job::store::StoreSample;
use rollfit_job::watch::{MachineSample, Totals};

use crate::follow::FollowState;
use crate::live::{self, Live};

/// Whether a run is running or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::commands) enum RunState {
    /// It is running.
    Running,
    /// It ended by itself.
    Finished,
    /// It was stopped by a signal.
    Interrupted,
    /// Its process ended without a word.
    Killed,
}

impl RunState {
    pub(in crate::commands) fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Finished => "finished",
            RunState::Interrupted => "interrupted",
            RunState::Killed => "killed",
        }
    }
}

/// The state or the result of a run.
#[derive(serde::Serialize)]
pub(in crate::commands) struct RunStatus {
    pub(super) run: String,
    pub(in crate::commands) state: RunState,
    pub(super) record: String,
    pub(in crate::commands) header: Header,
    /// How long it took, or has taken.
    pub(in crate::commands) took_s: f64,
    pub(in crate::commands) totals: Totals,
    /// Its state now, while it is running.
    pub(super) now: Option<Now>,
    /// The age of its state, while it is running.
    pub(super) silent_s: Option<u64>,
    /// How far each key is, while it is running, where it follows its source.
    pub(super) follow: Option<FollowState>,
    /// The partitions that were not done, and why.
    pub(super) problems: Vec<UndonePartition>,
    /// The keys that a follower cannot look at, as far as its record goes, and why.
    pub(super) waiting: Vec<WaitingKey>,
    /// The rows that a follower added, and how often, as far as its record goes.
    #[serde(skip)]
    pub(in crate::commands) appended: Appended,
    #[serde(skip)]
    pub(super) live: Option<Live>,
}

/// How a run is now.
#[derive(serde::Serialize)]
pub(super) struct Now {
    workers_wanted: usize,
    workers: Vec<WorkerNow>,
    rows_per_s: f64,
    bytes_per_s: f64,
    remaining_s: Option<Estimate>,
    is_tuning_workers: bool,
    machine: MachineSample,
    store: Option<StoreSample>,
}

/// What a worker does.
#[derive(serde::Serialize)]
struct WorkerNow {
    worker: usize,
    activity: Activity,
    partition: Option<Partition>,
    since_ms: u64,
    cores: Option<f64>,
    memory_bytes: u64,
}

/// What a follower added to partitions.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands) struct Appended {
    pub(in crate::commands) rows: u64,
    pub(super) times: u64,
}

impl Appended {
    fn from_record(record: &Record) -> Self {
        let appended = record.changes.iter().filter(|change| change.what == FollowChangeKind::Appended);
        appended.fold(Self::default(), |sum, change| Self {
            rows: sum.rows.saturating_add(change.rows),
            times: sum.times.saturating_add(change.times),
        })
    }
}

/// A partition that was not done.
#[derive(serde::Serialize)]
pub(super) struct UndonePartition {
    pub(super) partition: Partition,
    pub(super) outcome: PartitionOutcome,
    pub(super) cause: Option<String>,
}

/// A key that cannot be looked at.
#[derive(serde::Serialize)]
pub(super) struct WaitingKey {
    pub(super) key: String,
    pub(super) cause: Option<String>,
}

impl RunStatus {
    /// How the run of a record is; `is_running` says whether its process was there when the record was read.
    pub(in crate::commands) fn from_record(path: &Path, record: Record, is_running: bool) -> Self {
        let state = match &record.end {
            Some(end) if end.interrupted => RunState::Interrupted,
            Some(_) => RunState::Finished,
            None if is_running => RunState::Running,
            None => RunState::Killed,
        };
        let live = (state == RunState::Running).then(|| live::read(path)).flatten();
        let (took_ms, totals) = match (&record.end, &live) {
            (Some(end), _) => (end.at_ms, end.totals),
            (None, Some(live)) => (live.moment.at.as_millis() as u64, live.moment.totals),
            (None, None) => (last_ms(&record), recorded_totals(&record)),
        };
        Self {
            run: record.header.run.clone(),
            state,
            record: path.display().to_string(),
            took_s: took_ms as f64 / 1e3,
            totals,
            now: live.as_ref().map(Now::from_live),
            silent_s: live.as_ref().and_then(|_| live::silent_s(path)),
            follow: live.as_ref().and_then(|live| live.follow.clone()),
            problems: problems(&record),
            waiting: waiting(&record),
            appended: Appended::from_record(&record),
            header: record.header,
            live,
        }
    }
}

impl Now {
    fn from_live(live: &Live) -> Self {
        let moment = &live.moment;
        let worker = |lane: &rollfit_job::activity::LaneState| WorkerNow {
            worker: lane.worker,
            activity: lane.activity,
            partition: lane.partition.clone(),
            since_ms: lane.since_ms,
            cores: live.worker_cores.get(&lane.worker).copied(),
            memory_bytes: lane.memory_bytes,
        };
        Self {
            workers_wanted: moment.workers_wanted,
            workers: moment.lanes.iter().map(worker).collect(),
            rows_per_s: live.rows_per_s,
            bytes_per_s: live.bytes_per_s,
            remaining_s: live.remaining_s,
            is_tuning_workers: live.is_tuning_workers,
            machine: moment.machine.clone(),
            store: moment.store.clone(),
        }
    }
}

/// When the last event of a record happened.
fn last_ms(record: &Record) -> u64 {
    let partitions = record.partitions.last().map(|end| end.at_ms);
    let samples = record.samples.last().map(|sample| sample.at_ms);
    partitions.max(samples).unwrap_or(0)
}

/// The last that is known of each partition.
fn ends(record: &Record) -> BTreeMap<&Partition, &PartitionEnd> {
    record.partitions.iter().map(|end| (&end.partition, end)).collect()
}

/// What was committed, as far as the record goes.
fn recorded_totals(record: &Record) -> Totals {
    if record.header.follows.is_some() {
        return record.samples.last().map(|sample| sample.totals).unwrap_or_default();
    }
    let ends: Vec<&PartitionEnd> =
        ends(record).into_values().filter(|end| end.outcome != PartitionOutcome::Held).collect();
    let count = |outcome: PartitionOutcome| ends.iter().filter(|end| end.outcome == outcome).count() as u64;
    Totals {
        partitions: record.header.partitions,
        ended: ends.len() as u64,
        written: count(PartitionOutcome::Written),
        failed: count(PartitionOutcome::Failed),
        retries: record.retries.len() as u64,
        rows: ends.iter().map(|end| end.rows).sum(),
        rows_committed: ends.iter().map(|end| end.rows).sum(),
        bytes: ends.iter().map(|end| end.bytes).sum(),
    }
}

fn problems(record: &Record) -> Vec<UndonePartition> {
    if record.header.follows.is_some() {
        return behind(record);
    }
    use PartitionOutcome::{Failed, Held, LeftAlone};
    let is_problem = |end: &&PartitionEnd| matches!(end.outcome, Failed | LeftAlone | Held);
    let problem = |end: &PartitionEnd| UndonePartition {
        partition: end.partition.clone(),
        outcome: end.outcome,
        cause: end.cause.clone(),
    };
    ends(record).into_values().filter(is_problem).map(problem).collect()
}

/// The partitions that a follower has left behind, as far as its record goes.
fn behind(record: &Record) -> Vec<UndonePartition> {
    let mut behind: BTreeMap<&Partition, &FollowChange> = BTreeMap::new();
    for change in &record.changes {
        match (&change.partition, change.what) {
            (Some(partition), FollowChangeKind::Behind) => drop(behind.insert(partition, change)),
            (Some(partition), FollowChangeKind::CaughtUp | FollowChangeKind::Closed) => {
                behind.remove(partition);
            }
            _ => {}
        }
    }
    let problem = |(partition, change): (&Partition, &FollowChange)| UndonePartition {
        partition: partition.clone(),
        outcome: PartitionOutcome::Failed,
        cause: change.cause.clone(),
    };
    behind.into_iter().map(problem).collect()
}

/// The keys that a follower could not look at in the end, as far as its record goes.
fn waiting(record: &Record) -> Vec<WaitingKey> {
    let mut waiting: BTreeMap<&String, &FollowChange> = BTreeMap::new();
    for change in &record.changes {
        match (&change.key, change.what) {
            (Some(key), FollowChangeKind::Waiting) => drop(waiting.insert(key, change)),
            (Some(key), FollowChangeKind::CaughtUp) => drop(waiting.remove(key)),
            _ => {}
        }
    }
    let key = |(key, change): (&String, &FollowChange)| WaitingKey {
        key: key.clone(),
        cause: change.cause.clone(),
    };
    waiting.into_iter().map(key).collect()
}
