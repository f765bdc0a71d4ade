//! The source: reads all series of a partition from tables in one snapshot.

pub(crate) mod described_tables;
pub(crate) mod followable;
pub(crate) mod heads;
mod key_rows;
pub(crate) mod known_bases;
mod latest;
pub(crate) mod long_tables;
mod open_tables;
mod row_arrays;
pub(crate) mod survey;
mod writers;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::Range;

use rollfit_job::config::Series;
use rollfit_job::month::Month;
use rollfit_job::period::Period;
use rollfit_job::store::{
    LatestQuery, LatestRows, SeriesHead, SeriesOfKey, SeriesRows, Snapshot, Source, StoreError,
};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::session::Session;
use crate::copy::decode::{NumberFormat, RowDecoder};
use crate::copy::instant::{ServerInstant, TimeType};
use crate::kind::NAME;
use crate::names::{TableName, check_length, quoted};
use crate::source::key_rows::KeyRows;
use crate::source::known_bases::imported_key;
use crate::source::open_tables::OpenTables;
use crate::tables::row_security::Accepting;
use crate::tables::table::{self, Column, RelationKind, Table, describe};
use rollfit_job::keys::warn_of_empty;

/// A series in a source table and how to read it.
pub(crate) struct SeriesTable {
    pub(crate) name: TableName,
    /// The rows of the series; none if all rows of the table are.
    key_rows: Option<KeyRows>,
    /// The time column, quoted.
    pub(crate) time: String,
    time_type: TimeType,
    /// The expression for the values.
    value: String,
    format: NumberFormat,
    /// Whether its rows are in other tables too.
    is_partitioned: bool,
}

impl SeriesTable {
    pub(crate) fn new(table: &Table, series: &SeriesOfKey<'_>) -> Result<Self, StoreError> {
        let time = table.needed_column(&format!("`time` of series `{}`", series.name), series.time)?;
        let value = table.needed_column(&series.value_setting(), series.value)?;
        let key_rows = KeyRows::new(table, series)?;
        let time_type = TimeType::from_oid(time.type_oid, -1)
            .ok_or_else(|| wrong_type(&table.name, time, "a timestamp, with or without time zone"))?;
        let (value, format) = read_as(value).ok_or_else(|| {
            wrong_type(&table.name, value, "a number: double precision, numeric, real or integer")
        })?;
        let is_partitioned = table.kind == RelationKind::Partitioned || !table.children.is_empty();
        let (name, time) = (table.name.clone(), quoted(series.time));
        Ok(Self { name, key_rows, time, time_type, value, format, is_partitioned })
    }

    /// Returns the table and a condition for rows of the series, as they follow FROM.
    pub(crate) fn rows_where(&self, condition: &str) -> String {
        let name = self.name.sql();
        match &self.key_rows {
            None => format!("{name} WHERE {condition}"),
            Some(rows) => format!("{name} WHERE {} AND ({condition})", rows.sql()),
        }
    }

    /// Returns where the rows of the series are, for messages.
    pub(crate) fn place(&self) -> String {
        match &self.key_rows {
            None => self.name.to_string(),
            Some(rows) => format!("{} ({rows})", self.name),
        }
    }

    /// Returns a query for the rows of a span. It includes infinite instants, so that they are reported.
    fn span_sql(&self, span_us: &Range<i64>) -> String {
        let rows = self.rows_where(&self.span_condition(span_us));
        format!("SELECT {}, {} FROM {rows} ORDER BY 1", self.time, self.value)
    }

    /// Returns the condition for the rows of a span and for infinite instants.
    pub(crate) fn span_condition(&self, span_us: &Range<i64>) -> String {
        let (time, literal) = (&self.time, |us| self.time_type.literal(us));
        let (start, end) = (literal(span_us.start), literal(span_us.end));
        format!("{time} >= {start} AND {time} < {end} OR {time} IN ('infinity', '-infinity')")
    }

    /// Returns a query for the number of rows of a span.
    fn count_sql(&self, span_us: &Range<i64>) -> String {
        let (time, literal) = (&self.time, |us| self.time_type.literal(us));
        let (start, end) = (literal(span_us.start), literal(span_us.end));
        let rows = self.rows_where(&format!("{time} >= {start} AND {time} < {end}"));
        format!("SELECT count(*) FROM {rows}")
    }

