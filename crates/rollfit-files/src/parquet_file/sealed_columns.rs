//! [`read_instants`] and [`read_doubles`]: columns as an import of rollfit writes them, decoded without the Parquet reader, which takes
//! a hundred times as long for the few rows of a small file as they need.
//!
//! Invariants: what is written in any other way is none, and left to the Parquet reader, errors too. The work and the memory are
//! bounded by the bytes of the file and, a call, by [`ROWS_MAX`].

use std::cell::RefCell;

use parquet::basic::{Compression, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use zstd::bulk::Decompressor;

use super::bytes::FileBytes;
use super::pages::PageHeader;
use super::thrift::{signed, varint};

/// The most rows of a row group that are read here.
const ROWS_MAX: usize = 1 << 20;

const DATA_PAGE: i64 = 0;
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const BYTE_STREAM_SPLIT: i64 = 9;

thread_local! {
    /// Making one takes longer than a small page.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The whole numbers of a column that has one in each of `rows` rows.
pub fn read_instants(bytes: &FileBytes, column: &ColumnChunkMetaData, rows: usize) -> Option<Vec<i64>> {
    if column.column_type() != Type::INT64 || column.column_descr().max_def_level() != 0 {
        return None;
    }
    let mut instants = Vec::new();
    for_each_page(bytes, column, rows, |page, header| {
        if header.encoding != DELTA_BINARY_PACKED {
            return None;
        }
        let before = instants.len();
        unpack_deltas(page, header.values, &mut instants)?;
        (instants.len() - before == header.values).then_some(())
    })?;
    (instants.len() == rows).then_some(instants)
}

/// The doubles of a column of `rows` rows, NaN where there is none.
pub fn read_doubles(bytes: &FileBytes, column: &ColumnChunkMetaData, rows: usize) -> Option<Vec<f64>> {
    let descriptor = column.column_descr();
    if column.column_type() != Type::DOUBLE
        || descriptor.max_rep_level() != 0
        || descriptor.max_def_level() != 1
    {
        return None;
    }
    let mut doubles = Vec::new();
    for_each_page(bytes, column, rows, |page, header| {
        if header.level_encoding != RLE {
            return None;
        }
        let (length, rest) = page.split_first_chunk::<4>()?;
        let (levels, values) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let is_there = unpack_levels(levels, header.values)?;
        let count = is_there.iter().filter(|is_there| **is_there).count();
        if values.len() != count * 8 {
            return None;
        }
        let mut present = match header.encoding {
            PLAIN => values.as_chunks().0.iter().copied().map(f64::from_le_bytes).collect(),
            BYTE_STREAM_SPLIT => joined(values, count),
            _ => return None,
        };
        if count == is_there.len() {
            doubles.append(&mut present);
        } else {
            let mut present = present.into_iter();
            doubles.extend(is_there.iter().map(|&is_there| match is_there {
                true => present.next().unwrap_or(f64::NAN),
                false => f64::NAN,
            }));
        }
        Some(())
    })?;
    (doubles.len() == rows).then_some(doubles)
}

/// The `count` doubles whose first bytes come first, then their second bytes, and so on.
fn joined(values: &[u8], count: usize) -> Vec<f64> {
    let mut bits = vec![0_u64; count];
    for (at, stream) in values.chunks_exact(count.max(1)).enumerate() {
        for (bits, &byte) in bits.iter_mut().zip(stream) {
            *bits |= u64::from(byte) << (8 * at);
        }
    }
    bits.into_iter().map(f64::from_bits).collect()
}

/// Unpacks the pages of a column, one after the other.
fn for_each_page(
    bytes: &FileBytes,
    column: &ColumnChunkMetaData,
    rows: usize,
    mut take: impl FnMut(&[u8], &PageHeader) -> Option<()>,
) -> Option<()> {
    let (start, length) = column.byte_range();
    if rows > ROWS_MAX || length > bytes.len() || column.dictionary_page_offset().is_some() {
        return None;
    }
    let chunk = bytes.get_bytes(start, usize::try_from(length).ok()?).ok()?;
    let (mut rest, mut left) = (&chunk[..], rows);
    while !rest.is_empty() {
        let header = PageHeader::parse(rest)?;
        header.check(column.column_descr()).ok()?;
        if header.kind != DATA_PAGE || header.values > left {
            return None;
        }
        left -= header.values;
        let (packed, after) = rest
            .get(usize::try_from(header.bytes).ok()?..)?
            .split_at_checked(usize::try_from(header.packed_bytes).ok()?)?;
        rest = after;
        // It may have rotted since the file was checked.
        if header.crc.is_some_and(|crc| crc32fast::hash(packed) != crc) {
            return None;
        }
        let unpacked_bytes = usize::try_from(header.unpacked_bytes).ok()?;
        match column.compression() {
            Compression::UNCOMPRESSED if packed.len() == unpacked_bytes => take(packed, &header)?,
            Compression::ZSTD(_) => take(&unpack(packed, unpacked_bytes)?, &header)?,
            _ => return None,
        }
    }
    Some(())
}

fn unpack(packed: &[u8], unpacked_bytes: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = Some(Decompressor::new().ok()?);
        }
        let unpacked = decompressor.as_mut()?.decompress(packed, unpacked_bytes).ok()?;
        (unpacked.len() == unpacked_bytes).then_some(unpacked)
    })
}

