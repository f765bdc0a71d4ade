//! The plan: which partitions a job is about, and what there is to do about each.

use std::cell::Cell;
use std::collections::HashMap;

use crate::Job;
use crate::absence::Absence;
use crate::config::{ConfigError, JobConfig, Keys, Series};
use crate::few::{few, few_and};
use crate::join_loss::JoinLoss;
use crate::keys::FoundKeys;
use crate::month::Month;
use crate::panel::Panel;
use crate::partition::{Partition, Selector};
use crate::period::Period;
use crate::receipt::{Definition, Input};
use crate::state::{Assessment, EarlierDefinition, State};
use crate::store::{Found, Sink, Source, StoreError};
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
    /// What is stored, if nothing but the version of the definition has changed.
    #[serde(skip)]
    pub earlier: Option<EarlierDefinition>,
    /// The joined rows of the source.
    pub rows: u64,
    /// The joined rows before them that the windows reach.
    #[serde(skip)]
    pub lookback_rows: u64,
    /// The bytes that a run would write, about.
    pub write_bytes: u64,
    /// What the join loses, where that is more than `join_loss_max` and no receipt records it.
    pub join_loss: Option<JoinLoss>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The configuration cannot be planned.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No partition was selected.
    #[error("{0}")]
    Nothing(String),
    /// A source table or an output cannot have the name that its pattern gives it.
    #[error("{0}")]
    Outputs(String),
}

/// The partitions of a job in order, by key and month. With all keys, or an open end of the months, the source says
/// which there are; partitions that have features belong to the job too, whether or not their source is still there.
///
/// # Errors
/// [`PlanError`] when outputs would collide, a selector fits nothing, or the store cannot be listed.
pub fn partitions(
    config: &JobConfig,
    source: &dyn Source,
    sink: &dyn Sink,
    only: &[Selector],
) -> Result<Vec<Partition>, PlanError> {
    planned(config, source, sink, stored_partitions(config, sink)?, only)
}

/// As [`partitions`], without asking the sink which partitions it holds: what can be planned if it cannot list them.
///
/// # Errors
/// As [`partitions`].
pub fn configured_partitions(
    config: &JobConfig,
    source: &dyn Source,
    sink: &dyn Sink,
    only: &[Selector],
) -> Result<Vec<Partition>, PlanError> {
    planned(config, source, sink, Vec::new(), only)
}

fn planned(
    config: &JobConfig,
    source: &dyn Source,
    sink: &dyn Sink,
    stored: Vec<Partition>,
    only: &[Selector],
) -> Result<Vec<Partition>, PlanError> {
    let keys = keys(config, source, &stored)?;
    source.check_keys(&keys).map_err(|error| PlanError::Outputs(crate::error_chain(&error)))?;
    let positions: HashMap<&str, usize> =
        keys.iter().enumerate().map(|(at, key)| (key.as_str(), at)).collect();
    check_selected_keys(only, &keys, &positions)?;
    check_sources(config, source, &keys)?;
    let mut planned = Vec::new();
    for (key, first, last) in spans(config, source, &keys)? {
        for month in first.through(last) {
            let partition = Partition::new(key.clone(), month.into());
            // Where the source says which months there are, a month that it lacks is a gap and not a fault.
            if !(config.keys == Keys::All && is_gap(config, source, &partition)?) {
                planned.push(partition);
            }
        }
    }
    planned.extend(stored.into_iter().filter(|partition| positions.contains_key(partition.key.as_str())));
    planned.sort_by_key(|partition| (positions.get(partition.key.as_str()), partition.period));
    planned.dedup();
    // Before the selection: a collision with a partition left out for now would destroy that one's output later.
    config.check_outputs(planned.iter())?;
    sink.check_outputs(&planned).map_err(|error| PlanError::Outputs(crate::error_chain(&error)))?;
    if !only.is_empty() {
        select(&mut planned, only)?;
    }
    if planned.is_empty() {
        return Err(PlanError::Nothing("no month between `from` and `to` has rows".to_owned()));
    }
    Ok(planned)
}

/// The partitions with features, between the job's first and last month.
fn stored_partitions(config: &JobConfig, sink: &dyn Sink) -> Result<Vec<Partition>, StoreError> {
    let mut stored = sink.partitions()?;
    stored.retain(|partition| {
        config.from.is_none_or(|from| from <= partition.period.month())
            && config.to.is_none_or(|to| partition.period.month() <= to)
    });
    Ok(stored)
}

