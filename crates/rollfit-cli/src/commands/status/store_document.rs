//! [`StoreDocument`]: a job as its store shows it, as a JSON document.

use rollfit_job::partition::Partition;
use rollfit_job::runners::{HeldPartition, StoreRunner};
use rollfit_job::store_progress::{CommitPace, HoldingCounts, RemainingTime};

use super::store::Shown;

/// A job as its store shows it.
#[derive(serde::Serialize)]
pub(super) struct StoreDocument<'a> {
    store: StoreState<'a>,
}

#[derive(serde::Serialize)]
struct StoreState<'a> {
    sink: &'a str,
    now_us: i64,
    #[serde(flatten)]
    counts: HoldingCounts,
    /// The source rows of the partitions that are done, as far as they were looked at.
    rows: u64,
    last_commit_us: Option<i64>,
    /// By how much the last commit is in the future.
    clock_ahead_s: Option<f64>,
    is_at_work: bool,
    pace: Option<CommitPace>,
    remaining_s: Option<RemainingTime>,
    runners: Vec<RunnerState<'a>>,
}

/// A runner with what it has. Its name is null where it does not say who it is.
#[derive(serde::Serialize)]
struct RunnerState<'a> {
    name: Option<String>,
    pid: Option<u32>,
    host: Option<&'a str>,
    definition: Option<&'a str>,
    is_other_definition: bool,
    shard: Option<String>,
    address: Option<&'a str>,
    sessions: Option<u32>,
    since_us: Option<i64>,
    held: Vec<HeldState<'a>>,
}

/// A partition that a runner has.
#[derive(serde::Serialize)]
struct HeldState<'a> {
    partition: &'a Partition,
    since_us: Option<i64>,
    held_s: Option<f64>,
    /// Whether that is so long that it may never be committed.
    is_long: bool,
    bytes: Option<u64>,
}

impl<'a> StoreDocument<'a> {
    pub(super) fn new(shown: &Shown<'a>) -> Self {
        let progress = shown.progress;
        Self {
            store: StoreState {
                sink: shown.sink,
                now_us: progress.now_us,
                counts: progress.counts,
                rows: progress.rows,
                last_commit_us: progress.last_commit_us,
                clock_ahead_s: progress.clock_ahead_s(),
                is_at_work: progress.is_at_work(),
                pace: progress.pace,
                remaining_s: progress.remaining,
                runners: progress.runners.iter().map(|runner| RunnerState::new(shown, runner)).collect(),
            },
        }
    }
}

impl<'a> RunnerState<'a> {
    fn new(shown: &Shown<'a>, runner: &'a StoreRunner) -> Self {
        let name = &runner.name;
        let is_known = !name.is_unknown();
        Self {
            name: is_known.then(|| name.to_string()),
            pid: is_known.then_some(name.pid),
            host: is_known.then_some(name.host.as_str()),
            definition: name.definition.as_deref(),
            is_other_definition: shown.other_definition(name).is_some(),
            shard: name.shard.map(|shard| shard.to_string()),
            address: runner.address.as_deref(),
            sessions: runner.sessions,
            since_us: runner.since_us,
            held: runner.held.iter().map(|held| HeldState::new(shown, held)).collect(),
        }
    }
}

impl<'a> HeldState<'a> {
    fn new(shown: &Shown<'a>, held: &'a HeldPartition) -> Self {
        Self {
            partition: &held.partition,
            since_us: held.since_us,
            held_s: shown.progress.held_s(held),
            is_long: shown.progress.is_held_long(held),
            bytes: held.bytes,
        }
    }
}
