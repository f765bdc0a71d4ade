//! What the encoder writes, as the Parquet library reads it: any pattern of missing values, any instants, any pieces.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ColumnChunkMetaData;
use rollfit_files::parquet_file::{FileBytes, Footer, Integrity, check_body, check_pages};

use super::*;

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

/// An output that notes how it is written to.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    /// Of each write, where in memory it began and how many bytes it had.
    writes: Vec<(usize, usize)>,
    reserved: Vec<u64>,
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.push((bytes.as_ptr().addr(), bytes.len()));
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutputFile for Memory {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.reserved.push(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rows of a file, column by column.
#[derive(Clone)]
struct Rows {
    instants_us: Vec<i64>,
    columns: Vec<Vec<f64>>,
}

impl Rows {
    fn new(columns: Vec<Vec<f64>>) -> Self {
        let rows = columns[0].len() as i64;
        Self { instants_us: (0..rows).map(|row| row * 60_000_000).collect(), columns }
    }

    /// Writes the rows in tiles of `tile_rows` rows.
    fn written(&self, compression: Compression, tile_rows: usize, pool: &Arc<BufferPool>) -> Memory {
        let names: Vec<String> = (0..self.columns.len()).map(|at| format!("c{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut writer = FeatureWriter::new(Memory::default(), &names, compression, pool).unwrap();
        for first in (0..self.instants_us.len()).step_by(tile_rows) {
            let rows = first..self.instants_us.len().min(first + tile_rows);
            let values: Vec<f64> =
                self.columns.iter().flat_map(|column| column[rows.clone()].to_vec()).collect();
            let tile = FeatureTile { instants_us: &self.instants_us[rows], first_column: 0, values: &values };
            writer.write(tile).unwrap();
        }
        let bytes = writer.finish("key", "value".to_owned()).unwrap();
        let memory = std::mem::take(writer.output());
        assert_eq!(bytes, memory.bytes.len() as u64);
        memory
    }

    /// Checks that a file has these rows, bit for bit, with its own checksums and those of its pages.
    fn check(&self, file: &[u8]) {
        let mut kept = tempfile::tempfile().unwrap();
        kept.write_all(file).unwrap();
        let bytes = FileBytes::whole(kept).unwrap();
        let footer = Footer::read(&bytes).unwrap();
        assert!(matches!(footer.integrity, Integrity::Verified(_)));
        check_body(&bytes, footer.integrity).unwrap();
        check_pages(&bytes, &footer.metadata, 0..footer.metadata.num_row_groups(), |_| true).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
        let mut first = 0;
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let rows = first..first + batch.num_rows();
            first = rows.end;
            let time = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            assert_eq!(time.values()[..], self.instants_us[rows.clone()]);
            for (ours, column) in self.columns.iter().zip(&batch.columns()[1..]) {
                let stored = column.as_primitive::<Float64Type>().iter();
                let is_same = |(value, stored): (&f64, Option<f64>)| {
                    stored.map_or(value.is_nan(), |stored| stored.to_bits() == value.to_bits())
                };
                assert!(ours[rows.clone()].iter().zip(stored).all(is_same));
            }
        }
        assert_eq!(first, self.instants_us.len());
    }
}

/// Columns with every kind of pattern of missing values.
fn patterns(rows: usize, seed: u64) -> Rows {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut column = |is_missing: &dyn Fn(usize, &mut fastrand::Rng) -> bool| -> Vec<f64> {
        let value = |random: &mut fastrand::Rng| (random.f64() - 0.5) * 1e3;
        (0..rows)
            .map(|row| if is_missing(row, &mut random) { f64::NAN } else { value(&mut random) })
            .collect()
    };
    let mut columns = vec![
        column(&|_, _| false),
        column(&|_, _| true),
        column(&|row, _| row < 89),
        column(&|row, _| row % 2 == 0),
        column(&|row, _| row % 2 == 1),
        column(&|row, _| row / 8 % 2 == 0),
        column(&|row, _| row + 1 == rows),
        column(&|row, _| row + 1 != rows),
        column(&|_, random| random.u8(..) < 128),
        column(&|_, random| random.u8(..) < 30),
        column(&|_, random| random.u16(..) < 60),
        column(&|row, random| row < rows / 2 && random.bool()),
    ];
    // Columns of one value, with missing ones, and with another value at the end.
    let constant = |row: &usize| if row % 5 < 2 { f64::NAN } else { -0.0 };
    columns.push(vec![0.0; rows]);
    columns.push((0..rows).collect::<Vec<_>>().iter().map(constant).collect());
    columns.push((0..rows).map(|row| if row + 1 == rows { -0.0 } else { 0.0 }).collect());
    columns.push((0..rows).map(|row| if row < rows / 2 { 1.5 } else { row as f64 }).collect());
    Rows::new(columns)
}

#[test]
fn any_pattern_of_missing_values_reads_back_bit_for_bit() {
    let pool = Arc::default();
    let many = ROW_GROUP_ROWS;
    for (rows, seed) in [1, 2, 7, 8, 9, 63, 64, 65, 500, 4097, many - 1, many, many + 1].into_iter().zip(1..)
    {
        let wanted = patterns(rows, seed);
        for compression in COMPRESSIONS {
            wanted.check(&wanted.written(compression, 512, &pool).bytes);
        }
    }
}

#[test]
fn a_file_without_rows_or_columns_reads_back() {
    for columns in [vec![vec![]], vec![vec![]; 3]] {
        let rows = Rows::new(columns);
        COMPRESSIONS
            .iter()
            .for_each(|&compression| rows.check(&rows.written(compression, 512, &Arc::default()).bytes));
    }
    let rows = Rows { instants_us: vec![3, 4], columns: Vec::new() };
    COMPRESSIONS
        .iter()
        .for_each(|&compression| rows.check(&rows.written(compression, 1, &Arc::default()).bytes));
}

#[test]
fn the_bytes_do_not_depend_on_tiles_or_on_what_was_written_before() {
    let rows = patterns(3000, 5);
    for compression in COMPRESSIONS {
        let wanted = rows.written(compression, 3000, &Arc::default()).bytes;
        let used = Arc::default();
        patterns(40_000, 6).written(compression, 999, &used);
        for tile_rows in [1, 512, 2999] {
            assert!(
                rows.written(compression, tile_rows, &used).bytes == wanted,
                "{compression:?} {tile_rows}"
            );
        }
    }
}

#[test]
fn any_instants_read_back() {
    let mut random = fastrand::Rng::with_seed(9);
    let steps: [&dyn Fn(&mut fastrand::Rng) -> i64; 4] = [
        &|_| 60_000_000,
        &|random| random.i64(1..90_000_000),
        &|random| if random.u8(..) < 3 { 1 << 50 } else { 1 },
        &|random| random.i64(..),
    ];
    for step in steps {
        for count in [1, 2, 32, 33, 128, 129, 130, 1000] {
            let mut instant = random.i64(..);
            let instants_us = std::iter::repeat_with(|| {
                instant = instant.wrapping_add(step(&mut random));
                instant
            });
            let rows =
                Rows { instants_us: instants_us.take(count).collect(), columns: vec![vec![0.5; count]] };
            rows.check(&rows.written(Compression::None, count, &Arc::default()).bytes);
        }
    }
}

fn chunks(file: &[u8]) -> Vec<ColumnChunkMetaData> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    reader.metadata().row_group(0).columns().to_vec()
}

#[test]
fn a_column_of_one_value_has_a_dictionary_and_others_have_none() {
    let rows = 20_000;
    let column = |value: &dyn Fn(usize) -> f64| (0..rows).map(value).collect::<Vec<_>>();
    let few = |values: usize| column(&|row| if row < values { 2.5 } else { f64::NAN });
    let wanted = Rows::new(vec![
        column(&|_| 0.0),
        column(&|row| if row < 89 { f64::NAN } else { 0.0 }),
        few(8),
        few(7),
        few(0),
        column(&|row| if row + 1 == rows { -0.0 } else { 0.0 }),
        column(&|row| if row == 0 { 1.0 } else { 0.0 }),
    ]);
    for compression in COMPRESSIONS {
        let file = wanted.written(compression, 512, &Arc::default()).bytes;
        wanted.check(&file);
        let chunks = chunks(&file);
        let has: Vec<bool> =
            chunks[1..].iter().map(|chunk| chunk.dictionary_page_offset().is_some()).collect();
        assert_eq!(has, [true, true, true, false, false, false, false], "{compression:?}");
        assert!(chunks[1..5].iter().all(|chunk| chunk.compressed_size() < 150), "{compression:?}");
    }
}

#[test]
fn a_file_is_written_in_aligned_pieces_after_room_was_reserved_for_it() {
    let columns = (0..40).map(|column| (0..33_000).map(|row| f64::from(row * 7 + column)).collect());
    let rows = Rows::new(columns.collect());
    for compression in COMPRESSIONS {
        let memory = rows.written(compression, 512, &Arc::default());
        rows.check(&memory.bytes);
        let (_, whole) = memory.writes.split_last().unwrap();
        assert!(memory.writes.iter().all(|(begin, _)| begin % 4096 == 0), "{:?}", memory.writes);
        assert!(whole.iter().all(|(_, bytes)| bytes % 4096 == 0 && *bytes >= 1 << 20), "{:?}", memory.writes);
        let last = *memory.reserved.last().unwrap();
        if compression == Compression::None {
            let bytes = memory.bytes.len() as u64;
            assert!(last >= bytes && last < bytes + bytes / 50, "{last} reserved for {bytes}");
        }
    }
}

#[test]
fn every_page_has_the_checksum_of_its_bytes() {
    let rows = patterns(700, 8);
    for compression in COMPRESSIONS {
        let file = rows.written(compression, 512, &Arc::default()).bytes;
        for chunk in chunks(&file) {
            let (mut at, bytes) = chunk.byte_range();
            let end = at + bytes;
            while at < end {
                let (header_bytes, packed_bytes, crc) = page(&file[at as usize..]);
                let page = &file[at as usize + header_bytes..][..packed_bytes];
                assert_eq!(crc, crc32fast::hash(page));
                at += (header_bytes + packed_bytes) as u64;
            }
            assert_eq!(at, end);
        }
    }
}

#[test]
fn a_page_that_was_changed_is_refused_by_the_library_too() {
    let rows = patterns(64, 8);
    let read = |file: Vec<u8>| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        reader.build().and_then(|batches| Ok(batches.collect::<Result<Vec<_>, _>>()?))
    };
    for compression in COMPRESSIONS {
        let file = rows.written(compression, 512, &Arc::default()).bytes;
        read(file.clone()).unwrap();
        for chunk in chunks(&file) {
            let begin = chunk.byte_range().0 as usize;
            let (header_bytes, packed_bytes, _) = page(&file[begin..]);
            for at in 0..packed_bytes {
                let mut changed = file.clone();
                changed[begin + header_bytes + at] ^= 1 << (at % 8);
                assert!(read(changed).is_err(), "{compression:?}: byte {at} of a page");
            }
        }
    }
}

/// Of the page that begins here: the bytes of its header, its packed bytes, and its checksum.
fn page(bytes: &[u8]) -> (usize, usize, u32) {
    let mut at = 0;
    let mut number = || {
        at += 1;
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes[at];
            at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return (number >> 1) as i64 ^ -((number & 1) as i64);
            }
        }
    };
    let [kind, _, packed_bytes, crc] = std::array::from_fn(|_| number());
    // The structure's own head, and its numbers.
    at += 1;
    let mut numbers = if kind == 0 { 4 } else { 2 };
    while numbers > 0 {
        at += 1;
        while bytes[at] >= 0x80 {
            at += 1;
        }
        at += 1;
        numbers -= 1;
    }
    (at + 2, packed_bytes as usize, crc as i32 as u32)
}
