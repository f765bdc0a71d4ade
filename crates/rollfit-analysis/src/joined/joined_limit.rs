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
    /// Runners began late: the share of all workers' time.
    LateStart { share: f64 },
    /// The cores of the machines: how busy those of the hosts are on average that do most, and how many hosts are so.
    MachineCores { hosts: usize, of_hosts: usize, busy_share: f64 },
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
        let late_share = time.get(TimeUse::BeforeStart) / time.total_s();
        if partitions < PARTITIONS_A_WORKER * workers as u64 && idle_share + late_share < 2.0 * NOTABLE {
            return Self::FewPartitions { partitions, workers };
        }
        if idle_share.max(late_share) >= NOTABLE {
            let is_late = late_share > idle_share;
            return if is_late {
                Self::LateStart { share: late_share }
            } else {
                Self::Imbalance { share: idle_share }
            };
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

    /// The hosts whose cores are full, where these do most of the work.
    fn machine_cores(hosts: &[HostWork]) -> Option<Self> {
        let busy = |host: &HostWork| {
            let line = &host.line;
            let (own, allowed) = (line.own_cores?, line.cores_allowed?);
            let of_all = line.cores.map_or(0.0, |all| {
                (own + line.others_cores.unwrap_or(0.0) + line.stolen_cores.unwrap_or(0.0))
                    / all.max(1) as f64
            });
            Some((own / allowed.max(0.1)).max(of_all).min(1.0))
        };
        let full: Vec<(&HostWork, f64)> = hosts
            .iter()
            .filter_map(|host| Some((host, busy(host)?)))
            .filter(|(_, busy)| *busy >= FULL)
            .collect();
        let rows = |hosts: &mut dyn Iterator<Item = &HostWork>| hosts.map(|host| host.line.rows).sum::<u64>();
        let done = rows(&mut full.iter().map(|(host, _)| *host));
        let all = rows(&mut hosts.iter());
        (!full.is_empty() && 2 * done >= all).then(|| Self::MachineCores {
            hosts: full.len(),
            of_hosts: hosts.len(),
            busy_share: full.iter().map(|(_, busy)| busy).sum::<f64>() / full.len() as f64,
        })
    }
}
