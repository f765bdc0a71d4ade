//! Source tables as found: the files of `sources/TABLE/`, from any writer, and the columns in them.
//!
//! Invariants: a file that rollfit wrote is checked, all its bytes, before a row of it is used.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use rollfit_job::lock::lock;
use rollfit_job::store::{Fault, SeriesRows, StoreError};

use crate::fault::{file_error, source_fault, unreadable};
use crate::listing::{table_files, warn_of_passed_over};
use crate::spans::GroupSpan;
use rollfit_files::damaged::contain_panics;
use rollfit_files::numbers::{doubles, ticks};
use rollfit_files::parquet_file::{FileBytes, Footer, Integrity, check_body};
use rollfit_files::regular_file;

/// What is known of tables and their files, so that each footer is read once, and a directory listed again only when it
/// has changed.
#[derive(Default)]
pub(crate) struct TableIndex {
    seen: Mutex<HashMap<PathBuf, (FileIdentity, Arc<Contents>)>>,
    listed: Mutex<HashMap<(PathBuf, String), Listing>>,
    /// The tables whose files that are not read were named.
    named: Mutex<HashSet<PathBuf>>,
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
    identity: FileIdentity,
    spans: Arc<Vec<GroupSpan>>,
    contents: Arc<Contents>,
}

impl FileSpans {
    pub(crate) fn integrity(&self) -> Integrity {
        self.contents.integrity
    }

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
struct FileIdentity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    fn from_metadata(status: &Metadata) -> Self {
        Self {
            device: status.dev(),
            inode: status.ino(),
            bytes: status.len(),
            modified: (status.mtime(), status.mtime_nsec()),
        }
    }
}

/// What is known of a file's contents: its footer, checked where that is possible.
pub(crate) struct Contents {
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) integrity: Integrity,
    /// Whether the rest of the file was checked too.
    is_checked: AtomicBool,
    /// Held while it is, so that threads do not all read it.
    checking: Mutex<()>,
    /// For a time column already asked for, the instants of each row group.
    pub(crate) spans: Mutex<HashMap<String, Arc<Vec<GroupSpan>>>>,
}

impl TableIndex {
    /// The files of a table; none where there is no such table.
    pub(crate) fn files(&self, dir: &Path, time: &str) -> Result<Option<Arc<Vec<FileSpans>>>, StoreError> {
        let modified = match std::fs::metadata(dir).and_then(|status| status.modified()) {
            Ok(modified) => modified,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error("list", dir, error)),
        };
        let place = (dir.to_owned(), time.to_owned());
        if let Some(listing) = lock(&self.listed).get(&place).filter(|listing| listing.modified == modified) {
            return Ok(Some(listing.files.clone()));
        }
        let Some(paths) = table_files(dir)? else { return Ok(None) };
        if lock(&self.named).insert(dir.to_owned()) {
            warn_of_passed_over(dir);
        }
        let files = paths.iter().map(|path| self.spans(path, time)).collect::<Result<Vec<_>, _>>()?;
        let files = Arc::new(files);
        if is_settled(modified) {
            lock(&self.listed).insert(place, Listing { modified, files: files.clone() });
        }
        Ok(Some(files))
    }

    /// The spans of a file, which is opened only if it is not known as it is now.
    fn spans(&self, path: &Path, time: &str) -> Result<FileSpans, StoreError> {
        let status = std::fs::symlink_metadata(path).map_err(|error| file_error("read", path, error))?;
        let identity = FileIdentity::from_metadata(&status);
        let known = self.known(path, identity);
        let spans = known.as_ref().and_then(|known| lock(&known.spans).get(time).cloned());
        match spans.zip(known) {
            Some((spans, contents)) => Ok(FileSpans { path: path.to_owned(), identity, spans, contents }),
            None => Ok(self.open_unchecked(path, time)?.file_spans()),
        }
    }

    /// Checks every byte of the files that rollfit wrote, those of a table of which rows are wanted.
    pub(crate) fn check(&self, listed: &[FileSpans], time: &str) -> Result<(), StoreError> {
        let mut unchecked = listed.iter().filter(|file| !file.contents.is_checked.load(Ordering::Acquire));
        unchecked.try_for_each(|file| self.reopen(file, time).map(drop))
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

    /// Opens a file of a table, and checks every byte of one that has our checksums: once for as long as it is the same
    /// file.
    pub(crate) fn open(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        let file = self.open_unchecked(path, time)?;
        file.check()?;
        Ok(file)
    }

    /// Opens a file of which no row is used: a plan needs the footers of all keys, and the rows of a few.
    fn open_unchecked(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        contain_panics(|| self.open_file(path, time)).unwrap_or_else(|error| Err(unreadable(path, &error)))
    }

    fn open_file(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        let file = regular_file::open(path).map_err(|error| file_error("read", path, error))?;
        let status = file.metadata().map_err(|error| file_error("read", path, error))?;
        let (file, identity) = (Arc::new(file), FileIdentity::from_metadata(&status));
        let known = self.known(path, identity);
        let is_known = known.is_some();
        let contents = match known {
            Some(contents) => contents,
            None => read_footer(path, &FileBytes::new(file.clone(), identity.bytes))?,
        };
        let mut opened = TableFile { path: path.to_owned(), file, identity, contents, spans: Arc::default() };
        if !is_known {
            lock(&self.seen).insert(path.to_owned(), (identity, opened.contents.clone()));
        }
        opened.spans = opened.find_spans(time)?;
        Ok(opened)
    }

    fn known(&self, path: &Path, identity: FileIdentity) -> Option<Arc<Contents>> {
        let seen = lock(&self.seen);
        seen.get(path).filter(|(known, _)| *known == identity).map(|(_, contents)| contents.clone())
    }
}

