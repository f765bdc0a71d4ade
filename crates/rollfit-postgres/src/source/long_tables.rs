//! Long tables, which have the rows of several keys: the keys in one, whether it has rows of a key, and the index by which they are
//! found without reading those of the others.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;

use rollfit_job::config::Series;
use rollfit_job::few::few;
use rollfit_job::foreign;
use rollfit_job::lock::lock;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::store::{Fault, SeriesOfKey, StoreError};
use rollfit_job::warn_once::warn_once;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::names::{TableName, quoted};
use crate::source::SeriesTable;
use crate::source::key_rows::{check_key_column, key_setting};
use crate::tables::row_security::Accepting;
use crate::tables::table::{Table, describe_at_once};

/// What was looked at of long tables, so that each is looked at once.
#[derive(Default)]
pub(crate) struct LongTables(Mutex<LookedAt>);

#[derive(Default)]
struct LookedAt {
    /// Tables, each with its key column and its time, whose indexes were.
    indexes: HashSet<[String; 3]>,
    /// Tables, each with its key column and a key that it has rows of.
    keys: HashSet<[String; 3]>,
}

impl LongTables {
    fn knows_indexes(&self, series: &SeriesOfKey<'_>, key_column: &str) -> bool {
        lock(&self.0).indexes.contains(&[series.table.as_str(), key_column, series.time].map(str::to_owned))
    }

    fn knows_key(&self, series: &SeriesOfKey<'_>, key_column: &str) -> bool {
        lock(&self.0).keys.contains(&[series.table.as_str(), key_column, series.key].map(str::to_owned))
    }

    fn note(&self, series: &[&SeriesOfKey<'_>]) {
        let mut looked_at = lock(&self.0);
        for (series, key_column) in series.iter().filter_map(|series| Some((series, series.key_column?))) {
            looked_at.indexes.insert([series.table.as_str(), key_column, series.time].map(str::to_owned));
            looked_at.keys.insert([series.table.as_str(), key_column, series.key].map(str::to_owned));
        }
    }
}

impl PostgresStore {
    /// Checks, once for each, that long tables have rows of the key, and warns of those in which they cannot be found without reading the
    /// rows of others.
    ///
    /// # Errors
    /// When a table has none or cannot be read: a misspelled key must not pass for one without rows.
    pub(super) fn look_at_long_tables(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        let is_new = |series: &&SeriesOfKey<'_>| {
            series.key_column.is_some_and(|key_column| !self.long_tables.knows_key(series, key_column))
        };
        let new: Vec<&SeriesOfKey<'_>> = series.iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let tables = self.described_sources(&new)?.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.warn_of_indexes(&new)?;
        match self.have_rows(&tables) {
            Ok(have_rows) => {
                let without = new.iter().zip(have_rows).find(|(_, has_rows)| !has_rows);
                if let Some((series, _)) = without {
                    return Err(self.no_row_of(series));
                }
                self.long_tables.note(&new);
            }
            // A table may have become another one since it was described. Whoever reads it next says what is wrong.
            Err(error) if error.fault() == Fault::Permanent => {
                self.source_tables.forget(new.iter().map(|series| series.table.as_str()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn have_rows(&self, tables: &[SeriesTable]) -> Result<Vec<bool>, StoreError> {
        let places: BTreeSet<String> = tables.iter().map(SeriesTable::place).collect();
        let doing = format!("look for rows of {}", few(places));
        let exists = |table: &SeriesTable| format!("EXISTS (SELECT FROM {})", table.rows_where("true"));
        let sql = format!("SELECT {}", tables.iter().map(exists).collect::<Vec<_>>().join(", "));
        let rows = self.pool.session()?.rows_at_once(&self.settings, &doing, &sql, &[])?;
        let row = rows.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        (0..tables.len()).map(|column| row.get(column)).collect()
    }

    /// Returns that a long table has no row of a key, with the one that may be meant.
    fn no_row_of(&self, series: &SeriesOfKey<'_>) -> StoreError {
        let key_column = series.key_column.unwrap_or_default();
        let keys = match self.list_keys(&series.table, key_column) {
            Ok(keys) => keys,
            Err(error) => return error,
        };
        let known = match keys.len() {
            0 => "it has no keys".to_owned(),
            _ => format!("its keys are {}", few(&keys)),
        };
        StoreError::permanent(format!(
            "table {} has no row of key `{}` in column `{key_column}`; {}{known}",
            self.table(&series.table),
            foreign::name(series.key),
            did_you_mean(series.key, keys.iter().map(String::as_str))
        ))
    }

    fn warn_of_indexes(&self, series: &[&SeriesOfKey<'_>]) -> Result<(), StoreError> {
        let is_new = |series: &&&SeriesOfKey<'_>| {
            series.key_column.is_some_and(|key_column| !self.long_tables.knows_indexes(series, key_column))
        };
        let new: Vec<SeriesOfKey<'_>> = series.iter().filter(is_new).map(|&series| series.clone()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let tables = self.indexed_tables(&new)?;
        new.iter().filter_map(|series| self.lacks_key_index(&tables, series)).for_each(warn_once);
        Ok(())
    }

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
        self.check_long_table(series, &name, key_column)?;
        self.list_keys(&name, key_column)
    }

    /// Checks that the table of a series can be read and its column tells keys apart.
    fn check_long_table(&self, series: &Series, name: &str, key_column: &str) -> Result<(), StoreError> {
        let names = [name.to_owned()];
        let found: Option<Table> = {
            let mut session = self.pool.session()?;
            describe_at_once(&mut session, &self.settings, &self.schema, &names)?.remove(name)
        };
        let table = found.ok_or_else(|| self.missing(name, &series.name))?;
        self.check_row_security(&table, Accepting::Source)?;
        check_key_column(&table, table.needed_column(&key_setting(&series.name), key_column)?)
    }

    fn list_keys(&self, table: &str, key_column: &str) -> Result<BTreeSet<String>, StoreError> {
        let (name, column) = (self.table(table), quoted(key_column));
        let sql = match self.starts_an_index(table, key_column)? {
            true => leaping_sql(&column, &name.sql()),
            false => format!("SELECT {column}::text, count(*) FROM {} GROUP BY {column}", name.sql()),
        };
        let doing = format!("list the keys of {name}");
        let rows = self.pool.session()?.rows_at_once(&self.settings, &doing, &sql, &[])?;
        keys_from(&rows, &name, key_column)
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
        let (key, count): (Option<String>, i64) = (row.get(0)?, row.get(1)?);
        if key.is_none() && count > 0 {
            let rows =
                if count == 1 { "1 row, which belongs" } else { &format!("{count} rows, which belong") };
            warn_once(format!("{table}: column `{key_column}` is NULL in {rows} to no key"));
        }
        keys.extend(key);
    }
    Ok(keys)
}