fn keys(config: &JobConfig, source: &dyn Source, stored: &[Partition]) -> Result<Vec<String>, PlanError> {
    if let Keys::Listed(keys) = &config.keys {
        return Ok(keys.clone());
    }
    if let Some(series) = config.series.iter().find(|series| !series.table.has_key()) {
        return Err(PlanError::Nothing(format!(
            "[series.{}] table = \"{}\" has no {{key}}, so \"all\" keys cannot be told from it: list the keys",
            series.name, series.table
        )));
    }
    let found = FoundKeys::list(source, &config.series)?;
    found.warn_once();
    let mut keys = found.keys;
    keys.extend(stored.iter().map(|partition| partition.key.clone()));
    keys.sort();
    keys.dedup();
    if keys.is_empty() { Err(PlanError::Nothing(nothing_to_find(&config.series))) } else { Ok(keys) }
}

/// The first and last month to plan for each key that has any. A key that cannot be read is planned like the others: its
/// partitions fail, and theirs do not.
fn spans(
    config: &JobConfig,
    source: &dyn Source,
    keys: &[String],
) -> Result<Vec<(String, Month, Month)>, StoreError> {
    if let (Keys::Listed(_), Some(from), Some(to)) = (&config.keys, config.from, config.to) {
        return Ok(keys.iter().map(|key| (key.clone(), from, to)).collect());
    }
    let found: Vec<_> = keys.iter().map(|key| (key, source.months(&config.series[0].of_key(key)))).collect();
    let known = || found.iter().filter_map(|(_, span)| span.as_ref().ok().copied().flatten());
    let first_of_all = config.from.or(known().map(|(first, _)| first).min());
    let last_of_all = config.to.or(known().map(|(_, last)| last).max());
    let mut spans = Vec::new();
    for (key, span) in found {
        let (first, last) = match (span, first_of_all, last_of_all) {
            (Ok(None), ..) => continue,
            (Ok(Some((first, last))), ..) => match config.keys {
                Keys::All => (config.from.unwrap_or(first).max(first), config.to.unwrap_or(last).min(last)),
                // "latest" is one month for all listed keys: a key that lacks it is behind, which is reported.
                Keys::Listed(_) => (config.from.unwrap_or(first), last_of_all.unwrap_or(last)),
            },
            (Err(error), Some(first), Some(last)) if !error.is_unconnected() => (first, last),
            (Err(error), ..) => return Err(error),
        };
        spans.push((key.clone(), first, last));
    }
    Ok(spans)
}

/// A table that cannot be read is not a gap: its partitions fail.
fn is_gap(config: &JobConfig, source: &dyn Source, partition: &Partition) -> Result<bool, StoreError> {
    match source.estimate_rows(&config.series[0].of_key(&partition.key), partition.period) {
        Ok(rows) => Ok(rows == 0),
        Err(error) if error.is_unconnected() => Err(error),
        Err(_) => Ok(false),
    }
}

fn nothing_to_find(series: &[Series]) -> String {
    let tables = series.iter().map(|series| format!("`{}`", series.table)).collect::<Vec<_>>();
    let tables = few_and(&tables);
    format!("the store has no key with tables {tables}; import some bars first")
}

fn check_selected_keys(
    only: &[Selector],
    keys: &[String],
    positions: &HashMap<&str, usize>,
) -> Result<(), PlanError> {
    match only.iter().find(|selector| !positions.contains_key(selector.key.as_str())) {
        Some(selector) => Err(PlanError::Nothing(format!(
            "--only {selector}: no such key among those of this job, {}",
            few(keys)
        ))),
        None => Ok(()),
    }
}

/// Checks that the tables of every key can have the names that the patterns give them.
fn check_sources(config: &JobConfig, source: &dyn Source, keys: &[String]) -> Result<(), PlanError> {
    let mut series = keys.iter().flat_map(|key| config.series.iter().map(|series| series.of_key(key)));
    let checked = series.try_for_each(|series| source.check_name(&series));
    checked.map_err(|error| PlanError::Outputs(crate::error_chain(&error)))
}

/// Keeps the partitions that a selector means. Each selector must mean one.
fn select(planned: &mut Vec<Partition>, only: &[Selector]) -> Result<(), PlanError> {
    let meaning = |selector: &Selector| selector.month.map(Period::from);
    let is_used: HashMap<(&str, Option<Period>), Cell<bool>> =
        only.iter().map(|selector| ((selector.key.as_str(), meaning(selector)), Cell::default())).collect();
    planned.retain(|partition| {
        let periods = [None, Some(partition.period)];
        let meant = periods.iter().filter_map(|&period| is_used.get(&(partition.key.as_str(), period)));
        meant.inspect(|is_used| is_used.set(true)).count() > 0
    });
    let is_unused = |selector: &&Selector| !is_used[&(selector.key.as_str(), meaning(selector))].get();
    match only.iter().find(is_unused) {
        Some(selector) => Err(PlanError::Nothing(format!(
            "--only {selector}: this job has no such partition; look at [partitions] from and to"
        ))),
        None => Ok(()),
    }
}

