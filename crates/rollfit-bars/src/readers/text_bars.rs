//! Reads bars from delimited text, line by line.

use std::path::Path;

use rollfit_job::import::Bar;

use super::layout::{BarFields, Layout, RowEnd};
use super::text_lines::{Line, TextLines};
use crate::archive;
use crate::error::{ImportError, RowFault, RowUnit, shown};
use crate::formats::{Format, TextRules};
use crate::read_options::ReadOptions;
use crate::rows::collector::{Collected, Collector};
use crate::rows::instruments::Instruments;
use crate::rows::price::price;
use crate::rows::row_refusal::RowRefusal;
use crate::rows::time_column::TimeColumn;
use crate::time::stamp_reader::StampReader;

/// Reads one text file.
pub(super) fn read(path: &Path, options: &ReadOptions, rules: &TextRules) -> Result<Collected, ImportError> {
    let opened = archive::open(path)?;
    let mut lines = TextLines::new(path, opened.reader);
    let mut collector = Collector::new(path, RowUnit::Line, options);
    lines.skip(options.skip_lines)?;
    let Some(first) = lines.next()? else {
        return Err(ImportError::empty(path, options.skip_lines));
    };
    let mut rows = Rows::new(path, options, rules, first.bytes)?;
    if !rows.layout.has_header {
        rows.read(&mut collector, first)?;
    }
    while let Some(line) = lines.next()? {
        rows.read(&mut collector, line)?;
    }
    let ignored_bytes = opened.ignored_bytes.get();
    if ignored_bytes > 0 {
        collector
            .warn(format!("ignored {ignored_bytes} bytes after the last gzip member, which are not gzip"));
    }
    if rows.short_rows > 0 {
        collector.warn(format!(
            "kept rows that end after the close, because their open, high, low and close are consistent: {}",
            rows.short_rows
        ));
    }
    let mut collected = collector.finish(opened.entry)?;
    rows.check_whole_file(path)?;
    collected.symbol = rows.instruments.symbol();
    Ok(collected)
}

/// What the first line says about the lines after it.
struct Rows {
    layout: Layout,
    stamps: StampReader,
    instruments: Instruments,
    times: TimeColumn,
    hint: Option<Format>,
    /// No number so far has a decimal point, where a decimal comma could pass for the delimiter.
    may_be_split: bool,
    lenient: bool,
    /// Rows that ended in an empty last column, and in an empty field behind it.
    ends: (bool, bool),
    /// Rows that ended after the close and were kept.
    short_rows: u64,
}

impl Rows {
    fn new(path: &Path, options: &ReadOptions, rules: &TextRules, first: &[u8]) -> Result<Self, ImportError> {
        let content = |why: &str| ImportError::Content { path: path.to_path_buf(), why: why.to_owned() };
        if first.starts_with(b"PAR1") {
            return Err(content("is a Parquet file; use --format parquet"));
        }
        let text = std::str::from_utf8(first).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| content(encoding_advice(first)))?;
        let hint = Format::from_first_line(text).filter(|format| *format != options.format);
        let layout = Layout::from_first_line(options, rules, text).map_err(|why| ImportError::Columns {
            path: path.to_path_buf(),
            why: why + &hint.map_or_else(String::new, |format| format!("; try --format {format}")),
        })?;
        let (stamps, instruments) = (layout.stamp_reader(), Instruments::new(layout.instruments.clone()));
        let may_be_split = layout.may_split_numbers();
        let (times, lenient, ends) =
            (TimeColumn::new(options)?.stated(layout.zone.clone()), options.lenient, (false, false));
        Ok(Self { layout, stamps, instruments, times, hint, may_be_split, lenient, ends, short_rows: 0 })
    }

    fn read(&mut self, collector: &mut Collector, line: Line<'_>) -> Result<(), ImportError> {
        collector.count_row();
        match self.bar(line) {
            Ok(bar) => collector.keep(line.number, bar),
            Err(fault) => self.refuse(collector, line, fault),
        }
    }

    fn bar(&mut self, line: Line<'_>) -> Result<Bar, RowRefusal> {
        let text = std::str::from_utf8(line.bytes).map_err(|_| RowRefusal::Row(RowFault::NotUtf8))?;
        let row = self.split(text).map_err(RowRefusal::Row)?;
        if !self.instruments.is_empty() {
            self.instruments.check(line.number, self.layout.fields(text))?;
        }
        self.may_be_split = self.may_be_split && !self.layout.has_decimal_point(text);
        let stamp = self.stamps.read(row.date, row.time).map_err(RowRefusal::Row)?;
        let close = price(row.close).map_err(RowRefusal::Row)?;
        if !line.has_end && self.layout.may_end_in_half_a_close(text) {
            return Err(RowRefusal::Row(RowFault::HalfClose));
        }
        let instant_us = self.times.instant_us(stamp)?;
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
            "no number in the file has a decimal point, and there is no header to count the columns, so a comma may \
             be the decimal mark as well as the delimiter; add a header line that names every column",
        );
        let ends = self.layout.ends_differ(self.ends.0, self.ends.1).then_some(
            "some rows end in an empty field that the header does not have, and some in an empty last column, so a \
             comma inside a number may have been read as the delimiter; give every row as many fields as the header \
             has",
        );
        match self.stamps.whole_file_fault().or(split).or(ends) {
            Some(why) => Err(ImportError::Columns { path: path.to_path_buf(), why: why.to_owned() }),
            None => Ok(()),
        }
    }

    fn refuse(
        &self,
        collector: &mut Collector,
        line: Line<'_>,
        refusal: RowRefusal,
    ) -> Result<(), ImportError> {
        let hint = self.hint.filter(|_| collector.at_first_row());
        collector.refuse(line.number, refusal, shown(line.bytes), hint)
    }
}

fn encoding_advice(first: &[u8]) -> &'static str {
    if first.starts_with(b"\xd0\xcf\x11\xe0") {
        "is an Excel workbook; save it as CSV"
    } else if first.starts_with(b"PK\x03\x04") {
        "is packed twice, or an Excel workbook; unpack it, and save a workbook as CSV"
    } else {
        "is neither UTF-8 nor UTF-16 text; convert it, or unpack it if it is an archive"
    }
}
