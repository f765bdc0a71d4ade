//! [`FileBytes`]: the bytes of an open file, for the Parquet reader.
//!
//! Arrow turns an error of the file system into text, so that a disk or a memory that fails looks like a damaged file.
//! This reader keeps the error itself. It reads at positions and never duplicates the file descriptor, so that a process
//! with many open files needs no further one to read them.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// What can be read at a position.
pub trait ReadAt: Send + Sync {
    /// Reads into `buffer` from `offset` on; returns how many bytes.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// What the system says of the file now; none of what nobody else can write to.
    ///
    /// # Errors
    /// When the system does not tell.
    fn status(&self) -> io::Result<Option<Metadata>> {
        Ok(None)
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn status(&self) -> io::Result<Option<Metadata>> {
        self.metadata().map(Some)
    }
}

/// The bytes of a file, and the first error of the system while reading them.
#[derive(Clone)]
pub struct FileBytes {
    file: Arc<dyn ReadAt>,
    bytes: u64,
    fault: Arc<Mutex<Option<io::Error>>>,
}

impl FileBytes {
    /// The first `bytes` bytes of a file.
    pub fn new(file: Arc<dyn ReadAt>, bytes: u64) -> Self {
        Self { file, bytes, fault: Arc::default() }
    }

    /// The bytes of a file as long as it is now.
    ///
    /// # Errors
    /// When the system does not tell how long it is.
    pub fn whole(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self::new(Arc::new(file), bytes))
    }

    /// The first error of the system while reading, if any.
    pub fn take_fault(&self) -> Option<io::Error> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Those of the system, which are kept too; `UnexpectedEof` where the file is shorter, which is not.
    pub fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_some(&mut buffer[filled..], offset + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                some => filled += some,
            }
        }
        Ok(())
    }

    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kept = error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
                    self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(kept);
                    return Err(error);
                }
                read => return read,
            }
        }
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for FileBytes {
    type T = BufReader<FileCursor>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(FileCursor { bytes: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A damaged footer can name a range of any length: nothing is allocated that the file cannot fill.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from offset {start} reach past the end of the file"
            )));
        }
        let mut buffer = vec![0; length];
        self.fill(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// Reads on from a position.
pub struct FileCursor {
    bytes: FileBytes,
    at: u64,
}

impl Read for FileCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read_some(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    /// A file whose reads fail from a position on.
    struct Failing {
        bytes: Vec<u8>,
        from: u64,
        errno: i32,
    }

    impl ReadAt for Failing {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            if offset + buffer.len() as u64 > self.from {
                return Err(io::Error::from_raw_os_error(self.errno));
            }
            let rest = self.bytes.get(offset as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }
    }

    #[test]
    fn an_error_of_the_system_keeps_its_number_through_the_parquet_reader() {
        for errno in [5, 12, 24] {
            let file = Failing { bytes: vec![0; 4096], from: 1024, errno };
            let bytes = FileBytes::new(Arc::new(file), 4096);
            assert!(ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).is_err());
            assert_eq!(bytes.take_fault().and_then(|error| error.raw_os_error()), Some(errno));
            let mut reader = bytes.get_read(1000).unwrap();
            assert!(io::copy(&mut reader, &mut io::sink()).is_err());
            assert_eq!(bytes.take_fault().and_then(|error| error.raw_os_error()), Some(errno));
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_no_error_of_the_system() {
        let bytes = FileBytes::new(Arc::new(Failing { bytes: vec![7; 100], from: 9999, errno: 5 }), 200);
        assert!(bytes.get_bytes(50, 100).is_err());
        assert!(bytes.get_bytes(u64::MAX, 2).is_err());
        assert!(bytes.get_bytes(0, usize::MAX).is_err());
        assert!(bytes.take_fault().is_none());
        assert_eq!(bytes.get_bytes(50, 50).unwrap(), vec![7; 50]);
    }
}
