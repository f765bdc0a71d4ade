//! [`AnswerRow`]: a row of a server's answer. A server may be anything that speaks its protocol: a value of another type
//! than the query gives is an error.

use std::fmt::Display;

use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::FromSql;

/// A row of an answer.
#[derive(Debug)]
pub(crate) struct AnswerRow(tokio_postgres::Row);

impl From<tokio_postgres::Row> for AnswerRow {
    fn from(row: tokio_postgres::Row) -> Self {
        Self(row)
    }
}

impl AnswerRow {
    /// Returns the value of a column.
    pub(crate) fn get<'a, I, T>(&'a self, column: I) -> Result<T, StoreError>
    where
        I: RowIndex + Display,
        T: FromSql<'a>,
    {
        self.0.try_get(column).map_err(|error| {
            let message = "the server answered with a value of another type than the query has; check that the URL \
                           leads to a PostgreSQL server";
            StoreError::caused_by(Fault::Permanent, message, error)
        })
    }
}

/// Returns the first value of the first row; none without a row.
pub(crate) fn first_value<'a, T: FromSql<'a>>(rows: &'a [AnswerRow]) -> Result<Option<T>, StoreError> {
    rows.first().map(|row| row.get(0)).transpose()
}
