//! [`Limit`]: what lets no more partitions through; [`WorkersLimit`]: what limits a number of workers.

use serde::{Deserialize, Serialize};

use super::network::WORKERS_MAX;
use super::scenario::{Ceilings, Scenario};
use super::tuning::WORTH;
use super::work::{Wait, Work};

/// What limits a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // `workers` are those that the limit leaves.
pub enum Limit {
    /// The cores.
    Cores,
    /// The source.
    Source,
    /// The bytes a second that the store takes.
    StoreBandwidth,
    /// The commits that the store makes at once.
    Commits,
    /// Statements that remove, check, count or clean up rows.
    Statements,
    /// The processors of a server elsewhere.
    ServerCores,
    /// Perhaps the processors of a server elsewhere, which are not visible from here.
    ServerUnseen,
    /// The setting `cpu_max`.
    CpuMax,
    /// The setting `store_write_mb_per_s_max`.
    WriteMax,
    /// Sessions with the store.
    Sessions { workers: usize },
    /// Memory.
    Memory { workers: usize },
    /// The number of workers.
    Workers { workers: usize },
    /// Nothing that the record shows.
    Unknown,
}

/// The arithmetic of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each variant says what its figures are.
pub enum Capacity {
    /// Cores, or how many are served at once, over the time of a partition.
    Time { limit: Limit, at_once: f64, partition_s: f64, rows_per_s: f64 },
    /// Bytes a second over bytes a row.
    Bytes { limit: Limit, bytes_per_s: f64, row_bytes: f64 },
    /// Nothing that the record shows.
    Unknown,
}

/// What limits a number of workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each variant says what its figures are.
pub enum WorkersLimit {
    /// The workers and the monitor need more sessions than there are; why, as the store says it.
    Sessions {
        workers: usize,
        sessions_wanted: usize,
        sessions: u64,
        workers_max: usize,
        why: Option<String>,
    },
    /// What the process can hold, less what it holds without workers, over what each worker takes.
    Memory { room_bytes: f64, base_bytes: f64, worker_bytes: f64, workers_max: usize },
    /// There are fewer partitions.
    Partitions { partitions: usize },
    /// Other processes want this many cores, and more workers only take cores from them.
    CompetingLoad { competing_cores: f64, workers_max: usize },
    /// Twice the workers bring next to nothing.
    Capacity { capacity: Capacity },
}

impl Limit {
    /// What lets no more partitions a second through, however many workers there are.
    pub(super) fn from_work(work: &Work) -> Self {
        let over = |at_once: f64, each_s: f64| if each_s > 0.0 { at_once / each_s } else { f64::INFINITY };
        let (cores, cpu_s) = work.scarcest_cores();
        let rates = [
            (Limit::Cores, over(cores, cpu_s)),
            (Limit::CpuMax, work.cores_max.map_or(f64::INFINITY, |cores| over(cores, work.own_cpu_s))),
            (Limit::WriteMax, work.bytes_per_s_max.map_or(f64::INFINITY, |limit| over(limit, work.bytes))),
            (
                Limit::ServerCores,
                work.server.map_or(f64::INFINITY, |server| over(server.cores, server.cpu_s)),
            ),
            (Limit::from_queue(work), over(work.queue.servers, work.queued_s())),
        ];
        let least = rates.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
        least.filter(|(_, rate)| rate.is_finite()).map_or(Limit::Unknown, |(limit, _)| limit)
    }

    /// What most of the time in the queue is waited for.
    fn from_queue(work: &Work) -> Self {
        let queued = Wait::ALL.into_iter().filter(|wait| work.queue.waits[*wait as usize]);
        let longest = queued.max_by(|a, b| work.wait_s(*a).total_cmp(&work.wait_s(*b)));
        match longest {
            Some(Wait::Source) => Limit::Source,
            Some(Wait::Bytes | Wait::Asking) => Limit::StoreBandwidth,
            Some(Wait::Statements) => Limit::Statements,
            Some(Wait::Commit) => Limit::Commits,
            _ => Limit::Unknown,
        }
    }

    /// What limits a scenario.
    pub(super) fn from_scenario(scenario: &Scenario) -> Self {
        let Some(work) = scenario.likeliest() else { return Limit::Unknown };
        let workers = scenario.workers_now();
        let rows_per_s = work.rows_per_s((2 * workers).min(WORKERS_MAX));
        let is_free = rows_per_s.last().copied().unwrap_or(0.0) >= (1.0 + WORTH) * rows_per_s[workers];
        match scenario.ceilings {
            Ceilings { sessions: Some(most), .. } if is_free && workers >= most => {
                Limit::Sessions { workers: most }
            }
            Ceilings { memory: Some(most), .. } if is_free && workers >= most => {
                Limit::Memory { workers: most }
            }
            _ if is_free => Limit::Workers { workers },
            _ => match Limit::from_work(work) {
                Limit::Unknown if scenario.unseen_above.is_some() => Limit::ServerUnseen,
                limit => limit,
            },
        }
    }
}

impl Capacity {
    /// That of the work.
    pub(super) fn from_work(work: &Work) -> Self {
        let limit = Limit::from_work(work);
        let time = |at_once: f64, partition_s: f64| {
            let rows_per_s = at_once / partition_s * work.rows;
            Capacity::Time { limit, at_once, partition_s, rows_per_s }
        };
        match limit {
            Limit::Cores => {
                let (cores, cpu_s) = work.scarcest_cores();
                time(cores, cpu_s)
            }
            Limit::Source | Limit::StoreBandwidth | Limit::Commits | Limit::Statements => {
                time(work.queue.servers, work.queued_s())
            }
            Limit::ServerCores => {
                work.server.map_or(Capacity::Unknown, |server| time(server.cores, server.cpu_s))
            }
            Limit::CpuMax => time(work.cores_max.unwrap_or_default(), work.own_cpu_s),
            Limit::WriteMax => Capacity::Bytes {
                limit,
                bytes_per_s: work.bytes_per_s_max.unwrap_or_default(),
                row_bytes: work.bytes / work.rows,
            },
            _ => Capacity::Unknown,
        }
    }
}
