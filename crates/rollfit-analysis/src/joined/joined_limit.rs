//! [`JoinedLimit`]: what limits all runners together.

use serde::{Deserialize, Serialize};

use super::host_line::HostWork;
use super::imbalance::Imbalance;
use super::shared_server::SharedServer;
use super::time_use::{TimeUse, WorkerTime};

/// What limits the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each variant says what its figures are.
pub enum JoinedLimit {
    /// Nothing was written, so nothing is known.
    NothingWritten,
    /// The cores of the sink's server, which all share.
    ServerCores { busy: f64, cores: f64 },
    /// There are too few partitions for so many workers.
    FewPartitions { partitions: u64, workers: usize },
    /// Runners had ended while others still worked: the share of all workers' time.
    Imbalance { share: f64 },
    /// Runners were killed: the share of all workers' time that is missing since.
    Killed { share: f64 },
    /// Runners began late: the share of all workers' time.
    LateStart { share: f64 },
    /// The cores of the machines: how busy those of the hosts are on average that do most, the
    /// share of them that other processes and other machines have, and how many hosts are so.
    MachineCores { hosts: usize, of_hosts: usize, busy_share: f64, others_share: f64 },
    /// What the workers wait for most: the share of all workers' time.
    Waiting { what: TimeUse, share: f64 },
    /// Neither cores nor waits: more workers on each machine would do more. The share of all workers' time in which they had a core.
    Workers { share: f64 },
}

/// Cores of which this share is busy are full.
pub(super) const FULL: f64 = 0.85;

/// Partitions for each worker below which the last ones leave many workers with nothing to do.
const PARTITIONS_A_WORKER: u64 = 2;

/// Runners that end or begin apart limit the whole from this share of all workers' time on.
const NOTABLE: f64 = 0.2;

impl JoinedLimit {
    pub(super) fn new(
        time: &WorkerTime,
        hosts: &[HostWork],
        server: &SharedServer,
        imbalance: Option<&Imbalance>,
        partitions: u64,
        workers: usize,
    ) -> Self {
        if partitions == 0 || time.total_s() <= 0.0 {
            return Self::NothingWritten;
        }
        if let (Some(share), Some(busy), Some(cores)) =
            (server.utilisation(), server.cores_busy, server.cores)
            && share >= FULL
        {
            return Self::ServerCores { busy, cores };
        }
        let idle_share = imbalance.map_or(0.0, |imbalance| imbalance.idle_share);
        let no_end_share = imbalance.map_or(0.0, |imbalance| imbalance.no_end_share);
        let late_share = time.get(TimeUse::BeforeStart) / time.total_s();
        let apart_share = idle_share + late_share + no_end_share;
        if partitions < PARTITIONS_A_WORKER * workers as u64 && apart_share < 2.0 * NOTABLE {
            return Self::FewPartitions { partitions, workers };
        }
        if let Some(apart) = Self::apart(idle_share, late_share, no_end_share) {
            return apart;
        }
        if let Some(cores) = Self::machine_cores(hosts) {
            return cores;
        }
        let is_reason = |what: TimeUse| {
            !matches!(
                what,
                TimeUse::Processor | TimeUse::BeforeStart | TimeUse::AfterEnd | TimeUse::NotWritten
            )
        };
        let processor = time.get(TimeUse::Processor) / time.total_s();
        let most = time.shares().into_iter().find(|share| is_reason(share.what));
        match most.filter(|most| most.share >= processor / 2.0) {
            Some(most) => Self::Waiting { what: most.what, share: most.share },
            None => Self::Workers { share: processor },
        }
    }

    /// Why much of the time only a part of the workers was there, if so.
    fn apart(idle_share: f64, late_share: f64, no_end_share: f64) -> Option<Self> {
        let most = idle_share.max(late_share).max(no_end_share);
        (most >= NOTABLE).then_some(match most {
            share if share == no_end_share => Self::Killed { share },
            // Who begins apart ends apart too.
            _ if late_share >= NOTABLE => Self::LateStart { share: late_share },
            share => Self::Imbalance { share },
        })
    }

    /// The hosts whose cores are full, where these do most of the work.
    fn machine_cores(hosts: &[HostWork]) -> Option<Self> {
        let full: Vec<(&HostWork, f64, f64)> = hosts
            .iter()
            .filter_map(|host| busy(host).map(|(busy, others)| (host, busy, others)))
            .filter(|(_, busy, _)| *busy >= FULL)
            .collect();
        let done: u64 = full.iter().map(|(host, _, _)| host.line.rows).sum();
        let all: u64 = hosts.iter().map(|host| host.line.rows).sum();
        let mean = |share: fn(&(&HostWork, f64, f64)) -> f64| {
            full.iter().map(share).sum::<f64>() / full.len().max(1) as f64
        };
        (!full.is_empty() && 2 * done >= all).then(|| Self::MachineCores {
            hosts: full.len(),
            of_hosts: hosts.len(),
            busy_share: mean(|(_, busy, _)| *busy),
            others_share: mean(|(_, _, others)| *others),
        })
    }
}

/// The share of a host's cores that is busy, and that which others have.
fn busy(host: &HostWork) -> Option<(f64, f64)> {
    let line = &host.line;
    let (own, allowed) = (line.own_cores?, line.cores_allowed?);
    let others = line.others_cores.unwrap_or(0.0) + line.stolen_cores.unwrap_or(0.0);
    let of_all = |cores: f64| line.cores.map_or(0.0, |all| (cores / all.max(1) as f64).min(1.0));
    Some(((own / allowed.max(0.1)).max(of_all(own + others)).min(1.0), of_all(others)))
}
