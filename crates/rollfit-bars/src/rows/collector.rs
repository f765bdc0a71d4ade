//! [`Collector`]: puts the rows of one file into order, and decides about those that do not fit.
//!
//! A row newer than all before is kept. An older one is a repetition, also as part of a block that is
//! repeated, if its instant was seen with the same close, and a contradiction if with another; if its instant
//! was not seen, the file jumps back. Strict reading stops at the last two, lenient reading keeps the earlier
//! rows and counts.
//!
//! A file whose rows go back in time from the first to the last is newest first, and turned round at its end. Where it
//! jumps forward after several rows, it is refused, strictly and leniently; after two, the second was a jump back.

use std::cmp::Ordering;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rollfit_job::import::{Bar, BarColumn};

use super::batch::{Batch, RowCounts};
use super::file_report::FileReport;
use super::lines::Lines;
use super::row_refusal::RowRefusal;
use super::values::{agree, fill};
use crate::error::{DropCause, FileLine, ImportError, RowUnit};
use crate::formats::Format;
use crate::read_options::ReadOptions;

/// The bars of one file, in the making.
pub(crate) struct Collector {
    path: PathBuf,
    lenient: bool,
    bars: Vec<Bar>,
    lines: Lines,
    /// The further columns, a value per bar each.
    columns: Vec<BarColumn>,
    report: FileReport,
    first_error: Option<ImportError>,
    order: FileOrder,
}

/// The order of a file, as the rows so far say.
#[derive(Clone, Copy, PartialEq)]
enum FileOrder {
    /// One instant, or none.
    Open,
    OldestFirst,
    /// At least two instants, and none is newer than one before it.
    NewestFirst,
}

/// The bars of one file, or of one key in it, complete.
pub(crate) struct Collected {
    collector: Collector,
    /// The key, where the rows say it.
    pub(crate) key: Option<String>,
    /// The name of the entry, where the file is a zip.
    pub(crate) entry: Option<String>,
    /// The column that says the instrument, and what it says.
    pub(crate) symbol: Option<(String, String)>,
}

impl Collector {
    pub(crate) fn new(path: &Path, unit: RowUnit, options: &ReadOptions) -> Self {
        let report = FileReport { unit, ..FileReport::default() };
        let (path, lenient) = (path.to_path_buf(), options.lenient);
        let (bars, lines, columns) = (Vec::new(), Lines::default(), Vec::new());
        Self { path, lenient, bars, lines, columns, report, first_error: None, order: FileOrder::Open }
    }

