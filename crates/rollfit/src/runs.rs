//! [`Runs`]: the moments of the runs of one length that end at the latest rows, kept in a ring that is as short as
//! longer runs allow, so that all rings of usual windows stay in the first-level cache.

use std::ops::Range;

use crate::moments::Moments;

/// Eight rows of a column.
pub(crate) type Eight = [f64; 8];

/// Rows that go through all steps before the next: enough to hide latencies, few enough that what one step leaves is
/// still in the first-level cache for the next.
pub(crate) const BLOCK_ROWS: usize = 64;

/// A ring of runs: row `r` stands at `r` modulo a power of two, the four moments in a column each.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    columns: Moments<Column>,
    ring_rows: usize,
}

impl Runs {
    /// A ring that still holds the runs `back_rows` rows before a block when the block is made.
    pub(crate) fn new(back_rows: usize) -> Self {
        let ring_rows = (back_rows + BLOCK_ROWS).next_power_of_two();
        let column = || Column::new(ring_rows + BLOCK_ROWS);
        Self { columns: Moments { mean: column(), p1: column(), p2: column(), squares: column() }, ring_rows }
    }

    /// The runs that end at `rows`, at most a block of them.
    #[inline(always)]
    pub(crate) fn read(&self, rows: Range<usize>) -> Moments<&[Eight]> {
        let at = self.place(rows.start);
        self.columns.as_ref().map(|column| column.aligned()[at..at + rows.len()].as_chunks().0)
    }

    /// Where to write the runs that end at `rows`, which are all of one block.
    #[inline(always)]
    pub(crate) fn write(&mut self, rows: Range<usize>) -> Moments<&mut [Eight]> {
        let at = self.place(rows.start);
        self.columns.as_mut().map(|column| column.aligned_mut()[at..at + rows.len()].as_chunks_mut().0)
    }

    /// Writes what stands at `rows`, which are all of one block, once more behind the ring if that is its first block:
    /// so as many rows as a block has can be read from anywhere in one piece.
    #[inline(always)]
    pub(crate) fn repeat(&mut self, rows: Range<usize>) {
        let (at, ring_rows) = (self.place(rows.start), self.ring_rows);
        if at < BLOCK_ROWS {
            self.columns
                .as_mut()
                .map(|column| column.aligned_mut().copy_within(at..at + rows.len(), at + ring_rows));
        }
    }

    /// The run that ends at `row`.
    pub(crate) fn get(&self, row: usize) -> Moments<f64> {
        self.columns.as_ref().map(|column| column.aligned()[self.place(row)])
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        row & (self.ring_rows - 1)
    }
}

/// Doubles from the beginning of a cache line on: loads and stores that straddle two lines cost double.
#[derive(Clone, Debug)]
struct Column {
    doubles: Vec<f64>,
}

impl Column {
    const LINE: usize = 8;

    fn new(length: usize) -> Self {
        Self { doubles: vec![0.0; length + Self::LINE] }
    }

    #[inline(always)]
    fn first(&self) -> usize {
        self.doubles.as_ptr().align_offset(64) % Self::LINE
    }

    #[inline(always)]
    fn aligned(&self) -> &[f64] {
        &self.doubles[self.first()..]
    }

    #[inline(always)]
    fn aligned_mut(&mut self) -> &mut [f64] {
        let first = self.first();
        &mut self.doubles[first..]
    }
}
