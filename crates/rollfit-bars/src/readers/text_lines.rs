//! [`BlockLines`]: the lines of a block of a text file.
//!
//! Lines end with LF, CRLF or CR. A byte order mark, blank lines and a missing last line end mean nothing. A line is a
//! row whatever quotes it opens, so that every error and every count has its line.

use memchr::memchr2;

/// Longer lines are not rows of bars, and are not read to their end.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// The lines that are not blank, without their endings.
pub(super) struct BlockLines<'a> {
    rest: &'a [u8],
    /// The same, where all of it is UTF-8.
    text: Option<&'a str>,
    number: u64,
}

/// One line.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) bytes: &'a [u8],
    /// The line as text, where it is known to be.
    text: Option<&'a str>,
    /// False where the file ends before the line does.
    pub(super) has_end: bool,
}

impl<'a> BlockLines<'a> {
    /// The lines of `bytes`, the first of which has this number.
    pub(super) fn new(bytes: &'a [u8], first_line: u64) -> Self {
        Self { rest: bytes, text: std::str::from_utf8(bytes).ok(), number: first_line - 1 }
    }

    /// Passes over up to `lines` lines, blank or not; returns how many, or the number of one that is too long.
    pub(super) fn pass_over(&mut self, lines: usize) -> Result<usize, u64> {
        let mut skipped = 0;
        while skipped < lines && !self.rest.is_empty() {
            let line = self.take_line();
            if line.is_too_long() {
                return Err(line.number);
            }
            skipped += 1;
        }
        Ok(skipped)
    }

    /// The bytes that are left, and the number of their first line.
    pub(super) fn rest(&self) -> (usize, u64) {
        (self.rest.len(), self.number + 1)
    }

    /// Takes a line and its end off the front.
    fn take_line(&mut self) -> Line<'a> {
        let end = memchr2(b'\n', b'\r', self.rest);
        let len = end.unwrap_or(self.rest.len());
        let behind = match (end, self.rest.get(len..len + 2)) {
            (Some(_), Some(b"\r\n")) => len + 2,
            (Some(_), _) => len + 1,
            (None, _) => len,
        };
        let (bytes, text) = (&self.rest[..len], self.text.map(|text| &text[..len]));
        (self.rest, self.text) = (&self.rest[behind..], self.text.map(|text| &text[behind..]));
        self.number += 1;
        Line { number: self.number, bytes, text, has_end: end.is_some() }
    }
}

impl<'a> Iterator for BlockLines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        while !self.rest.is_empty() {
            let line = self.take_line();
            if line.is_too_long() {
                return Some(line);
            }
            let line = if line.number == 1 { line.without_mark() } else { line };
            if !line.bytes.trim_ascii().is_empty() {
                return Some(line);
            }
        }
        None
    }
}

impl<'a> Line<'a> {
    /// The line as text; none if it is not UTF-8.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.text.or_else(|| std::str::from_utf8(self.bytes).ok())
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.bytes.len() >= LINE_BYTES_MAX
    }

    fn without_mark(self) -> Self {
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.bytes);
        let text = self.text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
        Self { bytes, text, ..self }
    }
}
