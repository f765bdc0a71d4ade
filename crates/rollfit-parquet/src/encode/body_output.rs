//! [`BodyOutput`]: the bytes of a file on their way to the output, summed, in large pieces.

use std::io::{self, Write};

use crc32c::crc32c_append;

use crate::encode::column::VALUE_BYTES;
use crate::encode::row_group::ROW_GROUP_ROWS;

/// Pieces begin at multiples of this in memory and in the file, and end there, but for the last: what an output needs to pass them
/// to the disk without a copy.
const ALIGNMENT: usize = 4096;
/// The fewest bytes of a piece that is not the last.
const PIECE_BYTES: usize = 4 << 20;
/// More than a page of a row group has, whatever it is packed to.
pub(super) const PAGE_ROOM: usize = 2 * ROW_GROUP_ROWS * VALUE_BYTES;

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
            self.room = vec![0; PIECE_BYTES + PAGE_ROOM + ALIGNMENT];
            let beyond = self.room.as_ptr().addr() % ALIGNMENT;
            self.start = (ALIGNMENT - beyond) % ALIGNMENT;
        }
        &mut self.room[self.start..][..PIECE_BYTES + PAGE_ROOM]
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

    /// [`PAGE_ROOM`] bytes behind those so far, for [`Self::add`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.piece.bytes()[self.filled..][..PAGE_ROOM]
    }

    /// Adds the first bytes of the room to the body.
    pub(super) fn add(&mut self, bytes: usize) -> io::Result<()> {
        self.crc = crc32c_append(self.crc, &self.room()[..bytes]);
        self.fill(bytes)
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

    fn push_unsummed(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(PAGE_ROOM).try_for_each(|bytes| {
            self.room()[..bytes.len()].copy_from_slice(bytes);
            self.fill(bytes.len())
        })
    }

    /// The first bytes of the room are written: passes on a piece if it is full.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        self.filled += bytes;
        if self.filled >= PIECE_BYTES {
            let (room, whole) = (self.piece.bytes(), self.filled / ALIGNMENT * ALIGNMENT);
            let written = self.output.write_all(&room[..whole]);
            room.copy_within(whole..self.filled, 0);
            self.passed += whole as u64;
            self.filled -= whole;
            // After the bytes were removed: there is room for a page after an error too.
            written?;
        }
        Ok(())
    }
}