    /// Returns a query for the last instant, if it is not before `since_us`.
    fn last_sql(&self, since_us: Option<i64>) -> String {
        let time = &self.time;
        let since = since_us.map(|since_us| format!("{time} >= {}", self.time_type.literal(since_us)));
        format!("SELECT max({time}) FROM {}", self.rows_where(since.as_deref().unwrap_or("true")))
    }

    fn count(&self, session: &mut Session, span_us: &Range<i64>) -> Result<u64, StoreError> {
        let doing = format!("count the rows of {}", self.place());
        let rows = session.rows(&doing, &self.count_sql(span_us), &[])?;
        let count: i64 = first_value(&rows)?.unwrap_or(0);
        Ok(count.unsigned_abs())
    }

    /// Returns the months without rows. From one row on the next one is looked up in an index: nothing is counted.
    fn gaps(&self, session: &mut Session, first: Month, last: Month) -> Result<Vec<Month>, StoreError> {
        let (time, literal) = (&self.time, |us| self.time_type.literal(us));
        let end = literal(last.span_us().end);
        let doing = format!("look for months without rows in {}", self.place());
        let mut gaps = Vec::new();
        let mut month = first;
        while month <= last {
            let start = literal(month.span_us().start);
            let rows = self.rows_where(&format!("{time} >= {start} AND {time} < {end}"));
            let sql = format!("SELECT min({time}) FROM {rows}");
            let next: Option<Option<ServerInstant>> = first_value(&session.rows(&doing, &sql, &[])?)?;
            let next = next.flatten().and_then(ServerInstant::us).map(Month::of_instant_us).transpose();
            let next = next.map_err(|error| StoreError::permanent(error.to_string()))?;
            gaps.extend(month.through(last).take_while(|month| next.is_none_or(|next| *month < next)));
            month = next.unwrap_or(last).max(month).next();
        }
        Ok(gaps)
    }

    /// Returns a query for the last rows before an instant.
    fn before_sql(&self, instant_us: i64, count: usize) -> String {
        let (time, value) = (&self.time, &self.value);
        let rows = self.rows_where(&format!("{time} < {}", self.time_type.literal(instant_us)));
        format!(
            "SELECT * FROM (SELECT {time}, {value} FROM {rows} ORDER BY 1 DESC LIMIT {count}) t ORDER BY 1"
        )
    }

    fn read(&self, session: &mut Session, query: &str) -> Result<SeriesRows, StoreError> {
        let doing = format!("read {}", self.place());
        let mut copy = session.copy_out(&doing, &format!("COPY ({query}) TO STDOUT (FORMAT binary)"))?;
        let mut decoder = RowDecoder::new(2);
        let mut rows = SeriesRows::default();
        while let Some(message) = session.receive(&mut copy)? {
            decoder.rows(&message, |mut fields| {
                let instant = ServerInstant(fields.next_instant()?);
                self.add(&mut rows, instant, fields.next_number(self.format)?.unwrap_or(f64::NAN))
            })?;
        }
        Ok(rows)
    }

    fn add(&self, rows: &mut SeriesRows, instant: ServerInstant, value: f64) -> Result<(), StoreError> {
        let instant_us = self.finite_us(instant)?;
        if rows.instants_us.last() == Some(&instant_us) {
            return Err(self.wrong(instant, "in two rows; a series has one value per instant"));
        }
        rows.instants_us.push(instant_us);
        rows.values.push(value);
        Ok(())
    }

    /// Returns microseconds since 1970.
    fn finite_us(&self, instant: ServerInstant) -> Result<i64, StoreError> {
        instant.us().ok_or_else(|| self.wrong(instant, "in a row; instants must be finite"))
    }

    fn wrong(&self, instant: ServerInstant, what: &str) -> StoreError {
        StoreError::permanent(format!("{}: {} is {instant} {what}", self.place(), self.time))
    }
}

/// Returns the expression that selects the numbers of a column.
fn read_as(column: &Column) -> Option<(String, NumberFormat)> {
    let name = quoted(&column.name);
    match Type::from_oid(column.type_oid)? {
        Type::INT2 | Type::INT4 | Type::INT8 => Some((format!("{name}::float8"), NumberFormat::Double)),
        kind => Some((name, NumberFormat::from_type(&kind)?)),
    }
}

