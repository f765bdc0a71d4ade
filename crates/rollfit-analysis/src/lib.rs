//! What limits a run and what each fix would gain: facts and estimates made from the run's [`Record`], without a sentence.
//! `docs/analyze.md` says how each figure comes about.
//!
//! Invariants: an analysis is a function of records alone; it asks neither clock, machine nor store. It knows no store's
//! settings and makes no text.
//!
//! [`Record`]: rollfit_job::record::Record

mod analysis;
mod causes;
mod concurrency_level;
mod demand;
mod estimate_vs_observed;
mod eta;
mod eta_vs_observed;
mod headline;
mod limit;
mod network;
mod observed;
mod plan_estimate;
mod ranked_cause;
mod resources;
mod run_facts;
mod scaling;
mod scenario;
mod schedule;
mod step_series;
mod timeline;
mod variant;
mod work;

pub use self::analysis::{
    ActivityShare, Analysis, ChangeSince, Estimate, EstimateVsObserved, EtaVsObserved, FORMAT, LaneSlice,
    RunEnding, RunSummary, TimelinePoint,
};
pub use self::eta::EtaEstimator;
pub use self::headline::Headline;
pub use self::limit::{Capacity, Limit, WorkersLimit};
pub use self::plan_estimate::PlanEstimate;
pub use self::ranked_cause::{
    Change, CombinedGain, LimitingCause, Observation, RankedCause, Remedy, StoreRole, WaitedFor, Watch,
};
pub use self::resources::{CoresUse, DisksUse, MemoryUse, Resources, SessionsUse, StoreUse, WaitShare};
pub use self::scaling::{Basis, Scaling, Worth, WorthReason};
