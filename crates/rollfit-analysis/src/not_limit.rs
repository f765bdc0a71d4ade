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
/// Room for this many times the workers is enough for every recommendation.
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

    /// Whether there is room for enough workers.
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

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::made;

    /// A run into a server elsewhere, of which everything is known and nothing is full.
    fn idle() -> Record {
        let mut record = made(40, 2);
        (record.header.sink_is_local, record.header.sessions_max) = (Some(false), Some(17));
        record.header.server_cores = Some(16.0);
        for sample in &mut record.samples {
            let store = sample.store.get_or_insert_default();
            (store.own_sessions, store.server_cpu_share) = (3, Some(0.25));
            (store.sessions, store.sessions_max) = (Some(20), Some(97));
            sample.machine.disk_busy = Some(0.12);
        }
        record
    }

    fn listed(record: &Record, causes: &[LimitingCause]) -> Vec<&'static str> {
        let facts = RunFacts::from_record(record);
        let name = |limit: NotLimit| match limit {
            NotLimit::Memory { .. } => "memory",
            NotLimit::Sessions { .. } => "sessions",
            NotLimit::Disk { .. } => "disk",
            NotLimit::Network { .. } => "network",
            NotLimit::Cores { .. } => "cores",
            NotLimit::ServerCores { .. } => "server",
        };
        not_limits(record, facts.as_ref(), causes).into_iter().map(name).collect()
    }

    /// What is no longer listed once a record is changed.
    fn missing(change: impl Fn(&mut Record)) -> Vec<&'static str> {
        let mut record = idle();
        let before = listed(&record, &[]);
        change(&mut record);
        let after = listed(&record, &[]);
        before.into_iter().filter(|name| !after.contains(name)).collect()
    }

    #[test]
    fn what_is_far_from_full_is_listed_with_its_figures() {
        let mut record = idle();
        // Sending takes a fifth of a partition in these records.
        assert_eq!(listed(&record, &[]), ["memory", "sessions", "disk", "cores", "server"]);
        for end in &mut record.partitions {
            (end.wall_us, end.cpu_us) = Default::default();
            end.wall_us.add(rollfit_job::activity::Activity::Computing, 9_000_000);
        }
        assert_eq!(listed(&record, &[])[3], "network");
        let facts = RunFacts::from_record(&record);
        let sessions = not_limits(&record, facts.as_ref(), &[])[1];
        assert_eq!(sessions, NotLimit::Sessions { used: 3, available: 17 });
        let server = *not_limits(&record, facts.as_ref(), &[]).last().unwrap();
        assert_eq!(server, NotLimit::ServerCores { busy: 4.0, available: 16.0 });
    }

    #[test]
    fn what_may_limit_is_not_listed() {
        fn machine(change: fn(&mut rollfit_job::watch::MachineSample)) -> impl Fn(&mut Record) {
            move |record| record.samples.iter_mut().for_each(|sample| change(&mut sample.machine))
        }
        assert_eq!(missing(machine(|machine| machine.free_memory_bytes = Some(0))), ["memory"]);
        assert_eq!(missing(machine(|machine| machine.memory_pressure = Some(0.3))), ["memory"]);
        assert_eq!(missing(machine(|machine| machine.disk_busy = Some(0.9))), ["disk"]);
        assert_eq!(missing(machine(|machine| machine.io_pressure = Some(0.4))), ["disk"]);
        assert_eq!(missing(machine(|machine| machine.others_cores = Some(6.0))), ["cores"]);
        assert_eq!(missing(machine(|machine| machine.quota_reached = Some(0.5))), ["cores"]);
        assert_eq!(missing(|record| record.header.sessions_max = Some(3)), ["sessions"]);
        assert_eq!(missing(|record| record.header.server_cores = None), ["server"]);
        let full = |record: &mut Record| {
            record.samples.iter_mut().for_each(|sample| sample.store.as_mut().unwrap().sessions = Some(97));
        };
        assert_eq!(missing(full), ["sessions"]);
    }

    #[test]
    fn what_was_found_to_limit_is_not_listed() {
        let causes =
            [LimitingCause::Memory, LimitingCause::Sessions, LimitingCause::Commit, LimitingCause::Cpu];
        assert_eq!(listed(&idle(), &causes), ["server"]);
    }

    #[test]
    fn of_a_machine_without_figures_nothing_is_listed() {
        let mut record = made(40, 2);
        record.samples.clear();
        assert_eq!(listed(&record, &[]), [""; 0]);
        record.partitions.clear();
        assert_eq!(listed(&record, &[]), [""; 0]);
    }
}
