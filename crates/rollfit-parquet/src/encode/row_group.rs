//! [`RowGroup`]: the rows that are collected until a row group is full.

use rollfit_job::store::FeatureTile;

use crate::encode::column::{ColumnBuffer, VALUE_BYTES};

/// Rows of a row group, the most that a writer holds in memory.
pub(crate) const ROW_GROUP_ROWS: usize = 32_768;

/// The rows of a row group, until it is full.
#[derive(Debug, Default)]
pub(super) struct RowGroup {
    pub(super) instants_us: Vec<i64>,
    pub(super) columns: Vec<ColumnBuffer>,
}

impl RowGroup {
    /// Removes all rows; the next ones have this many columns.
    pub(super) fn begin(&mut self, columns: usize) {
        self.clear();
        self.columns.resize_with(columns, ColumnBuffer::default);
    }

    /// Removes all rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.instants_us.clear();
        self.columns.iter_mut().for_each(ColumnBuffer::clear);
    }

    /// Whether there is no room for more rows.
    pub(super) fn is_full(&self) -> bool {
        self.instants_us.len() == ROW_GROUP_ROWS
    }

    /// Takes rows of the tile from `first` on, as many as there is room for; returns how many.
    pub(super) fn take(&mut self, tile: FeatureTile<'_>, first: usize) -> usize {
        let rows = first..tile.rows().min(first + ROW_GROUP_ROWS - self.instants_us.len());
        self.instants_us.extend_from_slice(&tile.instants_us[rows.clone()]);
        for (ours, column) in self.columns.iter_mut().zip(tile.columns()) {
            ours.push(&column[rows.clone()]);
        }
        rows.len()
    }

    /// About the bytes that it has in a file if nothing is packed, and no fewer, the footer's share included.
    pub(super) fn plain_bytes(&self) -> u64 {
        const BYTES_PER_COLUMN: usize = 256;
        let values = self.columns.iter().filter(|column| column.constant().is_none());
        let bytes = |column: &ColumnBuffer| VALUE_BYTES * column.values() + column.level_bytes();
        let time_bytes = VALUE_BYTES * self.instants_us.len();
        (time_bytes + values.map(bytes).sum::<usize>() + BYTES_PER_COLUMN * (self.columns.len() + 1)) as u64
    }

    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        8 * self.instants_us.capacity() + self.columns.iter().map(ColumnBuffer::memory_bytes).sum::<usize>()
    }
}
