//! [`check_pages`]: what the pages of a file claim that they unpack to, and whether they keep to it, before the Parquet reader
//! makes room for them. A few bytes can say gigabytes.
//!
//! Invariants: a header is read exactly as the Parquet reader reads it, or refused; the work is bounded by the bytes of the file.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

use super::bytes::FileBytes;
use super::footer::{FileFault, fill};
use super::structures::{self, PAGE_HEADER};
use super::thrift::{I32, STRUCT, field, signed, skip};

/// The most bytes that a page has, packed or unpacked. Most writers make pages of a megabyte, DuckDB of up to 100,000,000 bytes.
const PAGE_BYTES_MAX: i64 = 128 << 20;
/// The most bytes of a page's header. Statistics may be in it.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at first: most headers have fewer.
const HEADER_BYTES: usize = 128;

/// What the header of a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// What kind of page it is, as the format numbers them.
    pub(super) kind: i64,
    pub(super) unpacked_bytes: i64,
    pub(super) packed_bytes: i64,
    /// The values of a page of version 1, how they are encoded, and how those that are there are told from those that are not.
    pub(super) values: usize,
    pub(super) encoding: i64,
    pub(super) level_encoding: i64,
    dictionary_values: i64,
    /// The bytes of definition and repetition levels, which pages of version 2 have unpacked before their values.
    level_bytes: [i64; 2],
    /// Whether the values are packed, where the column is.
    is_packed: bool,
    /// The CRC-32 of the page as it is stored.
    pub(super) crc: Option<u32>,
    /// Its own length.
    pub(super) bytes: u64,
}

/// Checks the pages of some row groups, in those columns, by their index, that are to be read. The columns of all row groups together
/// must fit into the file: else a small file could have the same bytes read for ever.
///
/// # Errors
/// [`FileFault::Unreadable`] where a page is larger than any that writers make, unpacks to more than it claims, or its header cannot be
/// read; or where the columns do not fit into the file.
pub fn check_pages(
    bytes: &FileBytes,
    metadata: &ParquetMetaData,
    groups: impl IntoIterator<Item = usize>,
    is_read: impl Fn(usize) -> bool,
) -> Result<(), FileFault> {
    let columns = |group: usize| {
        let columns = metadata.row_group(group).columns().iter().enumerate();
        columns.filter(|(at, _)| is_read(*at)).map(|(_, column)| column)
    };
    let all = (0..metadata.num_row_groups()).flat_map(columns);
    let column_bytes = all.fold(0, |sum: u64, column| sum.saturating_add(column.byte_range().1));
    if column_bytes > bytes.len() {
        return Err(FileFault::Unreadable(format!(
            "its columns have {column_bytes} bytes, but the whole file has {}; its row groups overlap",
            bytes.len()
        )));
    }
    groups.into_iter().flat_map(columns).try_for_each(|column| check_column(bytes, column))
}

fn check_column(bytes: &FileBytes, column: &ColumnChunkMetaData) -> Result<(), FileFault> {
    let (mut at, column_bytes) = column.byte_range();
    let end = at.saturating_add(column_bytes).min(bytes.len());
    let refused = |why: String| {
        FileFault::Unreadable(format!("a page of column `{}` {why}", column.column_path().string()))
    };
    while at < end {
        let header = read_header(bytes, at)?;
        header.check(column.column_descr()).map_err(refused)?;
        at = at.saturating_add(header.bytes);
        if outgrows_claim(bytes, at, &header, column.compression())? {
            return Err(refused(format!(
                "unpacks to more than the {} bytes that it claims",
                header.unpacked_bytes
            )));
        }
        at = at.saturating_add(header.packed_bytes.unsigned_abs());
    }
    Ok(())
}

