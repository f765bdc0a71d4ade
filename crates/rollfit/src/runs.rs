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
/// kernel makes them.
///
/// Few runs are moved to the beginning of their columns for each block. Many are in a ring instead, which has its first block
/// once more behind its end, so that no block ever wraps.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    columns: Moments<Vec<f64>>,
    residuals: Vec<f64>,
    /// How many runs before a block are kept, a multiple of eight.
    back_rows: usize,
    /// The first row of the latest block, and its place in the columns.
    block_row: usize,
    block_place: usize,
}

impl Runs {
    /// Room for a block of runs and the `back_rows` runs before it.
    pub(crate) fn new(back_rows: usize) -> Self {
        let back_rows = back_rows.next_multiple_of(Lanes::COUNT);
        let repeated_rows = if back_rows > BLOCK_ROWS { BLOCK_ROWS } else { 0 };
        let column = || vec![0.0; back_rows + BLOCK_ROWS + repeated_rows];
        let columns = Moments { mean: column(), p1: column(), p2: column(), squares: column() };
        Self { columns, residuals: column(), back_rows, block_row: 0, block_place: back_rows }
    }

    /// Makes `row` the first of the next block, without runs before it.
    pub(crate) fn begin(&mut self, row: usize) {
        (self.block_row, self.block_place) = (row, self.back_rows);
    }

    /// Makes `row` the first of the next block; the runs before it are kept.
    #[inline(always)]
    pub(crate) fn advance(&mut self, row: usize, with_residuals: bool) {
        let place = self.place(row);
        if self.is_ring() {
            (self.block_row, self.block_place) = (row, place);
        } else {
            self.copy(place - self.back_rows..place, 0, with_residuals);
            self.begin(row);
        }
    }

    /// Counts rows from `rows` later on.
    pub(crate) fn count_from(&mut self, rows: usize) {
        self.block_row = self.block_row.wrapping_sub(rows);
    }

    /// The runs that end at `rows`: of the latest block, or as many rows before it as are kept.
    #[inline(always)]
    pub(crate) fn read(&self, rows: Range<usize>) -> Run<&[Eight]> {
        let places = self.places(rows);
        Run {
            moments: self.columns.as_ref().map(|column| column[places.clone()].as_chunks().0),
            residuals: self.residuals[places.clone()].as_chunks().0,
        }
    }

    /// Where to write the runs that end at `rows`. Calls for [`Runs::repeat`] once that is done.
    #[inline(always)]
    pub(crate) fn write(&mut self, rows: Range<usize>) -> Run<&mut [Eight]> {
        let places = self.places(rows);
        Run {
            moments: self.columns.as_mut().map(|column| column[places.clone()].as_chunks_mut().0),
            residuals: self.residuals[places.clone()].as_chunks_mut().0,
        }
    }

    /// Copies what was written of `rows` behind the end of the ring to its beginning, and the other way round.
    #[inline(always)]
    pub(crate) fn repeat(&mut self, rows: Range<usize>, with_residuals: bool) {
        if self.is_ring() {
            let (ring_rows, places) = (self.ring_rows(), self.places(rows));
            if places.end > ring_rows {
                self.copy(ring_rows..places.end, 0, with_residuals);
            }
            if places.start < BLOCK_ROWS {
                self.copy(places.start..places.end.min(BLOCK_ROWS), ring_rows + places.start, with_residuals);
            }
        }
    }

    fn is_ring(&self) -> bool {
        self.back_rows > BLOCK_ROWS
    }

    /// Those of a block, and those before it that are kept.
    fn ring_rows(&self) -> usize {
        self.back_rows + BLOCK_ROWS
    }

    #[inline(always)]
    fn copy(&mut self, places: Range<usize>, to: usize, with_residuals: bool) {
        self.columns.as_mut().map(|column| column.copy_within(places.clone(), to));
        if with_residuals {
            self.residuals.copy_within(places, to);
        }
    }

    #[inline(always)]
    fn places(&self, rows: Range<usize>) -> Range<usize> {
        let place = self.place(rows.start);
        place..place + rows.len()
    }

    /// The place of a row of the latest block or the next, or of a row before it that is kept.
    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let place = (self.block_place + row).wrapping_sub(self.block_row);
        if self.is_ring() {
            // Before the beginning it wraps to a number beyond any place.
            let place = if place < self.ring_rows() + BLOCK_ROWS {
                place
            } else {
                place.wrapping_add(self.ring_rows())
            };
            return if place < self.ring_rows() { place } else { place - self.ring_rows() };
        }
        place
    }
}
