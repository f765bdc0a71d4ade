//! [`MoreMachines`]: how long the same job would take with more machines like those there were.
//!
//! The model is that of one run ([`Network`]): workers go round between the cores of their own machine, waits, and the processors of the
//! one server, at which the workers of all machines meet. `low` and `high` of a time lie between two ways in which waits for what is shared
//! can behave: they stay as long as they are, or they grow with the machines.
//!
//! Invariants: no more than twice the machines that were measured.

use serde::{Deserialize, Serialize};

use super::host_line::HostWork;
use super::shared_server::SharedServer;
use super::time_use::WorkerTime;
use crate::estimate::Estimate;
use crate::network::{Network, QueueStation, WORKERS_MAX};
use crate::tuning::{BEYOND_MEASURED, UNCERTAINTY_LEAST};

/// What more machines would give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoreMachines {
    /// How many there were.
    pub machines: usize,
    /// The workers of each, on average.
    pub workers_each: f64,
    /// Rising numbers of machines, at most twice as many as there were; empty where nothing can be said.
    pub lines: Vec<MoreMachinesLine>,
    /// Why nothing can be said.
    pub unknown: Option<MoreUnknown>,
}

/// What so many machines would give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoreMachinesLine {
    /// How many in all.
    pub machines: usize,
    /// How long the same job would take, in seconds.
    pub job_s: Estimate,
    /// How many times as fast that is as it was.
    pub gain: Estimate,
    /// What lets no more through then.
    pub limit: MoreLimit,
    /// Whether the server's processor time is not visible: then only the ends of the ranges are known.
    pub server_unseen: bool,
}

/// What lets no more through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoreLimit {
    /// The processors of the server.
    ServerCores,
    /// The cores of each machine.
    MachineCores,
    /// What workers wait for at the store, where all meet.
    StoreWaits,
    /// The number of partitions.
    Partitions,
    /// The number of workers of each machine.
    Workers,
}

/// Why nothing is said of more machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoreUnknown {
    /// Nothing, or too little, was written.
    FewPartitions,
    /// All runners were on one machine, and the store too.
    OneMachine,
    /// Most of the time only a part of the runners was at work.
    NotTogether,
}

/// The whole, as the model needs it: what a partition costs, and on how many machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    machines: usize,
    workers: usize,
    cores: f64,
    cpu_s: f64,
    /// What a worker takes for a partition.
    wall_s: f64,
    /// The part of it that it waits for what all share.
    shared_wait_s: f64,
    server_cores: f64,
    server_cpu_s: f64,
    server_unseen: bool,
    partitions: u64,
    took_s: f64,
}

impl MoreMachines {
    pub(super) fn new(
        hosts: &[HostWork],
        time: &WorkerTime,
        server: &SharedServer,
        workers_together: f64,
        took_s: f64,
    ) -> Self {
        let partitions: u64 = hosts.iter().map(|host| host.line.partitions).sum();
        let workers_max: f64 = hosts.iter().map(|host| host.time.total_s()).sum::<f64>() / took_s.max(1e-3);
        let machines = hosts.len();
        let is_on_one =
            machines == 1 && (server.host.is_some() || server.basis == crate::ServerCpuBasis::NoServer);
        let unknown = if partitions < 3 * machines as u64 || took_s < 1.0 {
            Some(MoreUnknown::FewPartitions)
        } else if is_on_one {
            Some(MoreUnknown::OneMachine)
        } else if workers_together < 0.5 * workers_max {
            Some(MoreUnknown::NotTogether)
        } else {
            None
        };
        let fleet = Fleet::new(hosts, time, server, workers_together, took_s);
        let lines = if unknown.is_some() { Vec::new() } else { fleet.lines() };
        Self { machines, workers_each: workers_together / machines.max(1) as f64, lines, unknown }
    }
}

impl Fleet {
    fn new(
        hosts: &[HostWork],
        time: &WorkerTime,
        server: &SharedServer,
        workers_together: f64,
        took_s: f64,
    ) -> Self {
        let machines = hosts.len().max(1);
        let partitions: u64 = hosts.iter().map(|host| host.line.partitions).sum();
        let each = |seconds: f64| seconds / partitions.max(1) as f64;
        let allowed = hosts.iter().filter_map(|host| host.line.cores_allowed);
        let known = allowed.clone().count();
        let cores = if known == 0 { f64::INFINITY } else { allowed.sum::<f64>() / known as f64 };
        let beside = hosts.iter().find(|host| Some(&host.line.host) == server.host.as_ref());
        // A runner on the server's machine takes cores that the server does not have.
        let taken = beside.and_then(|host| host.line.own_cores).unwrap_or(0.0);
        let busy = server.cores_busy.unwrap_or(0.0);
        let server_cores = server.cores.map_or(f64::INFINITY, |cores| (cores - taken).max(busy).max(0.1));
        Self {
            machines,
            workers: (workers_together / machines as f64).round().clamp(1.0, WORKERS_MAX as f64) as usize,
            cores: cores.max(0.1),
            cpu_s: each(time.get(super::TimeUse::Processor)),
            wall_s: each(workers_together * took_s),
            shared_wait_s: each(time.shared_wait_s()),
            server_cores,
            server_cpu_s: if server.utilisation().is_some() { each(busy * took_s) } else { 0.0 },
            server_unseen: server.is_unseen(),
            partitions,
            took_s,
        }
    }

