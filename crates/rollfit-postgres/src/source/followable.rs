//! Whether source tables can be asked for their last rows each second: only with an index that begins with the time.

use rollfit_job::store::{SeriesOfKey, StoreError};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::SqlParameter;
use crate::names::{TableName, quoted};

/// The tables with rows beneath each table, itself if it has none, and the columns with which their usable indexes begin. A
/// partitioned table without partitions counts too: those to come get its indexes.
const INDEXES: &str = "
    WITH RECURSIVE tree (root, oid) AS (
        SELECT c.oid, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = ANY($2)
        UNION SELECT tree.root, i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
    SELECT root.relname::text, n.nspname::text, c.relname::text, c.relkind::text, root.relkind = 'p', ARRAY(
        SELECT a.attname::text FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class xc ON xc.oid = x.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = xc.relam AND m.amname = 'btree'
        JOIN pg_catalog.pg_opclass o ON o.oid = x.indclass[0] AND o.opcdefault
        JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
        WHERE x.indrelid = c.oid AND x.indisvalid AND x.indisready AND x.indislive AND x.indpred IS NULL)
    FROM tree
    JOIN pg_catalog.pg_class root ON root.oid = tree.root
    JOIN pg_catalog.pg_class c ON c.oid = tree.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind <> 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
    ORDER BY 1, 2, 3";

/// A table with rows, and what it can be asked.
struct IndexedTable {
    root: String,
    name: TableName,
    kind: String,
    is_partition: bool,
    /// The columns with which an index begins.
    columns: Vec<String>,
}

impl PostgresStore {
    /// Checks that every table that has rows of these series has an index that begins with the time.
    pub(super) fn check_indexes(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.source_tables.forget(series.iter().map(|series| series.table.as_str()));
        self.described_sources(&series.iter().collect::<Vec<_>>())?
            .into_iter()
            .try_for_each(|table| table.map(drop))?;
        let tables = self.indexed_tables(series)?;
        let mut problems = Vec::new();
        for series in series {
            let lacking = |table: &&IndexedTable| {
                table.root == series.table && !table.columns.iter().any(|column| column == series.time)
            };
            if let Some(table) = tables.iter().find(lacking) {
                problems.push(table.problem(&self.table(&series.table), series.time));
            }
        }
        problems.dedup();
        match problems.as_slice() {
            [] => Ok(()),
            [problem] => Err(StoreError::permanent(problem)),
            [first, others @ ..] => {
                let more = others.len();
                Err(StoreError::permanent(format!("{first} (and {more} more like it)")))
            }
        }
    }

    fn indexed_tables(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<IndexedTable>, StoreError> {
        let names: Vec<&str> = series.iter().map(|series| series.table.as_str()).collect();
        let parameters: [SqlParameter<'_>; 2] = [(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
        let rows =
            self.pool.session()?.rows_at_once(&self.settings, "look up indexes", INDEXES, &parameters)?;
        let table = |row: &AnswerRow| {
            Ok(IndexedTable {
                root: row.get(0)?,
                name: TableName::new(row.get(1)?, row.get(2)?),
                kind: row.get(3)?,
                is_partition: row.get(4)?,
                columns: row.get(5)?,
            })
        };
        rows.iter().map(table).collect()
    }
}

impl IndexedTable {
    /// Returns what is wrong, and what to do about it.
    fn problem(&self, root: &TableName, time: &str) -> String {
        let name = &self.name;
        let what = match self.kind.as_str() {
            "v" => "a view",
            "f" => "a foreign table",
            _ => {
                let indexed = if self.is_partition { root } else { name };
                return format!(
                    "{name} has no index that begins with {time}, and finding its last row would read all of it; run CREATE INDEX \
                     ON {} ({})",
                    indexed.sql(),
                    quoted(time)
                );
            }
        };
        format!(
            "{name} is {what}, and finding its last row may read all of it; follow a table that has an index on {time}"
        )
    }
}
