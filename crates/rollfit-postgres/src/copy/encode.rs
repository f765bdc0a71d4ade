//! Encodes rows of features for `COPY ... (FORMAT binary)`: [`RowEncoder`] turns columns into rows, one buffer at a
//! time.
//!
//! If eight rows contain only doubles without NULLs, every row has the same length, and the columns are scattered over the
//! eight rows one after the other: each is read once, in order. Other rows are encoded eight at a time as well, column by column,
//! and then put together. A decimal takes several times as long as a double, so columns that have the same numbers but
//! for their signs are encoded once: `residual_std` and `rmse`, `fit_quality` and `r2`, `curvature` and `a2`.

use bytes::Bytes;
use rollfit_job::store::FeatureTile;

use crate::copy::encoded_field::{EncodedField, FIELD_BYTES_MAX};
use crate::copy::instant::ServerInstant;
use crate::copy::number_column::{NumberColumn, single};
use crate::copy::numeric::{self, Decimal};

/// The header of a binary COPY: the signature, no flags, no extension.
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const FIELD_COUNT_BYTES: usize = 2;
const FIELD_BYTES: usize = 12;
const BLOCK_ROWS: usize = 8;
/// How many columns back the same numbers are looked for: as far as the metrics of a window are apart.
const TWIN_DISTANCE_MAX: usize = 20;
/// Bytes sent at once: enough to make the cost of a message negligible, few enough to stay in cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// Encodes tiles into the bytes of one COPY.
pub(crate) struct RowEncoder {
    columns: Vec<NumberColumn>,
    all_doubles: bool,
    /// For each column one before it that has the same numbers in the tile, but for their signs; where there is none, itself.
    twins: Vec<usize>,
    /// Eight rows, encoded column by column.
    fields: Vec<[EncodedField; BLOCK_ROWS]>,
    /// Room for the longest row.
    row: Vec<u8>,
    buffer: Vec<u8>,
    bytes: u64,
}

impl RowEncoder {
    /// Starts a COPY of the instant and these columns.
    pub(crate) fn new(columns: Vec<NumberColumn>) -> Self {
        let all_doubles = columns.iter().all(|column| *column == NumberColumn::Double);
        let mut encoder = Self {
            twins: (0..columns.len()).collect(),
            fields: vec![Default::default(); columns.len()],
            row: vec![0; FIELD_COUNT_BYTES + FIELD_BYTES + FIELD_BYTES_MAX * columns.len()],
            columns,
            all_doubles,
            buffer: Vec::new(),
            bytes: 0,
        };
        encoder.put(HEADER);
        encoder
    }

