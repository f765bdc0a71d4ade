//! Joining the files of one command into the bars of each key.
//!
//! Overlap is allowed where the files agree: rows of one instant and close are one bar, counted. Where they
//! disagree it is an error, or, when lenient, the file named first on the command line wins and the
//! other row dropped and counted. Without disagreement the bars do not depend on the order of the files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Display;
use std::path::PathBuf;

use rollfit_job::import::{Bar, BarColumn, NewBars};
use serde::Serialize;

use crate::bar_file::{BarFile, may_be_same};
use crate::error::{FileLine, ImportError, RowUnit, shown};
use crate::merged_columns::MergedColumns;
use crate::rows::lines::Lines;

/// What joining the files of a key dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MergeReport {
    /// Rows that an earlier file has with the same close.
    pub repeats_dropped: u64,
    /// Rows that an earlier file has with another close; zero unless lenient.
    pub contradictions_dropped: u64,
}

/// All bars of one key, sorted by instant, each instant once, never empty; each bar knows its file and line.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyBars {
    bars: Vec<Bar>,
    columns: Vec<BarColumn>,
    origins: Vec<Origin>,
    stretches: Vec<Stretch>,
    report: MergeReport,
}

#[derive(Debug, Clone, PartialEq)]
struct Origin {
    path: PathBuf,
    unit: RowUnit,
    lines: Lines,
}

/// Consecutive bars that are consecutive in one file.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    first_index: usize,
    file: usize,
    first_in_file: usize,
}

impl KeyBars {
    /// The bars of one file, as they are.
    fn from_file(file: BarFile) -> Self {
        let origin = Origin { path: file.path, unit: file.report.unit, lines: file.lines };
        let stretches = vec![Stretch { first_index: 0, file: 0, first_in_file: 0 }];
        Self {
            bars: file.bars,
            columns: file.columns,
            origins: vec![origin],
            stretches,
            report: MergeReport::default(),
        }
    }

    /// The bars.
    #[must_use]
    pub fn bars(&self) -> &[Bar] {
        &self.bars
    }

    /// What joining the files dropped.
    #[must_use]
    pub fn report(&self) -> MergeReport {
        self.report
    }

    /// The files that the bars came from, in the order of the command line.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.origins.iter().map(|origin| &origin.path)
    }

    /// The file and line of the bar at `index`.
    ///
    /// # Panics
    /// If the bar does not exist.
    #[must_use]
    pub fn file_line(&self, index: usize) -> FileLine {
        assert!(index < self.bars.len(), "bar {index} of {}", self.bars.len());
        let after = self.stretches.partition_point(|stretch| stretch.first_index <= index);
        let Stretch { first_index, file, first_in_file } = self.stretches[after - 1];
        let origin = &self.origins[file];
        FileLine::new(&origin.path, origin.unit, origin.lines.line(first_in_file + index - first_index))
    }
}

impl NewBars for KeyBars {
    fn bars(&self) -> &[Bar] {
        &self.bars
    }

    fn columns(&self) -> &[BarColumn] {
        &self.columns
    }

    fn origin(&self, index: usize) -> Box<dyn Display + '_> {
        Box::new(self.file_line(index))
    }
}

/// Joins files, given in the order of the command line, into the bars of each key.
///
/// # Errors
/// Two files of a key have the symbols of two instruments, or, unless lenient, an instant with different closes.
pub fn merge(files: Vec<BarFile>, lenient: bool) -> Result<BTreeMap<String, KeyBars>, ImportError> {
    let mut by_key: BTreeMap<String, Vec<BarFile>> = BTreeMap::new();
    for file in files {
        by_key.entry(file.key.clone()).or_default().push(file);
    }
    let merged = by_key.into_iter().map(|(key, files)| {
        check_symbols(&key, &files)?;
        let merged = match <[BarFile; 1]>::try_from(files) {
            Ok([only]) => KeyBars::from_file(only),
            Err(files) => Merger::new(files, lenient).run()?,
        };
        Ok((key, merged))
    });
    merged.collect()
}

