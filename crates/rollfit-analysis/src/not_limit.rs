//! [`NotLimit`]: the resources that are known not to limit a run, each with its figures.
//!
//! Invariants: what limits a run, or may do so, or is not known, is not listed.

use rollfit_job::record::{Record, WorkerCeiling};
use serde::{Deserialize, Serialize};

use super::demand::Demand;
use super::observed::Observed;
use super::ranked_cause::LimitingCause;
use super::run_facts::{RunFacts, sessions_workers};
use super::server_cpu::ServerCpuBasis;

/// Below this share of it a resource is far from full.
const BUSY_MOST: f64 = 0.75;
/// A disk that is busy for longer may be what is waited for.
const DISK_BUSY_MOST: f64 = 0.5;
/// The share of the time for which nothing that matters waits.
const WAIT_MOST: f64 = 0.1;
/// Where there is room for so many times the workers, it is enough for all that is ever advised.
const ROOM: usize = 2;

/// A resource that is known not to limit a run. Figures are those of the run: of memory and sessions the most, of others the mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resource", rename_all = "kebab-case")]
pub enum NotLimit {
    /// There is memory for at least twice the workers.
    Memory {
        /// What this process held.
        used_bytes: u64,
        /// What it could hold.
        available_bytes: f64,
        /// The workers that there is memory for.
        workers: usize,
    },
    /// There are sessions for at least twice the workers.
    Sessions {
        /// The sessions of this process.
        used: usize,
        /// Those that it may have.
        available: u64,
    },
    /// The device of the store is idle for most of the time.
    Disk {
        /// The share of the time that it was busy, 0 to 1.
        busy: f64,
        /// What everybody read from it, a second.
        read_bytes_per_s: Option<f64>,
        /// What everybody wrote to it, a second.
        written_bytes_per_s: Option<f64>,
    },
    /// Workers hardly wait for bytes to be taken.
    Network {
        /// The bytes a second that were sent.
        bytes_per_s: f64,
        /// The share of the workers' time that they waited for it, 0 to 1.
        waiting: f64,
    },
    /// Cores of this machine are idle, and no quota withholds them.
    Cores {
        /// Those that were busy, with whatever.
        busy: f64,
        /// Those there are.
        available: f64,
    },
    /// Cores of the sink's server, which is elsewhere, are idle.
    ServerCores {
        /// Those that were busy.
        busy: f64,
        /// Those there are.
        available: f64,
    },
}

/// The resources that do not limit a run, of which `causes` do; `facts` are none where no partition was written.
pub(super) fn not_limits(
    record: &Record,
    facts: Option<&RunFacts<'_>>,
    causes: &[LimitingCause],
) -> Vec<NotLimit> {
    let observed = Observed::new(record);
    let sampled = record.samples.iter().map(|sample| sample.workers).max().unwrap_or(0);
    let usage = Usage {
        record,
        observed: &observed,
        demand: facts.map(|facts| &facts.demand),
        workers: facts.map_or(sampled, RunFacts::workers_max),
        bytes_per_s: facts.map_or(0.0, RunFacts::bytes_per_s),
        causes,
    };
    usage.not_limits()
}

/// What is known to decide about limits.
struct Usage<'a> {
    record: &'a Record,
    observed: &'a Observed,
    /// None where no partition was written.
    demand: Option<&'a Demand>,
    /// The most workers there were.
    workers: usize,
    /// Bytes sent a second.
    bytes_per_s: f64,
    /// What was found to limit the run.
    causes: &'a [LimitingCause],
}