    /// The same for bars that have these columns besides.
    pub(crate) fn with_columns<'a>(self, names: impl Iterator<Item = &'a str>) -> Self {
        let column = |name: &str| BarColumn { name: name.to_owned(), values: Vec::new() };
        Self { columns: names.map(column).collect(), ..self }
    }

    /// An empty one like it. Nothing was collected yet.
    pub(crate) fn another(&self) -> Self {
        let column = |column: &BarColumn| BarColumn { name: column.name.clone(), values: Vec::new() };
        Self {
            path: self.path.clone(),
            lenient: self.lenient,
            bars: Vec::new(),
            lines: Lines::default(),
            columns: self.columns.iter().map(column).collect(),
            report: FileReport { unit: self.report.unit, ..FileReport::default() },
            first_error: None,
            order: FileOrder::Open,
        }
    }

    /// Adds something that a user should know.
    pub(crate) fn warn(&mut self, warning: String) {
        self.report.warnings.push(warning);
    }

    /// Counts a row before anything is known of it.
    pub(crate) fn count_row(&mut self) {
        self.report.rows_read += 1;
    }

    pub(crate) fn file_line(&self, number: u64) -> FileLine {
        FileLine::new(&self.path, self.report.unit, number)
    }

    /// Takes in bars of a batch, which follow those before.
    pub(crate) fn add(&mut self, batch: &Batch, bars: Range<usize>) -> Result<(), ImportError> {
        let (mut at, mut values) = (bars.start, Vec::new());
        while at < bars.end {
            let newer = self.newer_rows(&batch.bars[at..bars.end]);
            if newer == 0 {
                values.clear();
                values.extend(batch.columns.iter().map(|column| column[at]));
                self.keep(batch.lines.line(at), batch.bars[at], &values)?;
                at += 1;
                continue;
            }
            self.bars.extend_from_slice(&batch.bars[at..at + newer]);
            for (column, more) in self.columns.iter_mut().zip(&batch.columns) {
                column.values.extend_from_slice(&more[at..at + newer]);
            }
            self.lines.extend(&batch.lines, at..at + newer);
            at += newer;
        }
        Ok(())
    }

    /// Counts rows of a batch.
    pub(crate) fn count(&mut self, rows: RowCounts) {
        self.report.rows_read += rows.rows_read;
        for (cause, rows) in rows.dropped {
            *self.report.dropped.entry(cause).or_insert(0) += rows;
        }
        // Where a bar was kept, the first error is never told.
        self.first_error = self.first_error.take().or(rows.first_error);
    }

    /// How many of these bars are each newer than all before, in a file that is oldest first.
    fn newer_rows(&self, bars: &[Bar]) -> usize {
        if self.order != FileOrder::OldestFirst {
            return 0;
        }
        let mut last_us = self.bars.last().map_or(i64::MIN, |last| last.instant_us);
        let is_newer = |bar: &&Bar| std::mem::replace(&mut last_us, bar.instant_us) < bar.instant_us;
        bars.iter().take_while(is_newer).count()
    }

    /// Takes in a bar, and its value of each further column.
    pub(crate) fn keep(&mut self, number: u64, bar: Bar, values: &[f64]) -> Result<(), ImportError> {
        let Some(last) = self.bars.last() else { return self.push(number, bar, values) };
        let last_us = last.instant_us;
        self.order = match (self.order, bar.instant_us.cmp(&last_us)) {
            (FileOrder::Open, Ordering::Less) => FileOrder::NewestFirst,
            (FileOrder::Open, Ordering::Greater) => FileOrder::OldestFirst,
            (order, _) => order,
        };
        let newest_first = self.order == FileOrder::NewestFirst;
        if newest_first && bar.instant_us > last_us && !self.has_seen(bar.instant_us) {
            self.leave_newest_first(number, bar.instant_us, last_us)?;
            return self.keep(number, bar, values);
        }
        match bar.instant_us.cmp(&last_us) {
            Ordering::Greater if !newest_first => self.push(number, bar, values),
            Ordering::Less if newest_first => self.push(number, bar, values),
            _ => self.keep_seen(number, bar, values, last_us),
        }
    }

    fn push(&mut self, number: u64, bar: Bar, values: &[f64]) -> Result<(), ImportError> {
        self.bars.push(bar);
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.values.push(*value));
        self.lines.push(number);
        Ok(())
    }

    /// Where the instant was seen, in either order.
    fn find(&self, instant_us: i64) -> Result<usize, usize> {
        let order = |kept: &Bar| {
            let order = kept.instant_us.cmp(&instant_us);
            if self.order == FileOrder::NewestFirst { order.reverse() } else { order }
        };
        self.bars.binary_search_by(order)
    }

    fn has_seen(&self, instant_us: i64) -> bool {
        self.find(instant_us).is_ok()
    }

    /// Goes back to oldest first, which the second bar alone denied.
    fn leave_newest_first(&mut self, number: u64, to_us: i64, from_us: i64) -> Result<(), ImportError> {
        if self.bars.len() > 2 {
            return Err(ImportError::JumpForward { place: self.file_line(number), from_us, to_us });
        }
        let place = self.file_line(self.lines.line(1));
        let first_us = self.bars[0].instant_us;
        self.bars.truncate(1);
        self.lines.truncate(1);
        self.columns.iter_mut().for_each(|column| column.values.truncate(1));
        self.order = FileOrder::OldestFirst;
        self.drop_row(DropCause::JumpBack, ImportError::JumpBack { place, from_us: first_us, to_us: from_us })
    }

    fn keep_seen(&mut self, number: u64, bar: Bar, values: &[f64], from_us: i64) -> Result<(), ImportError> {
        let place = self.file_line(number);
        let Ok(index) = self.find(bar.instant_us) else {
            return self.drop_row(
                DropCause::JumpBack,
                ImportError::JumpBack { place, from_us, to_us: bar.instant_us },
            );
        };
        let earlier_close = self.bars[index].close;
        let earlier = self.file_line(self.lines.line(index));
        if bar.close == earlier_close {
            return self.repeat(index, values, place, earlier);
        }
        let Bar { instant_us, close } = bar;
        self.drop_row(
            DropCause::Contradiction,
            ImportError::Contradiction { place, close, earlier, earlier_close, instant_us },
        )
    }

    /// Drops a row that repeats a bar, which takes the values that it lacks.
    fn repeat(
        &mut self,
        index: usize,
        values: &[f64],
        place: FileLine,
        earlier: FileLine,
    ) -> Result<(), ImportError> {
        let mut columns = self.columns.iter().zip(values);
        if let Some((column, &value)) = columns.find(|(column, value)| !agree(column.values[index], **value))
        {
            let error = ImportError::ColumnContradiction {
                place,
                column: column.name.clone(),
                value,
                earlier: Box::new(earlier),
                earlier_value: column.values[index],
                instant_us: self.bars[index].instant_us,
            };
            return self.drop_row(DropCause::Contradiction, error);
        }
        for (column, value) in self.columns.iter_mut().zip(values) {
            fill(&mut column.values[index], *value);
        }
        self.report.repeats_dropped += 1;
        Ok(())
    }

    /// Drops a row if that is allowed for its fault. What makes every row uncertain, such as a missing zone, stops
    /// lenient reading too. `hint` is the format that the file looks like instead.
    pub(crate) fn refuse(
        &mut self,
        number: u64,
        refusal: RowRefusal,
        shown: String,
        hint: Option<Format>,
    ) -> Result<(), ImportError> {
        let cause = refusal.drop_cause();
        let error = refusal.into_error(self.file_line(number), shown, hint);
        match cause {
            Some(cause) => self.drop_row(cause, error),
            None => Err(error),
        }
    }

    /// Stops with `error`, or counts the row under `cause` when lenient.
    fn drop_row(&mut self, cause: DropCause, error: ImportError) -> Result<(), ImportError> {
        if !self.lenient {
            return Err(error);
        }
        self.report.drop_row(cause);
        self.first_error.get_or_insert(error);
        Ok(())
    }

    /// Ends the file; one without a bar is an error.
    pub(crate) fn finish(mut self, entry: Option<String>) -> Result<Collected, ImportError> {
        self.report.close(self.bars.len() as u64);
        self.report.newest_first = self.order == FileOrder::NewestFirst;
        if self.report.newest_first {
            self.bars.reverse();
            self.lines.reverse();
            self.columns.iter_mut().for_each(|column| column.values.reverse());
        }
        match self.first_error.take() {
            Some(first) if self.bars.is_empty() => {
                Err(ImportError::NothingReadable { rows: self.report.rows_read, first: Box::new(first) })
            }
            _ if self.bars.is_empty() => Err(ImportError::NoRows { path: self.path }),
            _ => Ok(Collected { collector: self, key: None, entry, symbol: None }),
        }
    }
}

