//! [`Analysis`]: what a run's record tells, as it is printed, written as JSON, Markdown and HTML. Every figure in any of
//! them is one of these.

use serde::{Deserialize, Serialize};

use rollfit_job::activity::Times;
use rollfit_job::partition::Partition;
use rollfit_job::record::{Header, Unavailable};
use rollfit_job::spec::Setting;
use rollfit_job::watch::Totals;

/// The format of the JSON document.
pub const FORMAT: u32 = 1;

/// A number that is not known exactly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Hardly less than this.
    pub low: f64,
    /// This, if one number is to be named.
    pub expected: f64,
    /// Hardly more than this.
    pub high: f64,
}

/// What a run's record tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// [`FORMAT`].
    pub format: u32,
    /// What the run is.
    pub header: Header,
    /// How it went.
    pub run: RunFacts,
    /// What limits it, in one sentence with its evidence.
    pub finding: String,
    /// What costs time, the costliest first. Empty where nothing stands out.
    pub bottlenecks: Vec<Bottleneck>,
    /// Cores, memory, disk, sessions, the store: how much of each is used.
    pub resources: Vec<Resource>,
    /// What the workers' time went into, the largest first.
    pub activities: Vec<ActivityShare>,
    /// What N workers would give, N rising.
    pub scaling: Vec<Scaling>,
    /// Beyond how many workers it is not worth it; none where the record cannot tell.
    pub worth: Option<Worth>,
    /// What all remedies together would give; none where there are none, or no gain can be told.
    pub combined: Option<Combined>,
    /// What an analysis of an earlier run of the same job predicted for what this run was.
    pub predicted: Option<Predicted>,
    /// How well the rest of the run was foretold after a quarter of it; none of a run that did not finish.
    pub foretold: Option<Foretold>,
    /// The run over time, at most a few hundred points.
    pub timeline: Vec<TimelinePoint>,
    /// The partitions as the workers did them, in order of their beginning.
    pub lanes: Vec<LaneSlice>,
    /// The partitions that took longest, the longest first.
    pub slowest: Vec<LaneSlice>,
    /// The numbers of workers and why.
    pub decisions: Vec<rollfit_job::record::Decision>,
    /// What could not be found out, and why.
    pub unavailable: Vec<Unavailable>,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// `finished`, `interrupted`, or `unfinished`: it goes on, or it was killed.
    pub state: String,
    /// How long it took, or has taken.
    pub took_s: f64,
    /// What was done.
    pub totals: Totals,
    /// Rows written a second.
    pub rows_per_s: f64,
    /// Bytes written a second.
    pub bytes_per_s: f64,
    /// Workers, on average over time.
    pub workers: f64,
    /// The most workers at once.
    pub workers_max: usize,
    /// How long the whole job would take at this rate, from nothing.
    pub job_s: Option<f64>,
    /// The most memory seen.
    pub memory_bytes_max: Option<u64>,
}

/// What can limit a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The cores are busy: with this process, or with others.
    Cpu,
    /// Memory keeps the number of workers down, or is short.
    Memory,
    /// Fewer workers than would pay.
    Workers,
    /// Reading the source.
    SourceRead,
    /// Each small question to the store takes long.
    StoreLatency,
    /// The store takes no more bytes a second.
    StoreBandwidth,
    /// No more sessions than the store, or the configuration, allows.
    Sessions,
    /// Locks, or whole partitions, that others hold.
    Locks,
    /// Making durable.
    Commit,
    /// One partition much larger than the others, done while other workers had nothing left to do.
    GiantPartition,
    /// Attempts that failed and were repeated.
    Retries,
    /// A limit that the configuration sets: `cpu_max` or `store_write_mb_per_s_max`.
    OwnLimit,
}

/// Something that costs time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// What.
    pub cause: Cause,
    /// In a few words, for a heading.
    pub title: String,
    /// The share of the workers' time, or of the run, that it costs, 0 to 1.
    pub impact: f64,
    /// How that is known: figures of the record, a sentence each.
    pub evidence: Vec<String>,
    /// The setting that is behind it, and where it came from; none where no setting is.
    pub setting: Option<Setting>,
    /// What to do; none where nothing can be done about it.
    pub remedy: Option<Remedy>,
}

