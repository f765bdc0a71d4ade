//! [`SealedFooter`]: the footer of a file of rollfit's whose checksum fits, as bytes. A plan reads one for each partition, and needs
//! no more of it than the text beside the columns: decoding hundreds of columns would take most of its time.
//!
//! Invariants: it is one only where [`Footer`](super::Footer) would be [`Integrity::Verified`](super::Integrity::Verified), as far as
//! the structures of the format go; nothing is allocated for what the bytes say.

use std::ops::Range;

use super::bytes::FileBytes;
use super::checksum::{CHECKSUM_KEY, CREATED_BY, Checksums};
use super::footer::{FileFault, FileTail, read_end};
use super::structures::{FILE_METADATA, known, value};
use super::thrift::{LIST, STRUCT, bytes as take_bytes, field, list_head, skip};

/// The numbers of a footer's fields.
const SCHEMA: i64 = 2;
const KEY_VALUES: i64 = 5;
const WRITER: i64 = 6;
/// A text, as Thrift's compact form numbers the kinds.
const BYTES: u8 = 8;

/// The footer of a file that rollfit wrote, unchanged.
pub struct SealedFooter {
    end: FileTail,
    schema: Range<usize>,
    values: Vec<(Range<usize>, Range<usize>)>,
}

impl SealedFooter {
    /// Reads the footer of a file; none where the file is another's, has no checksums, or is damaged, which
    /// [`Footer::read`](super::Footer::read) says.
    ///
    /// # Errors
    /// [`FileFault`] where the end of the file cannot be read.
    pub fn read(bytes: &FileBytes) -> Result<Option<Self>, FileFault> {
        let end = read_end(bytes)?;
        let Some(parts) = FooterParts::parse(end.footer()) else { return Ok(None) };
        let text = |range: &Range<usize>| &end.footer()[range.clone()];
        let found = parts.values.iter().find(|(key, _)| text(key) == CHECKSUM_KEY.as_bytes());
        let found = found.and_then(|(_, value)| std::str::from_utf8(text(value)).ok());
        let Some(checksums) = found.and_then(Checksums::parse) else { return Ok(None) };
        let is_ours = parts.writer.as_ref().is_some_and(|writer| text(writer) == CREATED_BY.as_bytes());
        if !is_ours || checksums.body_bytes != end.body_bytes || !checksums.fit_footer(end.footer()) {
            return Ok(None);
        }
        let (Some(schema), values) = (parts.schema, parts.values) else { return Ok(None) };
        Ok(Some(Self { end, schema, values }))
    }

    /// What the footer's metadata has under `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        let footer = self.end.footer();
        let (_, value) = self.values.iter().find(|(name, _)| &footer[name.clone()] == key.as_bytes())?;
        std::str::from_utf8(&footer[value.clone()]).ok()
    }

    /// The bytes that describe the columns: the same for files of the same columns.
    pub fn schema(&self) -> &[u8] {
        &self.end.footer()[self.schema.clone()]
    }
}

/// Where the parts of a footer are in its bytes.
#[derive(Default)]
struct FooterParts {
    schema: Option<Range<usize>>,
    values: Vec<(Range<usize>, Range<usize>)>,
    writer: Option<Range<usize>>,
}

impl FooterParts {
    /// Finds the parts; none where a field comes twice, or has another kind than the format says.
    fn parse(footer: &[u8]) -> Option<Self> {
        let (mut parts, mut rest, mut id) = (Self::default(), footer, 0);
        let (mut has_values, mut last) = (false, 0);
        while let Some(kind) = field(&mut rest, &mut id)? {
            // Every writer puts them in order, and so none comes twice.
            if id <= std::mem::replace(&mut last, id) {
                return None;
            }
            let start = footer.len() - rest.len();
            match id {
                KEY_VALUES if kind == LIST && !has_values => {
                    has_values = true;
                    parts.values = key_values(footer, &mut rest)?;
                }
                WRITER if kind == BYTES => parts.writer = Some(text(footer, &mut rest)?),
                id => match known(FILE_METADATA, id) {
                    Some(expected) => value(&mut rest, kind, expected)?,
                    None => skip(&mut rest, kind)?,
                },
            }
            if id == SCHEMA {
                parts.schema = Some(start..footer.len() - rest.len());
            }
        }
        Some(parts)
    }
}

