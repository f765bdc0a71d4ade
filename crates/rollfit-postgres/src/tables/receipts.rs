//! The table of receipts, `rollfit_receipts`: one row per output, written in the transaction that writes its
//! features.

use rollfit_job::month::Month;
use rollfit_job::parsed_receipt::ParsedReceipt;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{Session, SqlParameter};
use crate::names::TableName;
use crate::tables::foreign_key::{DoomedRows, check_unreferenced};
use crate::tables::table::describe;

/// The name of the table, in the schema of the features.
pub(crate) const RECEIPTS: &str = "rollfit_receipts";

/// The statement that creates the table. What SQL users query has its own columns.
pub(crate) fn create_sql(table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n    \
             output text PRIMARY KEY,\n    \
             key text NOT NULL,\n    \
             month date NOT NULL,\n    \
             rows bigint NOT NULL,\n    \
             receipt jsonb NOT NULL,\n    \
             written_at timestamptz NOT NULL DEFAULT clock_timestamp(),\n    \
             written_by text NOT NULL DEFAULT current_setting('application_name')\n\
         )",
        table.sql()
    )
}

/// Returns the receipt of an output, if it exists and can be parsed. A malformed one does not count as a receipt.
pub(crate) fn read(
    session: &mut Session,
    table: &TableName,
    output: &str,
) -> Result<Option<ParsedReceipt>, StoreError> {
    let sql = format!("SELECT receipt::text FROM {} WHERE output = $1", table.sql());
    let rows = session.rows("read the receipt", &sql, &[(&output, Type::TEXT)])?;
    let text: Option<String> = first_value(&rows)?;
    let is_of_output = |parsed: &ParsedReceipt| match parsed {
        ParsedReceipt::Known(receipt) => receipt.output == output,
        ParsedReceipt::Newer(_) => true,
    };
    Ok(text.and_then(|text| ParsedReceipt::parse(&text).ok()).filter(is_of_output))
}

/// Returns every partition with a receipt, and its output.
pub(crate) fn list(session: &mut Session, table: &TableName) -> Result<Vec<(Partition, String)>, StoreError> {
    let sql = format!("SELECT key, to_char(month, 'YYYY-MM'), output FROM {}", table.sql());
    let rows = session.rows("list the receipts", &sql, &[])?;
    let entry = |row: &AnswerRow| {
        let (key, month, output): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let month: Option<Month> = month.parse().ok();
        Ok(month.map(|month| (Partition::new(key, month.into()), output)))
    };
    rows.iter().map(entry).filter_map(Result::transpose).collect()
}

/// Replaces the receipt of a partition.
pub(crate) fn write(
    session: &mut Session,
    table: &TableName,
    partition: &Partition,
    receipt: &Receipt,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(receipt)
        .map_err(|error| StoreError::permanent(format!("the receipt cannot be written as JSON: {error}")))?;
    let month = format!("{}-01", partition.period);
    let rows = i64::try_from(receipt.stored.rows).unwrap_or(i64::MAX);
    let sql = format!(
        "INSERT INTO {} AS t (output, key, month, rows, receipt) VALUES ($1, $2, $3::text::date, $4, $5::text::jsonb) \
         ON CONFLICT (output) DO UPDATE SET key = excluded.key, month = excluded.month, rows = excluded.rows, \
         receipt = excluded.receipt, written_at = excluded.written_at, written_by = excluded.written_by \
         RETURNING t.receipt::text",
        table.sql()
    );
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
        (&receipt.output, Type::TEXT),
        (&partition.key, Type::TEXT),
        (&month, Type::TEXT),
        (&rows, Type::INT8),
        (&text, Type::TEXT),
    ];
    let rows = session.rows("write the receipt", &sql, &parameters)?;
    let stored: Option<String> = first_value(&rows)?;
    let is_as_written =
        |text: String| serde_json::from_str(&text).is_ok_and(|stored: Receipt| stored == *receipt);
    if stored.is_some_and(is_as_written) { Ok(()) } else { Err(not_taken(table)) }
}

/// Checks that the written receipt is still stored: triggers after the INSERT may remove or change it.
pub(crate) fn check_kept(
    session: &mut Session,
    table: &TableName,
    receipt: &Receipt,
) -> Result<(), StoreError> {
    let kept = read(session, table, &receipt.output)?;
    let is_kept = kept.is_some_and(|kept| matches!(kept, ParsedReceipt::Known(kept) if *kept == *receipt));
    if is_kept { Ok(()) } else { Err(not_taken(table)) }
}

fn not_taken(table: &TableName) -> StoreError {
    StoreError::permanent(format!(
        "{table} did not store the receipt as written: a trigger suppresses or changes it; disable or drop the trigger"
    ))
}

/// Removes the existing receipt of an output.
pub(crate) fn remove(session: &mut Session, table: &TableName, output: &str) -> Result<(), StoreError> {
    let parameters: [SqlParameter<'_>; 1] = [(&output, Type::TEXT)];
    let known = describe(session, &table.schema, std::slice::from_ref(&table.name))?;
    if let Some(known) = known.get(&table.name) {
        let condition = "referenced.output = $2";
        check_unreferenced(session, known.oid, DoomedRows { table, condition, parameters: &parameters })?;
    }
    let sql = format!("DELETE FROM {} WHERE output = $1 RETURNING 1", table.sql());
    if session.rows("remove the receipt", &sql, &parameters)?.is_empty() {
        return Err(StoreError::permanent(format!(
            "{table} keeps the receipt: a trigger or rule undoes its DELETE; disable or drop it"
        )));
    }
    Ok(())
}
