//! [`Runs`]: the runs of one length that end at the latest rows, no more of them than longer runs need, so that those of
//! all lengths stay in cache.

use std::ops::Range;

use crate::lanes::Lanes;
use crate::moments::{Moments, Run};

/// Eight rows of a column.
pub(crate) type Eight = [f64; Lanes::COUNT];

/// Rows that go through all steps before the next: enough to make a step's beginning cheap, few enough that what it
/// leaves is still in cache for the next.
pub(crate) const BLOCK_ROWS: usize = 192;

/// Runs in the order of their rows, each of their numbers in a column. The sums of squared residuals are there where the
/// kernel computes them.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    columns: Moments<Vec<f64>>,
    residuals: Vec<f64>,
    /// How many rows before a block are kept, a multiple of eight.
    back_rows: usize,
    /// What a row's place in the columns exceeds its number by, modulo the range of numbers.
    offset: usize,
}

impl Runs {
    /// Room for a block of runs and the `back_rows` runs before it.
    pub(crate) fn new(back_rows: usize) -> Self {
        let back_rows = back_rows.next_multiple_of(Lanes::COUNT);
        // Long columns are moved back to their beginning once in two lengths.
        let room_rows = (2 * back_rows / BLOCK_ROWS).max(1) * BLOCK_ROWS;
        let column = || vec![0.0; back_rows + room_rows];
        let columns = Moments { mean: column(), p1: column(), p2: column(), squares: column() };
        Self { columns, residuals: column(), back_rows, offset: 0 }
    }

    /// Makes `row` the first row, without runs before it.
    pub(crate) fn begin(&mut self, row: usize) {
        self.offset = self.back_rows.wrapping_sub(row);
    }

    /// Counts rows from `rows` later on.
    pub(crate) fn count_from(&mut self, rows: usize) {
        self.offset = self.offset.wrapping_add(rows);
    }

    /// Makes room for `block`: where there is not enough left, what is kept of the rows before moves to the beginning.
    #[inline(always)]
    pub(crate) fn advance(&mut self, block: Range<usize>, with_residuals: bool) {
        if self.place(block.end) > self.residuals.len() {
            let end = self.place(block.start);
            let kept = end - self.back_rows..end;
            self.columns.as_mut().map(|column| column.copy_within(kept.clone(), 0));
            if with_residuals {
                self.residuals.copy_within(kept, 0);
            }
            self.begin(block.start);
        }
    }

    /// The runs that end at `rows`: of the last block, or as many rows before it as are kept.
    #[inline(always)]
    pub(crate) fn read(&self, rows: Range<usize>) -> Run<&[Eight]> {
        let at = self.place(rows.start);
        Run {
            moments: self.columns.as_ref().map(|column| column[at..at + rows.len()].as_chunks().0),
            residuals: self.residuals[at..at + rows.len()].as_chunks().0,
        }
    }

    /// Where to write the runs that end at `rows`.
    #[inline(always)]
    pub(crate) fn write(&mut self, rows: Range<usize>) -> Run<&mut [Eight]> {
        let at = self.place(rows.start);
        Run {
            moments: self.columns.as_mut().map(|column| column[at..at + rows.len()].as_chunks_mut().0),
            residuals: self.residuals[at..at + rows.len()].as_chunks_mut().0,
        }
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        row.wrapping_add(self.offset)
    }
}
