//! [`Observation`]: a fact of a record that speaks for a cause.

use rollfit_job::partition::Partition;
use serde::{Deserialize, Serialize};

use super::resources::WaitShare;

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitedFor {
    /// Its source.
    Source,
    /// Round trips and new sessions.
    RoundTrips,
    /// The store to take its bytes.
    Bytes,
    /// Its commit.
    Commit,
}

/// A fact that speaks for a cause. Shares are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each variant says what its figures are.
pub enum Observation {
    /// Workers at once, and how many would pay.
    WorkersAtOnce { workers: usize, workers_wanted: usize },
    /// How many workers would pay.
    WorkersWanted { workers: usize },
    /// The cores that this process kept busy, of all.
    OwnCores { own_cores: f64, cores: Option<usize> },
    /// The share of a partition's time that its worker only waits.
    WorkerWaits { share: f64 },
    /// The gain comes only after the findings before it are fixed.
    OnlyAfterOthers,
    /// The sessions of this process and the workers they allow; why there are no more, as the store says it.
    SessionsAllowed { sessions: u64, workers: usize, why: Option<String> },
    /// The share of the workers' time spent waiting for a session.
    SessionWait { share: f64 },
    /// The largest partition, how many times the mean it has in rows, and how long it took.
    LargestPartition { partition: Partition, times_mean: f64, took_s: f64 },
    /// How long one worker alone was busy.
    OneWorkerBusy { seconds: f64 },
    /// The share of the run that workers had nothing to do.
    WorkersIdle { share: f64 },
    /// The cores kept busy by this process and by others.
    CoresBusy { own_cores: f64, others_cores: f64, cores: f64 },
    /// The cores that affinity or a control group allows.
    CoresAllowed { cores: f64 },
    /// How long a worker waits for a core for each second of its own work.
    CoreWait { seconds_per_s: f64 },
    /// The threads of this process that waited for a core, on average.
    ThreadsWaiting { threads: f64 },
    /// What this process could hold, what it holds without workers and for each, and the workers that it has room for.
    MemoryRoom { room_bytes: f64, base_bytes: f64, worker_bytes: f64, workers: usize },
    /// The cores that `cpu_max` allows.
    CpuMax { cores: f64 },
    /// What `store_write_mb_per_s_max` allows, and what was written.
    WriteMax { bytes_per_s_max: f64, bytes_per_s: f64 },
    /// The share of their time that workers throttled themselves.
    Throttled { share: f64 },
    /// How long a partition waits, its share of the time that the partition takes, and that time.
    PartitionWait { waited_for: WaitedFor, wait_s: f64, share: f64, partition_s: f64 },
    /// How many workers are served at once as fast as one alone, and how long that takes each.
    ServedAtOnce { workers: f64, each_s: f64 },
    /// What sessions waited for within the store, on average.
    StoreWaits { waits: Vec<WaitShare> },
    /// Bytes written a second.
    BytesWritten { bytes_per_s: f64 },
    /// The partitions that others held when it was their turn.
    PartitionsHeld { partitions: usize },
    /// How long nothing else was left to do at the end.
    HeldAtEnd { seconds: f64 },
    /// How long a partition waits for locks, and its share of the time that the partition takes.
    LockWait { wait_s: f64, share: f64 },
    /// Who holds the locks.
    LockHolders { holders: Vec<String> },
    /// The message about a partition that others held.
    HeldMessage { message: String },
    /// The attempts that failed, the most frequent message, and how many had it.
    FailedAttempts { attempts: usize, message: String, times: usize },
    /// How long a partition pauses before another attempt, and its share of the time that the partition takes.
    RetryPause { wait_s: f64, share: f64 },
}
