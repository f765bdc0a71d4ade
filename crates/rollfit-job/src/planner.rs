//! [`Planner`]: which partitions a job is about.
//!
//! Invariants: with a selection no table of a key that is not selected is read, but for a key whose outputs may have the names of
//! those that are selected. What would collide with a selected partition is an error whether or not it is selected.

use std::collections::{HashMap, HashSet};

use crate::Job;
use crate::config::{ConfigError, JobConfig, KeyBehind, Keys, Series, Workers};
use crate::few::few_and;
use crate::keys::FoundKeys;
use crate::month::Month;
use crate::partition::Partition;
use crate::period::{Period, PeriodUnit};
use crate::selection::{Selected, Selection};
use crate::store::{Sink, Source, StoreError};
use crate::unmatched::Selectable;
use crate::warn_once::warn_once;
use crate::workers::for_each;

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

/// The partitions of a job in order, by key and period. With all keys, or an open end of the months, the source says
/// which there are; partitions that have features belong to the job too, whether or not their source is still there.
///
/// # Errors
/// [`PlanError`] when outputs would collide, nothing is selected, or the store cannot be listed. That one selector of several selects
/// nothing is a warning.
pub fn partitions(
    config: &JobConfig,
    source: &dyn Source,
    sink: &dyn Sink,
    only: &Selection,
) -> Result<Vec<Partition>, PlanError> {
    check_selection(config, only)?;
    let mut stored = match only.named_keys() {
        Some(keys) => sink.partitions_of(&keys)?,
        None => sink.partitions()?,
    };
    stored.retain(|partition| config.has_period(partition.period));
    Planner { config, source, sink, stored }.partitions(only)
}

/// As [`partitions`], without asking the sink which partitions it holds: what can be planned if it cannot list them.
///
/// # Errors
/// As [`partitions`].
pub fn configured_partitions(
    config: &JobConfig,
    source: &dyn Source,
    sink: &dyn Sink,
    only: &Selection,
) -> Result<Vec<Partition>, PlanError> {
    check_selection(config, only)?;
    Planner { config, source, sink, stored: Vec::new() }.partitions(only)
}

/// Refuses a selection that begins or ends within one of the job's periods.
fn check_selection(config: &JobConfig, only: &Selection) -> Result<(), PlanError> {
    only.check_unit(config.by).map_err(|error| PlanError::Nothing(error.to_string()))
}

/// Checks that the tables of `keys` and the outputs of `partitions`, which are theirs, can have their names beside each other.
///
/// # Errors
/// [`PlanError`] naming the first that cannot.
pub(crate) fn check_names(job: &Job<'_>, keys: &[String], partitions: &[Partition]) -> Result<(), PlanError> {
    let planner = Planner { config: job.config, source: job.source, sink: job.sink, stored: Vec::new() };
    planner.check_keys(keys)?;
    planner.check_sources(keys)?;
    planner.check_outputs(partitions)
}

/// A job that is being planned.
struct Planner<'a> {
    config: &'a JobConfig,
    source: &'a dyn Source,
    sink: &'a dyn Sink,
    /// The partitions with features, between the job's first and last month; with a selection at least those of its keys.
    stored: Vec<Partition>,
}

/// The months of a key, from the first to the last: those without rows too, which are empty or, with `require_rows`, fail.
struct KeyMonths<'k> {
    key: &'k String,
    first: Month,
    last: Month,
}

