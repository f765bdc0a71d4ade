//! Whether source tables can be asked for their last rows each second: only with an index that begins with the time, in a table of
//! several keys with the key and the time.

use std::collections::BTreeSet;

use rollfit_job::store::{SeriesOfKey, StoreError};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::SqlParameter;
use crate::names::{TableName, list};

/// The tables with rows beneath each table, itself if it has none, and the first two columns of their usable indexes. A partitioned table
/// without partitions counts too: those to come get its indexes.
const INDEXES: &str = "
    WITH RECURSIVE tree (root, oid) AS (
        SELECT c.oid, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = ANY($2)
        UNION SELECT tree.root, i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
    SELECT root.relname::text, n.nspname::text, c.relname::text, c.relkind::text, root.relkind = 'p',
           coalesce(x.firsts, '{}'), coalesce(x.seconds, '{}')
    FROM tree
    JOIN pg_catalog.pg_class root ON root.oid = tree.root
    JOIN pg_catalog.pg_class c ON c.oid = tree.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL (
        SELECT array_agg(a.attname::text) AS firsts, array_agg(coalesce(b.attname::text, '')) AS seconds
        FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class xc ON xc.oid = x.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = xc.relam AND m.amname = 'btree'
        JOIN pg_catalog.pg_opclass o ON o.oid = x.indclass[0] AND o.opcdefault
        JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
            AND a.attcollation = x.indcollation[0]
        LEFT JOIN pg_catalog.pg_opclass p ON x.indnkeyatts > 1 AND p.oid = x.indclass[1] AND p.opcdefault
        LEFT JOIN pg_catalog.pg_attribute b ON b.attrelid = x.indrelid AND b.attnum = x.indkey[1] AND p.oid IS NOT NULL
        WHERE x.indrelid = c.oid AND x.indisvalid AND x.indisready AND x.indislive AND x.indpred IS NULL) x ON true
    WHERE c.relkind <> 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
    ORDER BY 1, 2, 3";

/// A table with rows, and what it can be asked.
pub(crate) struct IndexedTable {
    root: String,
    name: TableName,
    kind: String,
    is_partition: bool,
    /// The first column of each index.
    firsts: Vec<String>,
    /// The second column of each index; empty where it has none.
    seconds: Vec<String>,
}

impl PostgresStore {
    /// Checks that every table that has rows of these series has an index by which their last rows are found.
    pub(super) fn check_indexes(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.source_tables.forget(series.iter().map(|series| series.table.as_str()));
        self.described_sources(&series.iter().collect::<Vec<_>>())?
            .into_iter()
            .try_for_each(|table| table.map(drop))?;
        let tables = self.indexed_tables(series)?;
        let mut problems = Vec::new();
        for series in series {
            let lacking = tables.iter().find(|table| table.root == series.table && !table.serves(series));
            let problem = lacking.map(|table| table.problem(&self.table(&series.table), series));
            problems.extend(problem.filter(|problem| !problems.contains(problem)));
        }
        match problems.as_slice() {
            [] => Ok(()),
            [problem] => Err(StoreError::permanent(problem)),
            [first, others @ ..] => {
                let more = others.len();
                Err(StoreError::permanent(format!("{first} (and {more} more like it)")))
            }
        }
    }

    /// Returns what a series' table of several keys lacks to find the rows of one; none for other tables, and for views and foreign tables,
    /// of which that is not known.
    pub(crate) fn lacks_key_index(
        &self,
        tables: &[IndexedTable],
        series: &SeriesOfKey<'_>,
    ) -> Option<String> {
        series.key_column?;
        let lacks = |table: &&IndexedTable| {
            table.root == series.table && table.has_indexes() && !table.serves(series)
        };
        Some(tables.iter().find(lacks)?.problem(&self.table(&series.table), series))
    }

    /// Returns whether an index of each table beneath a table begins with a column.
    pub(super) fn starts_an_index(&self, table: &str, column: &str) -> Result<bool, StoreError> {
        let tables = self.indexed_tables_named(&[table])?;
        let starts = |table: &IndexedTable| table.firsts.iter().any(|first| first == column);
        Ok(!tables.is_empty() && tables.iter().all(starts))
    }

    /// Returns the tables with rows beneath those of some series.
    pub(crate) fn indexed_tables(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<IndexedTable>, StoreError> {
        let names: BTreeSet<&str> = series.iter().map(|series| series.table.as_str()).collect();
        self.indexed_tables_named(&names.into_iter().collect::<Vec<_>>())
    }

    fn indexed_tables_named(&self, names: &[&str]) -> Result<Vec<IndexedTable>, StoreError> {
        let parameters: [SqlParameter<'_>; 2] = [(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
        let rows =
            self.pool.session()?.rows_at_once(&self.settings, "look up indexes", INDEXES, &parameters)?;
        let table = |row: &AnswerRow| {
            Ok(IndexedTable {
                root: row.get(0)?,
                name: TableName::new(row.get(1)?, row.get(2)?),
                kind: row.get(3)?,
                is_partition: row.get(4)?,
                firsts: row.get(5)?,
                seconds: row.get(6)?,
            })
        };
        rows.iter().map(table).collect()
    }
}

impl IndexedTable {
    /// Whether its kind has indexes.
    fn has_indexes(&self) -> bool {
        !matches!(self.kind.as_str(), "v" | "f")
    }

    /// Whether an index finds the last rows of a series.
    fn serves(&self, series: &SeriesOfKey<'_>) -> bool {
        let mut indexes = self.firsts.iter().zip(&self.seconds);
        match series.key_column {
            None => indexes.any(|(first, _)| first == series.time),
            Some(key_column) => indexes.any(|(first, second)| first == key_column && second == series.time),
        }
    }

    /// Returns what is wrong, and what to do about it.
    fn problem(&self, root: &TableName, series: &SeriesOfKey<'_>) -> String {
        let (name, time) = (&self.name, series.time);
        let columns: Vec<&str> = series.key_column.into_iter().chain([time]).collect();
        let with = columns.join(" and ");
        let kind = match self.kind.as_str() {
            "v" => "a view",
            "f" => "a foreign table",
            _ => {
                let indexed = if self.is_partition { root } else { name };
                return format!(
                    "{name} has no index that begins with {with}, and finding {} would read all of it; run CREATE INDEX ON {} ({})",
                    if series.key_column.is_some() { "the rows of one key" } else { "its last row" },
                    indexed.sql(),
                    list(columns)
                );
            }
        };
        format!(
            "{name} is {kind}, and finding its last row may read all of it; follow a table that has an index on {with}"
        )
    }
}