impl Collected {
    /// Adds something that a user should know.
    pub(crate) fn warn(&mut self, warning: String) {
        self.collector.warn(warning);
    }

    /// Takes the further columns out.
    pub(crate) fn take_columns(&mut self) -> Vec<BarColumn> {
        std::mem::take(&mut self.collector.columns)
    }

    pub(crate) fn into_parts(self) -> (Vec<Bar>, Lines, FileReport) {
        (self.collector.bars, self.collector.lines, self.collector.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(lenient: bool, rows: &[(i64, f64)]) -> Result<(Vec<Bar>, Lines, FileReport), ImportError> {
        let options = ReadOptions { lenient, ..ReadOptions::new(Format::Csv) };
        let mut collector = Collector::new(Path::new("x.csv"), RowUnit::Line, &options);
        for (number, (instant_us, close)) in rows.iter().enumerate() {
            collector.count_row();
            collector.keep(number as u64 + 1, Bar { instant_us: *instant_us, close: *close }, &[])?;
        }
        Ok(collector.finish(None)?.into_parts())
    }

    #[test]
    fn repeats_are_dropped_also_as_a_block() {
        let rows = [(1, 1.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)];
        let (bars, lines, report) = collect(false, &rows).unwrap();
        assert_eq!(bars.iter().map(|bar| bar.instant_us).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!((report.rows_read, report.rows_kept, report.repeats_dropped), (9, 5, 4));
        assert_eq!((0..5).map(|index| lines.line(index)).collect::<Vec<_>>(), [1, 3, 4, 5, 9]);
    }

    #[test]
    fn a_contradiction_names_both_lines_and_closes() {
        let message = collect(false, &[(1, 1.5), (2, 2.0), (1, 1.25)]).unwrap_err().to_string();
        for part in ["x.csv:3", "x.csv:1", "1.5", "1.25", "1970-01-01T00:00:00.000001Z"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_jump_back_that_repeats_nothing_is_an_error() {
        let error = collect(false, &[(1, 1.0), (3, 3.0), (2, 2.0)]).unwrap_err();
        assert!(matches!(error, ImportError::JumpBack { from_us: 3, to_us: 2, .. }), "{error}");
        let block = collect(false, &[(1, 1.0), (3, 3.0), (1, 1.0), (2, 2.0)]).unwrap_err();
        assert!(matches!(block, ImportError::JumpBack { .. }), "{block}");
    }

    #[test]
    fn lenient_keeps_the_earlier_rows_and_counts() {
        let (bars, _, report) =
            collect(true, &[(1, 1.0), (3, 3.0), (2, 2.0), (3, 9.0), (3, 3.0), (4, 4.0)]).unwrap();
        assert_eq!(bars.iter().map(|bar| bar.close).collect::<Vec<_>>(), [1.0, 3.0, 4.0]);
        assert_eq!((report.rows_good, report.rows_kept, report.repeats_dropped), (6, 3, 1));
        assert_eq!((report.dropped[&DropCause::JumpBack], report.dropped[&DropCause::Contradiction]), (1, 1));
    }

    #[test]
    fn a_newest_first_file_is_turned_round_in_both_modes() {
        let rows = [(5, 5.0), (4, 4.0), (4, 4.0), (3, 3.0), (5, 5.0), (4, 4.0), (2, 2.0)];
        for lenient in [false, true] {
            let (bars, lines, report) = collect(lenient, &rows).unwrap();
            assert_eq!(bars.iter().map(|bar| bar.instant_us).collect::<Vec<_>>(), [2, 3, 4, 5]);
            assert_eq!((0..4).map(|index| lines.line(index)).collect::<Vec<_>>(), [7, 4, 2, 1]);
            assert_eq!((report.rows_kept, report.repeats_dropped, report.newest_first), (4, 3, true));
            assert_eq!(collect(lenient, &rows[..2]).unwrap().0[0].instant_us, 4);
        }
    }

    #[test]
    fn a_newest_first_file_that_jumps_forward_is_refused_in_both_modes() {
        for lenient in [false, true] {
            let message =
                collect(lenient, &[(5, 5.0), (4, 4.0), (2, 2.0), (3, 3.0)]).unwrap_err().to_string();
            assert!(message.contains("x.csv:4") && message.contains("newest first"), "{message}");
        }
    }

    #[test]
    fn one_jump_back_at_the_start_is_no_newest_first_file() {
        let rows = [(5, 5.0), (4, 4.0), (6, 6.0), (7, 7.0)];
        let refused = collect(false, &rows).unwrap_err();
        assert!(matches!(refused, ImportError::JumpBack { from_us: 5, to_us: 4, .. }), "{refused}");
        assert!(refused.to_string().contains("x.csv:2"), "{refused}");
        let (bars, _, report) = collect(true, &rows).unwrap();
        assert_eq!(bars.iter().map(|bar| bar.instant_us).collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!((report.dropped[&DropCause::JumpBack], report.newest_first), (1, false));
    }

    #[test]
    fn a_contradiction_in_a_newest_first_file_names_the_line_above() {
        let message = collect(false, &[(5, 5.0), (4, 4.0), (3, 3.0), (4, 9.0)]).unwrap_err().to_string();
        assert!(message.contains("x.csv:4") && message.contains("4 at x.csv:2"), "{message}");
    }

    #[test]
    fn no_rows_is_an_error() {
        assert!(matches!(collect(true, &[]), Err(ImportError::NoRows { .. })));
    }
}
