//! What a run's [`Record`] tells: what limits the run, what to do about it, and what each change would bring.
//! `docs/analyze.md` says how each figure comes about.
//!
//! Holds true: an analysis is a function of records alone; it asks neither clock, machine nor store.

mod case;
mod causes;
mod course;
mod demand;
mod evidence;
mod finding;
mod fit;
mod forecast;
mod foretold;
mod level;
mod network;
mod predicted;
mod report;
mod resources;
mod scaling;
mod schedule;
mod seen;
mod timeline;
mod words;
mod work;

use self::evidence::Evidence;
pub use self::forecast::{Eta, Forecast};
pub use self::report::{
    ActivityShare, Analysis, Basis, Bottleneck, Cause, Combined, Estimate, FORMAT, Foretold, LaneSlice,
    Predicted, Remedy, Resource, RunFacts, Scaling, TimelinePoint, Worth,
};
use rollfit_job::record::Record;

impl Analysis {
    /// What a record tells; `earlier` is that of an earlier run of the same job, whose prediction is held against this one.
    pub fn of(record: &Record, earlier: Option<&Record>) -> Self {
        let evidence = Evidence::of(record);
        let evidence = evidence.as_ref();
        let ranked = evidence.map(causes::ranked).unwrap_or_default();
        Self {
            format: FORMAT,
            header: record.header.clone(),
            run: facts(record, evidence),
            finding: evidence
                .map_or_else(finding::nothing_written, |evidence| finding::finding(evidence, &ranked)),
            resources: resources::resources(record, evidence),
            activities: resources::activities(record),
            scaling: evidence.map(scaling::table).unwrap_or_default(),
            worth: evidence.and_then(scaling::worth),
            combined: evidence.and_then(|evidence| finding::combined(evidence, &ranked)),
            predicted: evidence.zip(earlier).and_then(|(now, earlier)| predicted::predicted(now, earlier)),
            foretold: foretold::foretold(record),
            timeline: timeline::timeline(record),
            lanes: timeline::lanes(record),
            slowest: timeline::slowest(record),
            decisions: record.decisions.clone(),
            unavailable: record.unavailable.clone(),
            bottlenecks: ranked.into_iter().map(|ranked| ranked.bottleneck).collect(),
        }
    }
}

fn facts(record: &Record, evidence: Option<&Evidence<'_>>) -> RunFacts {
    let (state, took_s) = timeline::state(record);
    let written = demand::written(record);
    let (rows, bytes) = written.fold((0, 0), |(rows, bytes), end| (rows + end.rows, bytes + end.bytes));
    let sampled = record.samples.iter().filter_map(|sample| sample.machine.own_memory_bytes);
    RunFacts {
        state: state.to_owned(),
        took_s,
        totals: evidence::totals(record),
        rows_per_s: rows as f64 / took_s.max(1e-3),
        bytes_per_s: bytes as f64 / took_s.max(1e-3),
        workers: evidence.map_or(0.0, Evidence::workers),
        workers_max: evidence.map_or(0, Evidence::workers_max),
        job_s: evidence.map(Evidence::job_s),
        memory_bytes_max: sampled.max(),
    }
}
