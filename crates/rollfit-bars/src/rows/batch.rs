//! [`Batch`]: consecutive rows of a file, read but not yet put into order.

use std::collections::BTreeMap;
use std::ops::Range;

use rollfit_job::import::Bar;

use super::key_state::KeyState;
use super::lines::Lines;
use super::row_refusal::RowRefusal;
use crate::error::{DropCause, FileLine, ImportError};
use crate::formats::Format;

/// Consecutive rows of all keys. Every bar comes before the row that stopped the reading.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bars: Vec<Bar>,
    pub(crate) lines: Lines,
    /// The further columns, a value per bar each.
    pub(crate) columns: Vec<Vec<f64>>,
    /// Rows that ended after the close and were kept.
    pub(crate) short_rows: u64,
    /// The keys, in the order in which they appear.
    pub(crate) keys: Vec<BatchKey>,
    /// Which rows are of which key, in the order of the file.
    pub(crate) runs: Vec<KeyRun>,
    /// The rows before the first whose key can be read.
    pub(crate) keyless: RowCounts,
    /// What ends the reading of the file.
    pub(crate) stop: Option<ImportError>,
    /// Whether a row was refused that may be a bar after the rows before these.
    pub(crate) depends_on_earlier_rows: bool,
    /// The names of the keys, one after the other.
    names: String,
}

/// A key of a batch.
#[derive(Debug)]
pub(crate) struct BatchKey {
    name: Range<usize>,
    /// The line of its first row.
    pub(crate) first_line: u64,
    /// What its rows say.
    pub(crate) state: KeyState,
    pub(crate) counts: RowCounts,
}

/// Rows of one key that follow one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRun {
    /// Which of the keys.
    pub(crate) key: usize,
    /// The first bar behind them; they may have none.
    pub(crate) end: usize,
}

/// What became of rows that are no bars.
#[derive(Debug, Default)]
pub(crate) struct RowCounts {
    /// All rows.
    pub(crate) rows_read: u64,
    /// Rows that lenient reading dropped.
    pub(crate) dropped: BTreeMap<DropCause, u64>,
    /// What was wrong with the first of them.
    pub(crate) first_error: Option<ImportError>,
}

impl Batch {
    pub(crate) fn with_room(bars: usize, columns: usize) -> Self {
        let columns = vec![Vec::with_capacity(bars); columns];
        Self { bars: Vec::with_capacity(bars), columns, ..Self::default() }
    }

    pub(crate) fn name(&self, key: &BatchKey) -> &str {
        &self.names[key.name.clone()]
    }

    /// The key of the row before, and its index.
    pub(crate) fn last_key(&self) -> Option<(usize, &str)> {
        self.runs.last().map(|run| (run.key, self.name(&self.keys[run.key])))
    }

    /// Begins a key with the row in a line; returns its index.
    pub(crate) fn add_key(&mut self, name: &str, first_line: u64, state: KeyState) -> usize {
        let start = self.names.len();
        self.names.push_str(name);
        let name = start..self.names.len();
        self.keys.push(BatchKey { name, first_line, state, counts: RowCounts::default() });
        self.keys.len() - 1
    }

    /// Goes on with rows of another key than that of the row before.
    pub(crate) fn begin_run(&mut self, key: usize) {
        self.runs.push(KeyRun { key, end: self.bars.len() });
    }

    /// Where a row is counted: with its key, or that of the row before where it has none.
    fn counts(&mut self) -> &mut RowCounts {
        match self.runs.last() {
            Some(run) => &mut self.keys[run.key].counts,
            None => &mut self.keyless,
        }
    }

    pub(crate) fn count_row(&mut self) {
        self.counts().rows_read += 1;
    }

    pub(crate) fn keep(&mut self, number: u64, bar: Bar, values: &[f64]) {
        self.bars.push(bar);
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(*value));
        self.lines.push(number);
        if let Some(run) = self.runs.last_mut() {
            run.end += 1;
        }
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
        self.depends_on_earlier_rows |= refusal.depends_on_earlier_rows();
        match refusal.drop_cause().filter(|_| lenient) {
            None => self.stop = Some(refusal.into_error(place(), shown(), hint)),
            Some(cause) => {
                let counts = self.counts();
                *counts.dropped.entry(cause).or_insert(0) += 1;
                counts.first_error.get_or_insert_with(|| refusal.into_error(place(), shown(), hint));
            }
        }
    }
}
