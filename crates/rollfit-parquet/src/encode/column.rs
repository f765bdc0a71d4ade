//! [`ColumnBuffer`]: the features of one column of a row group, as the bytes that a PLAIN page holds.

use crate::encode::row_group::ROW_GROUP_ROWS;

/// Bytes of a double.
pub(super) const VALUE_BYTES: usize = 8;

/// A column of doubles: the values that are there, and where values are missing.
///
/// Invariants: the contents depend on the values alone, however they were cut into pieces. The runs of a column take less memory
/// than its missing values would.
#[derive(Debug, Default)]
pub(super) struct ColumnBuffer {
    /// Room for the values, little-endian, one after the other. Empty as long as all are the same.
    room: Vec<u8>,
    values: usize,
    /// The bits that all values so far have; none where they differ, or there is no value.
    constant: Option<u64>,
    /// Rows with a value and without one, by turns; the first may be 0.
    runs: Vec<u32>,
}

impl ColumnBuffer {
    /// Forgets the rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        (self.values, self.constant) = (0, None);
        self.runs.clear();
    }

    /// Adds the values of consecutive rows; NaN where there is none.
    pub(super) fn push(&mut self, piece: &[f64]) {
        if !piece.iter().fold(false, |any, value| any | value.is_nan()) {
            return self.push_values(piece);
        }
        let mut rest = piece;
        while let Some(first) = rest.first() {
            let is_missing = first.is_nan();
            let length = rest.iter().position(|value| value.is_nan() != is_missing).unwrap_or(rest.len());
            let (run, after) = rest.split_at(length);
            if is_missing {
                self.extend_run(1, run.len());
            } else {
                self.push_values(run);
            }
            rest = after;
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.runs.iter().map(|&run| run as usize).sum()
    }

    /// The most bytes that its levels take: runs, or a bit a row.
    pub(super) fn level_bytes(&self) -> usize {
        (4 * self.runs.len()).min(self.rows().div_ceil(8))
    }

    /// How many values there are.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// Rows with a value and without one, by turns.
    pub(super) fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// The bits of all values, where they are the same.
    pub(super) fn constant(&self) -> Option<u64> {
        self.constant
    }

    /// The values one after the other.
    pub(super) fn bytes(&mut self) -> &[u8] {
        self.unfold();
        &self.room[..self.values * VALUE_BYTES]
    }

    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.room.capacity() + 4 * self.runs.capacity()
    }

    fn push_values(&mut self, values: &[f64]) {
        let Some(first) = values.first() else { return };
        self.extend_run(0, values.len());
        if self.values == 0 {
            self.constant = Some(first.to_bits());
        }
        if let Some(bits) = self.constant {
            if values.iter().fold(0, |others, value| others | (value.to_bits() ^ bits)) == 0 {
                self.values += values.len();
                return;
            }
            self.unfold();
            self.constant = None;
        }
        let start = self.values * VALUE_BYTES;
        self.values += values.len();
        self.make_room();
        let places = self.room[start..].as_chunks_mut::<VALUE_BYTES>().0;
        for (place, value) in places.iter_mut().zip(values) {
            *place = value.to_le_bytes();
        }
    }

    /// Lengthens the last run, or begins one; runs at even places have values.
    fn extend_run(&mut self, missing: usize, rows: usize) {
        while self.runs.is_empty() || (self.runs.len() - 1) % 2 != missing {
            self.runs.push(0);
        }
        if let Some(last) = self.runs.last_mut() {
            *last += rows as u32;
        }
    }

    /// Writes out the values that were only counted because they are the same.
    fn unfold(&mut self) {
        if let Some(bits) = self.constant {
            self.make_room();
            self.room.as_chunks_mut::<VALUE_BYTES>().0[..self.values].fill(bits.to_le_bytes());
        }
    }

    fn make_room(&mut self) {
        let wanted = self.values * VALUE_BYTES;
        let has = self.room.len();
        if has >= wanted {
            return;
        }
        // Few steps, because each copies; not beyond a row group; new memory, so that the system gives zeros without writing them.
        let bytes = wanted.max((8 * has).min(ROW_GROUP_ROWS * VALUE_BYTES));
        let mut room = vec![0; bytes];
        room[..has].copy_from_slice(&self.room);
        self.room = room;
    }
}
