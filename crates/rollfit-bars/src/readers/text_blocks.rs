//! [`TextBlocks`]: a text file in blocks of whole lines, which can be read side by side.

use std::io::{self, BufRead, Read};
use std::path::Path;

use memchr::{memchr_iter, memrchr2};

use super::text_lines::{BlockLines, LINE_BYTES_MAX};
use crate::archive::read_error;
use crate::error::ImportError;

/// Small enough for a core's cache and for many blocks at once, large enough that handing one on costs nothing.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// Cuts a file into blocks at the ends of lines.
pub(super) struct TextBlocks<'a> {
    path: &'a Path,
    reader: Box<dyn BufRead>,
    block_bytes: usize,
    /// The first part of a line, read with the block before.
    rest: Vec<u8>,
    /// Buffers of blocks that are done.
    spare: Vec<Vec<u8>>,
    /// Lines so far.
    lines: u64,
    /// The block before ended with CR, so that an LF is the rest of its end.
    after_cr: bool,
    at_end: bool,
    /// What the system said, until the lines before it are handed out.
    fault: Option<io::Error>,
}

/// Whole lines that follow one another; only the last line of a file may lack its end.
pub(super) struct TextBlock {
    bytes: Vec<u8>,
    /// Where its lines start in `bytes`.
    start: usize,
    /// The number of its first line.
    first_line: u64,
}

impl<'a> TextBlocks<'a> {
    /// Blocks of `block_bytes`, or of one line where that is longer.
    pub(super) fn new(path: &'a Path, reader: Box<dyn BufRead>, block_bytes: usize) -> Self {
        let (rest, spare, after_cr) = (Vec::new(), Vec::new(), false);
        Self { path, reader, block_bytes, rest, spare, lines: 0, after_cr, at_end: false, fault: None }
    }

    /// Reads the next block; none at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<TextBlock>, ImportError> {
        match (self.next_block(), self.fault.take()) {
            (None, Some(source)) => Err(read_error(self.path, source)),
            (block, fault) => {
                self.fault = fault;
                Ok(block)
            }
        }
    }

    /// The next block; none at the end of the file, or before an error, which `next` returns.
    pub(super) fn next_block(&mut self) -> Option<TextBlock> {
        while !self.at_end {
            let bytes = self.fill();
            let start = usize::from(self.after_cr && bytes.first() == Some(&b'\n'));
            if start == bytes.len() {
                self.after_cr &= bytes.is_empty();
                continue;
            }
            self.after_cr = bytes.last() == Some(&b'\r');
            let block = TextBlock { bytes, start, first_line: self.lines + 1 };
            self.lines += line_ends(&block.bytes[start..]);
            return Some(block);
        }
        None
    }

    /// Reads until a line is whole and the block full, and keeps the start of the line after it. A line that is too long
    /// is not read to its end.
    fn fill(&mut self) -> Vec<u8> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.reserve(self.block_bytes);
        bytes.append(&mut self.rest);
        loop {
            let wanted = self.block_bytes.saturating_sub(bytes.len()).max(1) as u64;
            match (&mut self.reader).take(wanted).read_to_end(&mut bytes) {
                Ok(read) => self.at_end = (read as u64) < wanted,
                Err(source) => (self.fault, self.at_end) = (Some(source), true),
            }
            if self.at_end && self.fault.is_none() {
                return bytes;
            }
            let cut = memrchr2(b'\n', b'\r', &bytes).map_or(0, |at| at + 1);
            let is_too_long = bytes.len() - cut >= LINE_BYTES_MAX;
            if is_too_long {
                // Its line is an error, and nothing behind it is looked at.
                (self.fault, self.at_end) = (None, true);
                return bytes;
            }
            if cut > 0 || self.at_end {
                self.rest.extend_from_slice(&bytes[cut..]);
                bytes.truncate(cut);
                return bytes;
            }
        }
    }

    /// Takes back the buffer of a block that is done.
    pub(super) fn recycle(&mut self, block: TextBlock) {
        self.spare.push(block.bytes);
    }
}

/// How many lines end in these bytes.
fn line_ends(bytes: &[u8]) -> u64 {
    let alone = |at: &usize| bytes.get(at + 1) != Some(&b'\n');
    let ends = memchr_iter(b'\n', bytes).count() + memchr_iter(b'\r', bytes).filter(alone).count();
    ends as u64
}

impl TextBlock {
    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Its lines that are not blank.
    pub(super) fn lines(&self) -> BlockLines<'_> {
        BlockLines::new(&self.bytes[self.start..], self.first_line)
    }

    /// Leaves the last `left_bytes` only, whose first line has the number `next_line`.
    pub(super) fn skip_to(&mut self, (left_bytes, next_line): (usize, u64)) {
        (self.start, self.first_line) = (self.bytes.len() - left_bytes, next_line);
    }
}
