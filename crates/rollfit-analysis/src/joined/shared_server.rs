//! [`SharedServer`]: the sink's server as all runners saw it: the same one, so that its figures are never added up.

use std::collections::BTreeMap;

use rollfit_job::store::WaitKind;
use serde::{Deserialize, Serialize};

use super::runner_digest::RunnerDigest;
use crate::observed::WaitShare;
use crate::server_cpu::ServerCpuBasis;

/// The sink's server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedServer {
    /// How its processor time is known: as the runner that saw it best knows it.
    pub basis: ServerCpuBasis,
    /// Its cores; none where unknown.
    pub cores: Option<f64>,
    /// The cores that it kept busy, on average; none where unknown.
    pub cores_busy: Option<f64>,
    /// The host that it works on, where a runner was there too.
    pub host: Option<String>,
    /// What sessions of all runners waited for within it, together, the most first.
    pub waits: Vec<WaitShare>,
}

/// How well a basis shows what the server does; a guess from one process's sessions shows nothing of the whole.
const fn rank(basis: ServerCpuBasis) -> u8 {
    match basis {
        ServerCpuBasis::Processes => 2,
        ServerCpuBasis::Command => 1,
        ServerCpuBasis::NoServer | ServerCpuBasis::Sessions | ServerCpuBasis::Unknown => 0,
    }
}

impl SharedServer {
    pub(super) fn new(runners: &[RunnerDigest]) -> Self {
        let best = runners.iter().map(|runner| rank(runner.observed.server.basis)).max().unwrap_or(0);
        let seeing =
            || runners.iter().filter(move |runner| best > 0 && rank(runner.observed.server.basis) == best);
        let local = runners.iter().find(|runner| runner.observed.server.is_local);
        let is_files = runners.iter().all(|runner| runner.observed.server.basis == ServerCpuBasis::NoServer);
        let basis = match seeing().next() {
            Some(runner) => runner.observed.server.basis,
            None if is_files => ServerCpuBasis::NoServer,
            None => ServerCpuBasis::Unknown,
        };
        let known =
            || seeing().filter_map(|runner| Some((runner.observed.server.cores_busy?, runner.run.took_s)));
        let seconds: f64 = known().map(|(_, took_s)| took_s).sum();
        let core_s: f64 = known().map(|(cores, took_s)| cores * took_s).sum();
        Self {
            basis,
            cores: seeing().filter_map(|runner| runner.observed.server.cores).reduce(f64::max),
            cores_busy: (seconds > 0.0).then(|| core_s / seconds),
            host: local.map(|runner| runner.header.host.clone()),
            waits: waits(runners),
        }
    }

    /// The share of its cores that is busy, 0 to 1.
    pub fn utilisation(&self) -> Option<f64> {
        let (busy, cores) = (self.cores_busy?, self.cores?);
        (cores > 0.0).then(|| (busy / cores).min(1.0))
    }

    /// Whether there is a server whose processor time nobody saw.
    pub fn is_unseen(&self) -> bool {
        self.basis != ServerCpuBasis::NoServer && self.utilisation().is_none()
    }
}

/// Sessions are those of each runner: they add up.
fn waits(runners: &[RunnerDigest]) -> Vec<WaitShare> {
    const NOTABLE: f64 = 0.05;
    let mut sums: BTreeMap<(WaitKind, &str), f64> = BTreeMap::new();
    for runner in runners {
        for ((kind, event), sessions) in &runner.observed.waits {
            *sums.entry((*kind, event)).or_default() += sessions;
        }
    }
    let share = |((wait, event), sessions): ((WaitKind, &str), f64)| WaitShare {
        wait,
        event: event.to_owned(),
        sessions,
    };
    let mut waits: Vec<WaitShare> =
        sums.into_iter().map(share).filter(|wait| wait.sessions >= NOTABLE).collect();
    waits.sort_by(|a, b| b.sessions.total_cmp(&a.sessions));
    waits
}
