//! [`KilledRunner`]: a runner whose record has no end, what it had in progress, and who did that.

use std::collections::HashMap;

use rollfit_job::partition::Partition;
use serde::{Deserialize, Serialize};

use super::runner_digest::{EventKind, RunnerDigest, partition_number};
use crate::run_summary::RunEnding;

/// So many partitions of a killed runner are named.
const NAMED: usize = 10;

/// A runner whose record has no end: it was killed, or its record was copied while it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KilledRunner {
    /// The run's name.
    pub run: String,
    /// Its host.
    pub host: String,
    /// Its share of the job.
    pub shard: Option<String>,
    /// When its record breaks off, in seconds since the first runner began.
    pub at_s: f64,
    /// The partitions that it had in progress then: what they had taken was lost.
    pub in_progress: usize,
    /// The partitions of its own share that it had not done; none where the record does not say.
    pub left: Option<u64>,
    /// What other runners saw it hold and wrote after it; at most a few.
    pub seen: Vec<SeenHeldPartition>,
}

/// A partition that a killed runner held, and who wrote it then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenHeldPartition {
    /// Which.
    pub partition: Partition,
    /// The run that wrote it.
    pub by_run: String,
    /// Its host.
    pub by_host: String,
}

impl KilledRunner {
    /// Those of all runners; `began_s` are their beginnings, in seconds since the first.
    pub(super) fn all(runners: &[RunnerDigest], began_s: &[f64]) -> Vec<Self> {
        let is_killed =
            |runner: &RunnerDigest| !runner.is_running && runner.run.state == RunEnding::Unfinished;
        let each = runners.iter().zip(began_s).enumerate().filter(|(_, (runner, _))| is_killed(runner));
        each.map(|(at, (runner, began_s))| Self {
            run: runner.header.run.clone(),
            host: runner.header.host.clone(),
            shard: runner.header.shard.clone(),
            at_s: began_s + runner.run.took_s,
            in_progress: runner.in_progress,
            left: runner.share.map(|share| share.left),
            seen: seen(runners, at),
        })
        .collect()
    }
}

fn seen(runners: &[RunnerDigest], killed: usize) -> Vec<SeenHeldPartition> {
    let others = || runners.iter().enumerate().filter(|(at, _)| *at != killed).map(|(_, runner)| runner);
    let held: HashMap<u64, &Partition> = others()
        .flat_map(|runner| &runner.held)
        .filter(|held| runners[killed].is_named_in(&held.by))
        .map(|held| (partition_number(&held.partition), &held.partition))
        .collect();
    if held.is_empty() {
        return Vec::new();
    }
    let mut seen: Vec<SeenHeldPartition> = others()
        .flat_map(|runner| runner.events.iter().map(move |event| (runner, event)))
        .filter(|(_, event)| event.kind == EventKind::Written)
        .filter_map(|(runner, event)| {
            Some(SeenHeldPartition {
                partition: (*held.get(&event.partition)?).clone(),
                by_run: runner.header.run.clone(),
                by_host: runner.header.host.clone(),
            })
        })
        .collect();
    seen.sort_by(|a, b| a.partition.cmp(&b.partition));
    seen.truncate(NAMED);
    seen
}
