//! [`Work`]: how much a run would write, with how many workers, and how long that takes at least.

use std::collections::HashMap;

use rollfit_job::month::Month;
use rollfit_job::partition::Partition;
use rollfit_job::spec::Spec;
use rollfit_job::store::{Found, Source};
use rollfit_postgres::{Holds, Problem};

use super::{Planned, StoreReport};
use crate::format;
use crate::open::Stores;

/// What a run would do about the partitions that have no features yet.
#[derive(Default, serde::Serialize)]
pub(super) struct Work {
    pub(super) partitions: usize,
    pub(super) missing: usize,
    /// Those whose rows cannot be counted; they count as none.
    pub(super) uncounted: usize,
    pub(super) rows: u64,
    pub(super) write_bytes: u64,
    pub(super) free_bytes: Option<u64>,
    pub(super) workers: usize,
    /// The time that the bytes take on their way to the server; a run takes longer. None for files.
    pub(super) seconds_min: Option<f64>,
    /// The time at the pace of the last run that the receipts know.
    pub(super) seconds_as_last_run: Option<f64>,
}

impl Work {
    pub(super) fn of(spec: &Spec, stores: &Stores, planned: &Planned, reports: &[StoreReport]) -> Self {
        let (source, sink) = (stores.source.source(), stores.sink.sink());
        let held = held(reports);
        let counted = counted(reports);
        let is_missing = |partition: &&Partition| match held.get(partition) {
            Some(holds) => *holds == Holds::Nothing,
            None => matches!(sink.found(partition), Ok(Found::Nothing)),
        };
        let missing: Vec<&Partition> = planned.partitions.iter().filter(is_missing).collect();
        let count = |partition: &&Partition| {
            let known = counted.get(&(partition.key.as_str(), partition.period.month())).copied();
            known.or_else(|| estimate(spec, source.as_ref(), partition))
        };
        let rows: Vec<(&Partition, u64)> =
            missing.iter().filter_map(|partition| Some((*partition, count(partition)?))).collect();
        let work = Self {
            partitions: planned.partitions.len(),
            missing: missing.len(),
            uncounted: missing.len() - rows.len(),
            rows: rows.iter().map(|(_, rows)| rows).sum(),
            write_bytes: rows.iter().map(|&(partition, rows)| sink.estimate_bytes(partition, rows)).sum(),
            free_bytes: sink.free_bytes(),
            workers: spec.run.workers.count(planned.partitions.len()),
            ..Self::default()
        };
        work.with_times(reports)
    }

    fn with_times(self, reports: &[StoreReport]) -> Self {
        let mut of_sink = reports.iter().filter(|report| report.is_sink).filter_map(StoreReport::diagnosis);
        let Some(diagnosis) = of_sink.next().filter(|_| self.rows > 0) else { return self };
        let at_once = self.workers.min(diagnosis.sessions.sessions) as f64;
        let last_run = diagnosis.targets.as_ref().and_then(|targets| targets.last_run);
        Self {
            seconds_min: Some(
                self.write_bytes as f64 / (at_once * diagnosis.connection.upload_bytes_per_second),
            ),
            seconds_as_last_run: last_run.map(|last_run| self.rows as f64 / last_run.rows_per_second()),
            ..self
        }
    }

    /// A run would refuse to begin.
    pub(super) fn problem(&self) -> Option<Problem> {
        let free_bytes = self.free_bytes.filter(|&free| free < self.write_bytes)?;
        Some(Problem::new(format!(
            "the missing partitions take about {} and {} are free: free some space, or select fewer with --only",
            format::bytes(self.write_bytes),
            format::bytes(free_bytes)
        )))
    }

    /// What is good to know of the stores together.
    pub(super) fn notes(&self, reports: &[StoreReport]) -> Vec<String> {
        let foreign = held(reports).values().filter(|holds| **holds == Holds::Foreign).count();
        let other = held(reports).values().filter(|holds| **holds == Holds::OtherDefinition).count();
        let fewest = reports
            .iter()
            .filter_map(StoreReport::diagnosis)
            .map(|diagnosis| diagnosis.sessions.sessions)
            .min();
        let shared = fewest.filter(|sessions| *sessions < self.workers).map(|sessions| {
            format!(
                "{} share {}",
                format::plural(self.workers, "worker"),
                format::plural(sessions, "session")
            )
        });
        let foreign = (foreign > 0).then(|| {
            format!(
                "rows that rollfit did not write, in {}, are left alone: `rollfit compare` tells whether they are what \
                 rollfit would write, `rollfit adopt` makes them ours, `rollfit run --replace foreign` writes them anew",
                format::plural(foreign, "partition")
            )
        });
        let other = (other > 0).then(|| {
            format!(
                "rows of another definition, in {}, are left alone until `rollfit run --replace definition-changed`",
                format::plural(other, "partition")
            )
        });
        [shared, foreign, other].into_iter().flatten().collect()
    }
}

/// What the partitions hold, where a database told.
fn held(reports: &[StoreReport]) -> HashMap<&Partition, Holds> {
    let targets = reports.iter().filter_map(|report| report.diagnosis()?.targets.as_ref());
    targets.flat_map(|targets| &targets.partitions).map(|target| (&target.partition, target.holds)).collect()
}

/// The rows that the join of a partition has at most, where a database told.
fn counted(reports: &[StoreReport]) -> HashMap<(&str, Month), u64> {
    let mut fewest = HashMap::new();
    let diagnoses = reports.iter().filter_map(StoreReport::diagnosis);
    for source in diagnoses.flat_map(|diagnosis| &diagnosis.sources) {
        for month in source.months.iter().flatten() {
            let rows = fewest.entry((source.key.as_str(), month.month)).or_insert(month.rows);
            *rows = month.rows.min(*rows);
        }
    }
    fewest
}

fn estimate(spec: &Spec, source: &dyn Source, partition: &Partition) -> Option<u64> {
    let rows = spec.series.iter().map(|series| source.estimate_rows(series, partition));
    rows.collect::<Result<Vec<u64>, _>>().ok()?.into_iter().min()
}