/// Reads the footer of a file, and checks one that has our checksums.
fn read_footer(path: &Path, bytes: &FileBytes) -> Result<Arc<Contents>, StoreError> {
    let footer = Footer::read(bytes).map_err(|fault| source_fault(path, fault))?;
    check_row_count(&footer.metadata).map_err(|why| unreadable(path, &why))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::try_new(footer.metadata, options).map_err(|error| unreadable(path, &error))?;
    Ok(Arc::new(Contents {
        metadata,
        integrity: footer.integrity,
        is_checked: AtomicBool::default(),
        checking: Mutex::default(),
        spans: Mutex::default(),
    }))
}

/// The rows of a file are those of its row groups.
fn check_row_count(metadata: &ParquetMetaData) -> Result<(), String> {
    let rows = metadata.file_metadata().num_rows();
    let sum: i128 = metadata.row_groups().iter().map(|group| i128::from(group.num_rows())).sum();
    if sum == i128::from(rows) {
        return Ok(());
    }
    Err(format!("its footer says {rows} rows, and {sum} in row groups"))
}

/// Whether a directory changed long enough ago that a change from now on gives it another time stamp.
fn is_settled(modified: SystemTime) -> bool {
    const COARSEST_CLOCK: Duration = Duration::from_secs(3);
    modified.elapsed().is_ok_and(|age| age > COARSEST_CLOCK)
}

/// An open file of a table: what it holds does not change, whatever takes its name.
pub(crate) struct TableFile {
    pub(crate) path: PathBuf,
    file: Arc<File>,
    identity: FileIdentity,
    pub(crate) contents: Arc<Contents>,
    pub(crate) spans: Arc<Vec<GroupSpan>>,
}

impl TableFile {
    fn file_spans(&self) -> FileSpans {
        FileSpans {
            path: self.path.clone(),
            identity: self.identity,
            spans: self.spans.clone(),
            contents: self.contents.clone(),
        }
    }