fn check_symbols(key: &str, files: &[BarFile]) -> Result<(), ImportError> {
    let mut named = files.iter().filter_map(|file| Some((&file.path, &file.symbol.as_ref()?.1)));
    let Some((earlier, earlier_symbol)) = named.next() else { return Ok(()) };
    match named.find(|(_, symbol)| !may_be_same(earlier_symbol, symbol)) {
        None => Ok(()),
        Some((path, symbol)) => Err(ImportError::TwoSymbols {
            path: path.clone(),
            symbol: shown(symbol.as_bytes()),
            earlier: earlier.clone(),
            earlier_symbol: shown(earlier_symbol.as_bytes()).into_boxed_str(),
            key: key.to_owned(),
        }),
    }
}

struct Merger {
    /// Bars and next bar of each file.
    inputs: Vec<(Vec<Bar>, usize)>,
    /// The next instant of each unfinished file; of equal ones, the file named first comes first.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    columns: MergedColumns,
    merged: KeyBars,
    lenient: bool,
}

impl Merger {
    fn new(mut files: Vec<BarFile>, lenient: bool) -> Self {
        let columns = MergedColumns::new(files.iter_mut().map(|file| std::mem::take(&mut file.columns)));
        let rows = files.iter().map(|file| file.bars.len()).sum();
        let mut merger = Self {
            inputs: Vec::new(),
            heads: BinaryHeap::new(),
            columns,
            merged: KeyBars {
                bars: Vec::with_capacity(rows),
                columns: Vec::new(),
                origins: Vec::new(),
                stretches: Vec::new(),
                report: MergeReport::default(),
            },
            lenient,
        };
        files.into_iter().for_each(|file| merger.add(file));
        merger
    }

    fn add(&mut self, file: BarFile) {
        self.inputs.push((file.bars, 0));
        self.merged.origins.push(Origin { path: file.path, unit: file.report.unit, lines: file.lines });
        self.queue(self.inputs.len() - 1);
    }

    /// Puts a file back in line, if it has bars left.
    fn queue(&mut self, file: usize) {
        let (bars, next) = &self.inputs[file];
        if let Some(bar) = bars.get(*next) {
            self.heads.push(Reverse((bar.instant_us, file)));
        }
    }

    fn run(mut self) -> Result<KeyBars, ImportError> {
        while let Some(Reverse((instant_us, file))) = self.heads.pop() {
            if self.merged.bars.last().is_some_and(|last| last.instant_us == instant_us) {
                self.drop_one(file)?;
            } else {
                self.take_stretch(file);
            }
            self.queue(file);
        }
        self.merged.columns = self.columns.into_columns();
        Ok(self.merged)
    }

    /// Takes all bars of a file that come before any other file's next.
    fn take_stretch(&mut self, file: usize) {
        let until_us = self.heads.peek().map_or(i64::MAX, |Reverse((instant_us, _))| *instant_us);
        let (bars, next) = &mut self.inputs[file];
        let count = bars[*next..].partition_point(|bar| bar.instant_us < until_us).max(1);
        let first_index = self.merged.bars.len();
        self.merged.stretches.push(Stretch { first_index, file, first_in_file: *next });
        self.merged.bars.extend_from_slice(&bars[*next..*next + count]);
        self.columns.take(file, *next..*next + count);
        *next += count;
    }

    /// Drops a file's next bar, whose instant was taken from another file just before.
    fn drop_one(&mut self, file: usize) -> Result<(), ImportError> {
        let (bars, next) = &mut self.inputs[file];
        let (bar, index) = (bars[*next], *next);
        *next += 1;
        let last = self.merged.bars.len() - 1;
        let contradiction = if self.merged.bars[last].close == bar.close {
            match self.columns.repeat(file, index, last) {
                Ok(()) => {
                    self.merged.report.repeats_dropped += 1;
                    return Ok(());
                }
                Err(difference) => self.column_contradiction(file, index, last, difference),
            }
        } else {
            self.contradiction(file, index, last)
        };
        if !self.lenient {
            return Err(contradiction);
        }
        self.merged.report.contradictions_dropped += 1;
        Ok(())
    }

    fn column_contradiction(
        &self,
        file: usize,
        index: usize,
        last: usize,
        (column, value, earlier_value): (String, f64, f64),
    ) -> ImportError {
        let origin = &self.merged.origins[file];
        let place = FileLine::new(&origin.path, origin.unit, origin.lines.line(index));
        let earlier = Box::new(self.merged.file_line(last));
        let instant_us = self.merged.bars[last].instant_us;
        ImportError::ColumnContradiction { place, column, value, earlier, earlier_value, instant_us }
    }

