//! Source tables as found: the files of `sources/TABLE/`, whoever put them there, and the rows in them.
//!
//! Holds true: rows come out sorted by instant, each instant once, or an error says where that fails.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;
use rollfit_job::month::display_instant;
use rollfit_job::store::{Fault, Rows, StoreError};

use super::fault::{file_error, unreadable};
use crate::damaged::contain_panics;
use crate::decimal::nearest_doubles;

/// The files ending in `.parquet` of a table's directory, sorted by name; none where there is no such table. Hidden
/// files are not read.
pub(crate) fn table_files(dir: &Path) -> Result<Option<Vec<PathBuf>>, StoreError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("list", dir, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| file_error("list", dir, error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".parquet") && !name.starts_with(['.', '_']) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(Some(paths))
}

/// What is known of tables and their files, so that each footer is read once, and a directory listed again only when it
/// has changed.
#[derive(Default)]
pub(crate) struct TableIndex {
    seen: Mutex<HashMap<PathBuf, (Identity, Arc<Footer>)>>,
    listed: Mutex<HashMap<(PathBuf, String), Listing>>,
}

/// The files of a table, when its directory had not changed for a while.
struct Listing {
    modified: SystemTime,
    files: Arc<Vec<FileSpans>>,
}

/// A file of a table that need not be open, and the instants of its row groups.
#[derive(Clone)]
pub(crate) struct FileSpans {
    pub(crate) path: PathBuf,
    identity: Identity,
    spans: Arc<Vec<GroupSpan>>,
}

impl FileSpans {
    /// The first and the last instant of the file; none where it is empty.
    pub(crate) fn span_us(&self) -> Option<(i64, i64)> {
        let first = self.spans.iter().map(|span| span.first_us).min()?;
        let last = self.spans.iter().map(|span| span.last_us).max()?;
        Some((first, last))
    }

    /// The rows of the file.
    pub(crate) fn rows(&self) -> usize {
        self.spans.iter().map(|span| span.rows).sum()
    }

    /// About how many rows lie within `span_us`: of a row group that reaches beyond it, a share as large as the share
    /// of its time.
    pub(crate) fn estimate_rows(&self, span_us: &Range<i64>) -> u64 {
        let within = |span: &GroupSpan| {
            let shared = span.last_us.min(span_us.end - 1).saturating_sub(span.first_us.max(span_us.start));
            let share = (shared as f64 + 1.0) / (span.last_us.saturating_sub(span.first_us) as f64 + 1.0);
            (share.clamp(0.0, 1.0) * span.rows as f64).round() as u64
        };
        self.spans.iter().map(within).sum()
    }
}

/// Tells a file from another one that takes its name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(status: &Metadata) -> Self {
        Self {
            device: status.dev(),
            inode: status.ino(),
            bytes: status.len(),
            modified: (status.mtime(), status.mtime_nsec()),
        }
    }
}

/// What a file's footer says.
struct Footer {
    metadata: ArrowReaderMetadata,
    /// For a time column already asked for, the instants of each row group.
    spans: Mutex<HashMap<String, Arc<Vec<GroupSpan>>>>,
}

/// The instants of one row group.
#[derive(Clone, Copy)]
struct GroupSpan {
    group: usize,
    rows: usize,
    first_us: i64,
    last_us: i64,
}

impl TableIndex {
    /// The files of a table; none where there is no such table.
    pub(crate) fn files(&self, dir: &Path, time: &str) -> Result<Option<Arc<Vec<FileSpans>>>, StoreError> {
        let Ok(modified) = std::fs::metadata(dir).and_then(|status| status.modified()) else {
            return Ok(table_files(dir)?.map(|_| Arc::default()));
        };
        let place = (dir.to_owned(), time.to_owned());
        if let Some(listing) = lock(&self.listed).get(&place).filter(|listing| listing.modified == modified) {
            return Ok(Some(listing.files.clone()));
        }
        let Some(paths) = table_files(dir)? else { return Ok(None) };
        let files = paths.iter().map(|path| self.spans(path, time)).collect::<Result<Vec<_>, _>>()?;
        let files = Arc::new(files);
        if is_settled(modified) {
            lock(&self.listed).insert(place, Listing { modified, files: files.clone() });
        }
        Ok(Some(files))
    }

