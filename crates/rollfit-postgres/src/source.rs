//! The source: reads all series of a partition from tables in one snapshot.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::Range;

use rollfit_job::few::few;
use rollfit_job::month::Month;
use rollfit_job::period::Period;
use rollfit_job::store::{SeriesKind, SeriesOfKey, SeriesRows, Snapshot, Source, StoreError};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::pool::PooledSession;
use crate::connection::session::Session;
use crate::copy::decode::{NumberFormat, RowDecoder};
use crate::copy::instant::{ServerInstant, TimeType};
use crate::import::bases::{self, BASES};
use crate::import::source_table::M1;
use crate::kind::NAME;
use crate::names::{TableName, check_length, quoted};
use crate::tables::row_security::Accepting;
use crate::tables::table::{self, Column, Table, describe};
use rollfit_job::keys::warn_of_empty;

/// A source table and how to read it.
pub(crate) struct SeriesTable {
    pub(crate) name: TableName,
    /// The time column, quoted.
    pub(crate) time: String,
    time_type: TimeType,
    /// The expression for the values.
    value: String,
    format: NumberFormat,
}

impl SeriesTable {
    pub(crate) fn new(table: &Table, series: &SeriesOfKey<'_>) -> Result<Self, StoreError> {
        let column = |key: &str, name: &str| {
            table.column(name).ok_or_else(|| {
                StoreError::permanent(format!(
                    "{} has no column {name}; correct `{key}` of series `{}` (its columns: {})",
                    table.name,
                    series.name,
                    few(table.columns.iter().map(|column| column.name.as_str()))
                ))
            })
        };
        let (time, value) = (column("time", series.time)?, column("value", series.value)?);
        let time_type = TimeType::from_oid(time.type_oid, -1)
            .ok_or_else(|| wrong_type(&table.name, time, "a timestamp, with or without time zone"))?;
        let (value, format) = read_as(value).ok_or_else(|| {
            wrong_type(&table.name, value, "a number: double precision, numeric, real or integer")
        })?;
        Ok(Self { name: table.name.clone(), time: quoted(series.time), time_type, value, format })
    }

    /// Returns a query for the rows of a span. It includes infinite instants, so that they are reported.
    fn span_sql(&self, span_us: &Range<i64>) -> String {
        let (time, name) = (&self.time, self.name.sql());
        format!("SELECT {time}, {} FROM {name} WHERE {} ORDER BY 1", self.value, self.span_condition(span_us))
    }

    /// Returns the condition for the rows of a span and for infinite instants.
    pub(crate) fn span_condition(&self, span_us: &Range<i64>) -> String {
        let (time, literal) = (&self.time, |us| self.time_type.literal(us));
        let (start, end) = (literal(span_us.start), literal(span_us.end));
        format!("{time} >= {start} AND {time} < {end} OR {time} IN ('infinity', '-infinity')")
    }

    /// Returns a query for the last rows before an instant.
    fn before_sql(&self, instant_us: i64, count: usize) -> String {
        let time = &self.time;
        format!(
            "SELECT * FROM (SELECT {time}, {} FROM {} WHERE {time} < {} ORDER BY 1 DESC LIMIT {count}) t ORDER BY 1",
            self.value,
            self.name.sql(),
            self.time_type.literal(instant_us)
        )
    }

    fn read(&self, session: &mut Session, query: &str) -> Result<SeriesRows, StoreError> {
        let doing = format!("read {}", self.name);
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
        let wrong =
            |what: &str| StoreError::permanent(format!("{}: {} is {instant} {what}", self.name, self.time));
        let instant_us = instant.us().ok_or_else(|| wrong("in a row; instants must be finite"))?;
        if rows.instants_us.last() == Some(&instant_us) {
            return Err(wrong("in two rows; a series has one value per instant"));
        }
        rows.instants_us.push(instant_us);
        rows.values.push(value);
        Ok(())
    }
}

