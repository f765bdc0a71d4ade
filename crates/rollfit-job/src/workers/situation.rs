//! [`Situation`]: what a policy knows before the first worker starts.

use super::OtherRunners;
use crate::Job;
use crate::config::Workers;
use crate::watch::{MachineLimits, MachineSample};

/// What a policy knows before the first worker starts.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What the configuration says.
    pub setting: Workers,
    /// The partitions of the run.
    pub partitions: usize,
    /// What the machine allows.
    pub limits: MachineLimits,
    /// How busy the machine is without this run.
    pub machine: MachineSample,
    /// The most sessions with the sink's store, and why; none where there is no limit.
    pub sessions: Option<(usize, String)>,
    /// Whether the sink's store works on this machine; none where that cannot be known.
    pub store_is_local: Option<bool>,
    /// The most cores that the configuration lets this process keep busy.
    pub cpu_max: Option<f64>,
    /// About the memory that a worker takes, before any was measured.
    pub worker_memory_bytes: u64,
    /// Who else works on the sink's store.
    pub others: OtherRunners,
}

/// The rows of a partition for the first guess of a worker's memory: a month of minutes, and more than a row group has.
const ROWS: u64 = 65_536;

impl Situation {
    /// Describes a job with this many partitions to do.
    pub fn new(job: &Job<'_>, partitions: usize) -> Self {
        let mut limits = job.machine.limits();
        if limits.cores_allowed.is_none() {
            limits.cores_allowed = std::thread::available_parallelism().ok().map(|cores| cores.get() as f64);
        }
        Self {
            setting: job.workers,
            partitions,
            limits,
            machine: job.machine.sample(),
            sessions: job.sink.sessions(),
            store_is_local: job.sink.is_local(),
            cpu_max: job.config.run.cpu_max,
            worker_memory_bytes: worker_memory_bytes(job),
            others: OtherRunners::on(job.sink),
        }
    }
}

/// The series, once more while they are joined, and what a sink may hold of the columns that it stores.
fn worker_memory_bytes(job: &Job<'_>) -> u64 {
    let columns = job.config.series.len() as u64 + 1;
    let stored = job.config.stored_column_count() as u64;
    ROWS * 8 * (2 * columns + stored)
}
