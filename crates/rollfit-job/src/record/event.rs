//! [`Event`]: one line of a run record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::activity::{Times, Trips};
use crate::config::Setting;
use crate::partition::Partition;
use crate::period::PeriodUnit;
use crate::store::StoreSample;
use crate::watch::{MachineLimits, MachineSample, Moment, Totals};

/// The format of records of partitions that are not months, the latest that this version reads. Readers of the format before would miss their
/// months.
pub const FORMAT: u32 = 4;

/// The format of records of months. It tells the activities of a commit apart, which readers of the format before would leave out of sums.
const FORMAT_OF_MONTHS: u32 = 3;

/// The smallest format that describes the run of a job with these periods.
pub fn format_by(by: PeriodUnit) -> u32 {
    if by.is_month() { FORMAT_OF_MONTHS } else { FORMAT }
}

/// The earliest format that this version reads.
pub const FORMAT_MIN: u32 = 2;

/// One line. `at_ms` counts from the start of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first line: what the run is.
    Run(Box<Header>),
    /// A partition has ended, for now if it is held.
    Partition(Box<PartitionEnd>),
    /// An attempt failed and is repeated.
    Retry(Retry),
    /// The number of workers was set.
    Decision(Decision),
    /// How the run, the machine and the store were.
    Sample(Box<Sample>),
    /// A figure is unavailable; reported once.
    Unavailable(Unavailable),
    /// Something changed while a source was followed.
    Change(Box<FollowChange>),
    /// Partitions that an interrupted run with --force has not rewritten, as selectors; of many a part.
    Remaining {
        /// The selectors.
        only: Vec<String>,
    },
    /// The last line, unless the run was killed.
    End(RunEnd),
    /// What a later version added.
    #[serde(other)]
    Unknown,
}

/// What a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// See [`format_by`].
    pub format: u32,
    /// The version of rollfit.
    pub version: String,
    /// The run's name.
    pub run: String,
    /// In the records of a follower: the name of the record before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// When it began, RFC 3339.
    pub started: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The configuration file, absolute.
    pub config: String,
    /// The options of its command that say what it is about, in order: what starts it again so that it continues where it was. None in
    /// records of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<String>>,
    /// What makes it the same job as another: a digest of stores, series, windows, metrics and boundary.
    pub job: String,
    /// Where series come from, for people, without secrets.
    pub source: String,
    /// Where features go, for people, without secrets.
    pub sink: String,
    /// The kind of each: `parquet` or `postgres`.
    pub source_kind: String,
    /// See [`Header::source_kind`].
    pub sink_kind: String,
    /// Whether the sink's server works on this machine; none where that cannot be known.
    pub sink_is_local: Option<bool>,
    /// The cores of the sink's server: as configured, or those of this machine where it works here; none where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cores: Option<f64>,
    /// The share of the job that its runner began with, `I/N`; none where it had all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The partitions of the run.
    pub partitions: u64,
    /// The features of a row.
    pub features: u64,
    /// The fits of a row.
    pub fits: u64,
    /// The CPU path of the kernel.
    pub kernel: String,
    /// What the machine allows.
    pub machine: MachineLimits,
    /// The sessions with the sink that this process may open, and why; none where it has no such limit.
    pub sessions_max: Option<u64>,
    /// See [`Header::sessions_max`].
    pub sessions_why: Option<String>,
    /// The settings that decide how fast it can be, with where each came from.
    pub settings: Vec<Setting>,
}

impl Header {
    /// When the run began by its host's clock, in microseconds since 1970; none where [`Header::started`] is no instant.
    pub fn started_us(&self) -> Option<i64> {
        self.started.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
    }
}

/// How a partition ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionEnd {
    /// When it ended.
    pub at_ms: u64,
    /// When it started, the first attempt of several.
    pub begun_ms: u64,
    /// Which.
    pub partition: Partition,
    /// The worker that had it.
    pub worker: usize,
    /// The last attempt, from 1.
    pub attempt: u32,
    /// How.
    pub outcome: PartitionOutcome,
    /// Why, where it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Its rows; 0 where it was not written.
    pub rows: u64,
    /// The bytes stored; 0 where it was not written.
    pub bytes: u64,
    /// How long each activity took, in microseconds.
    pub wall_us: Times,
    /// The processor time of this process in each activity, in microseconds.
    pub cpu_us: Times,
    /// The round trips to source and sink; absent where there were none, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Trips::is_none")]
    pub trips: Trips,
    /// Who last held a lock that it waited for, or had it; absent where nobody did, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_by: Option<String>,
    /// How often its source was read; none in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_reads: Option<u32>,
    /// Whether another runner was seen to have it, now or before, or to have had it while its source was read here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seen_held: bool,
}

/// How a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionOutcome {
    /// Its features were written.
    Written,
    /// There was nothing to do.
    Done,
    /// Its state needs `--replace`.
    LeftAlone,
    /// Another runner had it.
    Held,
    /// It failed.
    Failed,
    /// The run was stopped before it was committed.
    Abandoned,
}

