//! Reading a text file line by line into bars.
//!
//! Lines end with LF, CRLF or CR. A byte order mark, blank lines and a missing last line end mean nothing. A line is a
//! row whatever quotes it opens, so that every error and every count has its line.

use std::io::{BufRead, ErrorKind};
use std::path::Path;

use crate::archive::{self, read_error};
use crate::collect::{Collected, Collector};
use crate::error::{ImportError, RowFault, Unit};
use crate::format::{Format, looks_like};
use crate::instruments::{Instruments, OtherInstrument};
use crate::layout::{BarFields, Layout, RowEnd};
use crate::price::price;
use crate::shown::shown;
use crate::time_fields::TimeFields;
use crate::when::{When, WhenFault};
use crate::{Bar, ReadOptions};

/// Longer lines are no rows of bars, and are not read to their end.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads one text file.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Collected, ImportError> {
    let opened = archive::open(path)?;
    let mut lines = TextLines::new(path, opened.reader);
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
    let ignored_bytes = opened.ignored_bytes.get();
    if ignored_bytes > 0 {
        collector
            .warn(format!("{ignored_bytes} bytes after the last gzip member are no gzip and were ignored"));
    }
    if rows.short_rows > 0 {
        collector.warn(format!(
            "rows that break off behind their close were kept, as their open, high, low and close agree: {}",
            rows.short_rows
        ));
    }
    let mut collected = collector.finish(opened.entry)?;
    rows.check_whole_file(path)?;
    collected.symbol = rows.instruments.symbol();
    Ok(collected)
}

/// The lines that are not blank, without their endings.
struct TextLines<'a> {
    path: &'a Path,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
    /// The line before ended with CR, so that an LF is the rest of its end.
    after_cr: bool,
    has_end: bool,
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: u64,
    bytes: &'a [u8],
    /// False where the file ends before the line does.
    has_end: bool,
}

impl<'a> TextLines<'a> {
    fn new(path: &'a Path, reader: Box<dyn BufRead>) -> Self {
        Self { path, reader, buffer: Vec::new(), number: 0, after_cr: false, has_end: true }
    }

    fn next(&mut self) -> Result<Option<Line<'_>>, ImportError> {
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
        let why = format!("line {} does not end within {LINE_BYTES_MAX} bytes: is it text?", self.number + 1);
        ImportError::Content { path: self.path.to_path_buf(), why }
    }

    fn bytes(&self) -> &[u8] {
        let marked = if self.number == 1 { self.buffer.strip_prefix(b"\xef\xbb\xbf") } else { None };
        marked.unwrap_or(&self.buffer)
    }
}

/// What the first line says about the lines after it.
struct Rows {
    layout: Layout,
    times: TimeFields,
    instruments: Instruments,
    when: When,
    hint: Option<Format>,
    /// No number so far has a decimal point, where a decimal comma could pass for the delimiter.
    may_be_split: bool,
    lenient: bool,
    /// Rows that ended in an empty last column, and in an empty field behind it.
    ends: (bool, bool),
    /// Rows that broke off behind their close and were kept.
    short_rows: u64,
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
        let (times, instruments) = (layout.time_fields(), Instruments::new(layout.instruments.clone()));
        let may_be_split = layout.may_split_numbers();
        let (when, lenient, ends) = (When::new(options)?, options.lenient, (false, false));
        Ok(Self { layout, times, instruments, when, hint, may_be_split, lenient, ends, short_rows: 0 })
    }

    fn read(&mut self, collector: &mut Collector, line: Line<'_>) -> Result<(), ImportError> {
        collector.count_row();
        match self.bar(line) {
            Ok(bar) => collector.keep(line.number, bar),
            Err(fault) => self.refuse(collector, line, fault),
        }
    }

    fn bar(&mut self, line: Line<'_>) -> Result<Bar, WhenFault> {
        let text = std::str::from_utf8(line.bytes).map_err(|_| WhenFault::Row(RowFault::NotUtf8))?;
        let row = self.split(text).map_err(WhenFault::Row)?;
        if !self.instruments.is_empty() {
            self.instruments.check(line.number, self.layout.fields(text))?;
        }
        self.may_be_split = self.may_be_split && !self.layout.has_decimal_point(text);
        let stamp = self.times.read(row.date, row.time).map_err(WhenFault::Row)?;
        let close = price(row.close).map_err(WhenFault::Row)?;
        if !line.has_end && self.layout.may_end_in_half_a_close(text) {
            return Err(WhenFault::Row(RowFault::HalfClose));
        }
        let instant_us = self.when.instant_us(stamp)?;
        self.short_rows += u64::from(row.end == RowEnd::Short);
        Ok(Bar { instant_us, close })
    }

    /// The fields of a row. Lenient reading takes one that breaks off behind its close, if the close is certain.
    fn split<'a>(&mut self, text: &'a str) -> Result<BarFields<'a>, RowFault> {
        let row = match self.layout.split(text) {
            Err(fault @ (RowFault::FieldCount { .. } | RowFault::Quotes)) if self.lenient => {
                self.layout.split_short(text).ok_or(fault)
            }
            row => row,
        }?;
        self.ends.0 |= row.end == RowEnd::Empty;
        self.ends.1 |= row.end == RowEnd::OneMore;
        Ok(row)
    }

    /// Refuses what no row alone shows.
    fn check_whole_file(&self, path: &Path) -> Result<(), ImportError> {
        let split = self.may_be_split.then_some(
            "no number of the file has a decimal point, and no header counts its columns, so that a comma may be the \
             decimal mark as well as the delimiter: add a header line that names every column",
        );
        let ends = self.layout.ends_differ(self.ends.0, self.ends.1).then_some(
            "some rows end in an empty field that the header does not have, and some in an empty last column, so that a \
             comma inside a number may have passed for the delimiter: give every row as many fields as the header has",
        );
        match self.times.whole_file_fault().or(split).or(ends) {
            Some(why) => Err(ImportError::Columns { path: path.to_path_buf(), why: why.to_owned() }),
            None => Ok(()),
        }
    }

    fn refuse(&self, collector: &mut Collector, line: Line<'_>, fault: WhenFault) -> Result<(), ImportError> {
        let hint = self.hint.filter(|_| collector.at_first_row());
        refuse(collector, line.number, fault, shown(line.bytes), hint)
    }
}

/// Drops a row if that is allowed for its fault; what puts every row in doubt, such as a zone that is missing, stops lenient
/// reading too.
pub(crate) fn refuse(
    collector: &mut Collector,
    number: u64,
    fault: WhenFault,
    shown: String,
    hint: Option<Format>,
) -> Result<(), ImportError> {
    let place = collector.place(number);
    match fault {
        WhenFault::Row(fault) if fault.spoils_the_file() => {
            Err(ImportError::Row { place, fault, shown, hint })
        }
        WhenFault::Row(fault) => {
            collector.drop_row(fault.cause(), ImportError::Row { place, fault, shown, hint })
        }
        WhenFault::NoZone => Err(ImportError::NoZone { place, shown }),
        WhenFault::Contradiction { zone, stated } => {
            Err(ImportError::ZoneContradiction { place, zone, stated, shown })
        }
        WhenFault::Instrument(other) => {
            let OtherInstrument { column, value, earlier_number, earlier_value } = *other;
            let earlier = Box::new(collector.place(earlier_number));
            let earlier_value = earlier_value.into_boxed_str();
            Err(ImportError::Instruments { place, column, value, earlier, earlier_value })
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
