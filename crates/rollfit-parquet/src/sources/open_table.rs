//! [`OpenTable`]: the open files of one source table, and the rows in them.
//!
//! Invariants: rows come out sorted by instant, each instant once, or an error says where that fails.

use std::ops::Range;
use std::sync::Arc;

use rollfit_job::month::display_instant;
use rollfit_job::store::{SeriesRows, StoreError};

use crate::sources::file_spans::FileSpans;
use crate::sources::group_span::GroupSpan;
use crate::sources::table_file::TableFile;
use crate::sources::table_index::TableIndex;

/// The open files of one table, and the requested columns.
pub(crate) struct OpenTable {
    index: Arc<TableIndex>,
    /// All files that the table had.
    listed: Arc<Vec<FileSpans>>,
    files: Vec<TableFile>,
    /// Files before those, the latest last, opened when their rows are requested.
    earlier: Vec<FileSpans>,
    time: String,
    value: String,
}

impl OpenTable {
    pub(crate) fn new(
        index: Arc<TableIndex>,
        listed: Arc<Vec<FileSpans>>,
        time: String,
        value: String,
    ) -> Self {
        Self { index, listed, files: Vec::new(), earlier: Vec::new(), time, value }
    }

    /// All files that the table had.
    pub(crate) fn listed(&self) -> &[FileSpans] {
        &self.listed
    }

    /// Whether `listed` are the files that the table had.
    pub(crate) fn is_of(&self, listed: &Arc<Vec<FileSpans>>) -> bool {
        let identity = |file: &FileSpans| (file.path.clone(), file.identity);
        Arc::ptr_eq(&self.listed, listed) || self.listed.iter().map(identity).eq(listed.iter().map(identity))
    }

    /// Opens a file: from now on its rows are those of the table, whatever takes its name.
    pub(crate) fn open(&mut self, file: &FileSpans) -> Result<(), StoreError> {
        self.files.push(self.index.reopen(file, &self.time)?);
        Ok(())
    }

    /// Adds a file before those that are open.
    pub(crate) fn add_earlier(&mut self, file: FileSpans) {
        let at = self.earlier.partition_point(|other| other.span_us() <= file.span_us());
        self.earlier.insert(at, file);
    }

    /// Opens the latest of the earlier files until those opened here have `rows` rows.
    pub(crate) fn open_earlier(&mut self, rows: usize) -> Result<(), StoreError> {
        let mut opened_rows = 0;
        while opened_rows < rows
            && let Some(file) = self.earlier.pop()
        {
            opened_rows += file.rows();
            self.open(&file)?;
        }
        Ok(())
    }

    /// The rows within `span_us`.
    pub(crate) fn rows(&self, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        let overlaps = |span: &GroupSpan| span.first_us < span_us.end && span.last_us >= span_us.start;
        let mut rows = self.read(&self.groups(overlaps))?;
        let first = rows.instants_us.partition_point(|&instant| instant < span_us.start);
        let end = rows.instants_us.partition_point(|&instant| instant < span_us.end);
        cut(&mut rows, first..end);
        Ok(rows)
    }

    /// How many rows lie within `span_us`: read only in row groups that reach beyond it.
    pub(crate) fn count(&self, span_us: &Range<i64>) -> Result<u64, StoreError> {
        let mut rows = 0;
        for (at, span) in self.groups(|span| span.first_us < span_us.end && span.last_us >= span_us.start) {
            rows += if span.first_us >= span_us.start && span.last_us < span_us.end {
                span.rows
            } else {
                let (instants_us, _) = self.files[at].read_groups(&[span.group], &self.time, None)?;
                instants_us.iter().filter(|instant_us| span_us.contains(instant_us)).count()
            };
        }
        Ok(rows as u64)
    }

    /// The last instant of the table, in files that are not open too.
    pub(crate) fn last_us(&self) -> Option<i64> {
        self.listed.iter().filter_map(FileSpans::span_us).map(|(_, last_us)| last_us).max()
    }

    /// The last `count` rows before `instant_us`, or all there are.
    pub(crate) fn rows_before(&mut self, instant_us: i64, count: usize) -> Result<SeriesRows, StoreError> {
        let mut reach_us = self.reach_us(instant_us, count);
        // Files that interleave with the rows needed are read too, to be refused.
        while self.earlier.last().and_then(FileSpans::span_us).is_some_and(|(_, last_us)| last_us >= reach_us)
        {
            self.open_earlier(1)?;
            reach_us = self.reach_us(instant_us, count);
        }
        let groups = self.groups(|span| span.first_us < instant_us && span.last_us >= reach_us);
        let mut rows = self.read(&groups)?;
        let end = rows.instants_us.partition_point(|&instant| instant < instant_us);
        cut(&mut rows, end.saturating_sub(count)..end);
        Ok(rows)
    }

    /// The first instant of the open row groups that hold the last `count` rows before `instant_us`; the first there is
    /// where the open files have fewer.
    fn reach_us(&self, instant_us: i64, count: usize) -> i64 {
        let mut groups = self.groups(|span| span.first_us < instant_us);
        groups.sort_by_key(|(_, span)| std::cmp::Reverse(span.last_us));
        let (mut found_rows, mut reach_us) = (0, instant_us);
        for (_, span) in groups {
            if found_rows >= count {
                break;
            }
            found_rows += if span.last_us < instant_us { span.rows } else { 0 };
            reach_us = reach_us.min(span.first_us);
        }
        if found_rows >= count { reach_us } else { i64::MIN }
    }

    /// The row groups that `wanted` picks, each with the index of its file.
    fn groups(&self, wanted: impl Fn(&GroupSpan) -> bool) -> Vec<(usize, GroupSpan)> {
        let all = self
            .files
            .iter()
            .enumerate()
            .flat_map(|(at, file)| file.spans.iter().map(move |span| (at, *span)));
        all.filter(|(_, span)| wanted(span)).collect()
    }

    fn read(&self, groups: &[(usize, GroupSpan)]) -> Result<SeriesRows, StoreError> {
        let mut ordered = groups.to_vec();
        ordered.sort_by_key(|(file, span)| (span.first_us, *file, span.group));
        let mut rows = SeriesRows::default();
        for (at, span) in ordered {
            let file = &self.files[at];
            let (instants_us, values) = file.read_groups(&[span.group], &self.time, Some(&self.value))?;
            self.check_order(file, rows.instants_us.last(), &instants_us)?;
            rows.instants_us.extend(instants_us);
            rows.values.extend(values);
        }
        Ok(rows)
    }

    fn check_order(
        &self,
        file: &TableFile,
        before: Option<&i64>,
        instants_us: &[i64],
    ) -> Result<(), StoreError> {
        let mut previous = before.copied();
        for &instant in instants_us {
            if let Some(previous) = previous.filter(|&previous| previous >= instant) {
                let (earlier, later) = (display_instant(instant), display_instant(previous));
                let problem = if previous == instant {
                    format!("{later} occurs twice")
                } else {
                    format!("{earlier} comes after {later}")
                };
                return Err(StoreError::permanent(format!(
                    "{}: column `{}`: {problem}; sort the source table by time, with each instant once over all its \
                     files",
                    file.path.display(),
                    self.time
                )));
            }
            previous = Some(instant);
        }
        Ok(())
    }
}

fn cut(rows: &mut SeriesRows, kept: Range<usize>) {
    rows.instants_us.truncate(kept.end);
    rows.instants_us.drain(..kept.start);
    rows.values.truncate(kept.end);
    rows.values.drain(..kept.start);
}