/// Whether a page unpacks to more bytes than it claims. The Parquet reader unpacks gzip and the frames of LZ4 to whatever length they
/// have, and compares afterwards. So these are unpacked twice, here into nothing, which can double the time that such columns take. No
/// other packing that is compiled in gets more room than the page claims.
fn outgrows_claim(
    bytes: &FileBytes,
    at: u64,
    header: &PageHeader,
    packing: Compression,
) -> Result<bool, FileFault> {
    let level_bytes = header.level_bytes.iter().sum::<i64>().unsigned_abs();
    let claimed_bytes = header.unpacked_bytes.unsigned_abs() - level_bytes;
    // The Parquet reader does not unpack these.
    if !header.is_packed || claimed_bytes == 0 {
        return Ok(false);
    }
    let read_packed = || {
        let all = bytes.get_read(at.saturating_add(level_bytes));
        let packed_bytes = header.packed_bytes.unsigned_abs().saturating_sub(level_bytes);
        all.map(|all| all.take(packed_bytes)).map_err(|error| FileFault::Unreadable(error.to_string()))
    };
    let unpacked: Box<dyn Read> = match packing {
        Compression::GZIP(_) => Box::new(MultiGzDecoder::new(read_packed()?)),
        Compression::LZ4 => Box::new(FrameDecoder::new(read_packed()?)),
        _ => return Ok(false),
    };
    match io::copy(&mut unpacked.take(claimed_bytes + 1), &mut io::sink()) {
        Ok(unpacked_bytes) => Ok(unpacked_bytes > claimed_bytes),
        // What is damaged before its claim is reached, or no frame, is the reader's to refuse, or to unpack otherwise.
        Err(_) => bytes.take_fault().map_or(Ok(false), |fault| Err(FileFault::System(fault))),
    }
}

fn read_header(bytes: &FileBytes, at: u64) -> Result<PageHeader, FileFault> {
    let left = usize::try_from(bytes.len() - at).unwrap_or(HEADER_BYTES_MAX);
    for length in [HEADER_BYTES, HEADER_BYTES_MAX] {
        let mut buffer = vec![0; length.min(left)];
        fill(bytes, &mut buffer, at)?;
        if let Some(header) = PageHeader::parse(&buffer) {
            return Ok(header);
        }
    }
    Err(FileFault::Unreadable("the header of a page cannot be read".to_owned()))
}

impl PageHeader {
    /// Refuses what no writer makes; the error continues "a page of column `x`".
    pub(super) fn check(&self, column: &ColumnDescriptor) -> Result<(), String> {
        let value_bytes = match column.physical_type() {
            Type::BOOLEAN => 1,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => i64::from(column.type_length().max(1)),
            // A text has its length before it.
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        };
        let Self { unpacked_bytes, packed_bytes, dictionary_values, level_bytes, .. } = *self;
        if unpacked_bytes.max(packed_bytes) > PAGE_BYTES_MAX {
            return Err(format!(
                "claims {unpacked_bytes} bytes, {packed_bytes} packed; at most {} MB are read: write the file with smaller \
                 row groups or pages",
                PAGE_BYTES_MAX >> 20
            ));
        }
        let is_possible = unpacked_bytes >= 0
            && packed_bytes >= 0
            && level_bytes.iter().all(|bytes| (0..=unpacked_bytes).contains(bytes))
            && level_bytes.iter().sum::<i64>() <= unpacked_bytes
            && (0..=unpacked_bytes / value_bytes).contains(&dictionary_values);
        if is_possible {
            return Ok(());
        }
        let [definition, repetition] = level_bytes;
        Err(format!(
            "is damaged: it claims {unpacked_bytes} bytes, {packed_bytes} packed, {definition} + {repetition} bytes of levels, and \
             {dictionary_values} values in a dictionary"
        ))
    }

