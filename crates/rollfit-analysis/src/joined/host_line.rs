//! [`HostLine`]: what the runners of one host did together; [`SlowerHost`]: one on which a row took longer than on the others, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::runner_digest::RunnerDigest;
use super::time_use::{TimeUse, WorkerTime};

/// The runners of one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostLine {
    /// Its name.
    pub host: String,
    /// How many runners it had.
    pub runners: usize,
    /// Its cores, and those that its runners may use.
    pub cores: Option<usize>,
    /// See [`HostLine::cores`].
    pub cores_allowed: Option<f64>,
    /// The CPU path of the kernel.
    pub kernel: String,
    /// The cores that its runners kept busy together while they were at work.
    pub own_cores: Option<f64>,
    /// The cores that others kept busy, the runners of this job apart.
    pub others_cores: Option<f64>,
    /// The cores that its hypervisor gave to other machines.
    pub stolen_cores: Option<f64>,
    /// The shortest round trip to the sink, in seconds.
    pub round_trip_s: Option<f64>,
    /// The partitions that its runners wrote.
    pub partitions: u64,
    /// Their rows.
    pub rows: u64,
    /// How long a worker took for a row, in microseconds; none where nothing was written.
    pub worker_us_per_row: Option<f64>,
}

/// A host on which a row took a worker longer than on the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowerHost {
    /// Its name.
    pub host: String,
    /// How many times as long as on the others, their median.
    pub times: f64,
    /// Why, as far as records show it.
    pub reasons: Vec<SlowReason>,
}

/// Why a host was slower than the others; each figure is that of this host and the median of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each variant says what its figures are.
pub enum SlowReason {
    /// Another CPU path of the kernel.
    CpuPath { here: String, others: String },
    /// Processor time for a row, in microseconds.
    Processor { here_us: f64, others_us: f64 },
    /// Cores that the hypervisor gave to other machines.
    Stolen { cores: f64 },
    /// Waiting for a core, in microseconds a row.
    CoreWait { here_us: f64, others_us: f64, competing_cores: Option<f64> },
    /// Round trips to the sink, in seconds each.
    RoundTrip { here_s: f64, others_s: f64 },
    /// Waiting for the source, in microseconds a row.
    Source { here_us: f64, others_us: f64 },
    /// Waiting for the sink, in microseconds a row.
    Store { here_us: f64, others_us: f64 },
}

/// From how many times as long a host is slower.
const SLOWER: f64 = 1.2;

/// A reason explains at least this share of what a host is slower by.
const EXPLAINS: f64 = 0.15;

/// What the runners of a host did with their time.
#[derive(Debug)]
pub(super) struct HostWork {
    pub(super) line: HostLine,
    pub(super) time: WorkerTime,
}

impl HostWork {
    /// The hosts in order of their names.
    pub(super) fn all(runners: &[RunnerDigest]) -> Vec<Self> {
        let mut by_host: BTreeMap<&str, Vec<&RunnerDigest>> = BTreeMap::new();
        for runner in runners {
            by_host.entry(&runner.header.host).or_default().push(runner);
        }
        by_host.into_iter().map(|(host, runners)| Self::new(host, &runners)).collect()
    }

