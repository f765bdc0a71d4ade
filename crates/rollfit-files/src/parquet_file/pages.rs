//! [`check_pages`]: what the pages of a file say that they unpack to, before the Parquet reader makes room for it. A few bytes
//! can say gigabytes.

use parquet::basic::Type;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::Length;
use parquet::schema::types::ColumnDescriptor;

use super::bytes::FileBytes;
use super::footer::{FileFault, fill};
use super::thrift::{field, signed, skip};

/// The most bytes that a page unpacks to. Writers make pages of a megabyte.
const PAGE_BYTES_MAX: i64 = 64 << 20;
/// The most bytes of a page's header. Statistics may be in it.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at first: most headers have fewer.
const HEADER_BYTES: usize = 128;

/// What the header of a page says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PageHeader {
    unpacked_bytes: i64,
    packed_bytes: i64,
    dictionary_values: i64,
    /// Its own length.
    bytes: u64,
}

/// Checks the pages of those columns of a row group, by their index, that are to be read.
///
/// # Errors
/// [`FileFault::Unreadable`] where a page says that it is larger than any that writers make, or its header cannot be read.
pub fn check_pages(
    bytes: &FileBytes,
    group: &RowGroupMetaData,
    is_read: impl Fn(usize) -> bool,
) -> Result<(), FileFault> {
    for (_, column) in group.columns().iter().enumerate().filter(|(at, _)| is_read(*at)) {
        let (mut at, packed_bytes) = column.byte_range();
        let end = at.saturating_add(packed_bytes).min(bytes.len());
        while at < end {
            let header = read_header(bytes, at)?;
            if !header.is_possible(column.column_descr()) {
                return Err(FileFault::Unreadable(format!(
                    "a page of column `{}` says that it has {} bytes and {} values; no page has more than {} MB",
                    column.column_path().string(),
                    header.unpacked_bytes,
                    header.dictionary_values,
                    PAGE_BYTES_MAX >> 20
                )));
            }
            at = at.saturating_add(header.bytes).saturating_add(header.packed_bytes.unsigned_abs());
        }
    }
    Ok(())
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
    fn is_possible(&self, column: &ColumnDescriptor) -> bool {
        let value_bytes = match column.physical_type() {
            Type::BOOLEAN => 1,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => i64::from(column.type_length().max(1)),
            // A text has its length before it.
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        };
        (0..=PAGE_BYTES_MAX).contains(&self.unpacked_bytes)
            && self.packed_bytes >= 0
            && (0..=self.unpacked_bytes / value_bytes).contains(&self.dictionary_values)
    }

    /// Reads a header; none where it goes on behind these bytes, or is none.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut header = Self::default();
        let mut rest = bytes;
        let (mut id, mut inner_id) = (0, 0);
        while let Some(kind) = field(&mut rest, &mut id)? {
            match (id, kind) {
                (2, 5) => header.unpacked_bytes = signed(&mut rest)?,
                (3, 5) => header.packed_bytes = signed(&mut rest)?,
                (7, 12) => {
                    while let Some(kind) = field(&mut rest, &mut inner_id)? {
                        match (inner_id, kind) {
                            (1, 5) => header.dictionary_values = signed(&mut rest)?,
                            _ => skip(&mut rest, kind)?,
                        }
                    }
                }
                _ => skip(&mut rest, kind)?,
            }
        }
        header.bytes = (bytes.len() - rest.len()) as u64;
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
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
        match check_pages(&file(&bytes), footer.metadata.row_group(0), |column| column == 0) {
            Err(FileFault::Unreadable(why)) => Some(why),
            _ => None,
        }
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
            for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW] {
                let bytes = file(&written(how.clone().set_compression(compression)));
                let footer = Footer::read(&bytes).unwrap();
                check_pages(&bytes, footer.metadata.row_group(0), |_| true).unwrap();
            }
        }
    }

    #[test]
    fn a_page_that_says_that_it_is_huge_is_refused_before_room_is_made_for_it() {
        for (unpacked_bytes, values) in [(4000, 500), (0, 0), (PAGE_BYTES_MAX, PAGE_BYTES_MAX / 8)] {
            assert_eq!(fault(&header(unpacked_bytes, values)), None, "{unpacked_bytes} {values}");
        }
        for (unpacked_bytes, values) in [
            (i64::from(i32::MAX), 500),
            (PAGE_BYTES_MAX + 1, 500),
            (-1, 0),
            (4000, 501),
            (4000, i64::from(i32::MAX)),
            (4000, -1),
        ] {
            let why = fault(&header(unpacked_bytes, values)).unwrap();
            assert!(why.contains("`number`") && why.contains("64 MB"), "{why}");
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
}
