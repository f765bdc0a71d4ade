//! [`Resources`]: cores, memory, disks, sessions and store by the USE method: utilisation, saturation, errors (Gregg, *Thinking
//! Methodically about Performance*, ACM Queue 10, 2012). And what the workers' time went into.

use rollfit_job::activity::{Activity, Times};
use rollfit_job::record::Record;
use serde::{Deserialize, Serialize};

use super::observed::WaitShare;
use super::run_facts::RunFacts;
use super::server_cpu::ServerCpuBasis;

/// What an activity took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityShare {
    /// Which.
    pub activity: Activity,
    /// Seconds of all workers.
    pub wall_s: f64,
    /// Of which processor time of this process.
    pub cpu_s: f64,
    /// The share of all workers' time, 0 to 1.
    pub share: f64,
}

/// How much of each resource was used. Shares are 0 to 1; what is not known is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Cores.
    pub cores: CoresUse,
    /// Memory.
    pub memory: MemoryUse,
    /// Disks.
    pub disks: DisksUse,
    /// Sessions; none where the sink has none.
    pub sessions: Option<SessionsUse>,
    /// The store.
    pub store: StoreUse,
}

/// How cores were used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoresUse {
    /// The share of them that was busy.
    pub utilisation: Option<f64>,
    /// Those kept busy by this process, on average.
    pub own: Option<f64>,
    /// By others on this machine.
    pub others: Option<f64>,
    /// By other machines of the hypervisor.
    pub stolen: Option<f64>,
    /// All.
    pub all: Option<usize>,
    /// Those that this process may use.
    pub allowed: Option<f64>,
    /// The share of the periods of its quota in which the control group of this process had used it up; none where it has none.
    pub quota_reached: Option<f64>,
    /// The threads of this process that waited for one, on average.
    pub waiting_threads: Option<f64>,
    /// The share of the time that some task waited for one.
    pub pressure: Option<f64>,
    /// The highest load average.
    pub load_max: Option<f64>,
}

/// How memory was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The share that this process held, of what it could hold.
    pub utilisation: Option<f64>,
    /// The most that it held.
    pub bytes_max: Option<u64>,
    /// The least that it could hold.
    pub room_bytes: Option<f64>,
    /// The share of the time that some task waited for it.
    pub pressure: Option<f64>,
}

/// How disks were used. The first three are of the store's device, and none where it is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DisksUse {
    /// The share of the time that it was busy.
    pub busy: Option<f64>,
    /// Read from it a second by everybody.
    pub device_read_bytes_per_s: Option<f64>,
    /// Written to it a second by everybody.
    pub device_written_bytes_per_s: Option<f64>,
    /// Read a second by this process.
    pub read_bytes_per_s: Option<f64>,
    /// Written a second by this process.
    pub written_bytes_per_s: Option<f64>,
    /// The share of the time that some task waited for them.
    pub pressure: Option<f64>,
}

/// How sessions with the store were used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsUse {
    /// The share of those that this process may have.
    pub utilisation: Option<f64>,
    /// The most that this process had.
    pub own: usize,
    /// Those that it may have.
    pub own_max: Option<u64>,
    /// The most that everybody had.
    pub all: Option<u32>,
    /// Those that the store allows everybody.
    pub all_max: Option<u32>,
    /// The share of the workers' time spent waiting for a session or a lock.
    pub waiting_share: f64,
}

/// How the store was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreUse {
    /// The share of its cores that was busy.
    pub utilisation: Option<f64>,
    /// Its cores that were busy.
    pub cores: Option<f64>,
    /// Those that it has; none where unknown.
    pub cores_all: Option<f64>,
    /// How that is known.
    pub basis: ServerCpuBasis,
    /// The samples that it is known from.
    pub samples: usize,
    /// The share of the workers' time spent waiting for it.
    pub waiting_share: f64,
    /// What sessions waited for within it.
    pub waits: Vec<WaitShare>,
    /// Attempts and partitions that failed.
    pub errors: u64,
}