/// Whether each of `count` rows has a value: runs, or bits in eights, of one bit.
fn unpack_levels(levels: &[u8], count: usize) -> Option<Vec<bool>> {
    let (mut rest, mut found) = (levels, Vec::with_capacity(count));
    while found.len() < count {
        let head = varint(&mut rest)?;
        let length = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let (&level, after) = rest.split_first()?;
            rest = after;
            if level > 1 || length == 0 {
                return None;
            }
            found.resize(found.len() + length.min(count - found.len()), level == 1);
        } else {
            let (bits, after) = rest.split_at_checked(length)?;
            if length == 0 {
                return None;
            }
            rest = after;
            let bits = bits.iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit) & 1 == 1));
            let room = count - found.len();
            found.extend(bits.take(room));
        }
    }
    Some(found)
}

/// Whole numbers as blocks of differences, each of few bits.
fn unpack_deltas(page: &[u8], count: usize, numbers: &mut Vec<i64>) -> Option<()> {
    let mut rest = page;
    let block = usize::try_from(varint(&mut rest)?).ok()?;
    let parts = usize::try_from(varint(&mut rest)?).ok()?;
    let total = usize::try_from(varint(&mut rest)?).ok()?;
    let mut number = signed(&mut rest)?;
    // As the format has them: else the Parquet reader says what is wrong.
    if total != count || count == 0 || parts == 0 || block % 128 != 0 || block % parts != 0 || block == 0 {
        return None;
    }
    let part = block / parts;
    if part % 32 != 0 {
        return None;
    }
    numbers.push(number);
    let mut left = count - 1;
    while left > 0 {
        let least = signed(&mut rest)?;
        let (widths, after) = rest.split_at_checked(parts)?;
        rest = after;
        for &width in widths {
            if left == 0 {
                break;
            }
            let packed_bytes = part.checked_mul(width.into())? / 8;
            // The last part may be cut off behind its numbers.
            let (packed, after) = rest.split_at(packed_bytes.min(rest.len()));
            rest = after;
            for at in 0..left.min(part) {
                let delta = bits_at(packed, at * usize::from(width), width)?;
                number = number.wrapping_add(least).wrapping_add(delta as i64);
                numbers.push(number);
            }
            left -= left.min(part);
        }
    }
    Some(())
}