/// Returns the expression that selects the numbers of a column.
fn read_as(column: &Column) -> Option<(String, NumberFormat)> {
    let name = quoted(&column.name);
    match Type::from_oid(column.type_oid)? {
        Type::FLOAT8 => Some((name, NumberFormat::Double)),
        Type::FLOAT4 => Some((name, NumberFormat::Single)),
        Type::NUMERIC => Some((name, NumberFormat::Numeric)),
        Type::INT2 | Type::INT4 | Type::INT8 => Some((format!("{name}::float8"), NumberFormat::Double)),
        _ => None,
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
        self.series_tables_in(&describe(session, &self.schema, &names)?, series)
    }

    fn series_tables_in(
        &self,
        found: &HashMap<String, Table>,
        series: &[SeriesOfKey<'_>],
    ) -> Result<Vec<SeriesTable>, StoreError> {
        let table = |series: &SeriesOfKey<'_>| match found.get(&series.table) {
            Some(table) => {
                self.check_row_security(table, Accepting::Source)?;
                SeriesTable::new(table, series)
            }
            None => Err(self.missing(series)),
        };
        series.iter().map(table).collect()
    }

    /// Returns the tables of several series, and where their bases are.
    fn open_tables(
        &self,
        session: &mut Session,
        series: &[SeriesOfKey<'_>],
    ) -> Result<(Vec<SeriesTable>, Option<BasesTable>), StoreError> {
        let mut names: Vec<String> = series.iter().map(|series| series.table.clone()).collect();
        names.extend(series.iter().any(|series| series.kind == SeriesKind::Closes).then(|| BASES.to_owned()));
        let found = describe(session, &self.schema, &names)?;
        let bases = found.get(BASES).map(|bases| BasesTable {
            name: bases.name.clone(),
            refusal: self.check_bases_table(bases).err().map(|error| error.to_string()),
            keys: series.iter().map(key_of_import).collect(),
        });
        Ok((self.series_tables_in(&found, series)?, bases))
    }

    /// Checks that the role sees every row of the table of bases.
    fn check_bases_table(&self, bases: &Table) -> Result<(), StoreError> {
        if bases.readable {
            return self.check_row_security(bases, Accepting::Source);
        }
        Err(StoreError::permanent(format!(
            "the role may not read {}, which has the bases of derived series; have the owner GRANT SELECT ON {} to the role",
            bases.name,
            bases.name.sql()
        )))
    }

    pub(crate) fn missing(&self, series: &SeriesOfKey<'_>) -> StoreError {
        StoreError::permanent(format!(
            "table {} does not exist or the role cannot see it; import its bars, or correct `table` of series `{}` or `schema`",
            self.table(&series.table),
            series.name
        ))
    }

    /// Runs one query about a series.
    fn ask<T>(
        &self,
        series: &SeriesOfKey<'_>,
        answer: impl FnOnce(&mut Session, &SeriesTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
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

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        self.ask(series, |session, table| {
            let time = &table.time;
            let sql = format!(
                "SELECT min({time}), max({time}) FROM {} WHERE {time} NOT IN ('infinity', '-infinity')",
                table.name.sql()
            );
            let rows = session.rows(&format!("read {}", table.name), &sql, &[])?;
            let month = |at: usize| {
                let instant: Option<ServerInstant> =
                    rows.first().map(|row| row.get(at)).transpose()?.flatten();
                let month = instant.and_then(ServerInstant::us).map(Month::of_instant_us).transpose();
                month.map_err(|error| StoreError::permanent(error.to_string()))
            };
            let (first, last) = (month(0)?, month(1)?);
            if first.is_none() {
                warn_of_empty(&table.name, series.key);
            }
            Ok(first.zip(last))
        })
    }

    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        self.ask(series, |session, table| {
            let span_us = period.span_us();
            let sql = format!(
                "SELECT count(*) FROM {} WHERE {} >= {} AND {} < {}",
                table.name.sql(),
                table.time,
                table.time_type.literal(span_us.start),
                table.time,
                table.time_type.literal(span_us.end)
            );
            let rows = session.rows(&format!("count the rows of {}", table.name), &sql, &[])?;
            let count: i64 = first_value(&rows)?.unwrap_or(0);
            Ok(count.unsigned_abs())
        })
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        _period: Period,
        _lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        let mut session = self.snapshot_session()?;
        match self.open_tables(&mut session, series) {
            Ok((tables, bases)) => Ok(Box::new(OpenTables { session, tables, bases })),
            Err(error) => {
                session.roll_back();
                Err(error)
            }
        }
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

/// The tables of several series in one snapshot.
struct OpenTables {
    session: PooledSession,
    tables: Vec<SeriesTable>,
    /// None if there is no such table.
    bases: Option<BasesTable>,
}

/// The table of the bases that imports stored.
struct BasesTable {
    name: TableName,
    /// Why it must not be read.
    refusal: Option<String>,
    /// For each series the key whose import wrote its closes, if one may have.
    keys: Vec<Option<String>>,
}

fn key_of_import(series: &SeriesOfKey<'_>) -> Option<String> {
    M1.is_of(&series.table, series.key).then(|| series.key.to_owned())
}

impl Snapshot for OpenTables {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        let table = &self.tables[series];
        table.read(&mut self.session, &table.span_sql(&span_us))
    }

    fn rows_before(
        &mut self,
        series: usize,
        instant_us: i64,
        count: usize,
    ) -> Result<SeriesRows, StoreError> {
        let table = &self.tables[series];
        table.read(&mut self.session, &table.before_sql(instant_us, count))
    }

    fn base(&mut self, series: usize) -> Result<Option<f64>, StoreError> {
        let Some(BasesTable { name, refusal, keys }) = &self.bases else { return Ok(None) };
        let Some(key) = &keys[series] else { return Ok(None) };
        match refusal {
            Some(refusal) => Err(StoreError::permanent(refusal)),
            None => Ok(bases::read(&mut self.session, name, key)?.map(|base| base.close)),
        }
    }
}

impl Drop for OpenTables {
    fn drop(&mut self) {
        self.session.roll_back();
    }
}
