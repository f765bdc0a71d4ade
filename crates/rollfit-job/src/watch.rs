//! [`Moment`]: the state of a run, once a second, made of the figures of its workers, the machine and the store.
//!
//! Invariants: what cannot be known is `None`, never 0. Rates are those since the sample before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::activity::LaneState;
use crate::store::{ServerProcess, StoreSample};

/// The machine that the run is on: what it allows, and how busy it is.
pub trait Machine: Send + Sync {
    /// What it allows at most.
    fn limits(&self) -> MachineLimits;

    /// How busy it was since the last sample, or shortly before the first.
    fn sample(&self) -> MachineSample;

    /// Watches the server that this process belongs to, if it is on this machine, in place of any other. Asked again and again: the server
    /// may have been restarted.
    ///
    /// # Errors
    /// Why the processes of that server cannot be told for certain. None is watched then.
    fn watch_server(&self, _process: &ServerProcess) -> Result<(), String> {
        Ok(())
    }

    /// Watches the device with this number of the system's, on which the store is.
    fn watch_device(&self, _device: u64) {}
}

/// A machine without figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unseen;

impl Machine for Unseen {
    fn limits(&self) -> MachineLimits {
        MachineLimits::default()
    }

    fn sample(&self) -> MachineSample {
        MachineSample::default()
    }
}

/// What a machine allows a process at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineLimits {
    /// Its cores.
    pub cores: Option<usize>,
    /// The cores that this process may use, where affinity or a control group leave it fewer. Not always whole.
    pub cores_allowed: Option<f64>,
    /// Its memory.
    pub memory_bytes: Option<u64>,
    /// The memory that the control group of this process may use, where that is limited.
    pub memory_allowed_bytes: Option<u64>,
    /// What could not be found out, and why.
    pub unavailable: Vec<String>,
}

/// How busy a machine is. Cores are seconds of processor time a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineSample {
    /// Cores kept busy by this process.
    pub own_cores: Option<f64>,
    /// Cores kept busy by everybody else, the store included where it is on this machine.
    pub others_cores: Option<f64>,
    /// Cores kept busy by all processes of the sink's server, a part of `others_cores`; none where it is elsewhere, or its processes cannot be
    /// told for certain.
    pub server_cores: Option<f64>,
    /// The share of the periods of a control group's quota in which this process's group had used it up, 0 to 1; none where there is no quota.
    pub quota_reached: Option<f64>,
    /// Cores that the hypervisor gave to other machines.
    pub stolen_cores: Option<f64>,
    /// How many of this process's threads waited for a core, on average.
    pub waiting_threads: Option<f64>,
    /// The load average of the last minute.
    pub load: Option<f64>,
    /// The share of time in which some task waited for a core, for disks, for memory.
    pub cpu_pressure: Option<f64>,
    /// See [`MachineSample::cpu_pressure`].
    pub io_pressure: Option<f64>,
    /// See [`MachineSample::cpu_pressure`].
    pub memory_pressure: Option<f64>,
    /// The memory that this process holds.
    pub own_memory_bytes: Option<u64>,
    /// The memory that this process could still take: the least of what machine and control group have left.
    pub free_memory_bytes: Option<u64>,
    /// The memory of the machine that nobody has taken, whatever a control group allows.
    pub machine_free_memory_bytes: Option<u64>,
    /// The share of the time that the device of the store was busy, 0 to 1; none where the device is not known. As are the next two.
    pub disk_busy: Option<f64>,
    /// What everybody read from that device, a second.
    pub disk_read_bytes_per_s: Option<f64>,
    /// What everybody wrote to it.
    pub disk_written_bytes_per_s: Option<f64>,
    /// What this process read from disks, a second.
    pub read_bytes_per_s: Option<f64>,
    /// What this process wrote to disks, a second.
    pub written_bytes_per_s: Option<f64>,
}

/// What a run has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Partitions of the run.
    pub partitions: u64,
    /// Those that have ended, in whatever way.
    pub ended: u64,
    /// Those that were written.
    pub written: u64,
    /// Those that failed.
    pub failed: u64,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// Rows handed to the sink, of partitions not yet committed too.
    pub rows: u64,
    /// Rows of the partitions that were committed.
    #[serde(default)]
    pub rows_committed: u64,
    /// Bytes handed to the sink.
    pub bytes: u64,
}

/// A run as it is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Since the run began.
    pub at: Duration,
    /// How many workers there are to be.
    pub workers_wanted: usize,
    /// Whether that number is still being found.
    #[serde(default)]
    pub is_searching: bool,
    /// Those there are.
    pub lanes: Vec<LaneState>,
    /// What they have done.
    pub totals: Totals,
    /// The machine.
    pub machine: MachineSample,
    /// The store; none if it does not answer.
    pub store: Option<StoreSample>,
}
