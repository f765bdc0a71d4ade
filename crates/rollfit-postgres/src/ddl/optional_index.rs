//! Tables of closes that demand a rate index with each row, although nothing reads it: an import of an earlier version made them,
//! and whoever inserts closes alone cannot fill it.

use std::collections::{BTreeSet, HashMap};

use rollfit_job::config::Series;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::PostgresStore;
use crate::import::source_table::RATE_INDEX;
use crate::names::quoted;
use crate::tables::table::{Table, describe};

/// Returns the statements by which the tables of a key's closes no longer demand one.
pub(crate) fn alter_sql(series: &[Series], key: &str, tables: &HashMap<String, Table>) -> BTreeSet<String> {
    let readers = series.iter().filter(|series| series.value == RATE_INDEX);
    let read: Vec<String> = readers.map(|series| series.table.for_key(key)).collect();
    let derived = series.iter().filter(|series| series.derivation.is_some());
    let names = derived.map(|series| series.table.for_key(key)).filter(|name| !read.contains(name));
    names.filter_map(|name| alter_one(tables.get(&name)?)).collect()
}

fn alter_one(table: &Table) -> Option<String> {
    let column = table.column(RATE_INDEX)?;
    if !column.not_null || column.generated || column.default.is_some() {
        return None;
    }
    let altered = table.attachment.as_ref().map_or(&table.name, |above| &above.parent);
    Some(format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", altered.sql(), quoted(RATE_INDEX)))
}

impl PostgresStore {
    /// Returns the statements that let closes be inserted into the tables that series of these partitions are derived from.
    ///
    /// # Errors
    /// When the query fails.
    pub(crate) fn closes_ddl(&self, partitions: &[Partition]) -> Result<Vec<String>, StoreError> {
        let keys: BTreeSet<&str> = partitions.iter().map(|partition| partition.key.as_str()).collect();
        let derived = || self.series.iter().filter(|series| series.derivation.is_some());
        let names: Vec<String> =
            keys.iter().flat_map(|key| derived().map(|series| series.table.for_key(key))).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.in_snapshot(|session| describe(session, &self.schema, &names))?;
        let statements: BTreeSet<String> =
            keys.iter().flat_map(|key| alter_sql(&self.series, key, &tables)).collect();
        Ok(statements.into_iter().collect())
    }
}
