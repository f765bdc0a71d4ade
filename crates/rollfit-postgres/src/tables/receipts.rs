//! The table of receipts, `rollfit_receipts`: one row per output, written in the transaction that writes its
//! features. The definition of a receipt is in [`crate::tables::definitions`], by its hash.

use std::collections::HashMap;

use rollfit_job::activity::Activity;
use rollfit_job::canonical_json::{definition_hash, receipt_hash};
use rollfit_job::month::Month;
use rollfit_job::partition::Partition;
use rollfit_job::period::PeriodUnit;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{Fault, HoldingMark, StoreError};
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{Request, Session, SqlParameter};
use crate::names::{TableName, literal};
use crate::tables::foreign_key::{DoomedRows, check_unreferenced};
use crate::tables::table::{Table, describe};

/// The name of the table, in the schema of the features.
pub(crate) const RECEIPTS: &str = "rollfit_receipts";

const WRITE: &str = "write the receipt";

/// The columns that the table of earlier versions lacks, with their types.
const ADDED: [(&str, &str); 2] = [("digest", "text"), ("period", "text")];

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
             written_by text NOT NULL DEFAULT current_setting('application_name'),\n    \
             digest text,\n    \
             period text\n\
         )",
        table.sql()
    )
}

/// The columns that a table of an earlier version lacks.
fn lacking(table: &Table) -> impl Iterator<Item = (&'static str, &'static str)> {
    ADDED.into_iter().filter(|(name, _)| table.column(name).is_none())
}

/// Returns the statement that makes a table of an earlier version one of this; none for one of this.
pub(crate) fn alter_sql(table: &Table) -> Option<String> {
    let added: Vec<String> = lacking(table).map(|(name, sql)| format!("ADD COLUMN {name} {sql}")).collect();
    (!added.is_empty()).then(|| format!("ALTER TABLE {} {}", table.name.sql(), added.join(", ")))
}

/// Returns what is wrong with a table of an earlier version; none for one of this.
pub(crate) fn earlier_version(table: &Table) -> Option<String> {
    let (column, _) = lacking(table).next()?;
    Some(format!("{} is of an earlier version (no column {column})", table.name))
}

/// Checks that a table is of this version. Receipts of an earlier one are read, and never written.
pub(crate) fn check_version(table: &Table) -> Result<(), StoreError> {
    match earlier_version(table) {
        None => Ok(()),
        Some(what) => Err(StoreError::permanent(format!(
            "{what}: have its owner run the statements that rollfit schema prints"
        ))),
    }
}

/// Returns every partition with a receipt, and its output. Tables of an earlier version have receipts of months only.
pub(crate) fn list(session: &mut Session, table: &Table) -> Result<Vec<(Partition, String)>, StoreError> {
    let unit = if table.column("period").is_some() { "period" } else { "NULL::text" };
    let sql = format!("SELECT key, to_char(month, 'YYYY-MM'), {unit}, output FROM {}", table.name.sql());
    let rows = session.rows("list the receipts", &sql, &[])?;
    let entry = |row: &AnswerRow| {
        let (key, month, output): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let unit: Option<String> = row.get(2)?;
        let (month, unit): (Option<Month>, _) = (month.parse().ok(), unit_named(unit.as_deref()));
        Ok(month.zip(unit).map(|(month, unit)| (Partition::new(key, unit.period_of(month)), output)))
    };
    rows.iter().map(entry).filter_map(Result::transpose).collect()
}

/// The unit that the column `period` names; none where a later version has written another one.
fn unit_named(name: Option<&str>) -> Option<PeriodUnit> {
    let name = name.unwrap_or(PeriodUnit::Month.name());
    PeriodUnit::ALL.into_iter().find(|unit| unit.name() == name)
}

/// The value of the column `period`, in SQL.
fn unit_literal(unit: PeriodUnit) -> String {
    if unit.is_month() { "NULL".to_owned() } else { literal(unit.name()) }
}