impl Planner<'_> {
    fn partitions(mut self, only: &Selection) -> Result<Vec<Partition>, PlanError> {
        let keys = self.keys()?;
        self.check_keys(&keys)?;
        let positions: HashMap<&str, usize> =
            keys.iter().enumerate().map(|(at, key)| (key.as_str(), at)).collect();
        check_selected_keys(only, &keys, self.config.by)?;
        self.check_sources(&keys)?;
        let mut planned = if only.selectors().is_empty() {
            self.partitions_of(&keys, &keys)?
        } else {
            self.selected_and_colliding(&keys, only)?
        };
        planned.sort_by_key(|partition| (positions.get(partition.key.as_str()), partition.period));
        planned.dedup();
        // Before the selection: a collision with a partition left out for now would destroy that one's output later.
        self.check_outputs(&planned)?;
        if planned.is_empty() && only.is_all() {
            let unit = self.config.by.noun();
            return Err(PlanError::Nothing(format!("no {unit} between `from` and `to` has rows")));
        }
        if only.is_all() { Ok(planned) } else { select((&keys, self.config.by), &planned, only) }
    }

    /// The keys of the job. One that has left the source is there as long as it has features: tables that were emptied are none.
    fn keys(&mut self) -> Result<Vec<String>, PlanError> {
        if let Keys::Listed(keys) = &self.config.keys {
            return Ok(keys.clone());
        }
        if let Some(series) = self.config.series.iter().find(|series| !series.tells_keys()) {
            return Err(PlanError::Nothing(format!(
                "[series.{}] table = \"{}\" has no {{key}} and no key_column, so \"all\" keys cannot be told from it: list the keys",
                series.name, series.table
            )));
        }
        let found = FoundKeys::list(self.source, &self.config.series)?;
        found.warn_once();
        let mut keys = found.keys;
        self.forget_emptied(&keys)?;
        keys.extend(self.stored.iter().map(|partition| partition.key.clone()));
        keys.sort();
        keys.dedup();
        if keys.is_empty() { Err(PlanError::Nothing(nothing_to_find(&self.config.series))) } else { Ok(keys) }
    }

    /// Forgets the stored partitions of keys that are not in the source, where nothing is stored of them any more.
    fn forget_emptied(&mut self, known: &[String]) -> Result<(), StoreError> {
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        let (kept, gone): (Vec<Partition>, Vec<Partition>) = std::mem::take(&mut self.stored)
            .into_iter()
            .partition(|partition| known.contains(partition.key.as_str()));
        self.stored = kept;
        if gone.is_empty() {
            return Ok(());
        }
        let marks = self.sink.marks(&gone)?;
        for (partition, mark) in gone.into_iter().zip(marks) {
            // What cannot be looked at is not known to be nothing.
            if mark.is_some() || !self.sink.is_missing(&partition).unwrap_or(false) {
                self.stored.push(partition);
            }
        }
        Ok(())
    }

    /// All partitions of the keys that are selected, and of those whose tables may have the names of theirs.
    fn selected_and_colliding(
        &self,
        keys: &[String],
        only: &Selection,
    ) -> Result<Vec<Partition>, StoreError> {
        // On a file system that ignores case, keys that differ in nothing else share a directory.
        let selected = keys.iter().filter(|key| only.selects_key(key));
        let folded: HashSet<String> = selected.map(|key| key.to_ascii_lowercase()).collect();
        let selected = keys.iter().filter(|key| folded.contains(&key.to_ascii_lowercase()));
        let mut wanted: HashSet<&str> = selected.map(String::as_str).collect();
        let of = |wanted: &HashSet<&str>| -> Vec<String> {
            keys.iter().filter(|key| wanted.contains(key.as_str())).cloned().collect()
        };
        let planned = self.partitions_of(&of(&wanted), keys)?;
        let series = &self.config.series;
        let names: HashSet<String> =
            planned.iter().flat_map(|partition| names_of(series, partition)).collect();
        let stored: Vec<Series> = series.iter().map(Series::as_stored).collect();
        let patterns = || {
            let all = || series.iter().chain(&stored);
            let outputs = all().flat_map(|series| series.features.iter().chain(&series.parent));
            // A table that serves all keys is no key's alone: beside a selected output it is found there.
            all().map(|series| &series.table).filter(|table| table.has_key()).chain(outputs)
        };
        let behind: Vec<KeyBehind> =
            names.iter().flat_map(|name| patterns().map(move |pattern| pattern.key_behind(name))).collect();
        if behind.contains(&KeyBehind::Any) {
            return self.partitions_of(keys, keys);
        }
        let known = wanted.len();
        wanted.extend(behind.iter().filter_map(|behind| match behind {
            KeyBehind::Key(key) => Some(key.as_str()),
            KeyBehind::Nobody | KeyBehind::Any => None,
        }));
        if wanted.len() == known { Ok(planned) } else { self.partitions_of(&of(&wanted), keys) }
    }

    /// The partitions of `wanted`, some of the job's keys, which are `all`.
    fn partitions_of(&self, wanted: &[String], all: &[String]) -> Result<Vec<Partition>, StoreError> {
        let mut planned = Vec::new();
        for KeyMonths { key, first, last } in self.spans(wanted, all)? {
            let mut periods: Vec<Period> =
                first.through(last).map(|month| self.config.by.period_of(month)).collect();
            periods.dedup();
            planned.extend(periods.into_iter().map(|period| Partition::new(key.clone(), period)));
        }
        let wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
        let stored = self.stored.iter().filter(|partition| wanted.contains(partition.key.as_str()));
        planned.extend(stored.cloned());
        Ok(planned)
    }

    /// The months to plan for each wanted key that has any. A key that cannot be read is planned like the others: its
    /// partitions fail, and theirs do not.
    fn spans<'k>(&self, wanted: &'k [String], all: &[String]) -> Result<Vec<KeyMonths<'k>>, StoreError> {
        let config = self.config;
        if let (Keys::Listed(_), Some(from), Some(to)) = (&config.keys, config.from, config.to) {
            return Ok(wanted.iter().map(|key| KeyMonths { key, first: from, last: to }).collect());
        }
        // Of a store of many files that is most of what a plan takes.
        let keys: Vec<&String> = wanted.iter().collect();
        let months = for_each(&keys, Workers::Auto.count(keys.len()), |&key| self.found_months(key));
        let found: Vec<_> = keys.into_iter().zip(months).collect();
        // "latest" is one month for all listed keys: a key that lacks it is behind, which is reported.
        let is_listed = config.keys != Keys::All;
        let is_behind_others =
            is_listed && config.to.is_none() || found.iter().any(|(_, span)| span.is_err());
        let others = if is_behind_others { unread(all, wanted) } else { Vec::new() };
        let others: Vec<_> = others.into_iter().map(|key| self.months(key)).collect();
        let of_found = found.iter().filter_map(|(_, months)| months.as_ref().ok()?.as_ref());
        let of_others = others.iter().filter_map(|span| *span.as_ref().ok()?);
        let known: Vec<_> = of_found.map(|months| (months.first, months.last)).chain(of_others).collect();
        let first_of_all = config.from.or(known.iter().map(|(first, _)| *first).min());
        let last_of_all = config.to.or(known.iter().map(|(_, last)| *last).max());
        let mut spans = Vec::new();
        for (key, months) in found {
            spans.push(match (months, first_of_all, last_of_all) {
                (Ok(None), ..) => continue,
                (Ok(Some(months)), ..) if is_listed => {
                    let first = config.from.unwrap_or(months.first);
                    KeyMonths { first, last: last_of_all.unwrap_or(months.last), ..months }
                }
                (Ok(Some(months)), ..) => months,
                (Err(error), Some(first), Some(last)) if !error.is_unconnected() => {
                    KeyMonths { key, first, last }
                }
                (Err(error), ..) => return Err(error),
            });
        }
        Ok(spans)
    }

    /// The months of a key as the source has them; with all keys those between the job's first and last one.
    fn found_months<'k>(&self, key: &'k String) -> Result<Option<KeyMonths<'k>>, StoreError> {
        let Some((first, last)) = self.months(key)? else { return Ok(None) };
        let (first, last) = match self.config.keys {
            Keys::All => {
                (self.config.from.unwrap_or(first).max(first), self.config.to.unwrap_or(last).min(last))
            }
            Keys::Listed(_) => (first, last),
        };
        Ok(Some(KeyMonths { key, first, last }))
    }

    fn months(&self, key: &str) -> Result<Option<(Month, Month)>, StoreError> {
        self.source.months(&self.config.series[0].of_key(key))
    }

    /// Checks that the source can tell the tables of all keys apart.
    fn check_keys(&self, keys: &[String]) -> Result<(), PlanError> {
        self.source.check_keys(keys).map_err(|error| outputs_error(&error))
    }

    /// Checks that each output has a name of its own, and one that the store can give it.
    fn check_outputs(&self, planned: &[Partition]) -> Result<(), PlanError> {
        self.config.check_outputs(planned.iter())?;
        self.sink.check_outputs(planned).map_err(|error| outputs_error(&error))
    }

    /// Checks that the tables of every key can have the names that the patterns give them.
    fn check_sources(&self, keys: &[String]) -> Result<(), PlanError> {
        let mut series =
            keys.iter().flat_map(|key| self.config.series.iter().map(|series| series.of_key(key)));
        let checked = series.try_for_each(|series| self.source.check_name(&series));
        checked.map_err(|error| outputs_error(&error))
    }
}

