//! [`Runs`]: the moments of the runs of one length that end at the latest rows, no more of them than longer runs need,
//! so that those of all lengths stay in cache.

use std::ops::Range;

use crate::lanes::Lanes;
use crate::moments::Moments;

/// Eight rows of a column.
pub(crate) type Eight = [f64; Lanes::COUNT];

/// Rows that go through all steps before the next: enough to make a step's beginning cheap, few enough that what it
/// leaves is still in cache for the next.
pub(crate) const BLOCK_ROWS: usize = 192;

/// Runs in the order of their rows, the four moments in a column each.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    columns: Moments<Vec<f64>>,
    /// How many rows before a block are kept, a multiple of eight.
    back_rows: usize,
    /// The rows that there is room for behind those, a multiple of a block.
    room_rows: usize,
    /// The first of the rows in that room.
    first_row: usize,
}

impl Runs {
    /// Room for a block of runs and the `back_rows` runs before it.
    pub(crate) fn new(back_rows: usize) -> Self {
        let back_rows = back_rows.next_multiple_of(Lanes::COUNT);
        // Long columns are moved back to their beginning once in two lengths.
        let room_rows = (2 * back_rows / BLOCK_ROWS).max(1) * BLOCK_ROWS;
        let column = || vec![0.0; back_rows + room_rows];
        let columns = Moments { mean: column(), p1: column(), p2: column(), squares: column() };
        Self { columns, back_rows, room_rows, first_row: 0 }
    }

    /// Makes `block` the first of the rows.
    pub(crate) fn begin(&mut self, block: usize) {
        self.first_row = block;
    }

    /// Makes room for `block`: where there is none left, what is kept of the rows before moves to the beginning.
    #[inline(always)]
    pub(crate) fn advance(&mut self, block: usize) {
        if block == self.first_row + self.room_rows {
            let kept = self.room_rows..self.room_rows + self.back_rows;
            self.columns.as_mut().map(|column| column.copy_within(kept.clone(), 0));
            self.first_row = block;
        }
    }

    /// The runs that end at `rows`: of the last block, or as many rows before it as are kept.
    #[inline(always)]
    pub(crate) fn read(&self, rows: Range<usize>) -> Moments<&[Eight]> {
        let at = self.place(rows.start);
        self.columns.as_ref().map(|column| column[at..at + rows.len()].as_chunks().0)
    }

    /// Where to write the runs that end at `rows`.
    #[inline(always)]
    pub(crate) fn write(&mut self, rows: Range<usize>) -> Moments<&mut [Eight]> {
        let at = self.place(rows.start);
        self.columns.as_mut().map(|column| column[at..at + rows.len()].as_chunks_mut().0)
    }

    /// The run that ends at `row`.
    pub(crate) fn get(&self, row: usize) -> Moments<f64> {
        self.columns.as_ref().map(|column| column[self.place(row)])
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        row + self.back_rows - self.first_row
    }
}
