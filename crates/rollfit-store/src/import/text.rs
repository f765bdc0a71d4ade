//! Reading a text file line by line into bars.
//!
//! A byte order mark, either line ending, blank lines and a missing last newline mean nothing. A line is a
//! row whatever quotes it opens, so that every error and every count has its line.

use std::io::{BufRead, Read};
use std::path::Path;

use super::archive::{self, read_error};
use super::collect::{Collected, Collector};
use super::error::{ImportError, RowFault, Unit, shown};
use super::format::{Format, looks_like};
use super::layout::Layout;
use super::when::{When, WhenFault};
use super::{Bar, ReadOptions};

/// Longer lines are no rows of bars, and are not read to their end.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Reads one text file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Collected, ImportError> {
    let opened = archive::open(path)?;
    let mut lines = TextLines { path, reader: opened.reader, buffer: Vec::new(), number: 0 };
    let mut collector = Collector::new(path, Unit::Line, options);
    let Some(first) = lines.next()? else {
        return Err(ImportError::Empty { path: path.to_path_buf() });
    };
    let mut rows = Rows::new(path, options, first.bytes)?;
    if !rows.layout.has_header {
        rows.read(&mut collector, first)?;
    }
    while let Some(line) = lines.next()? {
        rows.read(&mut collector, line)?;
    }
    collector.finish(opened.entry)
}

/// The lines that are not blank, without their endings.
struct TextLines<'a> {
    path: &'a Path,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: u64,
    bytes: &'a [u8],
}

impl TextLines<'_> {
    fn next(&mut self) -> Result<Option<Line<'_>>, ImportError> {
        loop {
            if !self.fill()? {
                return Ok(None);
            }
            self.number += 1;
            if !self.bytes().trim_ascii().is_empty() {
                return Ok(Some(Line { number: self.number, bytes: self.bytes() }));
            }
        }
    }

    /// Reads the next line into the buffer; false at the end of the file.
    fn fill(&mut self) -> Result<bool, ImportError> {
        self.buffer.clear();
        let mut reader = (&mut self.reader).take(LINE_BYTES_MAX);
        let bytes =
            reader.read_until(b'\n', &mut self.buffer).map_err(|source| read_error(self.path, source))?;
        if bytes as u64 == LINE_BYTES_MAX && !self.buffer.ends_with(b"\n") {
            let why =
                format!("line {} does not end within {LINE_BYTES_MAX} bytes: is it text?", self.number + 1);
            return Err(ImportError::Content { path: self.path.to_path_buf(), why });
        }
        Ok(bytes > 0)
    }

    fn bytes(&self) -> &[u8] {
        let marked = if self.number == 1 { self.buffer.strip_prefix(b"\xef\xbb\xbf") } else { None };
        let bytes = marked.unwrap_or(&self.buffer);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes.strip_suffix(b"\r").unwrap_or(bytes)
    }
}

/// What the first line says about the lines after it.
struct Rows {
    layout: Layout,
    when: When,
    hint: Option<Format>,
}

impl Rows {
    fn new(path: &Path, options: &ReadOptions, first: &[u8]) -> Result<Self, ImportError> {
        let content = |why: &str| ImportError::Content { path: path.to_path_buf(), why: why.to_owned() };
        if first.starts_with(b"PAR1") {
            return Err(content("is a Parquet file: give --format parquet"));
        }
        let text = std::str::from_utf8(first).map_err(|_| content(encoding_advice(first)))?;
        let hint = looks_like(text).filter(|format| *format != options.format);
        let layout = Layout::of(options, text).map_err(|why| ImportError::Columns {
            path: path.to_path_buf(),
            why: why + &hint.map_or_else(String::new, |format| format!(". Try --format {format}")),
        })?;
        Ok(Self { layout, when: When::new(options)?, hint })
    }

    fn read(&mut self, collector: &mut Collector, line: Line<'_>) -> Result<(), ImportError> {
        collector.count_row();
        match self.bar(line.bytes) {
            Ok(bar) => collector.keep(line.number, bar),
            Err(fault) => self.refuse(collector, line, fault),
        }
    }

    fn bar(&mut self, bytes: &[u8]) -> Result<Bar, WhenFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| WhenFault::Row(RowFault::NotUtf8))?;
        let (stamp, close) = self.layout.read(text).map_err(WhenFault::Row)?;
        Ok(Bar { instant_us: self.when.instant_us(stamp)?, close })
    }

    fn refuse(&self, collector: &mut Collector, line: Line<'_>, fault: WhenFault) -> Result<(), ImportError> {
        let hint = self.hint.filter(|_| collector.at_first_row());
        refuse(collector, line.number, fault, shown(line.bytes), hint)
    }
}

/// Drops a row if that is allowed for its fault; a zone that is missing or wrong spoils every row, so that
/// lenient reading stops there too.
pub(super) fn refuse(
    collector: &mut Collector,
    number: u64,
    fault: WhenFault,
    shown: String,
    hint: Option<Format>,
) -> Result<(), ImportError> {
    let place = collector.place(number);
    match fault {
        WhenFault::Row(fault) => {
            collector.drop_row(fault.cause(), ImportError::Row { place, fault, shown, hint })
        }
        WhenFault::NoZone => Err(ImportError::NoZone { place, shown }),
        WhenFault::Contradiction { zone, stated } => {
            Err(ImportError::ZoneContradiction { place, zone, stated, shown })
        }
    }
}

fn encoding_advice(first: &[u8]) -> &'static str {
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        "is UTF-16, not UTF-8: convert it, e.g. iconv -f UTF-16 -t UTF-8"
    } else {
        "is not UTF-8 text: convert it, or unpack it if it is an archive"
    }
}
