//! The job: what to compute ([`spec`]), which partitions and in what state ([`plan`], [`state`]), the workers that do
//! them ([`run`]), the check of what was stored ([`verify`]), and how features that another program stored are trusted
//! ([`compare`](mod@compare), [`adopt`](mod@adopt)).
//!
//! Holds true: the job knows stores only through the traits in [`store`]; the bytes of a feature are the store's
//! business, its bits are the kernel's. What is done is recorded in the store alone, as a [`receipt`].

pub mod activity;
pub mod adopt;
pub mod analysis;
pub mod check;
pub mod compare;
pub mod features;
pub mod foreign;
pub mod import;
mod input;
pub mod join_loss;
pub mod key_finder;
pub mod keys;
pub mod lock;
pub mod month;
pub mod panel;
pub mod partition;
pub mod patience;
pub mod period;
pub mod plan;
pub mod receipt;
pub mod record;
pub mod run;
mod sample;
pub mod spec;
pub mod state;
pub mod stop;
pub mod store;
mod store_error;
pub mod unfilled;
pub mod verify;
pub mod watch;
pub mod workers;

/// What a job works with: its spec, where series come from, where features go, how many partitions at once, and on what
/// machine.
pub struct Job<'a> {
    /// What to compute.
    pub spec: &'a spec::Spec,
    /// Where series come from.
    pub source: &'a dyn store::Source,
    /// Where features go.
    pub sink: &'a dyn store::Sink,
    /// How many partitions are worked on at once.
    pub workers: spec::Workers,
    /// The machine it works on.
    pub machine: &'a dyn watch::Machine,
}

/// An error with everything that led to it, outermost first, in one line that is safe to print.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|cause| foreign::message(&cause.to_string()).into_owned()).collect::<Vec<_>>().join(": ")
}
