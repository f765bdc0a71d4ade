//! [`JobConfig::check_outputs`]: whether each partition's features go to tables of their own.

use std::collections::{HashMap, HashSet};

use super::{ConfigError, FIT_PREFIX, JobConfig, Layout, Series};
use crate::partition::Partition;

/// A partition and the series whose features it holds.
type Owner<'a> = (&'a Partition, &'a Series);

/// The tables and views of a job by name.
#[derive(Default)]
struct JobTables<'a> {
    /// The source tables, each with its series.
    sources: HashMap<String, &'a Series>,
    /// In the layout of fits also the names of their views, and those that leaves of a deployed parent have.
    outputs: HashMap<String, Owner<'a>>,
    parents: HashMap<String, Owner<'a>>,
}

impl JobConfig {
    /// Checks that each output of `partitions` has a name of its own: that of no other output, source table or parent, nor of a
    /// view that features are read through.
    ///
    /// # Errors
    /// [`ConfigError`] naming the two and their patterns.
    pub fn check_outputs<'a>(
        &'a self,
        partitions: impl Iterator<Item = &'a Partition>,
    ) -> Result<(), ConfigError> {
        let mut tables = JobTables::default();
        let mut keys = HashSet::new();
        for partition in partitions {
            if keys.insert(&partition.key) {
                let sources = self.series.iter().map(|series| (series.table.for_key(&partition.key), series));
                tables.sources.extend(sources);
            }
            // Where none is named, the store has a place of its own for each partition.
            for series in self.series.iter().filter(|series| series.features.is_some()) {
                tables.add_names(partition, series)?;
            }
        }
        tables.check()
    }
}

impl<'a> JobTables<'a> {
    fn add_names(&mut self, partition: &'a Partition, series: &'a Series) -> Result<(), ConfigError> {
        let owner = (partition, series);
        self.add_output(series.stored_table(partition), owner)?;
        if series.layout() == Layout::Fits {
            self.add_output(series.features_table(partition), owner)?;
        }
        for parent in [series.stored_parent(partition), series.parent_table(partition)].into_iter().flatten()
        {
            self.add_parent(parent, owner)?;
        }
        Ok(())
    }

    fn add_output(&mut self, table: String, owner: Owner<'a>) -> Result<(), ConfigError> {
        let Some(other) = self.outputs.insert(table.clone(), owner) else { return Ok(()) };
        let series = owner.1;
        let note = match series.layout() {
            Layout::Metrics => String::new(),
            Layout::Fits => {
                format!(
                    " (layout = \"fits\" has a view of that name, and the rows in `{FIT_PREFIX}{}`)",
                    features_pattern(series)
                )
            }
        };
        Err(ConfigError::new(format!(
            "{}: {} and {} would both be written to `{table}`{note}; use {} to tell them apart",
            features_of(series),
            of_owner(other),
            of_owner(owner),
            placeholders_of(series)
        )))
    }

    /// Partitions of a series share a parent. In the layout of fits two series can't: it is a view with the columns of one.
    fn add_parent(&mut self, table: String, owner: Owner<'a>) -> Result<(), ConfigError> {
        let series = owner.1;
        match self.parents.insert(table.clone(), owner) {
            Some((_, other)) if series.layout() == Layout::Fits && other.name != series.name => {
                Err(ConfigError::new(format!(
                    "[series.{}] parent: `{table}` is the parent of series `{}` too, and layout = \"fits\" has one view for each; \
                     choose another pattern",
                    series.name, other.name
                )))
            }
            _ => Ok(()),
        }
    }

    /// Checks that no name is that of tables of two kinds. Of several errors it is the one with the first name.
    fn check(&self) -> Result<(), ConfigError> {
        let clashes = self.outputs.keys().filter(|table| self.other_than_output(table).is_some());
        if let Some(table) = clashes.min() {
            let (owner, other) = (self.outputs[table], self.other_than_output(table).unwrap_or_default());
            return Err(ConfigError::new(format!(
                "{}: {} would be written to `{table}`, which is {other}; choose another pattern",
                features_of(owner.1),
                of_owner(owner)
            )));
        }
        let clashes = self.parents.keys().filter(|table| self.sources.contains_key(*table));
        let Some(table) = clashes.min() else { return Ok(()) };
        let ((_, series), source) = (self.parents[table], &self.sources[table].name);
        Err(ConfigError::new(format!(
            "[series.{}] parent: `{table}` is a source table of series `{source}`; choose another pattern",
            series.name
        )))
    }

    /// What else the table of an output is.
    fn other_than_output(&self, table: &str) -> Option<String> {
        match (self.sources.get(table), self.parents.get(table)) {
            (Some(series), _) => Some(format!("a source table of series `{}`", series.name)),
            (_, Some((_, series))) => Some(format!("the `parent` of series `{}`", series.name)),
            _ => None,
        }
    }
}

fn features_of(series: &Series) -> String {
    format!("[series.{}] features = \"{}\"", series.name, features_pattern(series))
}

fn features_pattern(series: &Series) -> String {
    series.features.as_ref().map_or_else(String::new, ToString::to_string)
}

/// The placeholders that tell partitions apart, `{key}, {yyyy} and {mm}`.
fn placeholders_of(series: &Series) -> String {
    let of_period = series.by.placeholders().iter().map(|(placeholder, _)| format!("{{{placeholder}}}"));
    let mut all: Vec<String> = std::iter::once("{key}".to_owned()).chain(of_period).collect();
    match all.pop() {
        Some(last) if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        last => last.unwrap_or_default(),
    }
}

fn of_owner((partition, series): Owner<'_>) -> String {
    format!("{partition} of series `{}`", series.name)
}