/// Finds out the state of each of `partitions`.
pub fn assess(job: &Job<'_>, partitions: &[Partition]) -> Vec<PlannedPartition> {
    let definition = Definition::from_config(job.config);
    let absence = Absence::new(job.config.run.retry_for);
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        assess_one(job, &definition, &absence, partition)
    })
}

fn assess_one(
    job: &Job<'_>,
    definition: &Definition,
    absence: &Absence,
    partition: &Partition,
) -> PlannedPartition {
    let assessed = absence.look(|| {
        let panel = Panel::read(job.source, job.config, partition)?;
        let input = panel.input();
        let found = job.sink.found(partition)?;
        let assessment = Assessment::from_found(&found, definition, &input, &job.config.run);
        let assessment = with_obstacle(job.sink, partition, assessment)?;
        Ok((assessment, input, panel.join_loss))
    });
    let failed = |cause| PlannedPartition {
        partition: partition.clone(),
        state: None,
        cause,
        earlier: None,
        rows: 0,
        lookback_rows: 0,
        write_bytes: 0,
        join_loss: None,
    };
    match assessed {
        Ok((Assessment { state: State::Missing, .. }, input, _)) if input.rows == 0 => {
            failed(no_rows(job.config, partition, &input))
        }
        Ok((Assessment { state, cause, earlier, .. }, input, join_loss)) => PlannedPartition {
            partition: partition.clone(),
            state: Some(state),
            cause,
            earlier,
            rows: input.rows,
            lookback_rows: input.lookback_rows,
            write_bytes: if state.is_due() { job.sink.estimate_bytes(partition, input.rows) } else { 0 },
            join_loss: join_loss.filter(|_| is_written_first(state)),
        },
        Err(error) => failed(crate::error_chain(&error)),
    }
}

/// Asks for an obstacle only where rows may have to be replaced.
fn with_obstacle(
    sink: &dyn Sink,
    partition: &Partition,
    assessment: Assessment,
) -> Result<Assessment, StoreError> {
    if matches!(assessment.state, State::Missing | State::Done | State::Newer) {
        return Ok(assessment);
    }
    Ok(match sink.obstacle(partition)? {
        Some(obstacle) => assessment.with_obstacle(&obstacle),
        None => assessment,
    })
}

/// Whether the loss of a join is new in this state: no receipt records it.
pub(crate) fn is_written_first(state: State) -> bool {
    matches!(state, State::Missing | State::Foreign)
}

/// About how many bytes a run will write for those of `partitions` that have no features yet. What cannot be estimated from
/// the store without reading rows, such as a missing table, counts as nothing: the run will say it.
pub fn estimate_missing_bytes(job: &Job<'_>, partitions: &[Partition]) -> u64 {
    // One store being there says nothing of the other.
    let absence_of = || Absence::new(job.config.run.retry_for);
    let (sink_absence, source_absence) = (absence_of(), absence_of());
    let missing =
        |partition: &Partition| matches!(sink_absence.look(|| job.sink.found(partition)), Ok(Found::Nothing));
    let bytes = |partition: &Partition| {
        let rows = job.config.series.iter().filter_map(|series| {
            let estimate = || job.source.estimate_rows(&series.of_key(&partition.key), partition.period);
            source_absence.look(estimate).ok()
        });
        job.sink.estimate_bytes(partition, rows.min().unwrap_or(0))
    };
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        if missing(partition) { bytes(partition) } else { 0 }
    })
    .iter()
    .sum()
}

/// What to say of a month without joined rows.
pub(crate) fn no_rows(config: &JobConfig, partition: &Partition, input: &Input) -> String {
    let table = |series: &Series| format!("`{}`", series.table.for_key(&partition.key));
    if input.lost_rows.iter().all(|&rows| rows == 0) {
        let tables = few_and(&config.series.iter().map(table).collect::<Vec<_>>());
        return format!("the month has no rows in {tables}: import it, or leave it out of [partitions]");
    }
    let sides = config.series.iter().zip(&input.lost_rows);
    let sides = sides.map(|(series, rows)| format!("{rows} rows in {}", table(series)));
    format!(
        "no instant of the month is in every series: it has {}; import what is missing, or leave the month out of [partitions]",
        few_and(&sides.collect::<Vec<_>>())
    )
}