    /// The spans of a file, which is opened only if it is not known as it is now.
    fn spans(&self, path: &Path, time: &str) -> Result<FileSpans, StoreError> {
        let status = std::fs::metadata(path).map_err(|error| file_error("read", path, error))?;
        let identity = Identity::of(&status);
        let known = self.known(path, identity).and_then(|footer| lock(&footer.spans).get(time).cloned());
        match known {
            Some(spans) => Ok(FileSpans { path: path.to_owned(), identity, spans }),
            None => Ok(self.open(path, time)?.file_spans()),
        }
    }

    /// Opens a file as it was listed.
    pub(crate) fn reopen(&self, listed: &FileSpans, time: &str) -> Result<TableFile, StoreError> {
        let file = self.open(&listed.path, time)?;
        if file.identity == listed.identity {
            return Ok(file);
        }
        let message = format!("{} was replaced while it was being read", listed.path.display());
        Err(StoreError::new(Fault::Transient, message))
    }

    /// Opens a file of a table.
    pub(crate) fn open(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        contain_panics(|| self.open_file(path, time)).unwrap_or_else(|error| Err(unreadable(path, &error)))
    }

    fn open_file(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        let file = File::open(path).map_err(|error| file_error("read", path, error))?;
        let status = file.metadata().map_err(|error| file_error("read", path, error))?;
        let identity = Identity::of(&status);
        let footer = match self.known(path, identity) {
            Some(footer) => footer,
            None => self.learn(path, identity, &file)?,
        };
        let mut opened = TableFile { path: path.to_owned(), file, identity, footer, spans: Arc::default() };
        opened.spans = opened.find_spans(time)?;
        Ok(opened)
    }

    fn known(&self, path: &Path, identity: Identity) -> Option<Arc<Footer>> {
        let seen = lock(&self.seen);
        seen.get(path).filter(|(known, _)| *known == identity).map(|(_, footer)| footer.clone())
    }

    fn learn(&self, path: &Path, identity: Identity, file: &File) -> Result<Arc<Footer>, StoreError> {
        let metadata =
            ArrowReaderMetadata::load(file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))
                .map_err(|error| unreadable(path, &error))?;
        let footer = Arc::new(Footer { metadata, spans: Mutex::default() });
        let mut seen = lock(&self.seen);
        seen.insert(path.to_owned(), (identity, footer.clone()));
        Ok(footer)
    }
}

/// Whether a directory changed long enough ago that a change from now on gives it another time stamp.
fn is_settled(modified: SystemTime) -> bool {
    const COARSEST_CLOCK: Duration = Duration::from_secs(3);
    modified.elapsed().is_ok_and(|age| age > COARSEST_CLOCK)
}

/// Locks whether or not a thread panicked while it held the lock: what is guarded here is consistent at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// An open file of a table: what it holds does not change, whatever takes its name.
pub(crate) struct TableFile {
    pub(crate) path: PathBuf,
    file: File,
    identity: Identity,
    footer: Arc<Footer>,
    spans: Arc<Vec<GroupSpan>>,
}

impl TableFile {
    fn file_spans(&self) -> FileSpans {
        FileSpans { path: self.path.clone(), identity: self.identity, spans: self.spans.clone() }
    }

    /// All rows of the file, in the order in which they stand there.
    pub(crate) fn rows(&self, time: &str, value: &str) -> Result<Rows, StoreError> {
        let groups: Vec<usize> = self.spans.iter().map(|span| span.group).collect();
        let (instants_us, values) = self.read_groups(&groups, time, Some(value))?;
        Ok(Rows { instants_us, values })
    }

    /// What the footer says under `key`.
    pub(crate) fn metadata_value(&self, key: &str) -> Option<String> {
        let entries = self.footer.metadata.metadata().file_metadata().key_value_metadata()?;
        entries.iter().find(|entry| entry.key == key)?.value.clone()
    }

    fn find_spans(&self, time: &str) -> Result<Arc<Vec<GroupSpan>>, StoreError> {
        let known = lock(&self.footer.spans).get(time).cloned();
        if let Some(spans) = known {
            return Ok(spans);
        }
        let unit = self.time_unit(time)?;
        let groups = self.footer.metadata.metadata().num_row_groups();
        let spans: Vec<Option<GroupSpan>> =
            (0..groups).map(|group| self.group_span(group, time, unit)).collect::<Result<_, _>>()?;
        let spans = Arc::new(spans.into_iter().flatten().collect::<Vec<_>>());
        let mut known = lock(&self.footer.spans);
        known.insert(time.to_owned(), spans.clone());
        Ok(spans)
    }

