//! What limits a run and what each fix would gain: facts and estimates made from the run's [`Record`], without a sentence.
//! `docs/analyze.md` says how each figure comes about.
//!
//! Invariants: an analysis is a function of records alone; it reads neither clock, machine nor store. It knows no store's
//! settings and makes no text.
//!
//! [`Record`]: rollfit_job::record::Record

mod analysis;
mod causes;
mod concurrency_level;
mod demand;
mod estimate;
mod estimate_vs_observed;
mod eta;
mod eta_vs_observed;
mod headline;
mod limit;
mod network;
mod observed;
mod plan_estimate;
mod ranked_cause;
mod remaining;
mod resources;
mod run_facts;
mod run_summary;
mod scaling;
mod scenario;
mod schedule;
mod step_series;
mod timeline;
mod variant;
mod work;

pub use self::resources::ActivityShare;

pub use self::analysis::Analysis;

pub use self::estimate_vs_observed::ChangeSince;

pub use self::estimate::Estimate;

pub use self::estimate_vs_observed::EstimateVsObserved;

pub use self::eta_vs_observed::EtaVsObserved;

pub use self::analysis::FORMAT;

pub use self::timeline::LaneSlice;

pub use self::run_summary::RunEnding;

pub use self::run_summary::RunSummary;

pub use self::eta::EtaEstimator;
pub use self::headline::Headline;
pub use self::limit::{Capacity, Limit, WorkersLimit};
pub use self::observed::WaitShare;
pub use self::plan_estimate::PlanEstimate;
pub use self::ranked_cause::{
    Change, CombinedGain, LimitingCause, Observation, RankedCause, Remedy, StoreRole, WaitedFor, Watch,
};
pub use self::resources::{CoresUse, DisksUse, MemoryUse, Resources, SessionsUse, StoreUse};
pub use self::scaling::{Basis, Scaling, Worth, WorthReason};
pub use self::timeline::TimelinePoint;
