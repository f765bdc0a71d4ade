//! [`BodyOutput`]: the bytes of a file on their way to the output, summed, in large pieces.

use std::io::{self, Write};

use crc32c::crc32c_append;

/// Pieces begin at multiples of this in memory and in the file, and have as many bytes, but for the last: what an output needs to
/// pass them to the disk without a copy.
const ALIGNMENT: usize = 4096;
/// Bytes of a piece.
const PIECE_BYTES: usize = 4 << 20;

/// Memory for one piece, which begins at a multiple of [`ALIGNMENT`].
#[derive(Debug, Default)]
pub(super) struct PieceBuffer {
    room: Vec<u8>,
    start: usize,
}

impl PieceBuffer {
    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.room.capacity()
    }

    fn bytes(&mut self) -> &mut [u8] {
        if self.room.is_empty() {
            self.room = vec![0; PIECE_BYTES + ALIGNMENT];
            let beyond = self.room.as_ptr().addr() % ALIGNMENT;
            self.start = (ALIGNMENT - beyond) % ALIGNMENT;
        }
        &mut self.room[self.start..][..PIECE_BYTES]
    }
}

/// Collects the bytes of a file's body and passes them on a piece at a time.
#[derive(Debug)]
pub(super) struct BodyOutput<W> {
    output: W,
    piece: PieceBuffer,
    /// The bytes that were passed on.
    passed: u64,
    /// The bytes of the piece that is not full yet.
    filled: usize,
    crc: u32,
}

impl<W: Write> BodyOutput<W> {
    /// Nothing is written yet.
    pub(super) fn new(output: W, piece: PieceBuffer) -> Self {
        Self { output, piece, passed: 0, filled: 0, crc: 0 }
    }

    /// The bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.passed + self.filled as u64
    }

    /// The CRC-32C of the bytes so far.
    pub(super) fn crc(&self) -> u32 {
        self.crc
    }

    /// Adds bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c_append(self.crc, bytes);
        self.push_unsummed(bytes)
    }

    /// Passes on all bytes and `end`, which is not part of the body.
    pub(super) fn finish(&mut self, end: &[u8]) -> io::Result<()> {
        self.push_unsummed(end)?;
        self.output.write_all(&self.piece.bytes()[..self.filled])?;
        self.passed += self.filled as u64;
        self.filled = 0;
        self.output.flush()
    }

    /// Where the bytes go.
    pub(super) fn output(&mut self) -> &mut W {
        &mut self.output
    }

    /// The memory of the pieces, for another file.
    pub(super) fn take_piece(&mut self) -> PieceBuffer {
        std::mem::take(&mut self.piece)
    }

    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.piece.memory_bytes()
    }

    fn push_unsummed(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let room = self.piece.bytes();
        while !bytes.is_empty() {
            let taken = bytes.len().min(PIECE_BYTES - self.filled);
            let (now, later) = bytes.split_at(taken);
            room[self.filled..self.filled + taken].copy_from_slice(now);
            self.filled += taken;
            bytes = later;
            if self.filled == PIECE_BYTES {
                self.output.write_all(room)?;
                self.passed += PIECE_BYTES as u64;
                self.filled = 0;
            }
        }
        Ok(())
    }
}
