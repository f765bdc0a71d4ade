//! [`SplitKey`] and [`OpenSplit`]: the rows of one key in a [`Split`].

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rollfit_job::store::{SeriesRows, StoreError};

use crate::fault::file_error;
use crate::sources::long::key_index::KeyRows;
use crate::sources::long::split::Split;

/// The rows of a key, of which only the number is known.
#[derive(Clone)]
pub(crate) struct SplitKey {
    split: Arc<Split>,
    number: u32,
}

impl SplitKey {
    /// The rows of a key; none where it has none.
    ///
    /// # Errors
    /// When its instants do not rise.
    pub(super) fn find(split: Arc<Split>, key: &str) -> Result<Option<Self>, StoreError> {
        let Some(number) = split.keys.number(key) else { return Ok(None) };
        match &split.keys.key(number).fault {
            Some(fault) => Err(StoreError::permanent(fault.clone())),
            None => Ok(Some(Self { split, number })),
        }
    }

    fn key(&self) -> &KeyRows {
        self.split.keys.key(self.number)
    }

    /// The first and the last instant.
    pub(crate) fn span_us(&self) -> Option<(i64, i64)> {
        self.key().span_us()
    }

    /// How many rows are in the months within a span.
    pub(crate) fn rows_within(&self, span_us: &Range<i64>) -> u64 {
        self.key().rows_within(span_us)
    }

    /// Whether both are of the same files.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.split, &other.split) && self.number == other.number
    }

    /// The rows with the values of a column, which is one of those that are copied.
    pub(crate) fn open(self, value: &str) -> Result<OpenSplit, StoreError> {
        let columns = &self.split.columns;
        let at = columns.values.iter().position(|known| known == value).ok_or_else(|| {
            StoreError::permanent(format!("{}: column `{value}` is not read", columns.dir.display()))
        })?;
        let copy = self.split.copy_with(self.number)?;
        Ok(OpenSplit { key: self, copy, column: 1 + at as u64 })
    }
}

/// The rows of a key and of one column, in a copy that does not change.
pub(crate) struct OpenSplit {
    pub(crate) key: SplitKey,
    copy: Arc<File>,
    column: u64,
}

impl OpenSplit {
    /// The rows within `span_us`.
    pub(crate) fn rows(&self, span_us: &Range<i64>) -> Result<SeriesRows, StoreError> {
        self.read(self.before(span_us.start)?..self.before(span_us.end)?)
    }

    /// The last `count` rows before `instant_us`, or all there are.
    pub(crate) fn rows_before(&self, instant_us: i64, count: usize) -> Result<SeriesRows, StoreError> {
        let end = self.before(instant_us)?;
        self.read(end.saturating_sub(count as u64)..end)
    }

    /// How many rows lie within `span_us`.
    pub(crate) fn count(&self, span_us: &Range<i64>) -> Result<u64, StoreError> {
        Ok(self.before(span_us.end)?.saturating_sub(self.before(span_us.start)?))
    }

    /// How many rows are before an instant.
    fn before(&self, instant_us: i64) -> Result<u64, StoreError> {
        let (mut start, mut end) = (0, self.key.key().rows);
        while start < end {
            let middle = start + (end - start) / 2;
            let is_before = self.words(0, middle..middle + 1)?[0] < instant_us;
            (start, end) = if is_before { (middle + 1, end) } else { (start, middle) };
        }
        Ok(start)
    }

    fn read(&self, rows: Range<u64>) -> Result<SeriesRows, StoreError> {
        let rows = rows.start..rows.end.max(rows.start);
        let values = self.words(self.column, rows.clone())?;
        Ok(SeriesRows {
            instants_us: self.words(0, rows)?,
            values: values.into_iter().map(|word| f64::from_bits(word.cast_unsigned())).collect(),
        })
    }

    /// The words of some rows in one column of the copy.
    fn words(&self, column: u64, rows: Range<u64>) -> Result<Vec<i64>, StoreError> {
        let split = &self.key.split;
        let mut bytes = vec![0; 8 * (rows.end - rows.start) as usize];
        let offset = 8 * (column * split.keys.rows() + self.key.key().first_row + rows.start);
        self.copy.read_exact_at(&mut bytes, offset).map_err(|error| {
            let what = format!("read the copy of the rows of {} in", split.columns.dir.display());
            file_error(&what, &split.columns.copy_dir, error)
        })?;
        let (words, _) = bytes.as_chunks();
        Ok(words.iter().map(|word| i64::from_le_bytes(*word)).collect())
    }
}