impl PartitionOutcome {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Done => "done",
            Self::LeftAlone => "left-alone",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl std::fmt::Display for PartitionOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A repeated attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// When it failed.
    pub at_ms: u64,
    /// Which partition.
    pub partition: Partition,
    /// The worker that had it.
    pub worker: usize,
    /// The attempt that failed, from 1.
    pub attempt: u32,
    /// Why.
    pub cause: String,
    /// How long until the next.
    pub pause_ms: u64,
}

/// A number of workers, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at_ms: u64,
    /// How many before.
    pub was: usize,
    /// How many from now on.
    pub workers: usize,
    /// Why, for people.
    pub reason: String,
    /// What made them fewer, or keeps them from being more (`was` is `workers` then); none where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back_by: Option<WorkerCeiling>,
    /// The rows a second measured with the number before, where that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_s: Option<f64>,
}

/// What can keep the number of workers down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerCeiling {
    /// The sessions with the store.
    Sessions,
    /// Memory.
    Memory,
    /// Other processes on the machine.
    CompetingLoad,
    /// The cores that this process may use.
    Cores,
    /// The number of partitions.
    Partitions,
    /// The configuration.
    Setting,
    /// Other runners on the same store.
    OtherRunners,
    /// One of a later version.
    #[serde(other)]
    Unknown,
}

/// A moment of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// When.
    pub at_ms: u64,
    /// The workers there are.
    pub workers: usize,
    /// How many of them did what, those that had a partition.
    pub activities: BTreeMap<String, u32>,
    /// What is done so far.
    pub totals: Totals,
    /// For how long the partitions in progress have been in progress, all of them together.
    pub in_hand_ms: u64,
    /// The rows of those of them that were read and are written: of others they are not known.
    pub rows_in_hand: u64,
    /// Of how many they are known.
    pub known_in_hand: u32,
    /// The rows of the largest of these, and for how long it has been in progress. Records of earlier versions do not say.
    pub largest_in_hand_rows: u64,
    /// See there.
    pub largest_in_hand_ms: u64,
    /// What the workers hold for their partitions.
    pub workers_memory_bytes: u64,
    /// The machine.
    pub machine: MachineSample,
    /// The store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSample>,
}

impl Sample {
    /// Returns what a record keeps of a moment.
    pub fn from_moment(moment: &Moment) -> Self {
        let mut activities: BTreeMap<String, u32> = BTreeMap::new();
        for lane in moment.lanes.iter().filter(|lane| lane.partition.is_some()) {
            *activities.entry(lane.activity.name().to_owned()).or_default() += 1;
        }
        let largest = moment.lanes.iter().max_by_key(|lane| lane.rows);
        Self {
            at_ms: u64::try_from(moment.at.as_millis()).unwrap_or(u64::MAX),
            workers: moment.lanes.len(),
            activities,
            totals: moment.totals,
            in_hand_ms: moment.lanes.iter().map(|lane| lane.since_ms).sum(),
            rows_in_hand: moment.lanes.iter().map(|lane| lane.rows).sum(),
            known_in_hand: moment.lanes.iter().filter(|lane| lane.rows > 0).count() as u32,
            largest_in_hand_rows: largest.map_or(0, |lane| lane.rows),
            largest_in_hand_ms: largest.filter(|lane| lane.rows > 0).map_or(0, |lane| lane.since_ms),
            workers_memory_bytes: moment.lanes.iter().map(|lane| lane.memory_bytes).sum(),
            machine: moment.machine.clone(),
            store: moment.store.clone(),
        }
    }
}

/// Something that could not be found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unavailable {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: String,
    /// Why.
    pub cause: String,
}

/// Something that changed while a source was followed. Rows that are added are summed up: one line for those of a minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FollowChange {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: FollowChangeKind,
    /// Of which partition; none where it is about several, or about a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Of which key, where it is about no partition of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many additions are summed up; left out where it is about something else, as are rows and bytes.
    #[serde(skip_serializing_if = "is_none")]
    pub times: u64,
    /// The rows added, or of the partition that was written as a whole.
    #[serde(skip_serializing_if = "is_none")]
    pub rows: u64,
    /// The bytes stored.
    #[serde(skip_serializing_if = "is_none")]
    pub bytes: u64,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

/// What changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FollowChangeKind {
    /// Rows were added.
    Appended,
    /// A partition was written as a whole.
    Rewritten,
    /// The join of a partition loses too much.
    JoinLoss,
    /// What readers find the features of a partition by was made again.
    ViewMade,
    /// A partition is open from now on.
    Opened,
    /// A partition is open, and earlier ones of its key have no features.
    Unwritten,
    /// A partition is over.
    Closed,
    /// A partition cannot be kept up to date.
    Behind,
    /// A key cannot be looked at.
    Waiting,
    /// A partition or a key that was behind is up to date again.
    CaughtUp,
    /// A store does not answer.
    StoreLost,
    /// It answers again.
    StoreBack,
    /// What a later version added.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When.
    pub at_ms: u64,
    /// What was done.
    pub totals: Totals,
    /// Whether it was stopped before all were done.
    pub interrupted: bool,
}
