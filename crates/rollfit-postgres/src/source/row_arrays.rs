//! Rows of a series as two arrays, instants and values, in one row of an answer: in the round trip of whatever else is asked.
//!
//! Invariants: no row is missing. Long values are left out of the array of values, which is shorter than that of the instants then, so
//! that the rows must be read by COPY, and an answer has a bounded length.

use rollfit_job::store::{SeriesRows, StoreError};

use crate::connection::answer_row::AnswerRow;
use crate::copy::column_number::ColumnNumber;
use crate::copy::decode::NumberFormat;
use crate::copy::instant::ServerInstant;
use crate::source::SeriesTable;

/// The most bytes of a NUMERIC in an array: some 45 digits. A row has at most 48 bytes with its instant and both lengths.
const NUMERIC_BYTES_MAX: usize = 32;

/// Returns a query for the arrays of what `rows` gives, instants and values. Without `order` their order is that of `rows`.
pub(super) fn arrays_sql(rows: &str, format: NumberFormat, order: &str) -> String {
    // The size on disk may be that of a compressed value.
    let short = match format {
        NumberFormat::Double | NumberFormat::Single => String::new(),
        NumberFormat::Numeric => format!(
            " FILTER (WHERE r.v IS NULL OR pg_catalog.octet_length(pg_catalog.numeric_send(r.v)) <= {NUMERIC_BYTES_MAX})"
        ),
    };
    format!("SELECT array_agg(r.t{order}) AS t, array_agg(r.v{order}){short} AS v FROM ({rows}) r (t, v)")
}

impl SeriesTable {
    /// Returns the rows whose instants and values are in two columns of an answer; none if values were left out.
    pub(super) fn arrays(&self, row: &AnswerRow, column: usize) -> Result<Option<SeriesRows>, StoreError> {
        let instants: Vec<ServerInstant> = row.get::<_, Option<_>>(column)?.unwrap_or_default();
        let values: Vec<Option<ColumnNumber>> = row.get::<_, Option<_>>(column + 1)?.unwrap_or_default();
        if instants.len() != values.len() {
            return Ok(None);
        }
        let mut rows = SeriesRows::default();
        for (instant, value) in instants.into_iter().zip(values) {
            self.add(&mut rows, instant, value.map_or(f64::NAN, |ColumnNumber(number)| number))?;
        }
        if rows.instants_us.is_sorted() {
            return Ok(Some(rows));
        }
        Err(StoreError::permanent(format!(
            "{}: the server did not sort the rows by {}",
            self.place(),
            self.time
        )))
    }
}
