//! [`copy_with_value`]: a file of rollfit's once more, with another value under a key of its footer.
//!
//! Invariants: the rows are copied byte for byte and checked on the way. Of the footer too all bytes stay but those of the value and
//! of the checksums, so that nothing is lost which this program doesn't know.

use std::io::{self, Write};
use std::ops::Range;

use crc32c::crc32c_append;

use super::bytes::FileBytes;
use super::checksum::{CHECKSUM_KEY, Checksums};
use super::footer::{FileFault, fill, read_end};
use super::thrift::{LIST, STRUCT, field, list_head, skip};

/// Bytes copied at once.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces begin at a multiple of this in memory: an output that writes past the page cache takes them as they are.
const ALIGNMENT: usize = 4096;

/// The number of the entries among the fields of a footer, and those of key and value in an entry.
const ENTRIES: i64 = 5;
const ENTRY_KEY: i64 = 1;
const ENTRY_VALUE: i64 = 2;
/// The kind of a field that holds a text.
const TEXT: u8 = 8;

/// Why a file is not copied.
#[derive(Debug)]
pub enum CopyFault {
    /// It cannot be read, or has changed.
    Source(FileFault),
    /// The copy cannot be written.
    Target(io::Error),
}

/// Writes a file with these `checksums` to `output`, with `value` in place of what its footer has under `key`, and with
/// checksums that fit. Memory is one piece and the footer.
///
/// # Errors
/// [`CopyFault`].
pub fn copy_with_value(
    bytes: &FileBytes,
    checksums: Checksums,
    (key, value): (&str, &str),
    output: &mut dyn Write,
) -> Result<(), CopyFault> {
    let damaged = |why: &str| CopyFault::Source(FileFault::Damaged(why.to_owned()));
    let end = read_end(bytes).map_err(CopyFault::Source)?;
    let (body_bytes, footer) = (end.body_bytes, end.footer());
    if body_bytes != checksums.body_bytes || !checksums.fit_footer(footer) {
        return Err(damaged("its footer does not match its checksum"));
    }
    let to_fill_in = Checksums::default().to_string();
    let replaced = with_value(footer, key, value)
        .and_then(|footer| with_value(&footer, CHECKSUM_KEY, &to_fill_in))
        .ok_or_else(|| damaged("its footer has no entries where they are expected"))?;
    let length = u32::try_from(replaced.len()).map_err(|_| damaged("its footer is too long"))?;
    let mut end = [&replaced, &length.to_le_bytes()[..], b"PAR1"].concat();
    if copy_body(bytes, body_bytes, output)? != checksums.body {
        return Err(damaged("its rows do not match their checksum"));
    }
    Checksums::seal(body_bytes, checksums.body, &mut end).map_err(CopyFault::Target)?;
    output.write_all(&end).and_then(|()| output.flush()).map_err(CopyFault::Target)
}

/// Copies the bytes before the footer; returns their CRC-32C.
fn copy_body(bytes: &FileBytes, body_bytes: u64, output: &mut dyn Write) -> Result<u32, CopyFault> {
    let mut memory = vec![0; usize::try_from(body_bytes).unwrap_or(PIECE_BYTES).min(PIECE_BYTES) + ALIGNMENT];
    let start = memory.as_ptr().addr().wrapping_neg() % ALIGNMENT;
    let piece = &mut memory[start..];
    let (mut at, mut sum) = (0, 0);
    while at < body_bytes {
        let left = usize::try_from(body_bytes - at).unwrap_or(PIECE_BYTES);
        let piece = &mut piece[..left.min(PIECE_BYTES)];
        fill(bytes, piece, at).map_err(CopyFault::Source)?;
        sum = crc32c_append(sum, piece);
        output.write_all(piece).map_err(CopyFault::Target)?;
        at += piece.len() as u64;
    }
    Ok(sum)
}

