//! [`RankedCause`]: something that costs time, the observations that speak for it, and what to do about it.

use rollfit_job::activity::Activity;
use rollfit_job::config::Setting;
use rollfit_job::partition::Partition;
use rollfit_job::store::{AppliesWhen, Bottleneck};
use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::limit::Limit;
use super::observed::WaitShare;

/// What can limit a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitingCause {
    /// The cores are busy with other processes, or few of them are allowed.
    Cpu,
    /// Memory keeps the number of workers down.
    Memory,
    /// Fewer workers than would pay.
    Workers,
    /// Reading the source is slow.
    SourceRead,
    /// Round trips to the store are slow.
    StoreLatency,
    /// Store write bandwidth is saturated.
    StoreBandwidth,
    /// The sessions that the store, or the configuration, allows are too few.
    Sessions,
    /// Others hold locks or whole partitions.
    Locks,
    /// Commits are slow.
    Commit,
    /// Statements that remove, check, count or clean up rows take long.
    StoreWork,
    /// One partition is much larger than the others, and other workers have nothing left to do meanwhile.
    OversizedPartition,
    /// Attempts fail and are retried.
    Retries,
    /// A limit of the configuration: `cpu_max` or `store_write_mb_per_s_max`.
    OwnLimit,
}

/// The store of a run that a cause is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRole {
    /// Where series come from.
    Source,
    /// Where features go.
    Sink,
}

impl LimitingCause {
    /// What the cause is for a store that may have advice about it, and for which; none where it is in no store.
    pub fn store_bottleneck(self) -> Option<(StoreRole, Bottleneck)> {
        match self {
            Self::SourceRead => Some((StoreRole::Source, Bottleneck::SourceReads)),
            Self::StoreLatency => Some((StoreRole::Sink, Bottleneck::RoundTrips)),
            Self::StoreBandwidth => Some((StoreRole::Sink, Bottleneck::WriteBandwidth)),
            Self::Sessions => Some((StoreRole::Sink, Bottleneck::TooFewSessions)),
            Self::Locks => Some((StoreRole::Sink, Bottleneck::LockWaits)),
            Self::Commit => Some((StoreRole::Sink, Bottleneck::SlowCommits)),
            Self::StoreWork => Some((StoreRole::Sink, Bottleneck::Statements)),
            Self::Cpu
            | Self::Memory
            | Self::Workers
            | Self::OversizedPartition
            | Self::Retries
            | Self::OwnLimit => None,
        }
    }
}

/// Something that costs time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedCause {
    /// What.
    pub cause: LimitingCause,
    /// The share of the workers' time, or of the run, that it costs, 0 to 1.
    pub impact: f64,
    /// How that is known.
    pub evidence: Vec<Observation>,
    /// The setting that is behind it, and where it came from; none where no setting is.
    pub setting: Option<Setting>,
    /// What to do; none where nothing can be done about it.
    pub remedy: Option<Remedy>,
}

/// What to do about a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// What to change.
    pub change: Change,
    /// When it takes effect.
    pub applies: AppliesWhen,
    /// How many times as fast the whole job would be; none where that is not known.
    pub gain: Option<Estimate>,
    /// How long the whole job would take then, in seconds.
    pub job_s: Option<Estimate>,
    /// What would limit the job then.
    pub limit_then: Limit,
    /// Whether the processors of the store's server are not visible from here: then the low end of what is estimated takes them to be full
    /// already, and the high end takes them never to be.
    #[serde(default)]
    pub server_unseen: bool,
    /// What to watch.
    pub watch: Watch,
    /// The partition to try it on: one that took neither long nor short.
    pub try_on: Option<Partition>,
}

