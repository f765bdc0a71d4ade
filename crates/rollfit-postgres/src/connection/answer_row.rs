//! [`AnswerRow`]: a row of an answer, whose columns may be others than were asked for.

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollfit_job::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::{FromSql, Kind, Type};

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
        let value = self.row.try_get::<_, Option<Plausible>>(&index).and_then(|_| self.row.try_get(&index));
        value.map_err(|error| {
            self.is_wrong.store(true, Ordering::Relaxed);
            let message = "the server's answer to a query has another form than was asked for: this is not a PostgreSQL \
                           server, or a pooler before it mixes up answers";
            StoreError::permanent(format!("{message} ({error})"))
        })
    }
}

/// The most elements of an array, which take about 100 MB as names. A table has 1,600 columns.
const ELEMENTS_MAX: u64 = 4_000_000;

/// A value that may be decoded. Memory is taken for as many elements as an array says it has, before any of them is read.
struct Plausible;

impl FromSql<'_> for Plausible {
    fn from_sql(kind: &Type, bytes: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match kind.kind() {
            Kind::Array(_) if !has_elements(bytes) => {
                Err("an array says that it has more elements than there can be".into())
            }
            _ => Ok(Self),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Whether there are as many elements as an array says. In binary form it has the number of dimensions, two words that do not matter here, two
/// words a dimension, of which the first is its length, and the elements, each behind its length of four bytes.
fn has_elements(array: &[u8]) -> bool {
    let word = |at: usize| {
        array.get(4 * at..4 * at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    };
    let Some(dimensions @ 0..=6) = word(0) else { return false };
    let lengths: Option<Vec<u64>> =
        (0..dimensions as usize).map(|at| word(3 + 2 * at).map(u64::from)).collect();
    let elements = lengths.map_or(u64::MAX, |lengths| lengths.into_iter().fold(1, u64::saturating_mul));
    dimensions == 0 || elements <= ELEMENTS_MAX.min(array.len() as u64 / 4)
}

/// Returns the first value of the first row; none without a row.
pub(crate) fn first_value<'a, T: FromSql<'a>>(rows: &'a [AnswerRow]) -> Result<Option<T>, StoreError> {
    rows.first().map(|row| row.get(0)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn an_array_that_says_it_has_more_elements_than_it_has_is_not_decoded() {
        let two = array(&[1, 0, 23, 2, 1, 4, 7, 4, 8]);
        let claims = |count: u32| [&two[..12], &count.to_be_bytes(), &two[16..]].concat();
        assert!(has_elements(&two) && has_elements(&array(&[0, 0, 23])));
        for wrong in [
            claims(990_000_000),
            claims(u32::MAX),
            array(&[6, 0, 23, 9, 9]),
            array(&[7, 0, 23]),
            vec![0; 3],
            vec![],
        ] {
            assert!(!has_elements(&wrong), "{wrong:?}");
            assert!(Plausible::from_sql(&Type::INT4_ARRAY, &wrong).is_err());
            assert!(Plausible::from_sql(&Type::BYTEA, &wrong).is_ok(), "no array");
        }
        assert!(Plausible::from_sql(&Type::INT4_ARRAY, &two).is_ok());
        let many = |count: usize| {
            [&two[..12], &(count as u32).to_be_bytes(), &two[16..20], &vec![0; 4 * count]].concat()
        };
        assert!(has_elements(&many(1_000_000)) && !has_elements(&many(4_000_001)));
    }
}
