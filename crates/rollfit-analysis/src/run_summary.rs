//! [`RunSummary`]: how a run went.

use rollfit_job::record::Record;
use rollfit_job::watch::Totals;
use serde::{Deserialize, Serialize};

use super::run_facts::RunFacts;
use super::step_series::StepSeries;

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

/// How the run of a record went.
pub(super) fn summary(record: &Record, facts: Option<&RunFacts<'_>>) -> RunSummary {
    let took_s = super::run_facts::took_s(record);
    let written = super::demand::written(record);
    let (rows, bytes) = written.fold((0, 0), |(rows, bytes), end| (rows + end.rows, bytes + end.bytes));
    let sampled_max = record.samples.iter().map(|sample| sample.workers).max().unwrap_or(0);
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
        workers: StepSeries::in_progress(record).mean(0.0, took_s),
        workers_max: facts.map_or(sampled_max, RunFacts::workers_max),
        job_s: facts.map(RunFacts::job_s),
        memory_bytes_max: sampled.max(),
    }
}