/// Returns a mark on the receipt of each of `outputs` that has one: the transaction that wrote its row. Where the row is says nothing:
/// VACUUM FULL moves it, and no commit of a receipt.
pub(crate) fn marks(
    session: &mut Session,
    table: &TableName,
    outputs: &[String],
) -> Result<HashMap<String, HoldingMark>, StoreError> {
    let sql = format!(
        "SELECT output, xmin::text,
                CASE WHEN isfinite(written_at) THEN (extract(epoch FROM written_at) * 1000000)::bigint END
         FROM {} WHERE output = ANY($1)",
        table.sql()
    );
    let rows = session.rows("look which receipts have changed", &sql, &[(&outputs, Type::TEXT_ARRAY)])?;
    let entry =
        |row: &AnswerRow| Ok((row.get(0)?, HoldingMark { mark: row.get(1)?, committed_us: row.get(2)? }));
    rows.iter().map(entry).collect()
}

/// Whose name and time stand beside a receipt, in `written_by` and `written_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsBy {
    /// Those of this session.
    ThisSession,
    /// Those of the receipt before: the rows are the ones that its run wrote.
    RunBefore,
}

/// A receipt as its row has it: with the hash of its definition.
pub(crate) struct ReceiptRow {
    json: Value,
    text: String,
    pub(crate) definition: String,
    pub(crate) digest: String,
    rows: i64,
    output: String,
}

impl ReceiptRow {
    pub(crate) fn new(receipt: &Receipt) -> Result<Self, StoreError> {
        let mut json = serde_json::to_value(receipt).map_err(|error| {
            StoreError::permanent(format!("the receipt cannot be written as JSON: {error}"))
        })?;
        let definition = definition_hash(&json["definition"]);
        json["definition"] = Value::String(definition.clone());
        Ok(Self {
            digest: receipt_hash(&json),
            text: json.to_string(),
            json,
            definition,
            rows: i64::try_from(receipt.stored.rows).unwrap_or(i64::MAX),
            output: receipt.output.clone(),
        })
    }