    fn lines(&self) -> Vec<MoreMachinesLine> {
        let most = (BEYOND_MEASURED * self.machines).max(self.machines + 1);
        let mut numbers = vec![self.machines + 1, self.machines + self.machines.div_ceil(2), most];
        numbers.dedup();
        let delay_s = self.fitted_delay_s();
        let now = self.rate(self.machines, delay_s);
        numbers.into_iter().map(|machines| self.line(machines, delay_s, now)).collect()
    }

    fn line(&self, machines: usize, delay_s: f64, now: f64) -> MoreMachinesLine {
        let more = machines as f64 / self.machines as f64;
        let free = self.rate(machines, delay_s);
        // Where all meet, twice as many may wait twice as long.
        let shared_s = (self.shared_wait_s - self.server_cpu_s).clamp(0.0, delay_s);
        let crowded = self.rate(machines, delay_s + shared_s * (more - 1.0));
        let slow = if self.server_unseen { now } else { crowded.min(free) / (1.0 + UNCERTAINTY_LEAST) };
        let fast = (free * (1.0 + UNCERTAINTY_LEAST)).min(self.rate_max(machines)).max(slow);
        let expected = f64::midpoint(free, crowded).clamp(slow, fast);
        let takes_s = |rate: f64| self.takes_s(machines, rate, now);
        let job_s = Estimate { low: takes_s(fast), expected: takes_s(expected), high: takes_s(slow) };
        let gain = |job_s: f64| self.took_s / job_s.max(1e-9);
        MoreMachinesLine {
            machines,
            job_s,
            gain: Estimate { low: gain(job_s.high), expected: gain(job_s.expected), high: gain(job_s.low) },
            limit: self.limit(machines, free, crowded),
            server_unseen: self.server_unseen,
        }
    }

    /// How long the job takes at a rate, where it took as long as it did at the rate `now`: no less than the partitions need that a worker
    /// does one after the other.
    fn takes_s(&self, machines: usize, rate: f64, now: f64) -> f64 {
        let workers = (machines * self.workers) as f64;
        let rounds = (self.partitions as f64 / workers).ceil();
        // The cores need so long for all partitions, whatever the model makes of the rate that was measured.
        let cores_s = (self.partitions as f64 / self.rate_max(machines)).min(self.took_s);
        let rounds_s = rounds * self.wall_s * self.workers_wait(machines, rate);
        (self.took_s * now / rate).max(rounds_s).max(cores_s).max(1e-3)
    }

    /// How many times as long a partition takes a worker as it did.
    fn workers_wait(&self, machines: usize, rate: f64) -> f64 {
        let wall_s = (machines * self.workers) as f64 / rate;
        (wall_s / self.wall_s).clamp(0.1, 1.0)
    }

    fn limit(&self, machines: usize, free: f64, crowded: f64) -> MoreLimit {
        const FULL: f64 = 0.9;
        let workers = (machines * self.workers) as f64;
        if free * self.server_cpu_s >= FULL * self.server_cores {
            MoreLimit::ServerCores
        } else if self.partitions as f64 <= workers {
            MoreLimit::Partitions
        } else if free * self.cpu_s / machines as f64 >= FULL * self.cores {
            MoreLimit::MachineCores
        } else if crowded < FULL * free {
            MoreLimit::StoreWaits
        } else {
            MoreLimit::Workers
        }
    }

    /// The partitions a second that nothing exceeds.
    fn rate_max(&self, machines: usize) -> f64 {
        let over = |cores: f64, cpu_s: f64| if cpu_s > 0.0 { cores / cpu_s } else { f64::INFINITY };
        (machines as f64 * over(self.cores, self.cpu_s)).min(over(self.server_cores, self.server_cpu_s))
    }

    /// What a partition waits for beside processors, so that the machines there were give the rate that was measured.
    fn fitted_delay_s(&self) -> f64 {
        const STEPS: usize = 24;
        let measured = (self.machines * self.workers) as f64 / self.wall_s;
        let (mut least, mut most) = (0.0, self.wall_s);
        for _ in 0..STEPS {
            let middle = f64::midpoint(least, most);
            if self.rate(self.machines, middle) > measured { least = middle } else { most = middle }
        }
        f64::midpoint(least, most)
    }

    /// Partitions a second of so many machines.
    fn rate(&self, machines: usize, delay_s: f64) -> f64 {
        const STEPS: usize = 24;
        let network = |competing: f64| Network {
            stations: vec![
                QueueStation { demand_s: self.cpu_s, servers: self.cores, competing_cores: 0.0 },
                QueueStation::delay(delay_s + 1e-9),
                QueueStation {
                    demand_s: self.server_cpu_s,
                    servers: self.server_cores,
                    competing_cores: competing,
                },
            ],
        };
        const SERVER: usize = 2;
        let others = (machines - 1) as f64;
        let mut here = 0.0;
        if others > 0.0 && self.server_cpu_s > 0.0 && self.server_cores.is_finite() {
            // How many workers of a machine are at the server depends on how many of the others are.
            let (mut least, mut most) = (0.0, self.workers as f64);
            for _ in 0..STEPS {
                here = f64::midpoint(least, most);
                if network(others * here).at(SERVER, self.workers) > here {
                    least = here;
                } else {
                    most = here;
                }
            }
        }
        machines as f64 * network(others * here).rate(self.workers)
    }
}