/// The number of `width` bits from the bit `at` on, the lowest first.
fn bits_at(packed: &[u8], at: usize, width: u8) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let bytes = packed.get(at / 8..(at + usize::from(width)).div_ceil(8))?;
    if width > 64 || bytes.len() > 16 {
        return None;
    }
    let mut number = [0; 16];
    number[..bytes.len()].copy_from_slice(bytes);
    let number = u128::from_le_bytes(number) >> (at % 8);
    Some((number & ((1 << width) - 1)) as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Encoding, LogicalType, Repetition, TimeUnit, ZstdLevel};
    use parquet::data_type::{DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::types::{ColumnPath, Type as Schema};
    use proptest::prelude::*;

    use super::super::footer::Footer;
    use super::*;

    /// A file as an import writes it, but for its checksums.
    fn file(
        instants: &[i64],
        doubles: &[Option<f64>],
        encoding: Encoding,
        packing: Compression,
    ) -> FileBytes {
        let time = Schema::primitive_type_builder("time", Type::INT64)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS)));
        let value =
            Schema::primitive_type_builder("value", Type::DOUBLE).with_repetition(Repetition::OPTIONAL);
        let fields = vec![Arc::new(time.build().unwrap()), Arc::new(value.build().unwrap())];
        let schema = Schema::group_type_builder("series").with_fields(fields).build().unwrap();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(50)
            .set_column_encoding(ColumnPath::from("time"), Encoding::DELTA_BINARY_PACKED)
            .set_encoding(encoding)
            .set_compression(packing);
        let mut file = tempfile::tempfile().unwrap();
        let mut writer =
            SerializedFileWriter::new(&mut file, Arc::new(schema), Arc::new(properties.build())).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(instants, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels: Vec<i16> = doubles.iter().map(|double| i16::from(double.is_some())).collect();
        let present: Vec<f64> = doubles.iter().copied().flatten().collect();
        column.typed::<DoubleType>().write_batch(&present, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        FileBytes::whole(file).unwrap()
    }

    fn read(bytes: &FileBytes, rows: usize) -> (Option<Vec<i64>>, Option<Vec<u64>>) {
        let footer = Footer::read(bytes).unwrap();
        let columns = footer.metadata.row_group(0).columns();
        let doubles = read_doubles(bytes, &columns[1], rows);
        let bits = doubles.map(|doubles| doubles.iter().map(|double| double.to_bits()).collect());
        (read_instants(bytes, &columns[0], rows), bits)
    }

    fn instants() -> impl Strategy<Value = Vec<i64>> {
        let minutes = prop::collection::vec(1_i64..5, 1..700).prop_map(|steps| {
            steps
                .iter()
                .scan(1_483_228_800_000_000, |at, step| {
                    Some({
                        *at += step * 60_000_000;
                        *at
                    })
                })
                .collect()
        });
        prop_oneof![3 => minutes, 1 => prop::collection::vec(any::<i64>(), 1..300)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn what_was_written_is_read(
            instants in instants(),
            seed in prop::collection::vec(prop_oneof![4 => any::<f64>().prop_map(Some), 1 => Just(None)], 1..60),
            run in 1_usize..40,
            is_split in any::<bool>(),
            is_packed in any::<bool>(),
        ) {
            let doubles: Vec<Option<f64>> =
                (0..instants.len()).map(|row| seed[row / run % seed.len()]).collect();
            let encoding = if is_split { Encoding::BYTE_STREAM_SPLIT } else { Encoding::PLAIN };
            let packing =
                if is_packed { Compression::ZSTD(ZstdLevel::default()) } else { Compression::UNCOMPRESSED };
            let bytes = file(&instants, &doubles, encoding, packing);
            let (read_instants, read_doubles) = read(&bytes, instants.len());
            prop_assert_eq!(read_instants.as_ref(), Some(&instants));
            let bits = doubles.iter().map(|double| double.unwrap_or(f64::NAN).to_bits()).collect();
            prop_assert_eq!(read_doubles, Some(bits));
            // Other rows than the footer says are no column of ours.
            prop_assert_eq!(read(&bytes, instants.len() + 1), (None, None));
            prop_assert_eq!(read(&bytes, instants.len() - 1), (None, None));
        }
    }

    #[test]
    fn another_packing_is_left_to_the_parquet_reader() {
        let bytes = file(&[1, 2, 3], &[Some(1.0), None, Some(2.0)], Encoding::PLAIN, Compression::LZ4_RAW);
        assert_eq!(read(&bytes, 3), (None, None));
    }

    #[test]
    fn damaged_bytes_are_none_or_other_values_and_never_a_panic() {
        let doubles: Vec<Option<f64>> = (0..150).map(|row| (row % 7 > 0).then_some(f64::from(row))).collect();
        let instants: Vec<i64> = (0..150).map(|row| row * row * 60).collect();
        let bytes = file(&instants, &doubles, Encoding::BYTE_STREAM_SPLIT, Compression::UNCOMPRESSED);
        let whole = bytes.get_bytes(0, bytes.len() as usize).unwrap();
        let footer = Footer::read(&bytes).unwrap();
        let columns = footer.metadata.row_group(0).columns();
        let end = columns[1].byte_range().0 + columns[1].byte_range().1;
        for at in 4..end as usize {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.to_vec();
                damaged[at] ^= flip;
                let damaged = FileBytes::new(Arc::new(Memory(damaged)), whole.len() as u64);
                let _ = read_instants(&damaged, &columns[0], 150);
                let _ = read_doubles(&damaged, &columns[1], 150);
            }
        }
    }

    struct Memory(Vec<u8>);

    impl super::super::bytes::ReadAt for Memory {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let rest = &self.0[offset as usize..];
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }
    }
}
