//! [`Footer`]: what the footer of a Parquet file says, and whether rollfit wrote the file and it is unchanged.
//!
//! Invariants: a file counts as rollfit's only where its footer says so. What its bytes do not prove to be rollfit's is
//! somebody else's file, and is read as one.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crc32c::crc32c_append;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::Length;

use super::bytes::FileBytes;
use super::checksum::{CHECKSUM_KEY, CREATED_BY, Checksums, TRAILER_BYTES, find_last, footer_bytes};
use super::structures::{self, FILE_METADATA};
use crate::damaged::contain_panics;

/// Bytes of the end of a file that are read at first, which mostly hold the footer.
const END_BYTES: usize = 32 * 1024;
/// Bytes of a body that are read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Why a file cannot be read.
#[derive(Debug)]
pub enum FileFault {
    /// The system failed, which says nothing of the file.
    System(io::Error),
    /// Rollfit wrote it, and it was changed since.
    Damaged(String),
    /// It is not a Parquet file, or no longer.
    Unreadable(String),
}

/// How far a file's bytes can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Somebody else wrote it.
    Foreign,
    /// Rollfit wrote it without checksums.
    Unverified,
    /// Rollfit wrote it, and its footer is unchanged; [`check_body`] checks the rest.
    Verified(Checksums),
}

/// The footer of a file.
pub struct Footer {
    /// Row groups, columns and key-value pairs.
    pub metadata: Arc<ParquetMetaData>,
    /// What is known of its bytes.
    pub integrity: Integrity,
}

impl Footer {
    /// Reads the footer of a file, and checks it where it is rollfit's.
    ///
    /// # Errors
    /// [`FileFault`].
    pub fn read(bytes: &FileBytes) -> Result<Self, FileFault> {
        let end = read_end(bytes)?;
        // The reader makes room for as many elements as a list says it has.
        if !structures::has(end.footer(), FILE_METADATA) {
            return Err(unreadable(&end.last, "it is cut off or damaged"));
        }
        let decoded = contain_panics(|| ParquetMetaDataReader::decode_metadata(end.footer()));
        let why = match decoded {
            Ok(Ok(metadata)) => {
                let integrity = integrity(&metadata, &end)?;
                return Ok(Self { metadata: Arc::new(metadata), integrity });
            }
            Ok(Err(error)) => error.to_string(),
            Err(damaged) => damaged.to_string(),
        };
        Err(unreadable(&end.last, &why))
    }

    /// What the footer's metadata has under `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        value(&self.metadata, key)
    }
}

fn value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.as_deref()
}

/// The end of a file.
pub(super) struct FileTail {
    /// The bytes that the file has before the footer.
    pub(super) body_bytes: u64,
    /// The last bytes of all.
    last: Vec<u8>,
    footer: FooterPlace,
}

/// Where the footer is.
enum FooterPlace {
    /// Among the last bytes.
    Within(Range<usize>),
    /// It has more bytes than were read at first.
    Apart(Vec<u8>),
}

impl FileTail {
    pub(super) fn footer(&self) -> &[u8] {
        match &self.footer {
            FooterPlace::Within(range) => &self.last[range.clone()],
            FooterPlace::Apart(footer) => footer,
        }
    }
}

pub(super) fn read_end(bytes: &FileBytes) -> Result<FileTail, FileFault> {
    let whole = bytes.len();
    let last_bytes = usize::try_from(whole).unwrap_or(END_BYTES).min(END_BYTES);
    let mut last = vec![0; last_bytes];
    fill(bytes, &mut last, whole - last_bytes as u64)?;
    let Some((before, trailer)) = last.split_last_chunk::<TRAILER_BYTES>() else {
        return Err(unreadable(&last, "it is too short to have a footer"));
    };
    if !trailer.ends_with(b"PAR1") {
        return Err(unreadable(&last, "it does not end like a Parquet file"));
    }
    let most = whole - TRAILER_BYTES as u64;
    let Some(footer_bytes) = footer_bytes(trailer).filter(|&length| length as u64 <= most) else {
        return Err(unreadable(&last, "its footer says that it is longer than the file"));
    };
    let body_bytes = most - footer_bytes as u64;
    let footer = match before.len().checked_sub(footer_bytes) {
        Some(start) => FooterPlace::Within(start..before.len()),
        None => {
            let mut footer = vec![0; footer_bytes];
            fill(bytes, &mut footer, body_bytes)?;
            FooterPlace::Apart(footer)
        }
    };
    Ok(FileTail { body_bytes, last, footer })
}

/// A file whose `last` bytes name the checksums of rollfit was written by rollfit.
fn unreadable(last: &[u8], why: &str) -> FileFault {
    if find_last(last, CHECKSUM_KEY.as_bytes()).is_some() {
        FileFault::Damaged(format!("its footer cannot be read ({why})"))
    } else {
        FileFault::Unreadable(why.to_owned())
    }
}

pub(super) fn fill(bytes: &FileBytes, buffer: &mut [u8], offset: u64) -> Result<(), FileFault> {
    bytes.fill(buffer, offset).map_err(|error| match bytes.take_fault() {
        Some(fault) => FileFault::System(fault),
        None => FileFault::Unreadable(error.to_string()),
    })
}

/// Whose file it is. The checksums count where rollfit is named as its writer and either the length of the body or the
/// footer is as they say: a tool that writes the file anew keeps neither.
fn integrity(metadata: &ParquetMetaData, end: &FileTail) -> Result<Integrity, FileFault> {
    if metadata.file_metadata().created_by() != Some(CREATED_BY) {
        return Ok(Integrity::Foreign);
    }
    let Some(text) = value(metadata, CHECKSUM_KEY) else { return Ok(Integrity::Unverified) };
    let garbled = || FileFault::Damaged("its checksums cannot be read".to_owned());
    let checksums = Checksums::parse(text).ok_or_else(garbled)?;
    match (checksums.body_bytes == end.body_bytes, checksums.fit_footer(end.footer())) {
        (true, true) => Ok(Integrity::Verified(checksums)),
        (true, false) => Err(FileFault::Damaged("its footer does not match its checksum".to_owned())),
        (false, true) => Err(FileFault::Damaged(format!(
            "it has {} bytes before its footer but was written with {}",
            end.body_bytes, checksums.body_bytes
        ))),
        (false, false) => Ok(Integrity::Unverified),
    }
}

/// Checks the bytes before the footer.
///
/// # Errors
/// [`FileFault`].
pub fn check_body(bytes: &FileBytes, integrity: Integrity) -> Result<(), FileFault> {
    let Integrity::Verified(checksums) = integrity else { return Ok(()) };
    // Small files are many: clearing and freeing a whole chunk would take most of their time.
    let chunk_bytes = usize::try_from(checksums.body_bytes).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
    let mut buffer = vec![0; chunk_bytes];
    let (mut at, mut sum) = (0, 0);
    while at < checksums.body_bytes {
        let left = usize::try_from(checksums.body_bytes - at).unwrap_or(chunk_bytes);
        let chunk = &mut buffer[..left.min(chunk_bytes)];
        fill(bytes, chunk, at)?;
        sum = crc32c_append(sum, chunk);
        at += chunk.len() as u64;
    }
    if sum == checksums.body {
        return Ok(());
    }
    Err(FileFault::Damaged("its rows do not match their checksum".to_owned()))
}
