//! [`ClockDisagreement`]: hosts whose clocks cannot both be right, by what their runners saw of each other.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::runner_digest::{EventKind, PartitionEvent, RunnerDigest, partition_number};

/// Below this a difference may be what records round, and what a runner takes to say what it did.
const SURE_S: f64 = 1.0;

/// Two hosts whose clocks differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockDisagreement {
    /// The host whose clock is ahead.
    pub ahead: String,
    /// The other.
    pub behind: String,
    /// By how much at least, in seconds.
    pub at_least_s: f64,
}

/// When a runner had a partition, by its host's clock, in seconds since the first runner began.
#[derive(Clone, Copy)]
struct Writing {
    runner: usize,
    from_s: f64,
    to_s: f64,
}

/// The disagreements that show, the largest first: one for each pair of hosts.
pub(super) fn disagreements(runners: &[RunnerDigest], began_s: &[f64]) -> Vec<ClockDisagreement> {
    let writings = writings(runners, began_s);
    let mut most: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut note = |ahead: usize, behind: usize, by_s: f64| {
        let host = |at: usize| runners[at].header.host.as_str();
        if by_s >= SURE_S && host(ahead) != host(behind) {
            let known = most.entry((host(ahead), host(behind))).or_default();
            *known = known.max(by_s);
        }
    };
    for (at, (runner, began_s)) in runners.iter().zip(began_s).enumerate() {
        let at_s = |ms: u64| began_s + ms as f64 / 1e3;
        // Nobody finds done what is written later.
        for event in runner.events.iter().filter(|event| event.kind == EventKind::Done) {
            if let Some([writing]) = writings.get(&event.partition).map(Vec::as_slice) {
                note(writing.runner, at, writing.to_s - at_s(event.ended_ms));
            }
        }
        // Who sees a partition held by a runner sees it while that one has it.
        for held in &runner.held {
            let written = writings.get(&partition_number(&held.partition)).into_iter().flatten();
            for writing in written.filter(|writing| runners[writing.runner].is_named_in(&held.by)) {
                note(writing.runner, at, writing.from_s - at_s(held.ended_ms));
                note(at, writing.runner, at_s(held.begun_ms) - writing.to_s);
            }
        }
    }
    let told = |((ahead, behind), at_least_s): ((&str, &str), f64)| ClockDisagreement {
        ahead: ahead.to_owned(),
        behind: behind.to_owned(),
        at_least_s,
    };
    let mut told: Vec<ClockDisagreement> = most.into_iter().map(told).collect();
    told.sort_by(|a, b| b.at_least_s.total_cmp(&a.at_least_s));
    told
}

/// Who wrote which partition when, of those that another saw; of runs that rewrite what is done, nothing follows from what others found done.
fn writings(runners: &[RunnerDigest], began_s: &[f64]) -> HashMap<u64, Vec<Writing>> {
    let mut writings: HashMap<u64, Vec<Writing>> = HashMap::new();
    let rewrites = |runner: &RunnerDigest| {
        runner
            .header
            .options
            .iter()
            .flatten()
            .any(|option| matches!(option.as_str(), "--force" | "--replace"))
    };
    if runners.iter().any(rewrites) {
        return writings;
    }
    let seen = seen(runners);
    for (at, (runner, began_s)) in runners.iter().zip(began_s).enumerate() {
        let is_written = |event: &&PartitionEvent| event.kind == EventKind::Written;
        for event in runner.events.iter().filter(is_written).filter(|event| seen.contains(&event.partition)) {
            let at_s = |ms: u64| began_s + ms as f64 / 1e3;
            let writing = Writing { runner: at, from_s: at_s(event.begun_ms), to_s: at_s(event.ended_ms) };
            writings.entry(event.partition).or_default().push(writing);
        }
    }
    writings
}

/// The partitions that a runner found done or held: nothing follows from when the others were written.
fn seen(runners: &[RunnerDigest]) -> HashSet<u64> {
    let done = runners.iter().flat_map(|runner| &runner.events).filter(|event| event.kind == EventKind::Done);
    let held = runners.iter().flat_map(|runner| &runner.held);
    done.map(|event| event.partition).chain(held.map(|held| partition_number(&held.partition))).collect()
}
