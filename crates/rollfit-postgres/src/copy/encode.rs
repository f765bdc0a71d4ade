//! Encodes rows of features for `COPY ... (FORMAT binary)`: [`RowEncoder`] turns columns into rows, one buffer at a
//! time.
//!
//! A field is its length in 4 bytes followed by its bytes, big-endian; -1 is NULL. If eight rows contain only doubles
//! without NULLs, every row has the same length, and the columns are scattered over the eight rows one after the
//! other: each is read once, in order.

use bytes::Bytes;
use rollfit_job::store::FeatureTile;

use crate::copy::instant::ServerInstant;
use crate::copy::number_column::{NumberColumn, single};
use crate::copy::numeric::{self, Decimal};

/// The header of a binary COPY: the signature, no flags, no extension.
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
const FIELD_COUNT_BYTES: usize = 2;
const FIELD_BYTES: usize = 12;
const BLOCK_ROWS: usize = 8;
/// Bytes sent at once: enough to make the cost of a message negligible, few enough to stay in cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// Encodes tiles into the bytes of one COPY.
pub(crate) struct RowEncoder {
    columns: Vec<NumberColumn>,
    all_doubles: bool,
    buffer: Vec<u8>,
    bytes: u64,
}

impl RowEncoder {
    /// Starts a COPY of the instant and these columns.
    pub(crate) fn new(columns: Vec<NumberColumn>) -> Self {
        let all_doubles = columns.iter().all(|column| *column == NumberColumn::Double);
        let mut encoder = Self { columns, all_doubles, buffer: Vec::new(), bytes: 0 };
        encoder.put(HEADER);
        encoder
    }

    /// Adds rows, and passes each full buffer to `send`.
    pub(crate) fn add<E>(
        &mut self,
        tile: FeatureTile<'_>,
        mut send: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut first = 0;
        while first < tile.rows() {
            let rows = first..(first + BLOCK_ROWS).min(tile.rows());
            first = rows.end;
            if rows.len() == BLOCK_ROWS && self.all_doubles && has_every_value(tile, rows.clone()) {
                self.add_doubles(tile, rows.start);
            } else {
                rows.for_each(|row| self.add_row(tile, row));
            }
            if self.buffer.len() >= BUFFER_BYTES {
                send(self.take())?;
            }
        }
        Ok(())
    }

    /// Ends the COPY and returns the bytes that are not sent yet.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.put(&TRAILER);
        self.take()
    }

    /// Returns the number of bytes passed on so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the memory of the buffer being filled and the one being sent.
    pub(crate) fn memory_bytes(&self) -> u64 {
        2 * self.buffer.capacity() as u64
    }

    fn take(&mut self) -> Bytes {
        self.bytes += self.buffer.len() as u64;
        // Room for the next buffer and the rows that exceed it.
        let next = Vec::with_capacity(BUFFER_BYTES + BLOCK_ROWS * self.row_bytes());
        std::mem::replace(&mut self.buffer, next).into()
    }

    fn row_bytes(&self) -> usize {
        FIELD_COUNT_BYTES + FIELD_BYTES * (1 + self.columns.len())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Encodes eight rows in which every feature is a double.
    fn add_doubles(&mut self, tile: FeatureTile<'_>, first_row: usize) {
        let row_bytes = self.row_bytes();
        let start = self.buffer.len();
        self.buffer.resize(start + BLOCK_ROWS * row_bytes, 0);
        let block = &mut self.buffer[start..];
        let mut rows: [&mut [u8]; BLOCK_ROWS] = Default::default();
        for (slot, row) in rows.iter_mut().zip(block.chunks_exact_mut(row_bytes)) {
            *slot = row;
        }
        let fields = field_count(self.columns.len());
        for (row, &instant_us) in rows.iter_mut().zip(&tile.instants_us[first_row..]) {
            row[..FIELD_COUNT_BYTES].copy_from_slice(&fields);
            row[FIELD_COUNT_BYTES..][..FIELD_BYTES].copy_from_slice(&instant_field(instant_us));
        }
        let mut at = FIELD_COUNT_BYTES + FIELD_BYTES;
        for column in tile.columns() {
            for (row, value) in rows.iter_mut().zip(&column[first_row..first_row + BLOCK_ROWS]) {
                row[at..at + FIELD_BYTES].copy_from_slice(&double_field(*value));
            }
            at += FIELD_BYTES;
        }
    }

    fn add_row(&mut self, tile: FeatureTile<'_>, row: usize) {
        self.put(&field_count(self.columns.len()));
        self.put(&instant_field(tile.instants_us[row]));
        for (at, column) in tile.columns().enumerate() {
            self.add_value(self.columns[at], column[row]);
        }
    }

    fn add_value(&mut self, column: NumberColumn, value: f64) {
        if value.is_nan() {
            return self.put(&NULL);
        }
        match column {
            NumberColumn::Double => self.put(&double_field(value)),
            NumberColumn::Single => match single(value) {
                Some(single) => {
                    self.put(&4_i32.to_be_bytes());
                    self.put(&single.to_be_bytes());
                }
                None => self.put(&NULL),
            },
            NumberColumn::Decimal => numeric::encode(Decimal::from_f64(value), None, &mut self.buffer),
            NumberColumn::Rounded { precision, scale } => {
                let decimals = Some(scale.max(0).unsigned_abs());
                match Decimal::from_f64(value).rounded(precision, scale) {
                    Some(decimal) => numeric::encode(decimal, decimals, &mut self.buffer),
                    None => self.put(&NULL),
                }
            }
        }
    }
}

fn has_every_value(tile: FeatureTile<'_>, rows: std::ops::Range<usize>) -> bool {
    tile.columns().all(|column| column[rows.clone()].iter().all(|value| !value.is_nan()))
}

fn field_count(features: usize) -> [u8; FIELD_COUNT_BYTES] {
    // A table has at most 1,600 columns.
    ((features + 1) as i16).to_be_bytes()
}

fn instant_field(instant_us: i64) -> [u8; FIELD_BYTES] {
    let instant = ServerInstant::of_us(instant_us).map_or(i64::MIN, |instant| instant.0);
    field(instant.to_be_bytes())
}

fn double_field(value: f64) -> [u8; FIELD_BYTES] {
    field(value.to_be_bytes())
}

fn field(value: [u8; 8]) -> [u8; FIELD_BYTES] {
    let mut field = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    field[4..].copy_from_slice(&value);
    field
}
