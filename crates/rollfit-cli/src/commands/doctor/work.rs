//! [`Work`]: how much a run would write, with how many workers, and how long that takes at least.

use std::collections::HashMap;

use rollfit_job::absence::Absence;
use rollfit_job::config::JobConfig;
use rollfit_job::empty::empty_partitions;
use rollfit_job::partition::Partition;
use rollfit_job::period::Period;
use rollfit_job::store::{Found, Holds, Problem, Source};

use super::{Planned, StoreReport};
use crate::format;
use crate::stores::Stores;

/// What a run would do about the partitions that have no features yet.
#[derive(Default, serde::Serialize)]
pub(super) struct Work {
    pub(super) partitions: usize,
    pub(super) missing: usize,
    /// Those without features of which no series has a row.
    pub(super) empty: usize,
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
    pub(super) fn new(
        config: &JobConfig,
        stores: &Stores,
        planned: &Planned,
        reports: &[StoreReport],
    ) -> Self {
        let (source, sink) = (stores.source(), stores.sink());
        let held = held(reports);
        let counted = counted(reports);
        // One store being there, or away, says nothing of the other.
        let absence_of = || Absence::new(config.run.retry_for);
        let (sink_absence, source_absence) = (absence_of(), absence_of());
        let is_missing = |partition: &&Partition| match held.get(partition) {
            Some(holds) => *holds == Holds::Nothing,
            None => matches!(sink_absence.look(|| sink.found(partition)), Ok(Found::Nothing)),
        };
        let mut missing: Vec<Partition> = planned.partitions.iter().filter(is_missing).cloned().collect();
        let workers = config.run.workers.count(planned.partitions.len());
        let empty = empty_partitions(source.as_ref(), config, &missing, workers);
        missing.retain(|partition| !empty.contains(partition));
        let count = |partition: &&Partition| {
            let known = counted.get(&(partition.key.as_str(), partition.period)).copied();
            known.or_else(|| estimate(config, source.as_ref(), &source_absence, partition))
        };
        let rows: Vec<(&Partition, u64)> =
            missing.iter().filter_map(|partition| Some((partition, count(&partition)?))).collect();
        let work = Self {
            partitions: planned.partitions.len(),
            missing: missing.len(),
            empty: empty.len(),
            uncounted: missing.len() - rows.len(),
            rows: rows.iter().map(|(_, rows)| rows).sum(),
            write_bytes: rows.iter().map(|&(partition, rows)| sink.estimate_bytes(partition, rows)).sum(),
            free_bytes: sink.free_bytes(),
            workers,
            ..Self::default()
        };
        work.with_times(reports)
    }

    fn with_times(self, reports: &[StoreReport]) -> Self {
        let sink = reports.iter().find(|report| report.is_sink).filter(|_| self.rows > 0);
        let Some(diagnosis) = sink.map(|report| &report.diagnosis) else { return self };
        let at_once = diagnosis.sessions.unwrap_or(self.workers).min(self.workers) as f64;
        let seconds_min = |bytes_per_s: f64| self.write_bytes as f64 / (at_once * bytes_per_s);
        Self {
            seconds_min: diagnosis.upload_bytes_per_s.map(seconds_min),
            seconds_as_last_run: diagnosis
                .last_run_rows_per_s
                .map(|rows_per_s| self.rows as f64 / rows_per_s),
            ..self
        }
    }

    /// The problem for which a run would refuse to start.
    pub(super) fn problem(&self) -> Option<Problem> {
        let free_bytes = self.free_bytes.filter(|&free| free < self.write_bytes)?;
        Some(Problem::new(format!(
            "the missing partitions need about {}, but {} are free; free some space, or select fewer with --only",
            format::bytes(self.write_bytes),
            format::bytes(free_bytes)
        )))
    }

    /// Notes about the stores together.
    pub(super) fn notes(&self, reports: &[StoreReport]) -> Vec<String> {
        let foreign = held(reports).values().filter(|holds| **holds == Holds::Foreign).count();
        let other = held(reports).values().filter(|holds| **holds == Holds::OtherDefinition).count();
        let newer = held(reports).values().filter(|holds| **holds == Holds::Newer).count();
        let fewest = reports.iter().filter_map(|report| report.diagnosis.sessions).min();
        let shared = fewest.filter(|sessions| *sessions < self.workers).map(|sessions| {
            format!(
                "{} share {}",
                format::plural(self.workers, "worker"),
                format::plural(sessions, "session")
            )
        });
        let foreign = (foreign > 0).then(|| {
            format!(
                "foreign rows in {}: a run skips them; `rollfit compare` shows whether they match what rollfit would write, \
                 `rollfit adopt` adopts them if they do, `rollfit run --replace foreign` rewrites them",
                format::plural(foreign, "partition")
            )
        });
        let other = (other > 0).then(|| {
            format!(
                "rows of another definition in {}: a run skips them; `rollfit adopt` keeps those of an earlier version of rollfit that match, \
                 `rollfit run --replace definition-changed` rewrites them",
                format::plural(other, "partition")
            )
        });
        let newer = (newer > 0).then(|| {
            format!(
                "rows of a later version of rollfit in {}: use that version; this one leaves them alone",
                format::plural(newer, "partition")
            )
        });
        [shared, foreign, other, newer].into_iter().flatten().collect()
    }
}

/// What the partitions hold, if a store reports it.
fn held(reports: &[StoreReport]) -> HashMap<&Partition, Holds> {
    let found = reports.iter().flat_map(|report| &report.diagnosis.partitions);
    found.map(|found| (&found.partition, found.holds)).collect()
}

/// The rows that the join of a partition has at most, if a store reports it.
fn counted(reports: &[StoreReport]) -> HashMap<(&str, Period), u64> {
    let mut fewest = HashMap::new();
    for counted in reports.iter().flat_map(|report| &report.diagnosis.source_rows) {
        let rows = fewest.entry((counted.key.as_str(), counted.period)).or_insert(counted.rows);
        *rows = counted.rows.min(*rows);
    }
    fewest
}

fn estimate(
    config: &JobConfig,
    source: &dyn Source,
    absence: &Absence,
    partition: &Partition,
) -> Option<u64> {
    let rows = config.series.iter().map(|series| {
        absence.look(|| source.estimate_rows(&series.of_key(&partition.key), partition.period))
    });
    rows.collect::<Result<Vec<u64>, _>>().ok()?.into_iter().min()
}