    fn new(host: &str, runners: &[&RunnerDigest]) -> Self {
        let time = WorkerTime::sum(runners.iter().map(|runner| runner.time));
        let rows = runners.iter().map(|runner| runner.rows).sum();
        let machine = &runners[0].header.machine;
        let sum = |of: fn(&RunnerDigest) -> Option<f64>| {
            runners.iter().filter_map(|runner| of(runner)).reduce(|sum, figure| sum + figure)
        };
        let most = |of: fn(&RunnerDigest) -> Option<f64>| {
            runners.iter().filter_map(|runner| of(runner)).reduce(f64::max)
        };
        let own_cores = sum(|runner| runner.observed.own_cores);
        let lone_own = most(|runner| runner.observed.own_cores);
        // To one runner of a host the others are others.
        let of_job = own_cores.zip(lone_own).map_or(0.0, |(all, lone)| (all - lone).max(0.0));
        let written_s = time.busy_s() - time.get(TimeUse::NotWritten);
        let line = HostLine {
            host: host.to_owned(),
            runners: runners.len(),
            cores: machine.cores,
            cores_allowed: machine.cores_allowed.or(machine.cores.map(|cores| cores as f64)),
            kernel: runners[0].header.kernel.clone(),
            own_cores,
            others_cores: most(|runner| runner.observed.others_cores).map(|cores| (cores - of_job).max(0.0)),
            stolen_cores: most(|runner| runner.observed.stolen_cores),
            round_trip_s: runners.iter().filter_map(|runner| runner.round_trip_s).reduce(f64::min),
            partitions: runners.iter().map(|runner| runner.written).sum(),
            rows,
            worker_us_per_row: (rows > 0).then(|| written_s * 1e6 / rows as f64),
        };
        Self { line, time }
    }

    fn us_per_row(&self, what: &[TimeUse]) -> f64 {
        let wall_s: f64 = what.iter().map(|&what| self.time.get(what)).sum();
        wall_s * 1e6 / self.line.rows.max(1) as f64
    }
}

/// The hosts on which a row took longer than on the others, the slowest first.
pub(super) fn slower(hosts: &[HostWork]) -> Vec<SlowerHost> {
    let working: Vec<&HostWork> = hosts.iter().filter(|host| host.line.partitions >= 3).collect();
    let mut slower: Vec<SlowerHost> = working
        .iter()
        .filter_map(|host| {
            let others: Vec<&HostWork> =
                working.iter().filter(|other| other.line.host != host.line.host).copied().collect();
            let others_us = median(others.iter().filter_map(|other| other.line.worker_us_per_row))?;
            let here_us = host.line.worker_us_per_row?;
            let times = here_us / others_us;
            (times.is_finite() && times >= SLOWER).then(|| SlowerHost {
                host: host.line.host.clone(),
                times,
                reasons: reasons(host, &others, here_us - others_us),
            })
        })
        .collect();
    slower.sort_by(|a, b| b.times.total_cmp(&a.times));
    slower
}

fn reasons(host: &HostWork, others: &[&HostWork], slower_us: f64) -> Vec<SlowReason> {
    let of = |what: &[TimeUse]| {
        let others_us = median(others.iter().map(|other| other.us_per_row(what))).unwrap_or(0.0);
        let here_us = host.us_per_row(what);
        (here_us - others_us >= EXPLAINS * slower_us).then_some((here_us, others_us))
    };
    let mut reasons = Vec::new();
    if let Some((here_us, others_us)) = of(&[TimeUse::Processor]) {
        let kernel = &host.line.kernel;
        if let Some(other) = others.iter().find(|other| other.line.kernel != *kernel) {
            reasons.push(SlowReason::CpuPath { here: kernel.clone(), others: other.line.kernel.clone() });
        }
        reasons.push(SlowReason::Processor { here_us, others_us });
    }
    if let Some(cores) = host.line.stolen_cores.filter(|cores| *cores >= 0.1) {
        reasons.push(SlowReason::Stolen { cores });
    }
    if let Some((here_us, others_us)) = of(&[TimeUse::CoreWait]) {
        reasons.push(SlowReason::CoreWait { here_us, others_us, competing_cores: host.line.others_cores });
    }
    let others_trip_s = median(others.iter().filter_map(|other| other.line.round_trip_s));
    if let (Some(_), Some(here_s), Some(others_s)) =
        (of(&[TimeUse::RoundTrips]), host.line.round_trip_s, others_trip_s)
    {
        reasons.push(SlowReason::RoundTrip { here_s, others_s });
    }
    if let Some((here_us, others_us)) = of(&[TimeUse::Source]) {
        reasons.push(SlowReason::Source { here_us, others_us });
    }
    if let Some((here_us, others_us)) = of(&[TimeUse::Store, TimeUse::Commit]) {
        reasons.push(SlowReason::Store { here_us, others_us });
    }
    reasons
}

/// The middle one, of an even number the lower; none of nothing.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}
