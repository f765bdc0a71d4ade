//! Putting the rows of one file into order, and deciding about those that do not fit.
//!
//! A row newer than all before is kept. An older one is a repetition, also as part of a block that is
//! repeated, if its instant was seen with the same close, and a contradiction if with another; if its instant
//! was not seen, the file jumps back. Strict reading stops at the last two, lenient reading keeps the earlier
//! rows and counts.

use std::path::{Path, PathBuf};

use super::error::{ImportError, Place, Unit};
use super::origin::Lines;
use super::report::{Cause, FileReport};
use super::{Bar, ReadOptions};

/// The bars of one file, in the making.
pub(super) struct Collector {
    path: PathBuf,
    lenient: bool,
    bars: Vec<Bar>,
    lines: Lines,
    report: FileReport,
    first_error: Option<ImportError>,
}

/// The bars of one file, complete.
pub(super) struct Collected {
    collector: Collector,
    /// The name of the entry, where the file is a zip.
    pub(super) entry: Option<String>,
}

impl Collector {
    pub(super) fn new(path: &Path, unit: Unit, options: &ReadOptions) -> Self {
        let report = FileReport { unit, ..FileReport::default() };
        let (path, lenient) = (path.to_path_buf(), options.lenient);
        Self { path, lenient, bars: Vec::new(), lines: Lines::default(), report, first_error: None }
    }

    /// Counts a row before anything is known of it.
    pub(super) fn count_row(&mut self) {
        self.report.rows_read += 1;
    }

    /// Whether the row counted last is the first.
    pub(super) fn at_first_row(&self) -> bool {
        self.report.rows_read <= 1
    }

    pub(super) fn place(&self, number: u64) -> Place {
        Place::new(&self.path, self.report.unit, number)
    }

    /// Takes in a bar.
    pub(super) fn keep(&mut self, number: u64, bar: Bar) -> Result<(), ImportError> {
        match self.bars.last() {
            Some(last) if bar.instant_us <= last.instant_us => self.keep_older(number, bar, last.instant_us),
            _ => {
                self.bars.push(bar);
                self.lines.push(number);
                Ok(())
            }
        }
    }

    fn keep_older(&mut self, number: u64, bar: Bar, from_us: i64) -> Result<(), ImportError> {
        let place = self.place(number);
        let seen = self.bars.binary_search_by_key(&bar.instant_us, |kept| kept.instant_us);
        let Ok(index) = seen else {
            return self
                .drop_row(Cause::JumpBack, ImportError::JumpBack { place, from_us, to_us: bar.instant_us });
        };
        let earlier_close = self.bars[index].close;
        if bar.close == earlier_close {
            self.report.repeats_dropped += 1;
            return Ok(());
        }
        let earlier = self.place(self.lines.line(index));
        let Bar { instant_us, close } = bar;
        self.drop_row(
            Cause::Contradiction,
            ImportError::Contradiction { place, close, earlier, earlier_close, instant_us },
        )
    }

    /// Stops with `error`, or counts the row under `cause` when lenient.
    pub(super) fn drop_row(&mut self, cause: Cause, error: ImportError) -> Result<(), ImportError> {
        if !self.lenient {
            return Err(error);
        }
        self.report.drop_row(cause);
        self.first_error.get_or_insert(error);
        Ok(())
    }

    /// Ends the file; one without a bar is an error.
    pub(super) fn finish(mut self, entry: Option<String>) -> Result<Collected, ImportError> {
        self.report.close(self.bars.len() as u64);
        match self.first_error.take() {
            Some(first) if self.bars.is_empty() => {
                Err(ImportError::NothingReadable { rows: self.report.rows_read, first: Box::new(first) })
            }
            _ if self.bars.is_empty() => Err(ImportError::NoRows { path: self.path }),
            _ => Ok(Collected { collector: self, entry }),
        }
    }
}

impl Collected {
    pub(super) fn into_parts(self) -> (Vec<Bar>, Lines, FileReport) {
        (self.collector.bars, self.collector.lines, self.collector.report)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    fn collect(lenient: bool, rows: &[(i64, f64)]) -> Result<(Vec<Bar>, Lines, FileReport), ImportError> {
        let options = ReadOptions { lenient, ..ReadOptions::new(Format::Csv) };
        let mut collector = Collector::new(Path::new("x.csv"), Unit::Line, &options);
        for (number, (instant_us, close)) in rows.iter().enumerate() {
            collector.count_row();
            collector.keep(number as u64 + 1, Bar { instant_us: *instant_us, close: *close })?;
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
        assert_eq!((report.dropped[&Cause::JumpBack], report.dropped[&Cause::Contradiction]), (1, 1));
    }

    #[test]
    fn no_rows_is_an_error() {
        assert!(matches!(collect(true, &[]), Err(ImportError::NoRows { .. })));
    }
}