impl Usage<'_> {
    /// The resources that do not limit the run.
    fn not_limits(&self) -> Vec<NotLimit> {
        [self.memory(), self.sessions(), self.disk(), self.network(), self.cores(), self.server_cores()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn is_cause(&self, causes: &[LimitingCause]) -> bool {
        self.causes.iter().any(|cause| causes.contains(cause))
    }

    fn held_back(&self, by: WorkerCeiling) -> bool {
        self.record.decisions.iter().any(|decision| decision.held_back_by == Some(by))
    }

    /// Whether so many workers are room enough.
    fn is_enough(&self, workers: usize) -> bool {
        let partitions = (self.record.header.partitions as usize).max(1);
        self.workers > 0 && workers >= (ROOM * self.workers).min(partitions)
    }

    fn memory(&self) -> Option<NotLimit> {
        let observed = self.observed;
        let workers = observed.memory_workers(&self.record.header.machine)?;
        let is_short = self.is_cause(&[LimitingCause::Memory])
            || self.held_back(WorkerCeiling::Memory)
            || observed.memory_pressure.is_some_and(|share| share > WAIT_MOST);
        let (used_bytes, available_bytes) = (observed.memory_bytes_max?, observed.room_bytes?);
        let is_low = used_bytes as f64 <= BUSY_MOST * available_bytes;
        (!is_short && is_low && self.is_enough(workers)).then_some(NotLimit::Memory {
            used_bytes,
            available_bytes,
            workers,
        })
    }

    fn sessions(&self) -> Option<NotLimit> {
        let available = self.record.header.sessions_max?;
        let workers = sessions_workers(self.record)?;
        let is_short = self.is_cause(&[LimitingCause::Sessions]) || self.held_back(WorkerCeiling::Sessions);
        // Those of everybody count too: the store may be full of others.
        let (all, all_max) = (self.observed.sessions, self.observed.sessions_max);
        let is_full = all.zip(all_max).is_some_and(|(all, most)| f64::from(all) > 0.9 * f64::from(most));
        let used = self.observed.own_sessions.map_or(self.workers + 1, |own| own as usize);
        (!is_short && !is_full && self.is_enough(workers)).then_some(NotLimit::Sessions { used, available })
    }

    fn disk(&self) -> Option<NotLimit> {
        let busy = self.observed.disk_busy?;
        let waited = self.observed.io_pressure.unwrap_or(0.0);
        let is_cause = self.is_cause(&[LimitingCause::Commit, LimitingCause::StoreBandwidth]);
        (!is_cause && busy <= DISK_BUSY_MOST && waited <= WAIT_MOST).then_some(NotLimit::Disk {
            busy,
            read_bytes_per_s: self.observed.disk_read_bytes_per_s,
            written_bytes_per_s: self.observed.disk_written_bytes_per_s,
        })
    }

    /// Of a server elsewhere: others are reached without a network.
    fn network(&self) -> Option<NotLimit> {
        let (demand, server) = (self.demand?, &self.observed.server);
        let waiting = demand.sending_s / demand.wall_s.max(1e-9);
        let is_remote =
            self.record.header.sink_is_local == Some(false) && server.basis != ServerCpuBasis::NoServer;
        let is_cause = self.is_cause(&[LimitingCause::StoreBandwidth, LimitingCause::OwnLimit]);
        (is_remote && !is_cause && waiting <= WAIT_MOST)
            .then_some(NotLimit::Network { bytes_per_s: self.bytes_per_s, waiting })
    }

    fn cores(&self) -> Option<NotLimit> {
        let (observed, machine) = (self.observed, &self.record.header.machine);
        let available = machine.cores? as f64;
        let (own, others) = (observed.own_cores?, observed.others_cores?);
        let busy = own + others + observed.stolen_cores.unwrap_or(0.0);
        let allowed = machine.cores_allowed.unwrap_or(available);
        let withheld = observed.quota_reached.is_some_and(|share| share > WAIT_MOST);
        let is_idle = busy <= BUSY_MOST * available && own <= BUSY_MOST * allowed;
        let is_cause = self.is_cause(&[LimitingCause::Cpu]);
        (is_idle && !withheld && !is_cause).then_some(NotLimit::Cores { busy, available })
    }

    fn server_cores(&self) -> Option<NotLimit> {
        let server = &self.observed.server;
        let (busy, available) = (server.cores_busy?, server.cores?);
        (server.basis == ServerCpuBasis::Command && !server.is_local && busy <= BUSY_MOST * available)
            .then_some(NotLimit::ServerCores { busy, available })
    }
}
