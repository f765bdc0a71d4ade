//! [`TextRows`]: from the lines of a text file to bars.
//!
//! What a row says of the rows after it is in [`RowsState`], or in [`KeyState`] if it says it of those of its key. Reading is a
//! function of the states and the lines alone, so that blocks can be read side by side from the states that are expected, and
//! again where these were others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rollfit_job::import::Bar;

use super::layout::{BarFields, Layout, RowEnd};
use super::text_blocks::TextBlock;
use super::text_lines::{LINE_BYTES_MAX, Line};
use crate::error::{FileLine, ImportError, RowFault, RowUnit, shown};
use crate::formats::{Format, TextRules};
use crate::read_options::ReadOptions;
use crate::rows::batch::Batch;
use crate::rows::collector::Collector;
use crate::rows::instruments::Instruments;
use crate::rows::key_state::KeyState;
use crate::rows::keyed_collectors::{KeyedCollectors, UNNAMED};
use crate::rows::price::price;
use crate::rows::row_refusal::RowRefusal;
use crate::rows::time_column::TimeColumn;
use crate::table::further_columns::further_value;
use crate::time::stamp_reader::StampReader;

/// Rows are seldom shorter: room for the bars of a block.
const ROW_BYTES_USUAL: usize = 40;

/// Reads the rows of one file.
#[derive(Clone)]
pub(super) struct TextRows {
    path: PathBuf,
    layout: Layout,
    times: TimeColumn,
    lenient: bool,
    state: RowsState,
    /// How the rows of every key begin.
    new_key: KeyState,
    /// The further columns of the row that was read last.
    values: Vec<f64>,
}

/// What the rows so far say of those to come, of any key, and of the whole file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowsState {
    /// The format that the file looks like instead, until its first row is read.
    hint: Option<Format>,
    stamps: StampReader,
    /// No number so far has a decimal point, where a decimal comma could pass for the delimiter.
    may_be_split: bool,
    /// Rows that ended in an empty last column, and in an empty field behind it.
    ends: (bool, bool),
}

