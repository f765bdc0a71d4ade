//! [`TextLines`]: the lines of a text file.
//!
//! Lines end with LF, CRLF or CR. A byte order mark, blank lines and a missing last line end mean nothing. A line is a
//! row whatever quotes it opens, so that every error and every count has its line.

use std::io::{BufRead, ErrorKind};
use std::path::Path;

use crate::archive::read_error;
use crate::error::ImportError;

/// Longer lines are not rows of bars, and are not read to their end.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The lines that are not blank, without their endings.
pub(super) struct TextLines<'a> {
    path: &'a Path,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
    /// The line before ended with CR, so that an LF is the rest of its end.
    after_cr: bool,
    has_end: bool,
}

/// One line.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) bytes: &'a [u8],
    /// False where the file ends before the line does.
    pub(super) has_end: bool,
}

impl<'a> TextLines<'a> {
    pub(super) fn new(path: &'a Path, reader: Box<dyn BufRead>) -> Self {
        Self { path, reader, buffer: Vec::new(), number: 0, after_cr: false, has_end: true }
    }

    /// Passes over the first lines of the file, blank or not.
    pub(super) fn skip(&mut self, lines: usize) -> Result<(), ImportError> {
        while self.number < lines as u64 && self.fill()? {
            self.number += 1;
        }
        Ok(())
    }

    /// Reads the next line.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ImportError> {
        loop {
            if !self.fill()? {
                return Ok(None);
            }
            self.number += 1;
            if !self.bytes().trim_ascii().is_empty() {
                let (number, has_end) = (self.number, self.has_end);
                return Ok(Some(Line { number, bytes: self.bytes(), has_end }));
            }
        }
    }

    /// Reads the next line into the buffer, without its end; false at the end of the file.
    fn fill(&mut self) -> Result<bool, ImportError> {
        self.buffer.clear();
        let mut is_empty = true;
        loop {
            let chunk = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                chunk => chunk.map_err(|source| read_error(self.path, source))?,
            };
            if chunk.is_empty() {
                self.has_end = false;
                return Ok(!is_empty);
            }
            if std::mem::take(&mut self.after_cr) && chunk[0] == b'\n' {
                self.reader.consume(1);
                continue;
            }
            is_empty = false;
            let end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(chunk.len());
            self.buffer.extend_from_slice(&chunk[..taken.min(LINE_BYTES_MAX)]);
            self.after_cr = end.is_some_and(|end| chunk[end] == b'\r');
            self.reader.consume(taken + usize::from(end.is_some()));
            if self.buffer.len() >= LINE_BYTES_MAX {
                return Err(self.too_long());
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn too_long(&self) -> ImportError {
        let why = format!(
            "line {} does not end within {LINE_BYTES_MAX} bytes; check that the file is text",
            self.number + 1
        );
        ImportError::Content { path: self.path.to_path_buf(), why }
    }

    fn bytes(&self) -> &[u8] {
        let marked = if self.number == 1 { self.buffer.strip_prefix(b"\xef\xbb\xbf") } else { None };
        marked.unwrap_or(&self.buffer)
    }
}
