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
mod durations;
mod early;
mod estimate;
mod estimate_vs_observed;
mod eta;
mod eta_vs_observed;
mod fitted;
mod headline;
mod joined;
mod limit;
mod memory_shortage;
mod network;
mod no_estimate;
mod not_limit;
mod observed;
mod pace;
mod plan_estimate;
mod ranked_cause;
mod remaining;
mod resources;
mod run_facts;
mod run_progress;
mod run_summary;
mod scaling;
mod scenario;
mod schedule;
mod server_cpu;
mod step_series;
mod timeline;
mod tuning;
mod work;
mod worker_line;

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

pub use self::durations::Durations;
pub use self::early::{Early, SampledActivity, WorkInProgress, WorkersAllowed};
pub use self::eta::EtaEstimator;
pub use self::headline::Headline;
pub use self::joined::{
    ClockDisagreement, DuplicateWork, HostLine, Imbalance, JoinError, JoinedLimit, JoinedPoint, JoinedRuns,
    JoinedSummary, KilledRunner, LaneCell, MoreLimit, MoreMachines, MoreMachinesLine, MoreUnknown,
    RunnerDigest, RunnerLine, SeenHeldPartition, SharedServer, SlowReason, SlowerHost, TimeGap, TimeShare,
    TimeUse,
};
pub use self::limit::{Capacity, Limit, WorkersLimit};
pub use self::memory_shortage::MemoryShortage;
pub use self::no_estimate::NoEstimate;
pub use self::not_limit::NotLimit;
pub use self::observed::WaitShare;
pub use self::plan_estimate::PlanEstimate;
pub use self::ranked_cause::{
    AfterStep, Change, CombinedGain, LimitingCause, Observation, RankedCause, Remedy, StoreRole, WaitedFor,
    Watch,
};
pub use self::resources::{CoresUse, DisksUse, MemoryUse, Resources, SessionsUse, StoreUse};
pub use self::run_progress::RunProgress;
pub use self::scaling::{Basis, Scaling, Worth, WorthReason};
pub use self::server_cpu::ServerCpuBasis;
pub use self::timeline::TimelinePoint;
pub use self::worker_line::WorkerLine;
