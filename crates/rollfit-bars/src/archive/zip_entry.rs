//! Unpacking one entry of a zip as it is read, with its size and checksum checked at its end.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

/// The unpacked bytes of an entry.
pub(crate) struct ZipEntry {
    unpacked: Box<dyn Read>,
    crc: Crc,
    /// Bytes that are still to come.
    left_bytes: u64,
    expected_crc: u32,
}

impl ZipEntry {
    /// Opens an entry by its index; an error says what to do.
    pub(crate) fn open(mut archive: ZipArchive<BufReader<File>>, index: usize) -> Result<Self, String> {
        let broken = |error: &dyn std::fmt::Display| format!("cannot unpack the zip: {error}");
        let entry = archive.by_index_raw(index).map_err(|error| broken(&error))?;
        if entry.encrypted() {
            return Err("the zip is encrypted; unpack it first".to_owned());
        }
        let (method, packed_bytes, start) =
            (entry.compression(), entry.compressed_size(), entry.data_start());
        let (left_bytes, expected_crc) = (entry.size(), entry.crc32());
        drop(entry);
        let start = start.ok_or_else(|| broken(&"its entry has no position"))?;
        let mut file = archive.into_inner();
        file.seek(SeekFrom::Start(start)).map_err(|error| broken(&error))?;
        let packed = file.take(packed_bytes);
        let unpacked: Box<dyn Read> = match method {
            CompressionMethod::Stored => Box::new(packed),
            CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
            other => return Err(format!("the zip is compressed with {other}; unpack it first")),
        };
        Ok(Self { unpacked, crc: Crc::new(), left_bytes, expected_crc })
    }

    fn check_end(&self) -> io::Result<()> {
        if self.left_bytes > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the entry is shorter than the zip says",
            ));
        }
        if self.crc.sum() == self.expected_crc {
            Ok(())
        } else {
            Err(damaged("the checksum of the entry is wrong"))
        }
    }
}

impl Read for ZipEntry {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(out)?;
        if read == 0 && !out.is_empty() {
            self.check_end()?;
        }
        let left = self.left_bytes.checked_sub(read as u64);
        self.left_bytes = left.ok_or_else(|| damaged("the entry is longer than the zip says"))?;
        self.crc.update(&out[..read]);
        Ok(read)
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
