//! [`Batch`]: consecutive rows of a file, read but not yet put into order.

use std::collections::BTreeMap;

use rollfit_job::import::Bar;

use super::lines::Lines;
use super::row_refusal::RowRefusal;
use crate::error::{DropCause, FileLine, ImportError};
use crate::formats::Format;

/// Consecutive rows. Every bar comes before the row that stopped the reading.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows_read: u64,
    pub(crate) bars: Vec<Bar>,
    pub(crate) lines: Lines,
    /// The further columns, a value per bar each.
    pub(crate) columns: Vec<Vec<f64>>,
    /// Rows that ended after the close and were kept.
    pub(crate) short_rows: u64,
    /// Rows that lenient reading dropped.
    pub(crate) dropped: BTreeMap<DropCause, u64>,
    /// What was wrong with the first of them.
    pub(crate) first_error: Option<ImportError>,
    /// What ends the reading of the file.
    pub(crate) stop: Option<ImportError>,
}

impl Batch {
    pub(crate) fn with_room(bars: usize, columns: usize) -> Self {
        let columns = vec![Vec::with_capacity(bars); columns];
        Self { bars: Vec::with_capacity(bars), columns, ..Self::default() }
    }

    pub(crate) fn keep(&mut self, number: u64, bar: Bar, values: &[f64]) {
        self.bars.push(bar);
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(*value));
        self.lines.push(number);
    }

    /// Stops at a row, or counts it when that is allowed.
    pub(crate) fn refuse(
        &mut self,
        lenient: bool,
        refusal: RowRefusal,
        place: impl FnOnce() -> FileLine,
        shown: impl FnOnce() -> String,
        hint: Option<Format>,
    ) {
        match refusal.drop_cause().filter(|_| lenient) {
            None => self.stop = Some(refusal.into_error(place(), shown(), hint)),
            Some(cause) => {
                *self.dropped.entry(cause).or_insert(0) += 1;
                self.first_error.get_or_insert_with(|| refusal.into_error(place(), shown(), hint));
            }
        }
    }
}
