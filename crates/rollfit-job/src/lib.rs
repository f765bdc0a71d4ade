//! The job: what to compute ([`config`]), which partitions and in what state ([`plan`], [`state`]), the workers that do
//! them ([`run`]), the check of what was stored ([`verify`]), and how features that another program stored are trusted
//! ([`compare`](mod@compare), [`adopt`](mod@adopt)).
//!
//! Invariants: the job knows stores only through the traits in [`store`]; the bytes of a feature are the store's
//! business, its bits are the kernel's. What is done is recorded in the store alone, as a [`receipt`].

pub mod absence;
pub mod activity;
pub mod addition;
pub mod adopt;
pub mod canonical_json;
pub mod check;
pub mod compare;
pub mod config;
mod derived_snapshot;
pub mod derived_source;
pub mod empty;
pub mod explanation;
pub mod features;
pub mod features_of_fits;
pub mod few;
pub mod follow;
pub mod foreign;
pub mod health;
pub mod import;
pub mod input;
pub mod input_digest;
pub mod join_loss;
pub mod json_fault;
pub mod key;
pub mod keys;
pub mod live_tail;
pub mod lock;
pub mod month;
pub mod nearest;
pub mod panel;
pub mod parsed_receipt;
pub mod part_of_period;
pub mod partition;
pub mod patience;
pub mod pending;
pub mod period;
mod period_gaps;
pub mod plan;
mod planner;
mod readers;
pub mod receipt;
pub mod record;
mod row_sample;
pub mod run;
pub mod runners;
pub mod selection;
pub mod selector;
pub mod state;
pub mod stop_signal;
pub mod store;
mod store_error;
pub mod store_progress;
pub mod stored_features;
pub mod unfilled;
mod unmatched;
pub mod verify;
pub mod warn_once;
pub mod watch;
pub mod workers;

/// What a job works with: its config, where series come from, where features go, how many partitions at once, and on what
/// machine.
pub struct Job<'a> {
    /// What to compute.
    pub config: &'a config::JobConfig,
    /// Where series come from.
    pub source: &'a dyn store::Source,
    /// Where features go.
    pub sink: &'a dyn store::Sink,
    /// How many partitions are worked on at once.
    pub workers: config::Workers,
    /// The machine it works on.
    pub machine: &'a dyn watch::Machine,
}

/// An error with everything that led to it, outermost first, in one line that is safe to print.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|cause| foreign::message(&cause.to_string()).into_owned()).collect::<Vec<_>>().join(": ")
}