    fn contradiction(&self, file: usize, index: usize, last: usize) -> ImportError {
        let Bar { instant_us, close } = self.inputs[file].0[index];
        let origin = &self.merged.origins[file];
        let place = FileLine::new(&origin.path, origin.unit, origin.lines.line(index));
        let (earlier, earlier_close) = (self.merged.file_line(last), self.merged.bars[last].close);
        ImportError::Contradiction { place, close, earlier, earlier_close, instant_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::file_report::FileReport;

    fn file(name: &str, key: &str, rows: &[(i64, f64)]) -> BarFile {
        let mut lines = Lines::default();
        (0..rows.len()).for_each(|row| lines.push(row as u64 + 2));
        let bars =
            rows.iter().map(|(instant_us, close)| Bar { instant_us: *instant_us, close: *close }).collect();
        BarFile {
            path: name.into(),
            key: key.to_owned(),
            bars,
            columns: Vec::new(),
            lines,
            report: FileReport::default(),
            symbol: None,
        }
    }

    fn instants(bars: &KeyBars) -> Vec<i64> {
        bars.bars().iter().map(|bar| bar.instant_us).collect()
    }

    #[test]
    fn files_in_any_order_give_the_same_bars() {
        let months = [
            file("a", "k", &[(1, 1.0), (2, 2.0), (4, 4.0)]),
            file("b", "k", &[(4, 4.0), (5, 5.0)]),
            file("c", "k", &[(0, 9.0), (3, 3.0), (5, 5.0), (6, 6.0)]),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let merged = merge(order.map(|at| months[at].clone()).to_vec(), false).unwrap();
            assert_eq!(instants(&merged["k"]), [0, 1, 2, 3, 4, 5, 6]);
            assert_eq!(merged["k"].report().repeats_dropped, 2);
        }
    }

    #[test]
    fn every_bar_knows_its_file_and_line() {
        let files =
            vec![file("a", "k", &[(1, 1.0), (3, 3.0)]), file("b", "k", &[(2, 2.0), (3, 3.0), (4, 4.0)])];
        let merged = merge(files, false).unwrap();
        let places: Vec<String> = (0..4).map(|index| merged["k"].file_line(index).to_string()).collect();
        assert_eq!(places, ["a:2", "b:2", "a:3", "b:4"]);
        assert_eq!(merged["k"].paths().count(), 2);
    }

    #[test]
    fn a_key_has_one_instrument() {
        let named = |name: &str, at: i64, symbol: &str| BarFile {
            symbol: Some(("symbol".to_owned(), symbol.to_owned())),
            ..file(name, "k", &[(at, 1.0)])
        };
        let files = vec![named("a", 1, "EUR/USD"), file("b", "k", &[(2, 1.0)]), named("c", 3, "GBPUSD")];
        for lenient in [false, true] {
            let message = merge(files.clone(), lenient).unwrap_err().to_string();
            for part in ["c: ", "GBPUSD", "EUR/USD", "a", "`k`"] {
                assert!(message.contains(part), "{message}");
            }
        }
        assert!(merge(vec![named("a", 1, "EUR/USD"), named("b", 2, "EURUSD")], false).is_ok());
    }

    #[test]
    fn keys_stay_apart() {
        let merged = merge(vec![file("a", "x", &[(1, 1.0)]), file("b", "y", &[(1, 2.0)])], false).unwrap();
        assert_eq!(merged.keys().collect::<Vec<_>>(), ["x", "y"]);
        assert!(merge(Vec::new(), false).unwrap().is_empty());
    }

    #[test]
    fn disagreement_names_both_files_lines_and_closes() {
        let files = vec![file("a", "k", &[(1, 1.0), (3, 3.0)]), file("b", "k", &[(3, 3.5)])];
        let message = merge(files.clone(), false).unwrap_err().to_string();
        for part in ["b:2", "a:3", "3.5", "has close 3.5 here and 3 at"] {
            assert!(message.contains(part), "{message}");
        }
        let merged = merge(files, true).unwrap();
        assert_eq!(merged["k"].bars()[1].close, 3.0);
        assert_eq!(merged["k"].report().contradictions_dropped, 1);
    }
}
