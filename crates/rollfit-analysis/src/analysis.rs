//! [`Analysis`]: what a run's record says, as facts. Every figure that is printed, drawn or written as JSON is one of these.

use rollfit_job::record::{Decision, Header, Record, Unavailable};
use serde::{Deserialize, Serialize};

use super::durations::Durations;
use super::early::Early;
use super::estimate_vs_observed::EstimateVsObserved;
use super::eta_vs_observed::EtaVsObserved;
use super::headline::Headline;
use super::memory_shortage::MemoryShortage;
use super::no_estimate::NoEstimate;
use super::not_limit::NotLimit;
use super::ranked_cause::{CombinedGain, RankedCause};
use super::resources::{ActivityShare, Resources};
use super::run_facts::RunFacts;
use super::run_progress::RunProgress;
use super::run_summary::RunSummary;
use super::scaling::{Scaling, Worth};
use super::timeline::{LaneSlice, TimelinePoint};
use super::tuning::EARLIER_RUNS_MOST;
use super::worker_line::WorkerLine;
use super::{
    causes, estimate_vs_observed, eta_vs_observed, headline, not_limit, observed, resources, run_summary,
    scaling, timeline, worker_line,
};

/// The format of the JSON document.
pub const FORMAT: u32 = 2;

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
    /// How far the run has come, and where the next one continues.
    pub progress: RunProgress,
    /// Why nothing is estimated; none where something is.
    pub no_estimate: Option<NoEstimate>,
    /// What the samples say where nothing is estimated; none elsewhere, and where there was nothing to do.
    pub early: Option<Early>,
    /// The resources that are known not to limit the run.
    pub not_limits: Vec<NotLimit>,
    /// The most runners that were at work on the store beside this one; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_runners: Option<u32>,
    /// How long partitions took; none where none was written.
    pub durations: Option<Durations>,
    /// A line for each worker.
    pub worker_lines: Vec<WorkerLine>,
    /// Memory that was nearly used up when the record breaks off; none where there was enough, and of a run with an end.
    pub memory_shortage: Option<MemoryShortage>,
}

impl Analysis {
    /// What a record says; `earlier` are those of earlier runs of the same job, the newest first. The newest that predicts something is
    /// compared with this one, and the errors of all of them say how wide ranges are.
    pub fn new<'a>(record: &Record, earlier: impl IntoIterator<Item = &'a Record>) -> Self {
        let earlier: Vec<&Record> = earlier.into_iter().take(EARLIER_RUNS_MOST).collect();
        let uncertainty = estimate_vs_observed::uncertainty(&earlier);
        let facts = RunFacts::from_record(record).map(|facts| facts.with_uncertainty(uncertainty));
        let facts = facts.as_ref();
        let compared = |facts| {
            earlier.iter().find_map(|earlier| estimate_vs_observed::estimate_vs_observed(facts, earlier))
        };
        let ranked = facts.map(causes::ranked).unwrap_or_default();
        let causes: Vec<_> = ranked.iter().map(|ranked| ranked.finding.cause).collect();
        let no_estimate = NoEstimate::from_record(record);
        Self {
            format: FORMAT,
            header: record.header.clone(),
            run: run_summary::summary(record, facts),
            finding: facts.map_or(Headline::NothingWritten, |facts| headline::headline(facts, &ranked)),
            resources: facts.map(resources::resources),
            activities: resources::activities(record),
            scaling: facts.map(scaling::table).unwrap_or_default(),
            worth: facts.and_then(scaling::worth),
            combined: facts.and_then(|facts| causes::combined(facts, &ranked)),
            estimate_vs_observed: facts.and_then(compared),
            eta_vs_observed: eta_vs_observed::eta_vs_observed(record),
            timeline: timeline::timeline(record),
            lanes: timeline::lanes(record),
            slowest: timeline::slowest(record),
            decisions: record.decisions.clone(),
            unavailable: record.unavailable.clone(),
            progress: RunProgress::from_record(record),
            no_estimate,
            early: no_estimate.and_then(|_| Early::from_record(record)),
            not_limits: not_limit::not_limits(record, facts, &causes),
            other_runners: observed::other_runners(record),
            durations: Durations::from_record(record),
            worker_lines: worker_line::worker_lines(record),
            memory_shortage: MemoryShortage::from_record(record),
            bottlenecks: ranked.into_iter().map(|ranked| ranked.finding).collect(),
        }
    }
}
