//! [`BinaryField`]: a value in the bytes of a binary COPY, as the parameter of a statement.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::copy::encode::HEADER;

/// The bytes of one value; none for NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BinaryField<'a>(Option<&'a [u8]>);

impl<'a> BinaryField<'a> {
    /// Returns the fields of all rows in the bytes of a whole COPY, row by row.
    pub(crate) fn from_copy(bytes: &'a [u8]) -> Vec<Self> {
        let mut rest = bytes.get(HEADER.len()..).unwrap_or_default();
        let mut fields = Vec::new();
        while let Some((count, row)) = rest.split_first_chunk() {
            rest = row;
            // The trailer has a negative count.
            for _ in 0..i16::from_be_bytes(*count) {
                let Some((length, after)) = rest.split_first_chunk() else { return fields };
                let value = usize::try_from(i32::from_be_bytes(*length)).ok();
                let Some((value, after)) = split_value(after, value) else { return fields };
                fields.push(Self(value));
                rest = after;
            }
        }
        fields
    }
}

fn split_value(bytes: &[u8], length: Option<usize>) -> Option<(Option<&[u8]>, &[u8])> {
    let Some(length) = length else { return Some((None, bytes)) };
    bytes.split_at_checked(length).map(|(value, rest)| (Some(value), rest))
}

/// The type is the caller's: the bytes are those of the column.
impl ToSql for BinaryField<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(value) = self.0 else { return Ok(IsNull::Yes) };
        out.put_slice(value);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use rollfit_job::store::FeatureTile;

    use super::*;
    use crate::copy::encode::RowEncoder;
    use crate::copy::number_column::NumberColumn;

    #[test]
    fn fields_are_the_bytes_that_copy_would_send_row_by_row() {
        let columns = vec![NumberColumn::Double, NumberColumn::Single];
        let mut encoder = RowEncoder::new(columns);
        let values = [1.5, f64::NAN, 0.25, 2.0];
        let tile = FeatureTile { instants_us: &[0, 60_000_000], first_column: 0, values: &values };
        encoder.add(tile, |_| Err("too early")).unwrap();
        let bytes = encoder.finish();
        let instant = |us: i64| (us - 946_684_800_000_000).to_be_bytes();
        let (first, second) = (instant(0), instant(60_000_000));
        let wanted: [Option<&[u8]>; 6] = [
            Some(&first),
            Some(&[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
            Some(&[0x3e, 0x80, 0, 0]),
            Some(&second),
            None,
            Some(&[0x40, 0, 0, 0]),
        ];
        assert_eq!(BinaryField::from_copy(&bytes), wanted.map(BinaryField));
    }
}