/// A change: what is, and what should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// A setting of the configuration; none for a value that is not set.
    Setting {
        /// Section and key.
        name: String,
        /// As it is.
        before: Option<String>,
        /// As it should be.
        after: Option<String>,
    },
    /// Cores for this process.
    Cores {
        /// As many as it can get.
        cores: f64,
        /// As many as it should get.
        cores_wanted: f64,
    },
    /// A larger quota of a control group, or more cores by affinity.
    Quota {
        /// The cores that it allows.
        cores: f64,
        /// The cores of the machine.
        cores_wanted: f64,
    },
    /// Memory for this process.
    Memory {
        /// As much as it can hold.
        bytes: f64,
        /// As much as it should be able to hold.
        bytes_wanted: f64,
        /// The workers that it has room for.
        workers: usize,
        /// The workers that it should have room for.
        workers_wanted: usize,
    },
    /// Sessions with the store.
    Sessions {
        /// As many as there are.
        sessions: u64,
        /// As many as there should be, one of them to watch the store.
        sessions_wanted: usize,
    },
    /// A shorter wait in every partition.
    Wait {
        /// For what.
        waited_for: WaitedFor,
        /// How long it is.
        wait_s: f64,
    },
    /// A store that takes bytes as fast as they come.
    Bandwidth {
        /// What it takes.
        bytes_per_s: f64,
    },
    /// Locks and partitions that others give back.
    Locks,
    /// Attempts that succeed.
    Attempts {
        /// How many failed.
        failed: usize,
    },
}

/// What to watch while a change is tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Watch {
    /// The load average should stay below the cores.
    LoadAverage {
        /// The cores; none where unknown.
        cores: Option<usize>,
    },
    /// The cores that other processes keep busy should stay below a number.
    CompetingCores {
        /// The number.
        below: f64,
    },
    /// Free memory should have room for one more worker.
    FreeMemory {
        /// The memory of one worker.
        bytes: f64,
    },
    /// The share of an activity in the workers' time should fall.
    ActivityShare {
        /// Which.
        activity: Activity,
        /// Its share now.
        share: f64,
    },
    /// Sessions of everybody should stay below what the store allows.
    SessionsOfAll,
    /// Other users of the store should be answered as fast as before.
    StoreForOthers,
    /// Rows a second should rise.
    Throughput,
    /// No partition should end as held.
    HeldPartitions,
    /// No attempt should be retried.
    Retries,
    /// All workers should be busy until shortly before the end.
    EndOfRun,
}

/// What all remedies together would gain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CombinedGain {
    /// How many times as fast the whole job would be.
    pub gain: Estimate,
    /// How long the whole job takes as it is, in seconds.
    pub job_s_now: f64,
    /// How long it would take then.
    pub job_s: Estimate,
    /// Which bottlenecks to remedy, by their position, in order: what takes effect at once comes first.
    pub steps: Vec<usize>,
    /// What is expected after each of the steps, with those before it.
    #[serde(default)]
    pub after: Vec<AfterStep>,
}

/// What is expected once a remedy is applied, and all before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AfterStep {
    /// Which bottleneck was remedied, by its position.
    pub bottleneck: usize,
    /// How many times as fast as it was the whole job is.
    pub gain: Estimate,
    /// How long the whole job takes, in seconds.
    pub job_s: Estimate,
    /// How long what is left takes, in seconds; none of a run that ended.
    pub eta_s: Option<Estimate>,
    /// The workers.
    pub workers: usize,
    /// The load average to expect; none where the cores in use are not known.
    pub load: Option<f64>,
    /// The memory of this process.
    pub memory_bytes: Option<u64>,
    /// Sessions with the sink's store; none where it has none.
    pub sessions: Option<usize>,
}

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
    /// Statements that remove, check, count or clean up rows.
    Statements,
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
    /// The share of its periods in which a control group's quota was used up.
    QuotaReached { share: f64 },
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
    /// The round trips of a partition, and how long the shortest took.
    RoundTrips { trips: f64, shortest_s: f64 },
    /// How long a partition waits for each kind of statement.
    Statements { deleting_s: f64, keying_s: f64, analyzing_s: f64, vacuuming_s: f64 },
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
