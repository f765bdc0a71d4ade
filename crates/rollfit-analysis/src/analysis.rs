//! [`Analysis`]: what a run's record says, as facts. Every figure that is printed, drawn or written as JSON is one of these.

use rollfit_job::activity::{Activity, Times};
use rollfit_job::partition::Partition;
use rollfit_job::record::{Decision, Header, PartitionOutcome, Record, Unavailable};
use rollfit_job::watch::Totals;
use serde::{Deserialize, Serialize};

use super::headline::Headline;
use super::ranked_cause::{CombinedGain, RankedCause};
use super::resources::Resources;
use super::run_facts::RunFacts;
use super::scaling::{Scaling, Worth};
use super::{causes, estimate_vs_observed, eta_vs_observed, headline, resources, scaling, timeline};

/// The format of the JSON document.
pub const FORMAT: u32 = 2;

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

/// What a run's record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// [`FORMAT`].
    pub format: u32,
    /// What the run is.
    pub header: Header,
    /// How it went.
    pub run: RunSummary,
    /// What limits it.
    pub finding: Headline,
    /// What costs time, the costliest first. Empty where no change is worth it.
    pub bottlenecks: Vec<RankedCause>,
    /// How much of each resource was used; none where nothing was written.
    pub resources: Option<Resources>,
    /// What the workers' time went into, the largest first.
    pub activities: Vec<ActivityShare>,
    /// What N workers would give, N rising.
    pub scaling: Vec<Scaling>,
    /// Beyond how many workers it is not worth it; none where that is not known.
    pub worth: Option<Worth>,
    /// What all remedies together would gain; none where there are none, or no gain is known.
    pub combined: Option<CombinedGain>,
    /// What the record of an earlier run of the same job let expect of this run, and what came of it.
    pub estimate_vs_observed: Option<EstimateVsObserved>,
    /// The ETA after a quarter of the run, and what came of it; none of a run that did not finish.
    pub eta_vs_observed: Option<EtaVsObserved>,
    /// The run over time, at most a few hundred points.
    pub timeline: Vec<TimelinePoint>,
    /// The partitions as the workers did them, in order of their beginning.
    pub lanes: Vec<LaneSlice>,
    /// The partitions that took longest, the longest first.
    pub slowest: Vec<LaneSlice>,
    /// The numbers of workers and why.
    pub decisions: Vec<Decision>,
    /// What could not be found out, and why.
    pub unavailable: Vec<Unavailable>,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Whether it came to its end.
    pub state: RunEnding,
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
    /// The most memory that was held.
    pub memory_bytes_max: Option<u64>,
}

/// Whether a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunEnding {
    /// It did.
    Finished,
    /// It was stopped.
    Interrupted,
    /// It is still in progress, or it was killed.
    Unfinished,
}

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

/// What an earlier run let expect of this one, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateVsObserved {
    /// The run whose record the estimate is made from.
    pub by_run: String,
    /// What was changed since.
    pub changes: Vec<ChangeSince>,
    /// The rows a second that were estimated.
    pub rows_per_s: Estimate,
    /// The rows a second observed.
    pub observed_rows_per_s: f64,
    /// Observed to expected, less 1.
    pub error: f64,
}

/// Something that is different from an earlier run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ChangeSince {
    /// A setting; none for a value that is not set.
    Setting {
        /// Section and key.
        name: String,
        /// Before.
        before: Option<String>,
        /// Now.
        after: Option<String>,
    },
    /// The cores that the process may use.
    CoresAllowed {
        /// Before.
        before: f64,
        /// Now.
        after: f64,
    },
    /// The sessions that the process may have.
    Sessions {
        /// Before.
        before: u64,
        /// Now.
        after: u64,
    },
}

/// What was estimated of the rest of a run, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EtaVsObserved {
    /// When, in seconds since the run began.
    pub at_s: f64,
    /// How long the rest would take, in seconds.
    pub eta_s: Estimate,
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
    /// How it ended.
    pub outcome: PartitionOutcome,
    /// Its rows.
    pub rows: u64,
    /// How long each activity took, in microseconds.
    pub wall_us: Times,
}

impl Analysis {
    /// What a record says; `earlier` is that of an earlier run of the same job, whose estimate is compared with this one.
    pub fn new(record: &Record, earlier: Option<&Record>) -> Self {
        let facts = RunFacts::from_record(record);
        let facts = facts.as_ref();
        let ranked = facts.map(causes::ranked).unwrap_or_default();
        Self {
            format: FORMAT,
            header: record.header.clone(),
            run: summary(record, facts),
            finding: facts.map_or(Headline::NothingWritten, |facts| headline::headline(facts, &ranked)),
            resources: facts.map(resources::resources),
            activities: resources::activities(record),
            scaling: facts.map(scaling::table).unwrap_or_default(),
            worth: facts.and_then(scaling::worth),
            combined: facts.and_then(|facts| causes::combined(facts, &ranked)),
            estimate_vs_observed: facts
                .zip(earlier)
                .and_then(|(now, earlier)| estimate_vs_observed::estimate_vs_observed(now, earlier)),
            eta_vs_observed: eta_vs_observed::eta_vs_observed(record),
            timeline: timeline::timeline(record),
            lanes: timeline::lanes(record),
            slowest: timeline::slowest(record),
            decisions: record.decisions.clone(),
            unavailable: record.unavailable.clone(),
            bottlenecks: ranked.into_iter().map(|ranked| ranked.finding).collect(),
        }
    }
}

fn summary(record: &Record, facts: Option<&RunFacts<'_>>) -> RunSummary {
    let took_s = super::run_facts::took_s(record);
    let written = super::demand::written(record);
    let (rows, bytes) = written.fold((0, 0), |(rows, bytes), end| (rows + end.rows, bytes + end.bytes));
    let sampled = record.samples.iter().filter_map(|sample| sample.machine.own_memory_bytes);
    RunSummary {
        state: match &record.end {
            Some(end) if end.interrupted => RunEnding::Interrupted,
            Some(_) => RunEnding::Finished,
            None => RunEnding::Unfinished,
        },
        took_s,
        totals: super::run_facts::totals(record),
        rows_per_s: rows as f64 / took_s.max(1e-3),
        bytes_per_s: bytes as f64 / took_s.max(1e-3),
        workers: facts.map_or(0.0, RunFacts::workers),
        workers_max: facts.map_or(0, RunFacts::workers_max),
        job_s: facts.map(RunFacts::job_s),
        memory_bytes_max: sampled.max(),
    }
}
