//! Who is writing to source tables: rows of theirs may become visible that are before the last ones seen.

use crate::names::literal;
use crate::source::SeriesTable;

/// Returns an expression that is true while another transaction that is not over has written to one of these tables or their
/// partitions, a prepared one too: it keeps its lock until it is over. A standby doesn't know such locks: there it is always true.
///
/// A transaction that hasn't written to them yet is not counted: many others write to a server, rollfit itself among them.
pub(crate) fn writers_sql<'a>(tables: impl IntoIterator<Item = &'a SeriesTable>) -> String {
    let roots: Vec<String> =
        tables.into_iter().map(|table| format!("{}::regclass::oid", literal(&table.name.sql()))).collect();
    format!(
        "(SELECT pg_is_in_recovery() OR EXISTS (
            WITH RECURSIVE tree (oid) AS (
                SELECT unnest(ARRAY[{}])
                UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
            SELECT FROM pg_catalog.pg_locks l JOIN tree ON l.relation = tree.oid
            WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
              AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
              AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))",
        roots.join(", ")
    )
}
