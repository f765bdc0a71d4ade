//! The last rows of several series, in one statement: one snapshot, and one round trip.

use rollfit_job::store::{Fault, LatestQuery, LatestRows, SeriesOfKey, SeriesRows, StoreError};

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::copy::column_number::ColumnNumber;
use crate::copy::instant::ServerInstant;
use crate::source::SeriesTable;
use crate::source::writers::writers_sql;

/// The columns of a series in the answer: instants, values, count.
const COLUMNS: usize = 3;

impl PostgresStore {
    pub(super) fn latest_rows(
        &self,
        series: &[SeriesOfKey<'_>],
        query: LatestQuery,
    ) -> Result<LatestRows, StoreError> {
        let wanted: Vec<&SeriesOfKey<'_>> = series.iter().collect();
        let tables = || self.described_sources(&wanted)?.into_iter().collect::<Result<Vec<_>, _>>();
        match self.ask_latest(&tables()?, query) {
            // A table may have become another one since it was described.
            Err(error) if error.fault() == Fault::Permanent => {
                self.source_tables.forget(series.iter().map(|series| series.table.as_str()));
                self.ask_latest(&tables()?, query)
            }
            answer => answer,
        }
    }

    fn ask_latest(&self, tables: &[SeriesTable], query: LatestQuery) -> Result<LatestRows, StoreError> {
        let doing = match tables {
            [] => return Ok(LatestRows::default()),
            [first, ..] => format!("read the last rows of {}", first.name),
        };
        let sql = latest_sql(tables, query);
        let rows = self.pool.session()?.rows_at_once(&self.settings, &doing, &sql, &[])?;
        let row = rows.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        let rows_of = |(at, table): (usize, &SeriesTable)| table.latest(row, COLUMNS * at);
        let count_of = |at| row.get(COLUMNS * at + 2).map(i64::unsigned_abs);
        let is_counted = query.count_from_us.is_some();
        Ok(LatestRows {
            rows: tables.iter().enumerate().map(rows_of).collect::<Result<_, _>>()?,
            counts: is_counted.then(|| (0..tables.len()).map(count_of).collect()).transpose()?,
            has_writers: row.get(COLUMNS * tables.len())?,
        })
    }
}

/// Returns the query for one row of all that is asked.
fn latest_sql(tables: &[SeriesTable], query: LatestQuery) -> String {
    let (mut columns, mut from) = (Vec::new(), Vec::new());
    for (at, table) in tables.iter().enumerate() {
        let count = query.count_from_us.map(|start_us| table.count_sql(&(start_us..query.from_us)));
        let count = count.unwrap_or_else(|| "SELECT 0::int8".to_owned());
        columns.push(format!("s{at}.t, s{at}.v, ({count})"));
        from.push(format!(
            "(SELECT array_agg(r.t ORDER BY r.t) AS t, array_agg(r.v ORDER BY r.t) AS v FROM ({}) r) s{at}",
            table.since_sql(query.from_us)
        ));
    }
    format!("SELECT {}, {} FROM {}", columns.join(", "), writers_sql(tables), from.join(", "))
}

impl SeriesTable {
    /// Returns a query for the rows from an instant on. It includes infinite instants, so that they are reported.
    fn since_sql(&self, from_us: i64) -> String {
        let (time, value, from) = (&self.time, &self.value, self.time_type.literal(from_us));
        let name = self.name.sql();
        format!("SELECT {time} AS t, {value} AS v FROM {name} WHERE {time} >= {from} OR {time} = '-infinity'")
    }

    /// The rows in two columns of an answer.
    fn latest(&self, row: &AnswerRow, column: usize) -> Result<SeriesRows, StoreError> {
        let instants: Option<Vec<ServerInstant>> = row.get(column)?;
        let values: Option<Vec<Option<ColumnNumber>>> = row.get(column + 1)?;
        let mut rows = SeriesRows::default();
        for (instant, value) in instants.unwrap_or_default().into_iter().zip(values.unwrap_or_default()) {
            self.add(&mut rows, instant, value.map_or(f64::NAN, |ColumnNumber(number)| number))?;
        }
        Ok(rows)
    }
}