    /// Checks what the footer does not vouch for by itself.
    fn check(&self) -> Result<(), StoreError> {
        if self.contents.is_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        let _checking = lock(&self.contents.checking);
        if !self.contents.is_checked.load(Ordering::Acquire) {
            let bytes = FileBytes::new(self.file.clone(), self.identity.bytes);
            check_body(&bytes, self.contents.integrity).map_err(|fault| source_fault(&self.path, fault))?;
            self.check_rate_index()?;
            self.contents.is_checked.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// All rows of the file, in the order in which they stand there.
    pub(crate) fn rows(&self, time: &str, value: &str) -> Result<SeriesRows, StoreError> {
        let groups: Vec<usize> = self.spans.iter().map(|span| span.group).collect();
        let (instants_us, values) = self.read_groups(&groups, time, Some(value))?;
        Ok(SeriesRows { instants_us, values })
    }

    /// What the footer says under `key`.
    pub(crate) fn metadata_value(&self, key: &str) -> Option<String> {
        let entries = self.contents.metadata.metadata().file_metadata().key_value_metadata()?;
        entries.iter().find(|entry| entry.key == key)?.value.clone()
    }

    pub(crate) fn time_unit(&self, time: &str) -> Result<TimeUnit, StoreError> {
        match self.data_type(time)? {
            DataType::Timestamp(unit, _) => Ok(*unit),
            other => Err(self.not_a_timestamp(time, other)),
        }
    }

    fn data_type(&self, column: &str) -> Result<&DataType, StoreError> {
        let fields = self.contents.metadata.schema().fields();
        let field = fields.iter().find(|field| field.name() == column).ok_or_else(|| {
            let names = fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
            StoreError::permanent(format!("{}: no column `{column}`; there are {names}", self.path.display()))
        })?;
        Ok(field.data_type())
    }

    /// Reads whole row groups: the instants and, where asked for, a value column.
    pub(crate) fn read_groups(
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
        let (mut instants_us, mut values) = (Vec::new(), Vec::new());
        let columns: Vec<&str> = std::iter::once(time).chain(value).collect();
        self.decode(groups, &columns, |arrays| {
            self.append_instants(&arrays[0], time, &mut instants_us)?;
            match value {
                Some(value) => self.append_values(&arrays[1], value, &mut values),
                None => Ok(()),
            }
        })?;
        self.check_rows(groups, instants_us.len())?;
        Ok((instants_us, values))
    }

    /// Reads columns of whole row groups; `take` gets some rows of each column at a time, in the order of `columns`.
    pub(crate) fn decode(
        &self,
        groups: &[usize],
        columns: &[&str],
        mut take: impl FnMut(&[ArrayRef]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        const BATCH_ROWS: usize = 65_536;
        let bytes = FileBytes::new(self.file.clone(), self.identity.bytes);
        // Arrow makes a text of a failing disk: what the system said comes first.
        let fault = |error: &dyn std::fmt::Display| match bytes.take_fault() {
            Some(error) => file_error("read", &self.path, error),
            None => unreadable(&self.path, error),
        };
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), self.contents.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let batches = builder
            .with_projection(mask)
            .with_row_groups(groups.to_vec())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| fault(&error))?;
        for batch in batches {
            let batch = batch.map_err(|error| fault(&error))?;
            let column =
                |name: &&str| batch.column_by_name(name).cloned().ok_or_else(|| self.lost_column(name));
            take(&columns.iter().map(column).collect::<Result<Vec<_>, _>>()?)?;
        }
        Ok(())
    }

    /// Pages that were cut short can end without an error.
    pub(crate) fn check_rows(&self, groups: &[usize], read_rows: usize) -> Result<(), StoreError> {
        let metadata = self.contents.metadata.metadata();
        let rows: i64 = groups.iter().map(|&group| metadata.row_group(group).num_rows()).sum();
        if usize::try_from(rows) == Ok(read_rows) {
            return Ok(());
        }
        let error = ParquetError::General(format!("{read_rows} rows where its footer says {rows}"));
        Err(unreadable(&self.path, &error))
    }

    pub(crate) fn no_instant(&self, time: &str) -> StoreError {
        let at = self.path.display();
        StoreError::permanent(format!("{at}: column `{time}` has rows without an instant"))
    }

    fn lost_column(&self, name: &str) -> StoreError {
        StoreError::permanent(format!("{}: column `{name}` was not read", self.path.display()))
    }

    /// Whether there is a column of this name with numbers.
    pub(crate) fn has_numbers(&self, column: &str) -> bool {
        self.data_type(column).is_ok_and(DataType::is_numeric)
    }

    fn check_numeric(&self, column: &str) -> Result<(), StoreError> {
        match self.data_type(column)? {
            kind if kind.is_numeric() => Ok(()),
            other => Err(self.not_a_number(column, other)),
        }
    }

    fn not_a_number(&self, column: &str, kind: &DataType) -> StoreError {
        let at = self.path.display();
        StoreError::permanent(format!(
            "{at}: column `{column}` is {kind}, not a number; name another with `value`"
        ))
    }

    pub(crate) fn not_a_timestamp(&self, column: &str, kind: &DataType) -> StoreError {
        let at = self.path.display();
        StoreError::permanent(format!(
            "{at}: column `{column}` is {kind}, not a timestamp; name another with `time`"
        ))
    }

    fn append_instants(
        &self,
        column: &ArrayRef,
        time: &str,
        instants_us: &mut Vec<i64>,
    ) -> Result<(), StoreError> {
        let (DataType::Timestamp(unit, _), Some(ticks)) = (column.data_type(), ticks(column)) else {
            return Err(self.not_a_timestamp(time, column.data_type()));
        };
        if ticks.null_count() > 0 {
            return Err(self.no_instant(time));
        }
        let us = |value: i64| match unit {
            TimeUnit::Second => value.checked_mul(1_000_000).ok_or("s"),
            TimeUnit::Millisecond => value.checked_mul(1000).ok_or("ms"),
            TimeUnit::Microsecond => Ok(value),
            TimeUnit::Nanosecond => (value % 1000 == 0).then_some(value / 1000).ok_or("ns"),
        };
        let first_row = instants_us.len();
        for (row, &value) in ticks.values().iter().enumerate() {
            let instant_us = us(value).map_err(|unit| {
                StoreError::permanent(format!(
                    "{}: row {}: {value} {unit} is not a whole, countable microsecond",
                    self.path.display(),
                    first_row + row + 1
                ))
            })?;
            instants_us.push(instant_us);
        }
        Ok(())
    }

    /// The values as doubles, NaN for null.
    pub(crate) fn append_values(
        &self,
        column: &ArrayRef,
        name: &str,
        values: &mut Vec<f64>,
    ) -> Result<(), StoreError> {
        let doubles = doubles(column).ok_or_else(|| self.not_a_number(name, column.data_type()))?;
        values.extend(doubles.iter().map(|value| value.unwrap_or(f64::NAN)));
        Ok(())
    }
}
