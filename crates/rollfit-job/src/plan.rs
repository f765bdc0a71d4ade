//! The plan: which partitions a job is about, and what there is to do about each.

use crate::Job;
use crate::month::Month;
use crate::panel::Panel;
use crate::partition::{Partition, Selector};
use crate::receipt::{Definition, Input};
use crate::spec::{Keys, Series, Spec, SpecError};
use crate::state::{Assessment, State};
use crate::store::{Found, Source, StoreError};
use crate::workers::for_each;

/// One line of a plan.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlannedPartition {
    /// The partition.
    pub partition: Partition,
    /// Its state; none where it could not be found out.
    pub state: Option<State>,
    /// Why it is in that state, or what failed.
    pub cause: String,
    /// The joined rows of the source.
    pub rows: u64,
    /// The bytes that a run would write, about.
    pub write_bytes: u64,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The configuration cannot be planned.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No partition was selected.
    #[error("{0}")]
    Nothing(String),
}

/// The partitions of a job in order, by key and month. With all keys, or an open end of the months, the source says
/// which there are; a key's months before its first row and after its last are then not among them.
///
/// # Errors
/// [`PlanError`] when outputs would collide, a selector fits nothing, or the source cannot be listed.
pub fn partitions(spec: &Spec, source: &dyn Source, only: &[Selector]) -> Result<Vec<Partition>, PlanError> {
    let keys = match &spec.keys {
        Keys::Listed(keys) => keys.clone(),
        Keys::All => source.keys(&spec.series)?,
    };
    if keys.is_empty() {
        return Err(PlanError::Nothing(nothing_to_find(&spec.series)));
    }
    check_selected_keys(only, &keys)?;
    let spans = keys
        .iter()
        .map(|key| Ok((key.clone(), months_of(spec, source, key)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let latest = spans.iter().filter_map(|(_, span)| span.map(|(_, last)| last)).max();
    let mut planned = Vec::new();
    for (key, span) in spans {
        let Some((first, last)) = span else { continue };
        // With listed keys "latest" is one month for all: a key that lacks it is behind, and is told so.
        let open_end = spec.to.is_none() && matches!(spec.keys, Keys::Listed(_));
        let last = if open_end { latest.unwrap_or(last) } else { last };
        planned.extend(first.through(last).map(|month| Partition { key: key.clone(), month }));
    }
    // Before the selection: a collision with a partition left out for now would destroy that one's output later.
    spec.check_outputs(planned.iter())?;
    planned.retain(|partition| only.is_empty() || only.iter().any(|selector| selector.matches(partition)));
    check_selected_months(only, &planned)?;
    if planned.is_empty() {
        return Err(PlanError::Nothing("no month between `from` and `to` has rows".to_owned()));
    }
    Ok(planned)
}

/// The first and last month to plan for a key.
fn months_of(spec: &Spec, source: &dyn Source, key: &str) -> Result<Option<(Month, Month)>, StoreError> {
    if let (Keys::Listed(_), Some(from), Some(to)) = (&spec.keys, spec.from, spec.to) {
        return Ok(Some((from, to)));
    }
    let (first, last) = match (source.months(&spec.series[0], key), spec.from, spec.to) {
        (Ok(Some(span)), ..) => span,
        (Ok(None), ..) => return Ok(None),
        // A key that cannot be read is planned all the same: its partitions fail, those of other keys do not.
        (Err(_), Some(from), Some(to)) => (from, to),
        (Err(error), ..) => return Err(error),
    };
    let (from, to) = match spec.keys {
        Keys::All => (spec.from.unwrap_or(first).max(first), spec.to.unwrap_or(last).min(last)),
        Keys::Listed(_) => (spec.from.unwrap_or(first), spec.to.unwrap_or(last)),
    };
    Ok((from <= to).then_some((from, to)))
}

fn nothing_to_find(series: &[Series]) -> String {
    let tables = series.iter().map(|series| format!("`{}`", series.table)).collect::<Vec<_>>().join(" and ");
    format!("the store has no key with tables {tables}: import some bars first")
}

fn check_selected_keys(only: &[Selector], keys: &[String]) -> Result<(), PlanError> {
    match only.iter().find(|selector| !keys.contains(&selector.key)) {
        Some(selector) => Err(PlanError::Nothing(format!(
            "--only {selector}: no such key among those of this job, {}",
            keys.join(", ")
        ))),
        None => Ok(()),
    }
}

fn check_selected_months(only: &[Selector], planned: &[Partition]) -> Result<(), PlanError> {
    match only.iter().find(|selector| !planned.iter().any(|partition| selector.matches(partition))) {
        Some(selector) => Err(PlanError::Nothing(format!(
            "--only {selector}: this job has no such partition; look at [partitions] from and to"
        ))),
        None => Ok(()),
    }
}

/// Finds out the state of each of `partitions`.
pub fn assess(job: &Job<'_>, partitions: &[Partition]) -> Vec<PlannedPartition> {
    let definition = Definition::of(job.spec);
    for_each(partitions, job.workers, |partition| assess_one(job, &definition, partition))
}

fn assess_one(job: &Job<'_>, definition: &Definition, partition: &Partition) -> PlannedPartition {
    let assessed = Panel::read(job.source, job.spec, partition).and_then(|panel| {
        let input = Input::of(&panel);
        let found = job.sink.found(partition)?;
        Ok((Assessment::of(&found, definition, &input, &job.spec.run), input.rows))
    });
    let partition = partition.clone();
    match assessed {
        Ok((Assessment { state: State::Missing, .. }, 0)) => {
            PlannedPartition { partition, state: None, cause: no_rows(job.spec), rows: 0, write_bytes: 0 }
        }
        Ok((Assessment { state, cause }, rows)) => {
            let writes = matches!(state, State::Missing | State::InputChanged);
            let write_bytes = if writes { job.sink.estimate_bytes(rows) } else { 0 };
            PlannedPartition { partition, state: Some(state), cause, rows, write_bytes }
        }
        Err(error) => PlannedPartition {
            partition,
            state: None,
            cause: crate::error_chain(&error),
            rows: 0,
            write_bytes: 0,
        },
    }
}

/// About how many bytes a run will write for those of `partitions` that have no features yet. What cannot be told from
/// the store without reading rows, such as a missing table, counts as nothing: the run will say it.
pub fn estimate_missing_bytes(job: &Job<'_>, partitions: &[Partition]) -> u64 {
    let missing = |partition: &Partition| matches!(job.sink.found(partition), Ok(Found::Nothing));
    let bytes = |partition: &Partition| {
        let rows =
            job.spec.series.iter().filter_map(|series| job.source.estimate_rows(series, partition).ok());
        job.sink.estimate_bytes(rows.min().unwrap_or(0))
    };
    for_each(partitions, job.workers, |partition| if missing(partition) { bytes(partition) } else { 0 })
        .iter()
        .sum()
}

/// What to say of a month without rows.
pub(crate) fn no_rows(spec: &Spec) -> String {
    let tables =
        spec.series.iter().map(|series| format!("`{}`", series.table)).collect::<Vec<_>>().join(" and ");
    format!("the month has no rows in {tables}: import it, or leave it out of [partitions]")
}