    /// Returns the statement that puts it in the place of the receipt `seen`, which is none where the output had no row. See
    /// [`Self::check_written`].
    pub(crate) fn write<'a>(
        &'a self,
        [table, definitions]: [&TableName; 2],
        partition: &'a Partition,
        seen: &'a Option<String>,
        rows_by: RowsBy,
    ) -> Request<'a> {
        let origin = match rows_by {
            RowsBy::ThisSession => ", written_at = excluded.written_at, written_by = excluded.written_by",
            RowsBy::RunBefore => "",
        };
        let sql = format!(
            "INSERT INTO {} AS t (output, key, month, rows, receipt, digest, period) \
             VALUES ($1, $2, {}::date, $3, $4::text::jsonb, $5, {}) \
             ON CONFLICT (output) DO UPDATE SET key = excluded.key, month = excluded.month, rows = excluded.rows, \
             receipt = excluded.receipt, digest = excluded.digest, period = excluded.period{origin} \
             WHERE t.receipt = $6::text::jsonb RETURNING t.receipt::text, t.digest, EXISTS (SELECT FROM {} d WHERE d.hash = $7)",
            table.sql(),
            literal(&format!("{}-01", partition.period.first_month())),
            unit_literal(partition.period.unit()),
            definitions.sql()
        );
        let parameters: Vec<SqlParameter<'a>> = vec![
            (&self.output, Type::TEXT),
            (&partition.key, Type::TEXT),
            (&self.rows, Type::INT8),
            (&self.text, Type::TEXT),
            (&self.digest, Type::TEXT),
            (seen, Type::TEXT),
            (&self.definition, Type::TEXT),
        ];
        Request::query(WRITE, sql, parameters).counted_as(Activity::Committing)
    }

    /// Checks the answer to [`Self::write`].
    ///
    /// # Errors
    /// When the table has another receipt than `seen` by now, or does not take this one; when its definition is gone.
    pub(crate) fn check_written(
        &self,
        session: &mut Session,
        [table, definitions]: [&TableName; 2],
        seen: Option<&str>,
        rows: &[AnswerRow],
    ) -> Result<(), StoreError> {
        let Some(row) = rows.first() else { return Err(self.refusal(session, table, seen)?) };
        self.check_taken(row, table, definitions)
    }

    /// Returns the statement that puts it in the place of the receipt with the digest `after`, of the same output. See
    /// [`Self::check_in_place`].
    pub(crate) fn take_place_of<'a>(
        &'a self,
        [table, definitions]: [&TableName; 2],
        after: &'a String,
    ) -> Request<'a> {
        let sql = format!(
            "UPDATE {} AS t SET receipt = $3::text::jsonb, rows = $4, digest = $5, written_at = clock_timestamp(), \
             written_by = current_setting('application_name') WHERE output = $1 AND digest = $2 \
             RETURNING t.receipt::text, t.digest, EXISTS (SELECT FROM {} d WHERE d.hash = $6)",
            table.sql(),
            definitions.sql()
        );
        let parameters: Vec<SqlParameter<'a>> = vec![
            (&self.output, Type::TEXT),
            (after, Type::TEXT),
            (&self.text, Type::TEXT),
            (&self.rows, Type::INT8),
            (&self.digest, Type::TEXT),
            (&self.definition, Type::TEXT),
        ];
        Request::query(WRITE, sql, parameters).counted_as(Activity::Committing)
    }

    /// Checks the answer to [`Self::take_place_of`].
    ///
    /// # Errors
    /// When that receipt was not there any more, or the table does not take this one; when its definition is gone.
    pub(crate) fn check_in_place(
        &self,
        [table, definitions]: [&TableName; 2],
        rows: &[AnswerRow],
    ) -> Result<(), StoreError> {
        match rows {
            [] => Err(changed_meanwhile(table, &self.output)),
            [row] => self.check_taken(row, table, definitions),
            _ => Err(StoreError::permanent(format!(
                "{table} holds several receipts of {}: its primary key is missing; remove all but one",
                self.output
            ))),
        }
    }

    /// Checks the row that was written: receipt, digest, and whether its definition is there.
    fn check_taken(
        &self,
        row: &AnswerRow,
        table: &TableName,
        definitions: &TableName,
    ) -> Result<(), StoreError> {
        if !self.is(row)? {
            return Err(not_taken(table));
        }
        match row.get(2)? {
            true => Ok(()),
            false => Err(StoreError::permanent(format!(
                "{definitions} no longer holds the definition of this job, or hides it; run the same command again"
            ))),
        }
    }

    /// Returns why no row was written.
    fn refusal(
        &self,
        session: &mut Session,
        table: &TableName,
        seen: Option<&str>,
    ) -> Result<StoreError, StoreError> {
        let rows = stored(session, table, &self.output)?;
        let now: Option<String> = first_value(&rows)?;
        Ok(match now.as_deref() == seen {
            true => not_taken(table),
            false => changed_meanwhile(table, &self.output),
        })
    }

    /// Checks that it is still stored: triggers after the INSERT may remove or change it.
    pub(crate) fn check_kept(&self, session: &mut Session, table: &TableName) -> Result<(), StoreError> {
        let rows = stored(session, table, &self.output)?;
        let is_kept = rows.first().map_or(Ok(false), |row| self.is(row))?;
        if is_kept { Ok(()) } else { Err(not_taken(table)) }
    }

    /// Whether this is the receipt and the digest of a row.
    fn is(&self, row: &AnswerRow) -> Result<bool, StoreError> {
        let (text, digest): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let is_same = serde_json::from_str::<Value>(&text).is_ok_and(|stored| stored == self.json);
        Ok(is_same && digest.as_ref() == Some(&self.digest))
    }
}

fn stored(session: &mut Session, table: &TableName, output: &str) -> Result<Vec<AnswerRow>, StoreError> {
    let sql = format!("SELECT receipt::text, digest FROM {} WHERE output = $1", table.sql());
    session.rows("read the receipt", &sql, &[(&output, Type::TEXT)])
}

fn changed_meanwhile(table: &TableName, output: &str) -> StoreError {
    let message = format!("{table}: another program changed the receipt of {output} meanwhile");
    StoreError::new(Fault::Transient, message)
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
