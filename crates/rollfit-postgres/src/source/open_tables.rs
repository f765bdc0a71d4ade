//! [`OpenTables`]: the tables of several series in one snapshot. The rows of a partition, with those before it that windows reach, are
//! read in one round trip.

use std::ops::Range;

use rollfit_job::store::{SeriesRows, Snapshot, StoreError};

use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::pool::PooledSession;
use crate::connection::session::Request;
use crate::copy::instant::ServerInstant;
use crate::import::bases;
use crate::source::SeriesTable;
use crate::source::known_bases::BasesTable;
use crate::source::row_arrays::arrays_sql;
use crate::source::writers::writers_sql;

/// How many rows of a table are read together with those of others, as one row of arrays. More are read by themselves. A partition and
/// the rows before it make a row of at most 10 MB.
const ROWS_AT_ONCE_MAX: usize = 100_000;

/// The tables of several series in one snapshot.
pub(super) struct OpenTables {
    pub(super) session: PooledSession,
    pub(super) tables: Vec<SeriesTable>,
    /// None if no import has stored any.
    pub(super) bases: Option<BasesTable>,
    /// For each series of closes the key whose base theirs is, if an import may have written them.
    pub(super) keys: Vec<Option<String>>,
    /// The span whose rows will be asked for, and how many before it.
    pub(super) span_us: Range<i64>,
    pub(super) lookback_rows: usize,
    /// What was read of each series; empty before the rows of the span are asked for.
    pub(super) read: Vec<ReadRows>,
    /// The last instant of each series; empty before one is asked for.
    pub(super) lasts: Vec<Option<ServerInstant>>,
}

/// The rows of a series that were read together with those of others. Where there are too many, or something is wrong with them, they
/// are read by themselves once they are asked for.
pub(super) struct ReadRows {
    /// Those of the span, until they are handed on.
    rows: Option<SeriesRows>,
    before: Option<SeriesRows>,
}

impl OpenTables {
    /// Reads the rows of the span, and those before it, of all series.
    fn read_all(&mut self) -> Result<(), StoreError> {
        let request = |table: &SeriesTable| {
            let sql = table.arrays_sql(&self.span_us, self.lookback_rows);
            Request::query(format!("read {}", table.place()), sql, Vec::new())
        };
        let requests = self.tables.iter().map(request).collect();
        let mut answers = self.session.at_once(requests);
        for table in &self.tables {
            self.read.push(table.read_rows(&answers.rows()?)?);
        }
        Ok(())
    }

    /// Asks for the last instant of all series.
    fn read_lasts(&mut self) -> Result<(), StoreError> {
        let request = |table: &SeriesTable| {
            let doing = format!("read the last row of {}", table.place());
            Request::query(doing, table.last_sql(None), Vec::new())
        };
        let requests = self.tables.iter().map(request).collect();
        let mut answers = self.session.at_once(requests);
        for _ in &self.tables {
            self.lasts.push(first_value(&answers.rows()?)?.flatten());
        }
        Ok(())
    }
}

impl SeriesTable {
    /// Returns a query for one row: the instants and values of a span, and those of the last rows before it, as arrays.
    fn arrays_sql(&self, span_us: &Range<i64>, lookback_rows: usize) -> String {
        let arrays = |rows: String| format!("({})", arrays_sql(&rows, self.format, ""));
        let rows = arrays(format!("{} LIMIT {}", self.span_sql(span_us), ROWS_AT_ONCE_MAX + 1));
        match lookback_rows {
            0 => format!("SELECT * FROM {rows} span"),
            _ => {
                let before = arrays(self.before_sql(span_us.start, lookback_rows.min(ROWS_AT_ONCE_MAX)));
                format!("SELECT * FROM {rows} span, {before} before")
            }
        }
    }

    /// Reads the answer to that query.
    fn read_rows(&self, rows: &[AnswerRow]) -> Result<ReadRows, StoreError> {
        let row = rows.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        let arrays = |column| self.arrays(row, column).ok().flatten();
        let rows = arrays(0).filter(|rows| rows.instants_us.len() <= ROWS_AT_ONCE_MAX);
        let before = (row.columns() > 2).then(|| arrays(2)).flatten();
        Ok(ReadRows { rows, before })
    }
}

impl Snapshot for OpenTables {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        if span_us == self.span_us {
            if self.read.is_empty() {
                self.read_all()?;
            }
            if let Some(rows) = self.read[series].rows.take() {
                return Ok(rows);
            }
        }
        let table = &self.tables[series];
        table.read(&mut self.session, &table.span_sql(&span_us))
    }

    fn rows_before(
        &mut self,
        series: usize,
        instant_us: i64,
        count: usize,
    ) -> Result<SeriesRows, StoreError> {
        let most = self.lookback_rows.min(ROWS_AT_ONCE_MAX);
        if let Some(ReadRows { before: Some(before), .. }) = self.read.get(series)
            && instant_us == self.span_us.start
            && count <= most
        {
            let first = before.instants_us.len().saturating_sub(count);
            let (instants_us, values) = (&before.instants_us[first..], &before.values[first..]);
            return Ok(SeriesRows { instants_us: instants_us.to_vec(), values: values.to_vec() });
        }
        let table = &self.tables[series];
        table.read(&mut self.session, &table.before_sql(instant_us, count))
    }

    fn base(&mut self, series: usize) -> Result<Option<f64>, StoreError> {
        let (Some(bases), Some(key)) = (&self.bases, &self.keys[series]) else { return Ok(None) };
        Ok(bases::read(&mut self.session, bases.checked()?, key)?.map(|base| base.close))
    }

    fn count(&mut self, series: usize, span_us: Range<i64>) -> Result<u64, StoreError> {
        self.tables[series].count(&mut self.session, &span_us)
    }

    fn last_us(&mut self, series: usize) -> Result<Option<i64>, StoreError> {
        if self.lasts.is_empty() {
            self.read_lasts()?;
        }
        self.lasts[series].map(|last| self.tables[series].finite_us(last)).transpose()
    }

    fn has_writers(&mut self) -> Result<bool, StoreError> {
        let sql = format!("SELECT {}", writers_sql(&self.tables));
        let rows = self.session.rows("look for transactions that write to source tables", &sql, &[])?;
        Ok(first_value(&rows)?.unwrap_or(true))
    }
}

impl Drop for OpenTables {
    fn drop(&mut self) {
        self.session.roll_back();
    }
}
