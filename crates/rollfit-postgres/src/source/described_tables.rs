//! [`DescribedTables`]: source tables as the server described them last, so that a follower need not ask each second.
//!
//! Invariants: a description only says how a query is written. Names are looked up, types are checked and rights are applied by the
//! server each time; whoever sees a query fail forgets the description first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use rollfit_job::lock::lock;
use rollfit_job::store::{SeriesOfKey, StoreError};

use crate::PostgresStore;
use crate::source::SeriesTable;
use crate::tables::row_security::Accepting;
use crate::tables::table::{Table, describe_at_once};

/// Tables by name, without those that were missing.
#[derive(Default)]
pub(crate) struct DescribedTables(Mutex<HashMap<String, Arc<Table>>>);

impl DescribedTables {
    fn get(&self, name: &str) -> Option<Arc<Table>> {
        lock(&self.0).get(name).cloned()
    }

    fn insert(&self, tables: HashMap<String, Table>) {
        lock(&self.0).extend(tables.into_iter().map(|(name, table)| (name, Arc::new(table))));
    }

    /// Has these tables described again when they are needed next.
    pub(crate) fn forget<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut known = lock(&self.0);
        for name in names {
            known.remove(name);
        }
    }
}

impl PostgresStore {
    /// Returns the table of each series, described if it isn't known: in one round trip for all of them.
    ///
    /// # Errors
    /// When the server cannot be asked. What is wrong with one table is that one's error.
    pub(super) fn described_sources(
        &self,
        series: &[&SeriesOfKey<'_>],
    ) -> Result<Vec<Result<SeriesTable, StoreError>>, StoreError> {
        let tables = &self.source_tables;
        let unknown: HashSet<&String> =
            series.iter().map(|series| &series.table).filter(|name| tables.get(name).is_none()).collect();
        if !unknown.is_empty() {
            let unknown: Vec<String> = unknown.into_iter().cloned().collect();
            let mut session = self.pool.session()?;
            tables.insert(describe_at_once(&mut session, &self.settings, &self.schema, &unknown)?);
        }
        let table = |series: &SeriesOfKey<'_>| {
            let table = tables.get(&series.table).ok_or_else(|| self.missing(&series.table, series.name))?;
            self.check_row_security(&table, Accepting::Source)?;
            SeriesTable::new(&table, series)
        };
        // A table that cannot be read may be put right: it is described again the next time.
        let table =
            |series: &&SeriesOfKey<'_>| table(series).inspect_err(|_| tables.forget([series.table.as_str()]));
        Ok(series.iter().map(table).collect())
    }
}
