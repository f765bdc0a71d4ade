//! The headers of pages, in Thrift's compact protocol.

use crate::encode::levels::push_varint;

/// A number of i32 in the compact protocol, and a structure.
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// What a page holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageKind {
    /// Values of so many rows, missing ones counted.
    Data { rows: usize, encoding: Encoding },
    /// The values that data pages of the column refer to.
    Dictionary { values: usize },
}

/// The encodings that are written, by their numbers in Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain = 0,
    Rle = 3,
    DeltaBinaryPacked = 5,
    RleDictionary = 8,
    ByteStreamSplit = 9,
}

/// Appends the header of a page that has `packed_bytes` bytes with the checksum `crc`, and `unpacked_bytes` once it is unpacked.
pub(super) fn push_page_header(
    kind: PageKind,
    (unpacked_bytes, packed_bytes): (usize, usize),
    crc: u32,
    out: &mut Vec<u8>,
) {
    let page_type = match kind {
        PageKind::Data { .. } => 0,
        PageKind::Dictionary { .. } => 2,
    };
    let mut last = 0;
    for (field, number) in [
        (1, page_type),
        (2, unpacked_bytes as i64),
        (3, packed_bytes as i64),
        (4, i64::from(crc.cast_signed())),
    ] {
        push_i32(&mut last, field, number, out);
    }
    let (field, numbers): (u8, &[i64]) = match kind {
        PageKind::Data { rows, encoding } => {
            (5, &[rows as i64, encoding as i64, Encoding::Rle as i64, Encoding::Rle as i64])
        }
        PageKind::Dictionary { values } => (7, &[values as i64, Encoding::Plain as i64]),
    };
    out.push((field - last) << 4 | STRUCT);
    let mut last = 0;
    for (at, &number) in numbers.iter().enumerate() {
        push_i32(&mut last, at as u8 + 1, number, out);
    }
    out.extend([0, 0]);
}

fn push_i32(last: &mut u8, field: u8, number: i64, out: &mut Vec<u8>) {
    out.push((field - *last) << 4 | I32);
    *last = field;
    push_zigzag(number, out);
}

/// Appends a number with a sign: small ones take few bytes.
pub(super) fn push_zigzag(number: i64, out: &mut Vec<u8>) {
    push_varint((number << 1 ^ number >> 63).cast_unsigned(), out);
}
