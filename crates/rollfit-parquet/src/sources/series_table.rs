//! [`SeriesTable`]: the rows of one series of one key, open: those of files of their own, and those among the rows of a file of
//! many keys.

use std::ops::Range;
use std::sync::Arc;

use rollfit_job::month::display_instant;
use rollfit_job::store::{SeriesOfKey, SeriesRows, StoreError};

use crate::sources::file_spans::FileSpans;
use crate::sources::long::{OpenSplit, SplitKey};
use crate::sources::open_table::OpenTable;

/// Where the rows of a series of one key are.
#[derive(Clone)]
pub(crate) struct SeriesListing {
    /// The files that have no rows of other keys.
    pub(crate) files: Arc<Vec<FileSpans>>,
    /// The rows in files of many keys.
    pub(crate) split: Option<SplitKey>,
}

impl SeriesListing {
    /// The first and the last instant of each part.
    pub(crate) fn spans_us(&self) -> Vec<(i64, i64)> {
        let of_split = self.split.as_ref().and_then(SplitKey::span_us);
        self.files.iter().filter_map(FileSpans::span_us).chain(of_split).collect()
    }

    /// About how many rows lie within `span_us`.
    pub(crate) fn estimate_rows(&self, span_us: &Range<i64>) -> u64 {
        let of_split = self.split.as_ref().map_or(0, |split| split.rows_within(span_us));
        self.files.iter().map(|file| file.estimate_rows(span_us)).sum::<u64>() + of_split
    }
}

/// The open rows of a series of one key.
pub(crate) struct SeriesTable {
    pub(crate) files: OpenTable,
    split: Option<OpenSplit>,
    table: String,
    key: String,
}

impl SeriesTable {
    /// The rows of `files`, which are open, and of `split`.
    pub(crate) fn open(
        series: &SeriesOfKey<'_>,
        files: OpenTable,
        split: Option<SplitKey>,
    ) -> Result<Self, StoreError> {
        let split = split.map(|split| split.open(series.value)).transpose()?;
        Ok(Self { files, split, table: series.table.clone(), key: series.key.to_owned() })
    }

    /// Whether `listed` is what the series had.
    pub(crate) fn is_of(&self, listed: &SeriesListing) -> bool {
        let is_same_split = match (&self.split, &listed.split) {
            (Some(open), Some(listed)) => open.key.is_of(listed),
            (None, None) => true,
            _ => false,
        };
        is_same_split && self.files.is_of(&listed.files)
    }

    /// The rows within `span_us`.
    pub(crate) fn rows(&self, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        match &self.split {
            None => self.files.rows(span_us),
            Some(split) => self.merged(split.rows(&span_us)?, self.files.rows(span_us)?),
        }
    }

    /// The last `count` rows before `instant_us`, or all there are.
    pub(crate) fn rows_before(&mut self, instant_us: i64, count: usize) -> Result<SeriesRows, StoreError> {
        let of_files = self.files.rows_before(instant_us, count)?;
        let Some(split) = &self.split else { return Ok(of_files) };
        let mut rows = self.merged(split.rows_before(instant_us, count)?, of_files)?;
        let excess = rows.instants_us.len().saturating_sub(count);
        rows.instants_us.drain(..excess);
        rows.values.drain(..excess);
        Ok(rows)
    }

    /// How many rows lie within `span_us`.
    pub(crate) fn count(&self, span_us: &Range<i64>) -> Result<u64, StoreError> {
        let of_split = self.split.as_ref().map_or(Ok(0), |split| split.count(span_us))?;
        Ok(self.files.count(span_us)? + of_split)
    }

    /// The last instant, in files that are not open too.
    pub(crate) fn last_us(&self) -> Option<i64> {
        let of_split = self.split.as_ref().and_then(|split| split.key.span_us());
        self.files.last_us().max(of_split.map(|(_, last_us)| last_us))
    }

    /// Rows of both kinds in the order of their instants.
    fn merged(&self, a: SeriesRows, b: SeriesRows) -> Result<SeriesRows, StoreError> {
        if a.instants_us.is_empty() || b.instants_us.is_empty() {
            return Ok(if a.instants_us.is_empty() { b } else { a });
        }
        let mut rows: Vec<(i64, f64)> =
            [a, b].into_iter().flat_map(|rows| rows.instants_us.into_iter().zip(rows.values)).collect();
        rows.sort_by_key(|&(instant_us, _)| instant_us);
        if let Some(twice) = rows.windows(2).find(|rows| rows[0].0 == rows[1].0) {
            return Err(StoreError::permanent(format!(
                "table {}: key `{}`: {} occurs twice, in a file of the key's own directory and in a file of many keys; remove one \
                 of the rows",
                self.table,
                self.key,
                display_instant(twice[0].0)
            )));
        }
        let (instants_us, values) = rows.into_iter().unzip();
        Ok(SeriesRows { instants_us, values })
    }
}