/// The entries of the footer's metadata: where each key is, and its value.
fn key_values(footer: &[u8], rest: &mut &[u8]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let (kind, length) = list_head(rest)?;
    let mut entries = Vec::new();
    for _ in 0..length {
        let (mut key, mut value, mut id) = (None, None, 0);
        if kind != STRUCT {
            return None;
        }
        while let Some(kind) = field(rest, &mut id)? {
            match (id, kind) {
                (1, BYTES) if key.is_none() => key = Some(text(footer, rest)?),
                (2, BYTES) if value.is_none() => value = Some(text(footer, rest)?),
                (1 | 2, _) => return None,
                _ => skip(rest, kind)?,
            }
        }
        if let (Some(key), Some(value)) = (key, value) {
            entries.push((key, value));
        }
    }
    Some(entries)
}

/// Where the bytes of a text are, which follow.
fn text(footer: &[u8], rest: &mut &[u8]) -> Option<Range<usize>> {
    let taken = take_bytes(rest)?;
    let end = footer.len() - rest.len();
    Some(end - taken.len()..end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;

    use super::super::bytes::ReadAt;
    use super::super::checksum::{TRAILER_BYTES, footer_bytes};
    use super::super::footer::{Footer, Integrity};
    use super::*;

    struct Memory(Vec<u8>);

    impl ReadAt for Memory {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let rest = &self.0[offset as usize..];
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }
    }

    fn memory(file: &[u8]) -> FileBytes {
        FileBytes::new(Arc::new(Memory(file.to_vec())), file.len() as u64)
    }

    /// A file of `writer` with checksums and a receipt of `bytes` bytes.
    fn written(writer: &str, bytes: usize) -> Vec<u8> {
        let columns: [(&str, ArrayRef); 2] = [
            ("a", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("b", Arc::new(Float64Array::from(vec![0.5, 2.5]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder().set_created_by(writer.to_owned()).build();
        let mut file = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        file.write(&batch).unwrap();
        file.append_key_value_metadata(KeyValue::new("receipt".to_owned(), "x".repeat(bytes)));
        file.append_key_value_metadata(Checksums::to_fill_in());
        let mut file = file.into_inner().unwrap();
        let trailer = file.len() - TRAILER_BYTES;
        let footer = trailer - footer_bytes(&file[trailer..]).unwrap();
        let (body, end) = file.split_at_mut(footer);
        Checksums::seal(body.len() as u64, crc32c::crc32c(body), end).unwrap();
        file
    }

    #[test]
    fn it_says_what_the_decoded_footer_says_however_long_it_is() {
        for bytes in [0, 1000, 100_000] {
            let file = written(CREATED_BY, bytes);
            let sealed = SealedFooter::read(&memory(&file)).unwrap().unwrap();
            let footer = Footer::read(&memory(&file)).unwrap();
            assert!(matches!(footer.integrity, Integrity::Verified(_)));
            for key in ["receipt", CHECKSUM_KEY, "none"] {
                assert_eq!(sealed.value(key), footer.value(key), "{key}");
            }
            assert!(sealed.schema().windows(1).any(|name| name == b"a"));
        }
        let of = |file: &[u8]| SealedFooter::read(&memory(file)).unwrap().unwrap().schema().to_vec();
        assert_eq!(of(&written(CREATED_BY, 1)), of(&written(CREATED_BY, 2)));
    }

    #[test]
    fn a_file_of_somebody_else_or_with_any_changed_byte_in_its_footer_has_none() {
        assert!(SealedFooter::read(&memory(&written("somebody else", 10))).unwrap().is_none());
        let file = written(CREATED_BY, 10);
        let trailer: [u8; 4] = file[file.len() - 8..file.len() - 4].try_into().unwrap();
        let start = file.len() - 8 - u32::from_le_bytes(trailer) as usize;
        for at in start..file.len() - 8 {
            for flip in [0x01, 0x80] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                assert!(!matches!(SealedFooter::read(&memory(&damaged)), Ok(Some(_))), "{at}");
            }
        }
        // A byte more before the footer: the lengths differ.
        let longer = [&file[..start], &[0], &file[start..]].concat();
        assert!(!matches!(SealedFooter::read(&memory(&longer)), Ok(Some(_))));
    }
}