/// How much of each resource was used.
pub(super) fn resources(facts: &RunFacts<'_>) -> Resources {
    let has_sessions = facts.record.header.sessions_max.is_some() || facts.observed.own_sessions.is_some();
    Resources {
        cores: cores(facts),
        memory: memory(facts),
        disks: DisksUse {
            busy: facts.observed.disk_busy,
            device_read_bytes_per_s: facts.observed.disk_read_bytes_per_s,
            device_written_bytes_per_s: facts.observed.disk_written_bytes_per_s,
            read_bytes_per_s: facts.observed.read_bytes_per_s,
            written_bytes_per_s: facts.observed.written_bytes_per_s,
            pressure: facts.observed.io_pressure,
        },
        sessions: has_sessions.then(|| sessions(facts)),
        store: store(facts),
    }
}

fn cores(facts: &RunFacts<'_>) -> CoresUse {
    let (observed, machine) = (&facts.observed, &facts.record.header.machine);
    CoresUse {
        utilisation: facts.cores_busy(),
        own: observed.own_cores,
        others: observed.others_cores,
        stolen: observed.stolen_cores,
        all: machine.cores,
        allowed: machine.cores_allowed.or(machine.cores.map(|cores| cores as f64)),
        quota_reached: observed.quota_reached,
        waiting_threads: observed.waiting_threads,
        pressure: observed.cpu_pressure,
        load_max: observed.load,
    }
}

fn memory(facts: &RunFacts<'_>) -> MemoryUse {
    let observed = &facts.observed;
    let most = observed.memory_bytes_max;
    MemoryUse {
        utilisation: most.zip(observed.room_bytes).map(|(held, room)| (held as f64 / room).min(1.0)),
        bytes_max: most,
        room_bytes: observed.room_bytes,
        pressure: observed.memory_pressure,
    }
}

fn sessions(facts: &RunFacts<'_>) -> SessionsUse {
    let (observed, header) = (&facts.observed, &facts.record.header);
    let own = observed.own_sessions.map_or(facts.workers_max() + 1, |own| own as usize);
    SessionsUse {
        utilisation: header.sessions_max.map(|most| (own as f64 / most.max(1) as f64).min(1.0)),
        own,
        own_max: header.sessions_max,
        all: observed.sessions,
        all_max: observed.sessions_max,
        waiting_share: facts.demand.waiting_s / facts.demand.wall_s,
    }
}

fn store(facts: &RunFacts<'_>) -> StoreUse {
    const NOTABLE: f64 = 0.05;
    let (server, demand) = (&facts.observed.server, &facts.demand);
    StoreUse {
        utilisation: server.cores_busy.zip(server.cores).map(|(busy, cores)| busy / cores),
        cores: server.cores_busy,
        cores_all: server.cores,
        basis: server.basis,
        samples: facts.record.samples.len(),
        waiting_share: demand.store_s() / demand.wall_s,
        waits: facts.store_waits(NOTABLE),
        errors: facts.totals.retries + facts.totals.failed,
    }
}

/// What the workers' time went into, the largest first.
pub(super) fn activities(record: &Record) -> Vec<ActivityShare> {
    let (mut wall, mut cpu) = (Times::default(), Times::default());
    for end in &record.partitions {
        wall.add_all(&end.wall_us);
        cpu.add_all(&end.cpu_us);
    }
    let total_us = wall.total_us().max(1) as f64;
    let share = |activity: Activity| ActivityShare {
        activity,
        wall_s: wall.get(activity) as f64 / 1e6,
        cpu_s: cpu.get(activity) as f64 / 1e6,
        share: wall.get(activity) as f64 / total_us,
    };
    let mut shares: Vec<ActivityShare> =
        Activity::ALL.into_iter().filter(|activity| wall.get(*activity) > 0).map(share).collect();
    shares.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
    shares
}