fn wrong_type(table: &TableName, column: &Column, wanted: &str) -> StoreError {
    StoreError::permanent(format!(
        "{table}: column {} is {}, expected {wanted}",
        column.name, column.type_name
    ))
}

impl PostgresStore {
    fn series_tables(
        &self,
        session: &mut Session,
        series: &[SeriesOfKey<'_>],
    ) -> Result<Vec<SeriesTable>, StoreError> {
        let names: Vec<String> = series.iter().map(|series| series.table.clone()).collect();
        self.tables_among(&describe(session, &self.schema, &names)?, series)
    }

    fn tables_among(
        &self,
        found: &HashMap<String, Table>,
        series: &[SeriesOfKey<'_>],
    ) -> Result<Vec<SeriesTable>, StoreError> {
        let table = |series: &SeriesOfKey<'_>| match found.get(&series.table) {
            Some(table) => {
                self.check_row_security(table, Accepting::Source)?;
                SeriesTable::new(table, series)
            }
            None => Err(self.missing(&series.table, series.name)),
        };
        series.iter().map(table).collect()
    }

    pub(crate) fn missing(&self, table: &str, series: &str) -> StoreError {
        StoreError::permanent(format!(
            "table {} does not exist or the role cannot see it; import its bars, or correct `table` of series `{series}` or `schema`",
            self.table(table)
        ))
    }

    /// Runs one query about a series.
    fn ask_about<T>(
        &self,
        series: &SeriesOfKey<'_>,
        answer: impl FnOnce(&mut Session, &SeriesTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.look_at_long_tables(std::slice::from_ref(series))?;
        self.in_snapshot(|session| {
            let tables = self.series_tables(session, std::slice::from_ref(series))?;
            answer(session, &tables[0])
        })
    }
}

impl Source for PostgresStore {
    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut session = self.pool.session()?;
        Ok(table::names(&mut session, &self.schema)?.into_iter().collect())
    }

    fn keys_in(&self, series: &Series) -> Result<BTreeSet<String>, StoreError> {
        self.keys_of_table(series)
    }

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        self.ask_about(series, |session, table| {
            let time = &table.time;
            let finite = table.rows_where(&format!("{time} NOT IN ('infinity', '-infinity')"));
            let sql = format!("SELECT min({time}), max({time}) FROM {finite}");
            let rows = session.rows(&format!("read {}", table.place()), &sql, &[])?;
            let month = |at: usize| {
                let instant: Option<ServerInstant> =
                    rows.first().map(|row| row.get(at)).transpose()?.flatten();
                let month = instant.and_then(ServerInstant::us).map(Month::of_instant_us).transpose();
                month.map_err(|error| StoreError::permanent(error.to_string()))
            };
            let (first, last) = (month(0)?, month(1)?);
            if first.is_none() {
                warn_of_empty(table.place(), series.key);
            }
            Ok(first.zip(last))
        })
    }

    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        self.ask_about(series, |session, table| table.count(session, &period.span_us()))
    }

    fn gaps(&self, series: &SeriesOfKey<'_>, first: Month, last: Month) -> Result<Vec<Month>, StoreError> {
        self.ask_about(series, |session, table| table.gaps(session, first, last))
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        self.look_at_long_tables(series)?;
        let mut session = self.snapshot_session()?;
        match self.open_tables(&mut session, series) {
            Ok((tables, bases)) => {
                let keys = series.iter().map(|series| imported_key(series).map(str::to_owned)).collect();
                let (span_us, read, lasts) = (period.span_us(), Vec::new(), Vec::new());
                Ok(Box::new(OpenTables { session, tables, bases, keys, span_us, lookback_rows, read, lasts }))
            }
            Err(error) => {
                session.roll_back();
                Err(error)
            }
        }
    }

    fn heads(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Result<SeriesHead, StoreError>>, StoreError> {
        self.last_instants(series)
    }

    fn latest(&self, series: &[SeriesOfKey<'_>], query: LatestQuery) -> Result<LatestRows, StoreError> {
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        self.latest_rows(series, query)
    }

    fn check_followable(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.check_indexes(series)
    }

    fn check_name(&self, series: &SeriesOfKey<'_>) -> Result<(), StoreError> {
        check_length(&format!("[series.{}] table", series.name), &series.table)
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        self.describe()
    }
}