impl TextRows {
    pub(super) fn new(
        path: &Path,
        options: &ReadOptions,
        rules: &TextRules,
        first: Line<'_>,
    ) -> Result<Self, ImportError> {
        let content = |why: &str| ImportError::Content { path: path.to_path_buf(), why: why.to_owned() };
        if first.is_too_long() {
            return Err(too_long(path, first.number));
        }
        let first = first.bytes;
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
        let state = RowsState {
            hint,
            stamps: layout.stamp_reader(),
            may_be_split: layout.may_split_numbers(),
            ends: (false, false),
        };
        let times = TimeColumn::new(options)?.stated(layout.zone.clone());
        let new_key = KeyState::new(Instruments::new(layout.instruments.clone()));
        let (path, lenient) = (path.to_path_buf(), options.lenient);
        Ok(Self { path, layout, times, lenient, state, new_key, values: Vec::new() })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Decides by a row which further columns hold numbers; returns false if it has not the fields of a row.
    pub(super) fn settle_further(&mut self, line: Line<'_>) -> bool {
        let row = line.text().filter(|text| self.layout.split(text).is_ok());
        row.map(|text| self.layout.settle_further(text)).is_some()
    }

    /// The key of a row; none where the row has not the fields of one, or breaks off before the key is certain.
    fn key<'a>(&self, line: Line<'a>) -> Option<&'a str> {
        let Some(key) = self.layout.key else { return Some(UNNAMED) };
        let text = line.text()?;
        let is_short =
            || self.lenient && self.layout.is_before_close(key) && self.layout.split_short(text).is_some();
        let is_row = self.layout.split(text).is_ok() || is_short();
        let field = self.layout.fields(text).nth(key).filter(|_| is_row)?;
        Some(field.trim())
    }

    /// Why a row without a key is no bar.
    fn without_key(&mut self, line: Line<'_>) -> Result<(Bar, RowEnd), RowRefusal> {
        let mut of_no_key = self.new_key.clone();
        self.bar(line, &mut of_no_key)?;
        let found = line.text().map_or(0, |text| self.layout.fields(text).count());
        Err(RowRefusal::Row(RowFault::FieldCount { found, expected: self.layout.width() }))
    }

    /// Whether the file ends in this row without a line end, and the key is the last that was read of it.
    fn may_end_in_half_a_key(&self, line: Line<'_>) -> bool {
        !line.has_end && self.layout.key.is_some_and(|key| key + 1 == self.layout.width())
    }

    /// No bars yet, of the keys that the rows say or of the one that they do not.
    pub(super) fn collectors(&self, new: Collector) -> KeyedCollectors {
        KeyedCollectors::new(new, self.new_key.clone(), self.layout.key.is_some())
    }

    /// Where a row is.
    pub(super) fn file_line(&self, number: u64) -> FileLine {
        FileLine::new(&self.path, RowUnit::Line, number)
    }

    pub(super) fn state(&self) -> &RowsState {
        &self.state
    }

    pub(super) fn set_state(&mut self, state: RowsState) {
        self.state = state;
    }

    /// Reads rows until one stops the reading: as those that follow the rows of `before`, or as the first of each key.
    pub(super) fn read(&mut self, block: &TextBlock, before: Option<&KeyedCollectors>) -> Batch {
        let columns = self.layout.further.columns.len();
        let mut batch = Batch::with_room(block.len() / ROW_BYTES_USUAL, columns);
        let mut keys = BlockKeys { before, by_name: HashMap::new() };
        for line in block.lines() {
            if line.is_too_long() {
                batch.stop = Some(too_long(&self.path, line.number));
                break;
            }
            let key = self.key(line);
            let row = if key.is_some_and(|key| self.may_end_in_half_a_key(line) && keys.may_be_cut(key)) {
                Err(RowRefusal::Row(RowFault::HalfKey))
            } else if let Some(key) = key {
                let at = keys.begin_row(&mut batch, key, line.number, &self.new_key);
                self.bar(line, &mut batch.keys[at].state)
            } else {
                self.without_key(line)
            };
            batch.count_row();
            match row {
                Ok((bar, end)) => {
                    batch.keep(line.number, bar, &self.values);
                    batch.short_rows += u64::from(end == RowEnd::Short);
                }
                Err(refusal) => {
                    let place = || self.file_line(line.number);
                    batch.refuse(self.lenient, refusal, place, || shown(line.bytes), self.state.hint);
                }
            }
            self.state.hint = None;
            if batch.stop.is_some() {
                break;
            }
        }
        batch
    }

    /// Reads a row after those of its key; its further columns are then in `values`.
    fn bar(&mut self, line: Line<'_>, of_key: &mut KeyState) -> Result<(Bar, RowEnd), RowRefusal> {
        let text = line.text().ok_or(RowRefusal::Row(RowFault::NotUtf8))?;
        let row = self.split(text).map_err(RowRefusal::Row)?;
        if !of_key.instruments.is_empty() {
            of_key.instruments.check(line.number, self.layout.fields(text))?;
        }
        let state = &mut self.state;
        state.may_be_split = state.may_be_split && !self.layout.has_decimal_point(text);
        let stamp = state.stamps.read(&mut of_key.dates, row.date, row.time).map_err(RowRefusal::Row)?;
        let close = price(row.close).map_err(RowRefusal::Row)?;
        if !line.has_end && self.layout.may_end_in_half_a_close(text) {
            return Err(RowRefusal::Row(RowFault::HalfClose));
        }
        let instant_us = self.times.instant_us(stamp)?;
        self.read_further(text, row.end).map_err(RowRefusal::Row)?;
        Ok((Bar { instant_us, close }, row.end))
    }

    fn read_further(&mut self, text: &str, end: RowEnd) -> Result<(), RowFault> {
        self.values.clear();
        let (mut fields, mut at) = (self.layout.fields(text), 0);
        for column in &self.layout.further.columns {
            let field = fields.nth(column.index - at).unwrap_or("");
            at = column.index + 1;
            if end == RowEnd::Short && !self.layout.is_before_close(column.index) {
                // The row breaks off somewhere behind its close: what is there may be half a number.
                self.values.push(f64::NAN);
                continue;
            }
            let fault = RowFault::FurtherColumn { column: at };
            self.values.push(further_value(field).ok_or(fault)?);
        }
        Ok(())
    }

    /// The fields of a row. Lenient reading takes one that breaks off behind its close, if the close is certain.
    fn split<'a>(&mut self, text: &'a str) -> Result<BarFields<'a>, RowFault> {
        let row = match self.layout.split(text) {
            Err(fault @ (RowFault::FieldCount { .. } | RowFault::Quotes)) if self.lenient => {
                self.layout.split_short(text).ok_or(fault)
            }
            row => row,
        }?;
        self.state.ends.0 |= row.end == RowEnd::Empty;
        self.state.ends.1 |= row.end == RowEnd::OneMore;
        Ok(row)
    }

    /// Refuses what no row alone shows.
    pub(super) fn check_whole_file(&self) -> Result<(), ImportError> {
        let split = self.state.may_be_split.then_some(
            "no number in the file has a decimal point, and there is no header to count the columns, so a comma may \
             be the decimal mark as well as the delimiter; add a header line that names every column",
        );
        let (empty, one_more) = self.state.ends;
        let ends = self.layout.ends_differ(empty, one_more).then_some(
            "some rows end in an empty field that the header does not have, and some in an empty last column, so a \
             comma inside a number may have been read as the delimiter; give every row as many fields as the header \
             has",
        );
        match self.state.stamps.whole_file_fault().or(split).or(ends) {
            Some(why) => Err(ImportError::Columns { path: self.path.clone(), why: why.to_owned() }),
            None => Ok(()),
        }
    }
}

/// The keys of a block, by name.
struct BlockKeys<'a> {
    /// The rows before the block, where these are known.
    before: Option<&'a KeyedCollectors>,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> BlockKeys<'a> {
    /// Finds the key of the next row in the batch of the block.
    fn begin_row(&mut self, batch: &mut Batch, key: &'a str, line: u64, new: &KeyState) -> usize {
        let last = batch.last_key().filter(|(_, name)| *name == key);
        if let Some((at, _)) = last {
            return at;
        }
        let at = *self.by_name.entry(key).or_insert_with(|| {
            let state = self.before.and_then(|before| before.state(key)).unwrap_or(new);
            batch.add_key(key, line, state.clone())
        });
        batch.begin_run(at);
        at
    }

    /// Whether a key at the very end of a file may be the beginning of another one: it is new, or another begins with it. So it may
    /// where the rows before are not known.
    fn may_be_cut(&self, key: &str) -> bool {
        let Some(before) = self.before else { return true };
        let mut is_new = true;
        let mut begins = |other: &str| {
            is_new &= other != key;
            other.len() > key.len() && other.starts_with(key)
        };
        let is_begun = before.names().any(&mut begins) || self.by_name.keys().any(|other| begins(other));
        is_new || is_begun
    }
}

pub(super) fn too_long(path: &Path, number: u64) -> ImportError {
    let why =
        format!("line {number} does not end within {LINE_BYTES_MAX} bytes; check that the file is text");
    ImportError::Content { path: path.to_path_buf(), why }
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
