//! [`SealedFooter`]: the footer of a file of rollfit's whose checksum fits, as bytes. A plan reads one for each partition, and needs
//! no more of it than the text beside the columns: decoding hundreds of columns would take most of its time.
//!
//! Invariants: it is one only where [`Footer`](super::Footer) would be [`Integrity::Verified`](super::Integrity::Verified), as far as
//! the structures of the format go; nothing is allocated for what the bytes say.

use std::ops::Range;

use super::bytes::FileBytes;
use super::checksum::{CHECKSUM_KEY, CREATED_BY, Checksums};
use super::footer::{FileFault, read_end};
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
    footer: Vec<u8>,
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
        let Some(parts) = FooterParts::parse(&end.footer) else { return Ok(None) };
        let text = |range: &Range<usize>| &end.footer[range.clone()];
        let found = parts.values.iter().find(|(key, _)| text(key) == CHECKSUM_KEY.as_bytes());
        let found = found.and_then(|(_, value)| std::str::from_utf8(text(value)).ok());
        let Some(checksums) = found.and_then(Checksums::parse) else { return Ok(None) };
        let is_ours = parts.writer.as_ref().is_some_and(|writer| text(writer) == CREATED_BY.as_bytes());
        if !is_ours || checksums.body_bytes != end.body_bytes || !checksums.fit_footer(&end.footer) {
            return Ok(None);
        }
        let (Some(schema), values) = (parts.schema, parts.values) else { return Ok(None) };
        Ok(Some(Self { footer: end.footer, schema, values }))
    }

    /// What the footer's metadata has under `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        let (_, value) = self.values.iter().find(|(name, _)| &self.footer[name.clone()] == key.as_bytes())?;
        std::str::from_utf8(&self.footer[value.clone()]).ok()
    }

    /// The bytes that describe the columns: the same for files of the same columns.
    pub fn schema(&self) -> &[u8] {
        &self.footer[self.schema.clone()]
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
