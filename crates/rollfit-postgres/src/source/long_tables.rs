//! Long tables, which have the rows of several keys: the keys in one, and whether it has an index by which the rows of one key are
//! found without reading those of the others.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;

use rollfit_job::config::Series;
use rollfit_job::lock::lock;
use rollfit_job::store::{SeriesOfKey, StoreError};
use rollfit_job::warn_once::warn_once;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::names::{TableName, quoted};
use crate::source::key_rows::check_key_column;
use crate::tables::row_security::Accepting;
use crate::tables::table::{Table, describe_at_once};

/// The long tables whose indexes were looked at, each with its key column and its time.
#[derive(Default)]
pub(crate) struct NotedIndexes(Mutex<HashSet<(String, String, String)>>);

impl NotedIndexes {
    fn lacks(&self, series: &SeriesOfKey<'_>) -> bool {
        noted(series).is_some_and(|noted| !lock(&self.0).contains(&noted))
    }

    fn note(&self, series: &[SeriesOfKey<'_>]) {
        lock(&self.0).extend(series.iter().filter_map(noted));
    }
}

fn noted(series: &SeriesOfKey<'_>) -> Option<(String, String, String)> {
    Some((series.table.clone(), series.key_column?.to_owned(), series.time.to_owned()))
}

impl PostgresStore {
    /// Returns the keys in the table of a series, and warns of rows that belong to none.
    pub(super) fn keys_of_table(&self, series: &Series) -> Result<BTreeSet<String>, StoreError> {
        let name = series.table.for_key("");
        let Some(key_column) = &series.key_column else {
            return Err(StoreError::permanent(format!(
                "[series.{}] table {} has no key_column, so its keys cannot be told apart",
                series.name,
                self.table(&name)
            )));
        };
        let table = self.long_table(series, &name, key_column)?;
        let (column, sql) = (quoted(key_column), table.name.sql());
        let sql = match self.starts_an_index(&name, key_column)? {
            true => leaping_sql(&column, &sql),
            false => format!("SELECT {column}::text, count(*) FROM {sql} GROUP BY {column}"),
        };
        let doing = format!("list the keys of {}", table.name);
        let rows = self.pool.session()?.rows_at_once(&self.settings, &doing, &sql, &[])?;
        keys_from(&rows, &table.name, key_column)
    }

    /// Returns the table of a series, if it can be read and its column tells keys apart.
    fn long_table(&self, series: &Series, name: &str, key_column: &str) -> Result<Table, StoreError> {
        let mut session = self.pool.session()?;
        let names = [name.to_owned()];
        let mut found = describe_at_once(&mut session, &self.settings, &self.schema, &names)?;
        let table = found.remove(name).ok_or_else(|| self.missing(name, &series.name))?;
        self.check_row_security(&table, Accepting::Source)?;
        check_key_column(&table, table.needed_column("key_column", key_column, &series.name)?)?;
        Ok(table)
    }

    /// Warns once of each long table in which the rows of a key cannot be found without reading those of others.
    pub(super) fn note_indexes(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        if !series.iter().any(|series| self.noted_indexes.lacks(series)) {
            return Ok(());
        }
        let tables = self.indexed_tables(series)?;
        for problem in series.iter().filter_map(|series| self.lacks_key_index(&tables, series)) {
            warn_once(problem);
        }
        self.noted_indexes.note(series);
        Ok(())
    }
}

/// Returns a query for the keys in an indexed column, and for the number of rows without one: it leaps in the index from each key to the
/// next one.
fn leaping_sql(column: &str, table: &str) -> String {
    format!(
        "WITH RECURSIVE k (key) AS (
            SELECT min({column}) FROM {table}
            UNION ALL SELECT (SELECT min({column}) FROM {table} WHERE {column} > k.key) FROM k WHERE k.key IS NOT NULL)
         SELECT key::text, 1::int8 FROM k WHERE key IS NOT NULL
         UNION ALL SELECT NULL, count(*) FROM {table} WHERE {column} IS NULL"
    )
}

/// Returns the keys in rows of a key and a number of rows. Warns of those without a key.
fn keys_from(
    rows: &[AnswerRow],
    table: &TableName,
    key_column: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let mut keys = BTreeSet::new();
    for row in rows {
        match (row.get(0)?, row.get::<_, i64>(1)?) {
            (Some(key), _) => {
                keys.insert(key);
            }
            (None, 0) => {}
            (None, 1) => {
                warn_once(format!("{table}: {key_column} is NULL in 1 row, which belongs to no key"));
            }
            (None, count) => {
                warn_once(format!("{table}: {key_column} is NULL in {count} rows, which belong to no key"));
            }
        }
    }
    Ok(keys)
}
