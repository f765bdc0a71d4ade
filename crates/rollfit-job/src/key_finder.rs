//! [`KeyFinder`]: from the names of a source's tables to its keys, and a word about those that are passed over.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Once;

use crate::config::{JobConfig, Keys, Series};
use crate::keys::FoundKeys;

/// Finds the keys of a source. Where the job is about all keys, it names once the tables that belong to none.
pub struct KeyFinder {
    wants_all: bool,
    named: Once,
}

impl KeyFinder {
    /// For the job `config`.
    pub fn new(config: &JobConfig) -> Self {
        Self { wants_all: config.keys == Keys::All, named: Once::new() }
    }

    /// The keys among `tables`, all that a source has.
    pub fn find(&self, series: &[Series], tables: &BTreeSet<String>) -> Vec<String> {
        let found = FoundKeys::new(series, tables);
        if let Some(warning) = found.warning().filter(|_| self.wants_all) {
            self.named.call_once(|| tracing::warn!("{warning}"));
        }
        found.keys
    }
}

/// Warns that a key has no months to plan, since its table is empty.
pub fn warn_of_empty(table: impl Display, key: &str) {
    tracing::warn!(
        "{table} has no rows, so no month of {key} is planned from it; import its bars, or leave {key} out"
    );
}
