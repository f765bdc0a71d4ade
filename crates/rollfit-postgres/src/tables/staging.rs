//! Stages rows for a table that COPY cannot fill directly, in a temporary table that lives as long as the
//! transaction.

use rollfit_job::store::StoreError;

use crate::connection::answer_row::first_value;
use crate::connection::session::Session;
use crate::names::TableName;
use crate::tables::rights::check_temporary;

/// The temporary table that holds the rows until all have arrived.
pub(crate) const STAGED: &str = "pg_temp.rollfit_staged";

/// Creates the temporary table with `columns` of `table`.
///
/// # Errors
/// When the role may not do it.
pub(crate) fn create(session: &mut Session, table: &TableName, columns: &str) -> Result<(), StoreError> {
    check_temporary(session)?;
    let create = format!(
        "CREATE TEMP TABLE {STAGED} ON COMMIT DROP AS SELECT {columns} FROM {} WITH NO DATA",
        table.sql()
    );
    session.execute(&format!("stage rows of {table}"), &create)
}

/// Moves all staged rows into `table` and returns how many it took. `conflicts` follows the SELECT.
///
/// # Errors
/// When the table refuses them.
pub(crate) fn move_rows(
    session: &mut Session,
    doing: &str,
    (table, columns, conflicts): (&TableName, &str, &str),
) -> Result<u64, StoreError> {
    let sql = format!(
        "WITH moved AS (INSERT INTO {} ({columns}) SELECT {columns} FROM {STAGED} {conflicts} RETURNING 1) \
         SELECT count(*) FROM moved",
        table.sql()
    );
    let moved: i64 = first_value(&session.rows(doing, &sql, &[])?)?.unwrap_or(0);
    session.execute("drop the staged rows", &format!("DROP TABLE {STAGED}"))?;
    Ok(moved.unsigned_abs())
}
