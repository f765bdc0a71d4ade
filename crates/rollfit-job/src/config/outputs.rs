//! [`JobConfig::check_outputs`]: whether each partition's features go to tables of their own.

use std::collections::{HashMap, HashSet};

use super::{ConfigError, JobConfig, Series};
use crate::partition::Partition;

/// A partition and the series whose features it holds.
type Owner<'a> = (&'a Partition, &'a Series);

/// The tables of a job by name.
#[derive(Default)]
struct JobTables<'a> {
    /// The source tables, each with its series.
    sources: HashMap<String, &'a Series>,
    outputs: HashMap<String, Owner<'a>>,
    parents: HashMap<String, Owner<'a>>,
}

impl JobConfig {
    /// Checks that each output of `partitions` has a name of its own: that of no other output, source table or parent.
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
            for series in &self.series {
                tables.add_output(series.features_table(partition), (partition, series))?;
                if let Some(parent) = series.parent_table(partition) {
                    tables.parents.insert(parent, (partition, series));
                }
            }
        }
        tables.check()
    }
}

impl<'a> JobTables<'a> {
    fn add_output(&mut self, table: String, owner: Owner<'a>) -> Result<(), ConfigError> {
        let Some(other) = self.outputs.insert(table.clone(), owner) else { return Ok(()) };
        Err(ConfigError::new(format!(
            "{}: {} and {} would both be written to `{table}`; use {{key}}, {{yyyy}} and {{mm}} to tell them apart",
            features_of(owner.1),
            of_owner(other),
            of_owner(owner)
        )))
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
    format!("[series.{}] features = \"{}\"", series.name, series.features)
}

fn of_owner((partition, series): Owner<'_>) -> String {
    format!("{partition} of series `{}`", series.name)
}