fn outputs_error(error: &StoreError) -> PlanError {
    PlanError::Outputs(crate::error_chain(error))
}

/// The keys of `all` that are not in `wanted`.
fn unread<'k>(all: &'k [String], wanted: &[String]) -> Vec<&'k String> {
    let wanted: HashSet<&String> = wanted.iter().collect();
    all.iter().filter(|key| !wanted.contains(key)).collect()
}

/// The names of every table that a partition has.
fn names_of(series: &[Series], partition: &Partition) -> Vec<String> {
    let names = |series: &Series| {
        let has_table = series.features.is_some();
        let tables = [series.features_table(partition), series.stored_table(partition)];
        let parents = [series.parent_table(partition), series.stored_parent(partition)];
        let outputs = tables.into_iter().filter(move |_| has_table).chain(parents.into_iter().flatten());
        std::iter::once(series.table.for_key(&partition.key)).chain(outputs)
    };
    series.iter().flat_map(names).collect()
}

fn nothing_to_find(series: &[Series]) -> String {
    let table = |series: &Series| match &series.key_column {
        Some(column) => format!("`{}` (column {column})", series.table),
        None => format!("`{}`", series.table),
    };
    let tables = few_and(&series.iter().map(table).collect::<Vec<_>>());
    format!("the store has no key with tables {tables}; import some bars first")
}

/// Refuses a selection without a key of the job before a table is looked at.
fn check_selected_keys(only: &Selection, keys: &[String], by: PeriodUnit) -> Result<(), PlanError> {
    if keys.iter().any(|key| only.selects_key(key)) {
        return Ok(());
    }
    let selectors: Vec<_> = only.selectors().iter().collect();
    let sentences = Selectable { keys, partitions: &[], by }.sentences(&selectors);
    Err(PlanError::Nothing(sentences.join("; ")))
}

/// The partitions that are selected. Warns of selectors that select none.
fn select(
    (keys, by): (&[String], PeriodUnit),
    planned: &[Partition],
    only: &Selection,
) -> Result<Vec<Partition>, PlanError> {
    let Selected { partitions, unmatched } = only.select(planned);
    let selectable = Selectable { keys, partitions: planned, by };
    let sentences = selectable.sentences(&unmatched);
    if partitions.is_empty() {
        let why =
            if sentences.is_empty() { selectable.why_nothing_is_left(only) } else { sentences.join("; ") };
        return Err(PlanError::Nothing(why));
    }
    sentences.into_iter().for_each(warn_once);
    Ok(partitions)
}
