//! Stages rows for a table that COPY cannot fill directly, in a temporary table that lives as long as the
//! transaction.

use rollfit_job::store::StoreError;

use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::Session;
use crate::names::TableName;
use crate::tables::rights::{LOOK_UP_RIGHTS, TEMPORARY, check_temporary};

/// The temporary table that holds the rows until all have arrived.
pub(crate) const STAGED: &str = "pg_temp.rollfit_staged";

/// The temporary table for the rows of the series at `series`, where each has its own.
pub(crate) fn staged(series: usize) -> String {
    format!("{STAGED}_{series}")
}

/// Creates the temporary table with `columns` of `table`.
///
/// # Errors
/// When the role may not do it.
pub(crate) fn create(session: &mut Session, table: &TableName, columns: &str) -> Result<(), StoreError> {
    check_temporary(&session.rows(LOOK_UP_RIGHTS, TEMPORARY, &[])?)?;
    session.execute(&creating(table), &create_sql(STAGED, table, columns))
}

/// What creating a temporary table does, for messages.
pub(crate) fn creating(table: &TableName) -> String {
    format!("stage rows of {table}")
}

/// Returns the statement that creates a temporary table with `columns` of `table`.
pub(crate) fn create_sql(staged: &str, table: &TableName, columns: &str) -> String {
    format!("CREATE TEMP TABLE {staged} ON COMMIT DROP AS SELECT {columns} FROM {} WITH NO DATA", table.sql())
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
    let moved = moved(&session.rows(doing, &move_sql(STAGED, (table, columns, conflicts)), &[])?)?;
    session.execute("drop the staged rows", &format!("DROP TABLE {STAGED}"))?;
    Ok(moved)
}

/// Returns the query that moves all rows of a temporary table into `table`. `conflicts` follows the SELECT.
pub(crate) fn move_sql(staged: &str, (table, columns, conflicts): (&TableName, &str, &str)) -> String {
    format!(
        "WITH moved AS (INSERT INTO {} ({columns}) SELECT {columns} FROM {staged} {conflicts} RETURNING 1) \
         SELECT count(*) FROM moved",
        table.sql()
    )
}

/// Returns how many rows the table took, in the answer to [`move_sql`].
pub(crate) fn moved(rows: &[AnswerRow]) -> Result<u64, StoreError> {
    Ok(first_value::<i64>(rows)?.map_or(0, i64::unsigned_abs))
}