    /// The instants of a row group, from its statistics, or from its rows where there are none.
    fn group_span(&self, group: usize, time: &str, unit: TimeUnit) -> Result<Option<GroupSpan>, StoreError> {
        let metadata = self.footer.metadata.metadata().row_group(group);
        let rows = usize::try_from(metadata.num_rows()).map_err(|error| unreadable(&self.path, &error))?;
        if rows == 0 {
            return Ok(None);
        }
        let statistics = metadata.columns().iter().find(|column| column.column_path().string() == time);
        let (first_us, last_us) = match statistics.and_then(|column| column.statistics()) {
            Some(Statistics::Int64(known)) if known.min_opt().is_some() && known.max_opt().is_some() => {
                let bound = |value: Option<&i64>| value.copied().unwrap_or_default();
                (floor_us(bound(known.min_opt()), unit), floor_us(bound(known.max_opt()), unit))
            }
            _ => {
                let (instants, _) = self.read_groups(&[group], time, None)?;
                let bound = |extreme: Option<&i64>| extreme.copied().unwrap_or_default();
                (bound(instants.iter().min()), bound(instants.iter().max()))
            }
        };
        Ok(Some(GroupSpan { group, rows, first_us, last_us }))
    }

    fn time_unit(&self, time: &str) -> Result<TimeUnit, StoreError> {
        match self.data_type(time)? {
            DataType::Timestamp(unit, _) => Ok(*unit),
            other => Err(StoreError::permanent(format!(
                "{}: column `{time}` is {other}, not a timestamp; name another with `time`",
                self.path.display()
            ))),
        }
    }

    fn data_type(&self, column: &str) -> Result<&DataType, StoreError> {
        let fields = self.footer.metadata.schema().fields();
        let field = fields.iter().find(|field| field.name() == column).ok_or_else(|| {
            let names = fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
            StoreError::permanent(format!("{}: no column `{column}`; there are {names}", self.path.display()))
        })?;
        Ok(field.data_type())
    }

    /// Reads whole row groups: the instants and, where asked for, a value column.
    fn read_groups(
        &self,
        groups: &[usize],
        time: &str,
        value: Option<&str>,
    ) -> Result<(Vec<i64>, Vec<f64>), StoreError> {
        if let Some(value) = value {
            self.check_numeric(value)?;
        }
        contain_panics(|| self.decode_groups(groups, time, value))
            .unwrap_or_else(|error| Err(unreadable(&self.path, &error)))
    }

    fn decode_groups(
        &self,
        groups: &[usize],
        time: &str,
        value: Option<&str>,
    ) -> Result<(Vec<i64>, Vec<f64>), StoreError> {
        const BATCH_ROWS: usize = 65_536;
        let file = self.file.try_clone().map_err(|error| file_error("read", &self.path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.footer.metadata.clone());
        let columns = std::iter::once(time).chain(value);
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
        let batches = builder
            .with_projection(mask)
            .with_row_groups(groups.to_vec())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| unreadable(&self.path, &error))?;
        let (mut instants_us, mut values) = (Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch.map_err(|error| unreadable(&self.path, &error))?;
            let column = |name| batch.column_by_name(name).cloned().ok_or_else(|| self.lost_column(name));
            self.append_instants(&column(time)?, time, &mut instants_us)?;
            if let Some(value) = value {
                self.append_values(&column(value)?, value, &mut values)?;
            }
        }
        self.check_rows(groups, instants_us.len())?;
        Ok((instants_us, values))
    }

    /// Pages that were cut short can end without an error.
    fn check_rows(&self, groups: &[usize], read_rows: usize) -> Result<(), StoreError> {
        let metadata = self.footer.metadata.metadata();
        let rows: i64 = groups.iter().map(|&group| metadata.row_group(group).num_rows()).sum();
        if usize::try_from(rows) == Ok(read_rows) {
            return Ok(());
        }
        let error = ParquetError::General(format!("{read_rows} rows where its footer says {rows}"));
        Err(unreadable(&self.path, &error))
    }

    fn lost_column(&self, name: &str) -> StoreError {
        StoreError::permanent(format!("{}: column `{name}` was not read", self.path.display()))
    }

    fn check_numeric(&self, column: &str) -> Result<(), StoreError> {
        match self.data_type(column)? {
            kind if kind.is_numeric() => Ok(()),
            other => Err(StoreError::permanent(format!(
                "{}: column `{column}` is {other}, not a number; name another with `value`",
                self.path.display()
            ))),
        }
    }