    /// Adds rows, and passes each full buffer to `send`.
    pub(crate) fn add<E>(
        &mut self,
        tile: FeatureTile<'_>,
        mut send: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        self.find_twins(tile);
        let mut first = 0;
        while first < tile.rows() {
            let rows = first..(first + BLOCK_ROWS).min(tile.rows());
            first = rows.end;
            if rows.len() == BLOCK_ROWS && self.all_doubles && has_every_value(tile, rows.clone()) {
                self.add_doubles(tile, rows.start);
            } else {
                self.encode_block(tile, rows.clone());
                self.add_encoded(&tile.instants_us[rows]);
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
        (2 * self.buffer.capacity() + size_of_val(&self.fields[..])) as u64
    }

    fn take(&mut self) -> Bytes {
        self.bytes += self.buffer.len() as u64;
        // Room for the next buffer and the rows that exceed it.
        let next = Vec::with_capacity(BUFFER_BYTES + BLOCK_ROWS * self.row.len());
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

    /// Finds the columns whose numbers need not be encoded again.
    fn find_twins(&mut self, tile: FeatureTile<'_>) {
        if self.all_doubles {
            return;
        }
        let columns: Vec<&[f64]> = tile.columns().collect();
        for (at, column) in columns.iter().enumerate() {
            let is_twin = |&other: &usize| {
                self.columns[other] == self.columns[at] && has_same_magnitudes(columns[other], column)
            };
            let twin = (at.saturating_sub(TWIN_DISTANCE_MAX)..at).find(is_twin);
            self.twins[at] = twin.filter(|_| self.columns[at].is_numeric()).unwrap_or(at);
        }
    }

    /// Encodes up to eight rows, column by column.
    fn encode_block(&mut self, tile: FeatureTile<'_>, rows: std::ops::Range<usize>) {
        for (at, column) in tile.columns().enumerate() {
            let values = &column[rows.clone()];
            let (before, rest) = self.fields.split_at_mut(at);
            let fields = &mut rest[0];
            match before.get(self.twins[at]) {
                Some(twins) => {
                    for ((field, twin), value) in fields.iter_mut().zip(twins).zip(values) {
                        *field = twin.with_sign(numeric::sign(*value < 0.0));
                    }
                }
                None => encode_values(self.columns[at], values, fields),
            }
        }
    }

    /// Adds rows that are encoded.
    fn add_encoded(&mut self, instants_us: &[i64]) {
        self.row[..FIELD_COUNT_BYTES].copy_from_slice(&field_count(self.columns.len()));
        let first = FIELD_COUNT_BYTES + FIELD_BYTES;
        for (at, &instant_us) in instants_us.iter().enumerate() {
            self.row[FIELD_COUNT_BYTES..first].copy_from_slice(&instant_field(instant_us));
            let end = self.fields.iter().fold(first, |end, fields| fields[at].put(&mut self.row, end));
            self.buffer.extend_from_slice(&self.row[..end]);
        }
    }
}

/// Encodes values of a column.
fn encode_values(column: NumberColumn, values: &[f64], fields: &mut [EncodedField]) {
    match column {
        NumberColumn::Double => {
            encode_each(values, fields, |value| Some(EncodedField::from_double(value)));
        }
        NumberColumn::Single => {
            encode_each(values, fields, |value| single(value).map(EncodedField::from_single));
        }
        NumberColumn::Decimal => {
            encode_each(values, fields, |value| Some(numeric::encode(Decimal::from_f64(value), None)));
        }
        NumberColumn::Rounded { precision, scale } => {
            let decimals = Some(scale.max(0).unsigned_abs());
            encode_each(values, fields, |value| {
                Some(numeric::encode(Decimal::from_f64(value).rounded(precision, scale)?, decimals))
            });
        }
    }
}

/// Encodes values one by one; NULL where there is none, or where the column cannot hold it.
#[inline]
fn encode_each(values: &[f64], fields: &mut [EncodedField], encode: impl Fn(f64) -> Option<EncodedField>) {
    for (field, &value) in fields.iter_mut().zip(values) {
        let encoded = if value.is_nan() { None } else { encode(value) };
        *field = encoded.unwrap_or(EncodedField::NULL);
    }
}

/// Returns whether two columns differ only in signs.
fn has_same_magnitudes(one: &[f64], other: &[f64]) -> bool {
    one.iter().zip(other).all(|(one, other)| one.abs().to_bits() == other.abs().to_bits())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::copy::binary_field::BinaryField;

    fn encoded(columns: &[NumberColumn], rows: usize, values: &[f64]) -> Vec<u8> {
        let instants_us: Vec<i64> = (0..rows as i64).collect();
        let mut encoder = RowEncoder::new(columns.to_vec());
        let tile = FeatureTile { instants_us: &instants_us, first_column: 0, values };
        encoder.add(tile, |_| Err("too early")).unwrap();
        encoder.finish().to_vec()
    }

    fn column() -> impl Strategy<Value = NumberColumn> {
        let rounded = |precision, scale| Just(NumberColumn::Rounded { precision, scale });
        prop_oneof![
            4 => Just(NumberColumn::Decimal),
            1 => Just(NumberColumn::Double),
            1 => Just(NumberColumn::Single),
            2 => rounded(6, 3),
            1 => rounded(3, -1),
        ]
    }

    /// How a column follows from the one before it.
    fn next_column(kind: u8, at: usize, before: &[f64]) -> Vec<f64> {
        let changed = |(row, &value): (usize, &f64)| match kind {
            0 => value,
            1 => -value,
            2 => value.abs(),
            3 if row == before.len() - 1 => value * 3.0,
            3 => value,
            4 => 0.0,
            _ => value / 7.0 + at as f64,
        };
        before.iter().enumerate().map(changed).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn columns_that_resemble_others_are_encoded_as_if_they_were_alone(
            columns in prop::collection::vec((column(), 0..6_u8), 1..30),
            first in prop::collection::vec(
                prop_oneof![Just(f64::NAN), Just(-0.0), Just(0.0004), -2.0..2.0_f64, -1e9..1e9_f64], 1..20,
            ),
        ) {
            let rows = first.len();
            let mut values: Vec<Vec<f64>> = vec![first];
            for (at, (_, kind)) in columns.iter().enumerate().skip(1) {
                values.push(next_column(*kind, at, &values[at - 1]));
            }
            let types: Vec<NumberColumn> = columns.iter().map(|(column, _)| *column).collect();
            let together = encoded(&types, rows, &values.concat());
            let together = BinaryField::from_copy(&together);
            prop_assert_eq!(together.len(), rows * (1 + types.len()));
            for (at, (column, values)) in types.iter().zip(&values).enumerate() {
                let alone = encoded(&[*column], rows, values);
                let alone = BinaryField::from_copy(&alone);
                for row in 0..rows {
                    prop_assert_eq!(alone[2 * row + 1], together[row * (1 + types.len()) + 1 + at], "{:?}", column);
                }
            }
        }
    }

    #[test]
    fn equal_columns_are_twins_and_others_are_not() {
        let (decimal, rounded) = (NumberColumn::Decimal, NumberColumn::Rounded { precision: 6, scale: 3 });
        let columns =
            vec![decimal, decimal, rounded, decimal, rounded, NumberColumn::Double, NumberColumn::Double];
        let values =
            [1.0, f64::NAN, -1.0, f64::NAN, 1.0, f64::NAN, 1.0, 1.0, -1.0, f64::NAN, 5.0, 5.0, 5.0, 5.0];
        let mut encoder = RowEncoder::new(columns);
        encoder.find_twins(FeatureTile { instants_us: &[0, 1], first_column: 0, values: &values });
        assert_eq!(encoder.twins, [0, 0, 2, 3, 2, 5, 6]);
    }

    #[test]
    fn whole_blocks_of_doubles_and_single_rows_have_the_same_bytes() {
        let columns = [NumberColumn::Double; 3];
        let mut values: Vec<f64> = (0..3 * 17).map(|at| f64::from(at) * 0.1 - 1.0).collect();
        values[16] = f64::NAN;
        let together = encoded(&columns, 17, &values);
        let together = BinaryField::from_copy(&together);
        for row in 0..17 {
            let alone = encoded(&columns, 1, &[values[row], values[17 + row], values[34 + row]]);
            assert_eq!(BinaryField::from_copy(&alone)[1..], together[4 * row + 1..4 * (row + 1)]);
        }
    }
}
