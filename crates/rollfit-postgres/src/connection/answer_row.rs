//! [`AnswerRow`]: a row of an answer, whose columns may be others than were asked for.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollfit_job::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::FromSql;

/// A row of the server's answer to a query.
#[derive(Debug)]
pub(crate) struct AnswerRow {
    row: Row,
    /// Set when the session must not be used again.
    is_wrong: Arc<AtomicBool>,
}

impl AnswerRow {
    pub(crate) fn new(row: Row, is_wrong: &Arc<AtomicBool>) -> Self {
        Self { row, is_wrong: Arc::clone(is_wrong) }
    }

    /// Returns the number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.row.len()
    }

    /// Returns a value. The queries are ours, so it has the type that is asked for, unless the server, or a pooler that mixes up
    /// answers, is not what it says.
    pub(crate) fn get<'a, I, T>(&'a self, index: I) -> Result<T, StoreError>
    where
        I: RowIndex + Display,
        T: FromSql<'a>,
    {
        self.row.try_get(index).map_err(|error| {
            self.is_wrong.store(true, Ordering::Relaxed);
            let message = "the server's answer to a query has another form than was asked for: this is not a PostgreSQL \
                           server, or a pooler before it mixes up answers";
            StoreError::permanent(format!("{message} ({error})"))
        })
    }
}

/// Returns the first value of the first row; none without a row.
pub(crate) fn first_value<'a, T: FromSql<'a>>(rows: &'a [AnswerRow]) -> Result<Option<T>, StoreError> {
    rows.first().map(|row| row.get(0)).transpose()
}