    fn append_instants(
        &self,
        column: &ArrayRef,
        time: &str,
        instants_us: &mut Vec<i64>,
    ) -> Result<(), StoreError> {
        let at = self.path.display();
        if column.null_count() > 0 {
            return Err(StoreError::permanent(format!("{at}: column `{time}` has rows without an instant")));
        }
        let first_row = instants_us.len();
        let outside = |row: usize, instant: i64, unit: &str| {
            StoreError::permanent(format!(
                "{at}: row {}: {instant} {unit} is not a whole, countable microsecond",
                first_row + row + 1
            ))
        };
        let scaled = |values: &[i64], factor: i64, unit: &'static str, instants_us: &mut Vec<i64>| {
            for (row, &value) in values.iter().enumerate() {
                instants_us.push(value.checked_mul(factor).ok_or_else(|| outside(row, value, unit))?);
            }
            Ok(())
        };
        match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => {
                scaled(column.as_primitive::<TimestampSecondType>().values(), 1_000_000, "s", instants_us)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                scaled(column.as_primitive::<TimestampMillisecondType>().values(), 1000, "ms", instants_us)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                instants_us.extend_from_slice(column.as_primitive::<TimestampMicrosecondType>().values());
                Ok(())
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                for (row, &value) in
                    column.as_primitive::<TimestampNanosecondType>().values().iter().enumerate()
                {
                    if value % 1000 != 0 {
                        return Err(outside(row, value, "ns"));
                    }
                    instants_us.push(value / 1000);
                }
                Ok(())
            }
            other => Err(StoreError::permanent(format!("{at}: column `{time}` is {other}, not a timestamp"))),
        }
    }

    /// The values as doubles, NaN for null.
    fn append_values(&self, column: &ArrayRef, name: &str, values: &mut Vec<f64>) -> Result<(), StoreError> {
        if let Some(doubles) = nearest_doubles(column) {
            values.extend(doubles.into_iter().map(|value| value.unwrap_or(f64::NAN)));
            return Ok(());
        }
        let doubles = arrow_cast::cast(column, &DataType::Float64).map_err(|error| {
            StoreError::caused_by(
                Fault::Permanent,
                format!("{}: column `{name}` cannot be read as doubles", self.path.display()),
                error,
            )
        })?;
        values.extend(doubles.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)));
        Ok(())
    }
}

fn floor_us(value: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1000),
    }
}

/// The open files of one table, and the columns asked for.
pub(crate) struct OpenTable {
    index: Arc<TableIndex>,
    files: Vec<TableFile>,
    /// Files before those, the latest last, opened when rows of them are asked for.
    earlier: Vec<FileSpans>,
    time: String,
    value: String,
}

impl OpenTable {
    pub(crate) fn new(index: Arc<TableIndex>, time: String, value: String) -> Self {
        Self { index, files: Vec::new(), earlier: Vec::new(), time, value }
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
    pub(crate) fn rows(&self, span_us: Range<i64>) -> Result<Rows, StoreError> {
        let overlaps = |span: &GroupSpan| span.first_us < span_us.end && span.last_us >= span_us.start;
        let mut rows = self.read(&self.groups(overlaps))?;
        let first = rows.instants_us.partition_point(|&instant| instant < span_us.start);
        let end = rows.instants_us.partition_point(|&instant| instant < span_us.end);
        cut(&mut rows, first..end);
        Ok(rows)
    }

    /// The last `count` rows before `instant_us`, or all there are.
    pub(crate) fn rows_before(&mut self, instant_us: i64, count: usize) -> Result<Rows, StoreError> {
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

    fn read(&self, groups: &[(usize, GroupSpan)]) -> Result<Rows, StoreError> {
        let mut ordered = groups.to_vec();
        ordered.sort_by_key(|(file, span)| (span.first_us, *file, span.group));
        let mut rows = Rows::default();
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
                    format!("{later} stands there twice")
                } else {
                    format!("{earlier} comes after {later}")
                };
                return Err(StoreError::permanent(format!(
                    "{}: column `{}`: {problem}; a source table has each instant once, sorted, over all its files",
                    file.path.display(),
                    self.time
                )));
            }
            previous = Some(instant);
        }
        Ok(())
    }
}

fn cut(rows: &mut Rows, kept: Range<usize>) {
    rows.instants_us.truncate(kept.end);
    rows.instants_us.drain(..kept.start);
    rows.values.truncate(kept.end);
    rows.values.drain(..kept.start);
}