/// A footer with another value under `key`; none where it has no such entry.
fn with_value(footer: &[u8], key: &str, value: &str) -> Option<Vec<u8>> {
    let place = place_of_value(footer, &text(key))?;
    Some([&footer[..place.start], &text(value), &footer[place.end..]].concat())
}

/// A text in Thrift's compact form: its length and its bytes.
fn text(text: &str) -> Vec<u8> {
    let (mut length, mut bytes) = (text.len(), Vec::with_capacity(text.len() + 5));
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Where the footer has the value of the first entry with this key, as readers take it.
fn place_of_value(footer: &[u8], key: &[u8]) -> Option<Range<usize>> {
    let (mut rest, mut id) = (footer, 0);
    while let Some(kind) = field(&mut rest, &mut id)? {
        if (id, kind) != (ENTRIES, LIST) {
            skip(&mut rest, kind)?;
            continue;
        }
        let (kind, entries) = list_head(&mut rest)?;
        for _ in 0..entries {
            let is_found = if kind == STRUCT { entry(footer, &mut rest, key)? } else { None };
            if is_found.is_some() {
                return is_found;
            }
        }
        return None;
    }
    None
}

/// Passes over an entry; `Some(None)` where it has another key or no value.
fn entry(footer: &[u8], rest: &mut &[u8], key: &[u8]) -> Option<Option<Range<usize>>> {
    let (mut id, mut has_key, mut place) = (0, false, None);
    while let Some(kind) = field(rest, &mut id)? {
        let start = footer.len() - rest.len();
        skip(rest, kind)?;
        let passed = start..footer.len() - rest.len();
        match (id, kind) {
            (ENTRY_KEY, TEXT) => has_key = footer[passed] == *key,
            (ENTRY_VALUE, TEXT) => place = Some(passed),
            _ => {}
        }
    }
    Some(place.filter(|_| has_key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// The footer of a file with these entries.
    fn footer(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
        let schema = parse_message_type("message features { required int64 ts_utc; }").unwrap();
        let entry =
            |&(key, value): &(&str, Option<&str>)| KeyValue::new(key.to_owned(), value.map(str::to_owned));
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(entries.iter().map(entry).collect()))
            .build();
        let mut file = Vec::new();
        SerializedFileWriter::new(&mut file, Arc::new(schema), Arc::new(properties))
            .unwrap()
            .close()
            .unwrap();
        file[4..file.len() - 8].to_vec()
    }

    fn entries(footer: &[u8]) -> Vec<(String, Option<String>)> {
        let metadata = ParquetMetaDataReader::decode_metadata(footer).unwrap();
        let entries = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    #[test]
    fn one_value_is_replaced_whatever_its_length_and_everything_else_stays() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let (long, short) = ("x".repeat(length), "short");
            for (from, to) in [(long.as_str(), short), (short, long.as_str())] {
                let wanted = [("a", Some("1")), ("key", Some(to)), ("keys", None), ("b", Some("key"))];
                let mut before = wanted;
                before[1].1 = Some(from);
                assert_eq!(with_value(&footer(&before), "key", to), Some(footer(&wanted)), "{length}");
            }
        }
    }

    #[test]
    fn the_first_of_two_entries_counts_as_it_does_for_readers() {
        let replaced = with_value(&footer(&[("key", Some("1")), ("key", Some("2"))]), "key", "3").unwrap();
        let wanted =
            [("key", "3"), ("key", "2")].map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        assert_eq!(entries(&replaced), wanted);
    }

    #[test]
    fn a_footer_without_that_entry_or_cut_off_has_none() {
        for entries in [&[][..], &[("other", Some("1"))], &[("key", None)], &[("ke", Some("y"))]] {
            assert_eq!(with_value(&footer(entries), "key", "2"), None, "{entries:?}");
        }
        let whole = footer(&[("key", Some("1"))]);
        // The writer's name, and what comes after it, are behind the entry.
        let end = place_of_value(&whole, &text("key")).unwrap().end;
        for cut in 0..end {
            assert_eq!(with_value(&whole[..cut], "key", "2"), None, "{cut}");
        }
    }
}