/// What to do about a bottleneck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// What to do, as an order.
    pub action: String,
    /// The setting or state as it is.
    pub before: String,
    /// As it should be.
    pub after: String,
    /// When it takes effect: `at once`, `next run`, or what has to be restarted.
    pub applies: String,
    /// How many times as fast the whole job would be; none where that cannot be told.
    pub gain: Option<Estimate>,
    /// How long the whole job would take then, in seconds.
    pub job_s: Option<Estimate>,
    /// What can go wrong.
    pub risk: String,
    /// What it takes to do.
    pub effort: String,
    /// What to watch, with its limit.
    pub watch: String,
    /// How to go back.
    pub roll_back: String,
    /// The command that tries it on one partition.
    pub try_on_one: String,
}

/// A resource, by the USE method: utilisation, saturation, errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Which.
    pub name: String,
    /// The share of it that was used, 0 to 1, on average; none where unavailable.
    pub utilisation: Option<f64>,
    /// What `utilisation` is made of, for people.
    pub used: String,
    /// How much work waited for it, for people; none where unavailable.
    pub saturation: Option<String>,
    /// Its errors; none where unavailable.
    pub errors: Option<u64>,
}

/// What an activity took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityShare {
    /// Which.
    pub activity: rollfit_job::activity::Activity,
    /// Seconds of all workers.
    pub wall_s: f64,
    /// Of which processor time of this process.
    pub cpu_s: f64,
    /// The share of all workers' time, 0 to 1.
    pub share: f64,
}

/// How a line of the table of workers is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The run had so many workers for long enough.
    Measured,
    /// The model says so.
    Modelled,
    /// Too far from what was measured: only hard limits can be told.
    Ceiling,
}

/// What N workers would give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// N.
    pub workers: usize,
    /// How it is known.
    pub basis: Basis,
    /// Rows a second; none where only ceilings are known.
    pub rows_per_s: Option<Estimate>,
    /// How long the whole job would take, in seconds.
    pub job_s: Option<Estimate>,
    /// Sessions with the sink's store; none where it has none.
    pub sessions: Option<usize>,
    /// Memory of this process.
    pub memory_bytes: Option<u64>,
    /// The load average to expect.
    pub load: Option<f64>,
    /// What stands against so many, with the arithmetic: `no gain: limited by ...`.
    pub limit: Option<String>,
}

/// Beyond how many workers it is not worth it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// Up to so many.
    pub workers: usize,
    /// Why no more.
    pub why: String,
}

/// What all remedies together would give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combined {
    /// How many times as fast the whole job would be.
    pub gain: Estimate,
    /// How long the whole job takes as it is, in seconds.
    pub job_s_now: f64,
    /// How long it would take then.
    pub job_s: Estimate,
    /// What has to be done, in order, and when each takes effect.
    pub steps: Vec<String>,
}

/// A prediction and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// The run whose analysis predicted.
    pub by_run: String,
    /// What was changed since: settings, before and after.
    pub changes: Vec<String>,
    /// The rows a second predicted.
    pub rows_per_s: Estimate,
    /// The rows a second observed.
    pub observed_rows_per_s: f64,
    /// Observed to expected, less 1.
    pub error: f64,
}

/// What was said about the rest of a run, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foretold {
    /// When it was said, in seconds since the run began.
    pub at_s: f64,
    /// How long the rest would take, in seconds.
    pub told_s: Estimate,
    /// How long it took.
    pub left_s: f64,
    /// Expected to taken, less 1.
    pub error: f64,
}

/// The run at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Rows a second since the point before.
    pub rows_per_s: f64,
    /// Bytes a second since the point before.
    pub bytes_per_s: f64,
    /// The workers there were.
    pub workers: f64,
    /// Cores kept busy by this process; none where unavailable.
    pub own_cores: Option<f64>,
    /// Cores kept busy by others; none where unavailable.
    pub others_cores: Option<f64>,
}

/// A partition as a worker did it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneSlice {
    /// The worker.
    pub worker: usize,
    /// The partition.
    pub partition: Partition,
    /// When it was begun.
    pub begun_s: f64,
    /// How long it took.
    pub took_s: f64,
    /// How it ended, see [`rollfit_job::record::PartitionEnd`].
    pub outcome: String,
    /// Its rows.
    pub rows: u64,
    /// How long each activity took, in microseconds.
    pub wall_us: Times,
}
