//! [`StoreFile`]: a file being written from its beginning to its end, buffered or with direct writes.
//!
//! Invariants: whatever the way, the file holds what was written and nothing else once it is synced. A file system that
//! refuses a direct write, at any moment, gets the same bytes buffered.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollfit_job::activity::sending;
use rustix::io::Errno;

use super::direct_trial::Way;
use super::direct_writes::DirectWrites;
use super::piece::Piece;
use super::raw_file::RawFile;
use crate::file_system::OutputFile;

/// The most bytes of one call to the system.
const WRITE_BYTES_MAX: usize = 8 << 20;

/// A file being written.
pub(crate) struct StoreFile {
    target: Target,
    /// Whether it is too early to know if the file is large enough for direct writes.
    is_small: bool,
    /// What follows the bytes that are written.
    piece: Piece,
    /// Where the piece begins in the file.
    at: u64,
    /// Whether the file is longer than what was written to it.
    is_longer: bool,
}

impl StoreFile {
    /// A file that is written through the page cache.
    pub(crate) fn new(file: Box<dyn RawFile>) -> Self {
        let target = Target { file, align: 1, direct: None, measured: None, took: Duration::ZERO };
        Self { target, is_small: false, piece: Piece::new(1, 1), at: 0, is_longer: false }
    }

    /// A file that is written with direct writes where the file system takes them and `direct` says so.
    pub(crate) fn with_direct_writes(file: Box<dyn RawFile>, direct: &Arc<DirectWrites>) -> Self {
        let buffered = Self::new(file);
        if direct.are_over() {
            return buffered;
        }
        let Some(align) = buffered.target.file.direct_alignment() else { return buffered };
        Self {
            is_small: true,
            piece: Piece::new(direct.piece_bytes(), align),
            target: Target { align, direct: Some(direct.clone()), ..buffered.target },
            ..buffered
        }
    }

    /// See [`RawFile::id`].
    pub(crate) fn id(&self) -> io::Result<(u64, u64)> {
        self.target.file.id()
    }

    /// The file is large: its way is chosen now.
    fn choose_way(&mut self) {
        self.is_small = false;
        self.target.choose_way();
    }

    /// Whether `bytes` can be written from where they are, after the piece.
    fn can_pass(&self, bytes: &[u8]) -> bool {
        let align = self.target.align;
        bytes.len() >= self.piece.capacity()
            && bytes.as_ptr().addr().is_multiple_of(align)
            && self.piece.len().is_multiple_of(align)
    }

    /// Writes the piece, which direct writes need whole.
    fn put_piece(&mut self) -> io::Result<()> {
        let bytes = self.piece.len();
        if bytes > 0 {
            self.target.write_all_at(self.piece.padded(1), self.at)?;
            self.at += bytes as u64;
            self.piece.clear();
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put_piece()?;
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        let bytes = &bytes[..bytes.len() / self.target.align * self.target.align];
        self.target.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// Writes the rest, which stays in the piece: more may follow, over what it is padded with.
    fn put_rest(&mut self) -> io::Result<()> {
        let bytes = self.piece.len();
        if bytes == 0 {
            return Ok(());
        }
        let padded = self.piece.padded(self.target.align);
        self.is_longer |= padded.len() > bytes;
        self.target.write_all_at(padded, self.at)
    }
}

impl Write for StoreFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.is_small {
            let is_large =
                self.piece.is_full() || self.piece.len() == 0 && bytes.len() >= self.piece.capacity();
            if !is_large {
                return Ok(self.piece.fill(bytes));
            }
            self.choose_way();
        }
        if self.piece.is_full() {
            self.put_piece()?;
        }
        if self.target.align == 1 || self.can_pass(bytes) {
            self.put(bytes)
        } else {
            Ok(self.piece.fill(bytes))
        }
    }

    /// Nothing is done before [`OutputFile::sync`]: a direct write of a part would be padded.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutputFile for StoreFile {
    /// Only for direct writes, which each wait for their place. The page cache finds places for all of a file at once.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if self.is_small && bytes >= self.piece.capacity() as u64 {
            self.choose_way();
        }
        if self.is_small || self.target.align == 1 {
            return Ok(());
        }
        self.is_longer = true;
        let align = self.target.align as u64;
        self.target.timed(|target| target.file.reserve(bytes.next_multiple_of(align)))
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_small {
            self.is_small = false;
            self.target.align = 1;
        }
        sending(|| self.put_rest())?;
        let bytes = self.at + self.piece.len() as u64;
        if self.is_longer {
            self.target.timed(|target| target.file.set_len(bytes))?;
            self.is_longer = false;
        }
        self.target.timed(|target| target.file.sync())?;
        self.target.report(bytes);
        Ok(())
    }
}

/// Where the bytes go.
struct Target {
    file: Box<dyn RawFile>,
    /// 1 where writes are buffered.
    align: usize,
    direct: Option<Arc<DirectWrites>>,
    /// The way of a file that counts in the trial.
    measured: Option<Way>,
    /// For how long the writer was blocked.
    took: Duration,
}

impl Target {
    fn choose_way(&mut self) {
        let Some(direct) = &self.direct else { return };
        let way = direct.next_way();
        self.measured = Some(way);
        if way == Way::Buffered {
            self.align = 1;
        } else if let Err(error) = self.file.set_direct(true) {
            direct.refuse(&error);
            self.align = 1;
            self.measured = None;
        }
    }

    fn timed<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        let began = Instant::now();
        let answer = call(self);
        self.took += began.elapsed();
        answer
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.timed(|target| {
            let mut done = 0;
            while done < bytes.len() {
                done = target.write_some(bytes, done, offset)?;
            }
            Ok(())
        })
    }

    /// Writes what follows the first `done` bytes; returns how many are done then.
    fn write_some(&mut self, bytes: &[u8], done: usize, offset: u64) -> io::Result<usize> {
        match self.file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                let end = done + written;
                // A direct write that stopped anywhere continues from an aligned place, over what it has written.
                let aligned = if end == bytes.len() { end } else { end / self.align * self.align };
                if aligned > done {
                    return Ok(aligned);
                }
                self.fall_back()?;
                Ok(end)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(done),
            Err(error) if self.align > 1 && is_refusal(&error) => {
                self.fall_back()?;
                if let Some(direct) = &self.direct {
                    direct.refuse(&error);
                }
                Ok(done)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes all further writes buffered ones.
    fn fall_back(&mut self) -> io::Result<()> {
        self.file.set_direct(false)?;
        self.align = 1;
        self.measured = None;
        Ok(())
    }

    fn report(&mut self, bytes: u64) {
        if let (Some(direct), Some(way)) = (&self.direct, self.measured.take()) {
            direct.add(way, bytes, self.took);
        }
    }
}

/// Whether the file system does not take direct writes, or not such ones.
fn is_refusal(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::INVAL | Errno::OPNOTSUPP))
}