    /// Reads a header; none where it goes on behind these bytes, or is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if !structures::has(bytes, PAGE_HEADER) {
            return None;
        }
        let mut found = Self {
            kind: -1,
            unpacked_bytes: 0,
            packed_bytes: 0,
            values: 0,
            encoding: -1,
            level_encoding: -1,
            dictionary_values: 0,
            level_bytes: [0; 2],
            is_packed: true,
            crc: None,
            bytes: 0,
        };
        // The kind of page, and its lengths.
        let mut required = [None; 3];
        let (mut rest, mut id) = (bytes, 0);
        while let Some(kind) = field(&mut rest, &mut id)? {
            match (id, kind) {
                (1..=3, I32) => required[id as usize - 1] = Some(signed(&mut rest)?),
                // A number with a sign, but the bits of one without.
                (4, I32) => found.crc = Some(signed(&mut rest)? as u32),
                (5..=8, STRUCT) => found.parse_details(id, &mut rest)?,
                _ => skip(&mut rest, kind)?,
            }
        }
        let [kind, unpacked_bytes, packed_bytes] = required;
        found.kind = kind?;
        let own_bytes = (bytes.len() - rest.len()) as u64;
        Some(Self { unpacked_bytes: unpacked_bytes?, packed_bytes: packed_bytes?, bytes: own_bytes, ..found })
    }

    /// Reads what the structure `of` says of pages of its kind: 5, values; 6, an index; 7, a dictionary; 8, values, version 2.
    fn parse_details(&mut self, of: i64, rest: &mut &[u8]) -> Option<()> {
        if of == 8 {
            (self.level_bytes, self.is_packed) = ([0; 2], true);
        }
        let mut id = 0;
        while let Some(kind) = field(rest, &mut id)? {
            match (of, id, kind) {
                (5, 1, I32) => self.values = usize::try_from(signed(rest)?).unwrap_or(usize::MAX),
                (5, 2, I32) => self.encoding = signed(rest)?,
                (5, 3, I32) => self.level_encoding = signed(rest)?,
                (7, 1, I32) => self.dictionary_values = signed(rest)?,
                (8, 5 | 6, I32) => self.level_bytes[id as usize - 5] = signed(rest)?,
                (8, 7, 1 | 2) => self.is_packed = kind == 1,
                _ => skip(rest, kind)?,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::GzipLevel;
    use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};

    use super::super::footer::Footer;
    use super::*;

    const ROWS: i64 = 500;

    fn written(how: WriterPropertiesBuilder) -> Vec<u8> {
        let texts = (0..ROWS).map(|row| "text".repeat(row as usize % 7)).collect::<Vec<_>>();
        let columns: [(&str, ArrayRef); 3] = [
            ("number", Arc::new(Int64Array::from_iter_values(0..ROWS))),
            ("text", Arc::new(StringArray::from(texts))),
            ("gaps", Arc::new((0..ROWS).map(|row| (row % 3 > 0).then_some(0.5)).collect::<Float64Array>())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(how.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    fn file(bytes: &[u8]) -> FileBytes {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        FileBytes::whole(file).unwrap()
    }

    /// What is wrong with the first column of a file whose first page has this header.
    fn fault(header: &[u8]) -> Option<String> {
        let mut bytes = written(WriterProperties::builder());
        let footer = Footer::read(&file(&bytes)).unwrap();
        bytes[4..4 + header.len()].copy_from_slice(header);
        why(check_pages(&file(&bytes), &footer.metadata, [0], |column| column == 0))
    }

    fn why(checked: Result<(), FileFault>) -> Option<String> {
        match checked {
            Err(FileFault::Unreadable(why)) => Some(why),
            Err(fault) => panic!("{fault:?}"),
            Ok(()) => None,
        }
    }

    /// What is wrong with `groups` row groups whose first column is this page.
    fn page_fault(page: &[u8], packing: Compression, groups: usize) -> Option<String> {
        let footer = Footer::read(&file(&written(WriterProperties::builder()))).unwrap();
        let mut columns = footer.metadata.row_group(0).columns().to_vec();
        let column = columns[0].clone().into_builder().set_compression(packing).set_data_page_offset(0);
        let column = column.set_dictionary_page_offset(None).set_total_compressed_size(page.len() as i64);
        columns[0] = column.build().unwrap();
        let group = footer.metadata.row_group(0).clone().into_builder().set_column_metadata(columns);
        let all = vec![group.build().unwrap(); groups];
        let metadata = ParquetMetaData::new(footer.metadata.file_metadata().clone(), all);
        why(check_pages(&file(page), &metadata, [groups - 1], |column| column == 0))
    }

    fn zigzag(number: i64) -> Vec<u8> {
        let (mut rest, mut bytes) = ((number << 1 ^ number >> 63) as u64, Vec::new());
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    /// The header of a page that ends behind the first column, with a dictionary of so many values.
    fn header(unpacked_bytes: i64, dictionary_values: i64) -> Vec<u8> {
        let numbers =
            [2, unpacked_bytes, 1 << 20].map(|number| [vec![0x15], zigzag(number)].concat()).concat();
        [&numbers[..], &[0x4c, 0x15], &zigzag(dictionary_values), &[0x15, 0, 0, 0]].concat()
    }

    #[test]
    fn pages_of_every_kind_are_as_they_say() {
        let how = WriterProperties::builder;
        let small = || how().set_data_page_row_count_limit(50).set_write_batch_size(50);
        let second = || small().set_writer_version(WriterVersion::PARQUET_2_0);
        for how in [how(), small(), second(), second().set_dictionary_enabled(false)] {
            let gzip = Compression::GZIP(GzipLevel::default());
            let plain = Compression::UNCOMPRESSED;
            for packing in [plain, Compression::SNAPPY, Compression::LZ4_RAW, Compression::LZ4, gzip] {
                let bytes = file(&written(how.clone().set_compression(packing)));
                let footer = Footer::read(&bytes).unwrap();
                check_pages(&bytes, &footer.metadata, [0], |_| true).unwrap();
            }
        }
    }

    #[test]
    fn a_page_that_says_that_it_is_huge_is_refused_before_room_is_made_for_it() {
        let duckdb_bytes = 100_000_000;
        for (unpacked_bytes, values) in
            [(4000, 500), (0, 0), (duckdb_bytes, 0), (PAGE_BYTES_MAX, PAGE_BYTES_MAX / 8)]
        {
            assert_eq!(fault(&header(unpacked_bytes, values)), None, "{unpacked_bytes} {values}");
        }
        for (unpacked_bytes, values, advice) in [
            (i64::from(i32::MAX), 500, "128 MB are read: write the file with smaller row groups"),
            (PAGE_BYTES_MAX + 1, 500, "128 MB"),
            (-1, 0, "damaged"),
            (4000, 501, "damaged"),
            (4000, i64::from(i32::MAX), "damaged"),
            (4000, -1, "damaged"),
        ] {
            let why = fault(&header(unpacked_bytes, values)).unwrap();
            assert!(why.contains("`number`") && why.contains(advice), "{why}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x1d; 200],
            &[0x1c; 200],
        ] {
            assert!(fault(bytes).unwrap().contains("cannot be read"));
        }
    }

    /// A page of nothing, else the work is unbounded: it would be its own header that is passed over.
    #[test]
    fn a_header_has_its_kind_and_both_lengths() {
        let whole = [0x15, 0, 0x15, 0, 0x15, 0, 0];
        assert_eq!(PageHeader::parse(&whole).unwrap().bytes, 7);
        for part in [&[0][..], &[0x25, 0, 0x15, 0, 0], &[0x15, 0, 0x25, 0, 0], &[0x15, 0, 0x15, 0, 0]] {
            assert_eq!(PageHeader::parse(part), None, "{part:?}");
            assert!(fault(part).unwrap().contains("cannot be read"));
        }
    }

    /// The Parquet reader must not find other lengths in a header than were checked.
    #[test]
    fn a_header_that_can_be_read_in_two_ways_is_refused() {
        let ends = |more: &[u8]| [&[0x15, 0, 0x15, 8, 0x15, 8][..], more].concat();
        let unpacked_bytes = |header: &[u8]| PageHeader::parse(header).map(|header| header.unpacked_bytes);
        let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
        // A field of the future, and a length given twice: the last one counts.
        assert_eq!(unpacked_bytes(&ends(&[0x68, 2, b'a', b'b', 0])), Some(4));
        assert_eq!(unpacked_bytes(&ends(&[&[0x05, 4][..], &huge, &[0]].concat())), Some(i64::from(i32::MAX)));
        for more in [
            // Field 2 as another kind of number, and with a number of more than 16 bits.
            [&[0x06, 4][..], &huge, &[0]].concat(),
            [&[0x05, 0x84, 0x80, 0x08][..], &huge, &[0]].concat(),
            // In what is a text or a list of booleans for one reader, and fields for the other.
            [&[0x18, 8, 0x05, 4][..], &huge, &[0, 0]].concat(),
            [&[0x79, 0x81, 0x05, 4][..], &huge, &[0, 0]].concat(),
            [&[0x2c, 0x18, 8, 0, 0x05, 4][..], &huge, &[0, 0]].concat(),
        ] {
            assert_eq!(PageHeader::parse(&ends(&more)), None, "{more:?}");
        }
    }

    /// The header of a page of version 2 with so many bytes of levels before its values.
    fn header_v2(unpacked_bytes: usize, packed_bytes: usize, level_bytes: usize, is_packed: bool) -> Vec<u8> {
        let number = |number: usize| [vec![0x15], zigzag(number as i64)].concat();
        let lengths = [number(3), number(unpacked_bytes), number(packed_bytes)].concat();
        let levels = [number(level_bytes), number(0), vec![if is_packed { 0x11 } else { 0x12 }]].concat();
        [&lengths[..], &[0x5c, 0x15, 0, 0x15, 0, 0x15, 0, 0x15, 0], &levels, &[0, 0]].concat()
    }

    /// A text packed by gzip, and in a frame of LZ4.
    fn packed(bytes: &[u8]) -> [(Compression, Vec<u8>); 2] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(bytes).unwrap();
        let gzip_packing = Compression::GZIP(GzipLevel::default());
        [(gzip_packing, gzip.finish().unwrap()), (Compression::LZ4, lz4.finish().unwrap())]
    }

    #[test]
    fn a_page_that_unpacks_to_more_than_it_claims_is_refused() {
        const BYTES: usize = 1 << 20;
        for (packing, packed) in packed(&vec![0; BYTES]) {
            for level_bytes in [0, 5] {
                let page = |claimed_bytes: usize, is_packed| {
                    let packed_bytes = level_bytes + packed.len();
                    let header = header_v2(claimed_bytes + level_bytes, packed_bytes, level_bytes, is_packed);
                    [&header, &vec![9; level_bytes], &packed[..]].concat()
                };
                for claimed_bytes in [1, 4000, BYTES - 1] {
                    let why = page_fault(&page(claimed_bytes, true), packing, 1).unwrap();
                    assert!(why.contains("`number` unpacks to more than"), "{packing} {why}");
                }
                for claimed_bytes in [0, BYTES, BYTES + 1] {
                    assert_eq!(page_fault(&page(claimed_bytes, true), packing, 1), None, "{packing}");
                }
                // These are as they are, whatever the column says.
                assert_eq!(page_fault(&page(4000, false), packing, 1), None);
                assert_eq!(page_fault(&page(4000, true), Compression::SNAPPY, 1), None);
            }
            // Members and frames follow one another; what is cut off is the reader's to refuse.
            let twice = [&packed[..], &packed].concat();
            let page = |bytes: &[u8]| [header_v2(BYTES, bytes.len(), 0, true), bytes.to_vec()].concat();
            let is_refused = page_fault(&page(&twice), packing, 1).is_some();
            assert_eq!(
                is_refused,
                matches!(packing, Compression::GZIP(_)),
                "the reader takes one frame of LZ4"
            );
            assert_eq!(page_fault(&page(&packed[..packed.len() / 2]), packing, 1), None);
        }
    }

    #[test]
    fn levels_are_part_of_a_page() {
        assert_eq!(page_fault(&header_v2(20, 0, 20, false), Compression::UNCOMPRESSED, 1), None);
        let why = page_fault(&header_v2(20, 0, 21, false), Compression::UNCOMPRESSED, 1).unwrap();
        assert!(why.contains("damaged") && why.contains("21 + 0 bytes of levels"), "{why}");
    }

    #[test]
    fn row_groups_do_not_share_their_pages() {
        let page = header_v2(0, 0, 0, true);
        assert_eq!(page_fault(&page, Compression::UNCOMPRESSED, 1), None);
        let why = page_fault(&page, Compression::UNCOMPRESSED, 2).unwrap();
        assert!(why.contains("row groups overlap"), "{why}");
    }
}
