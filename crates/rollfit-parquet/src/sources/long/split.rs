//! [`Split`]: the rows of files with many keys, copied key by key into a file without a name. The files are read once for all
//! keys, but where they are sorted by key: there only the row groups of a key are read, when its rows are wanted.
//!
//! The copy has one part for each column, the instants first, and in it the rows of one key after another: eight bytes a row.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::{Array, StringArray};
use rollfit_job::error_chain;
use rollfit_job::few::few;
use rollfit_job::lock::lock;
use rollfit_job::month::display_instant;
use rollfit_job::store::{Fault, StoreError};
use rustix::fs::MemfdFlags;

use crate::fault::file_error;
use crate::sources::file_spans::FileSpans;
use crate::sources::long::key_index::{KeyCursor, KeyFault, KeyIndex, KeyIndexBuilder};
use crate::sources::long::keyed_file::KeyedColumns;
use crate::sources::table_file::TableFile;
use crate::sources::table_index::TableIndex;

/// The rows that are held in memory on their way into the copy.
const BUFFER_ROWS: usize = 1 << 20;
/// The largest copy that is kept in memory.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// How long what failed is not tried again.
pub(super) const FAULT_KEPT: Duration = Duration::from_secs(60);

/// Which columns a copy has, and where it is made.
pub(super) struct SplitColumns {
    pub(super) dir: PathBuf,
    pub(super) key: String,
    pub(super) time: String,
    pub(super) values: Vec<String>,
    /// Where there is room for a copy that is too large for the memory.
    pub(super) copy_dir: PathBuf,
}

impl SplitColumns {
    fn keyed(&self) -> KeyedColumns<'_> {
        KeyedColumns { key: &self.key, time: &self.time, values: &self.values }
    }
}

/// The rows of files with many keys.
pub(super) struct Split {
    pub(super) columns: Arc<SplitColumns>,
    index: Arc<TableIndex>,
    pub(super) files: Vec<FileSpans>,
    /// Each row group: the number of its file, and its own in that.
    groups: Vec<(u32, u32)>,
    pub(super) keys: KeyIndex,
    copy: Mutex<SplitCopy>,
}

/// The copy, as far as it is made.
#[derive(Default)]
struct SplitCopy {
    file: Option<Arc<File>>,
    /// Whether a key's rows are in it, by number.
    has: Vec<bool>,
    failed: Option<(Instant, StoreError)>,
}

impl Split {
    /// Counts the rows of each key in these files. Reads no values.
    pub(super) fn new(
        columns: Arc<SplitColumns>,
        index: Arc<TableIndex>,
        paths: &[PathBuf],
    ) -> Result<Self, StoreError> {
        let (mut files, mut groups, mut builder) = (Vec::new(), Vec::new(), KeyIndexBuilder::new());
        let mut nulls: Vec<String> = Vec::new();
        let only_keys = KeyedColumns { values: &[], ..columns.keyed() };
        for path in paths {
            let file = index.open_without_spans(path)?;
            file.check_keyed(only_keys)?;
            let null_rows = builder.null_rows;
            for group in 0..file.contents.metadata.metadata().num_row_groups() {
                builder.begin_group(files.len(), groups.len());
                groups.push((files.len() as u32, group as u32));
                file.read_keyed(group, only_keys, |keys, instants_us, _| {
                    builder.add(keys, instants_us).map_err(|fault| not_counted(path, &columns, &fault))
                })?;
            }
            if builder.null_rows > null_rows {
                nulls.push(format!("{} of {}", builder.null_rows - null_rows, path.display()));
            }
            files.push(file.file_spans());
        }
        warn_of_nulls(&columns, builder.null_rows, &nulls);
        let keys = builder.finish(|file| paths[file].as_path());
        Ok(Self { columns, index, files, groups, keys, copy: Mutex::default() })
    }

    /// The copy, with the rows of a key in it.
    pub(super) fn copy_with(&self, key: u32) -> Result<Arc<File>, StoreError> {
        let mut copy = lock(&self.copy);
        if let Some((_, error)) = copy.failed.as_ref().filter(|(at, _)| at.elapsed() < FAULT_KEPT) {
            return Err(again(error));
        }
        let file = match &copy.file {
            Some(file) => file.clone(),
            None => copy.file.insert(Arc::new(self.new_copy()?)).clone(),
        };
        copy.has.resize(self.keys.count(), false);
        if copy.has[key as usize] {
            return Ok(file);
        }
        let only = self.keys.is_clustered.then_some(key);
        match self.fill(&file, only) {
            Ok(()) if only.is_some() => copy.has[key as usize] = true,
            Ok(()) => copy.has.fill(true),
            Err(error) => {
                if error.fault() == Fault::Permanent {
                    copy.failed = Some((Instant::now(), again(&error)));
                }
                return Err(error);
            }
        }
        Ok(file)
    }

    fn new_copy(&self) -> Result<File, StoreError> {
        let dir = &self.columns.copy_dir;
        let bytes = self.keys.rows().saturating_mul(8 * (1 + self.columns.values.len() as u64));
        let created = if bytes <= MEMORY_BYTES_MAX {
            rustix::fs::memfd_create("rollfit-split", MemfdFlags::CLOEXEC).map(File::from).map_err(Into::into)
        } else {
            // A store that is only read may be one that cannot be written.
            tempfile::tempfile_in(dir).or_else(|_| tempfile::tempfile())
        };
        created.map_err(|error| self.not_written(error))
    }

    fn not_written(&self, error: std::io::Error) -> StoreError {
        let what = format!("write a copy of the rows of {}, sorted by key, to", self.columns.dir.display());
        file_error(&what, &self.columns.copy_dir, error)
    }

    /// Copies the rows of all keys, or of one.
    fn fill(&self, copy: &File, only: Option<u32>) -> Result<(), StoreError> {
        let all: Vec<u32> = if only.is_none() { (0..self.groups.len() as u32).collect() } else { Vec::new() };
        let groups = only.map_or(&all, |key| &self.keys.key(key).groups);
        let mut writer = CopyWriter::new(self, copy, only);
        let mut open: Option<(u32, TableFile)> = None;
        for &group in groups {
            let (number, group) = self.groups[group as usize];
            if open.as_ref().is_none_or(|(known, _)| *known != number) {
                open = Some((number, self.reopen(&self.files[number as usize])?));
            }
            if let Some((_, file)) = &open {
                file.read_keyed(group as usize, self.columns.keyed(), |keys, instants_us, values| {
                    writer.add(keys, instants_us, values)
                })?;
            }
        }
        writer.finish()
    }

    /// Opens a file whose keys were counted.
    fn reopen(&self, listed: &FileSpans) -> Result<TableFile, StoreError> {
        let file = self.index.open_without_spans(&listed.path)?;
        if file.identity != listed.identity {
            return Err(replaced(&listed.path));
        }
        file.check_keyed(self.columns.keyed())?;
        Ok(file)
    }
}

/// Puts rows, as the files have them, where they belong in the copy.
struct CopyWriter<'s> {
    split: &'s Split,
    copy: &'s File,
    only: Option<u32>,
    cursors: Vec<KeyCursor>,
    /// The key of each row that is not yet written, and its columns as the copy has them.
    keys: Vec<u32>,
    columns: Vec<Vec<[u8; 8]>>,
    bytes: Vec<u8>,
}

impl<'s> CopyWriter<'s> {
    fn new(split: &'s Split, copy: &'s File, only: Option<u32>) -> Self {
        Self {
            split,
            copy,
            only,
            cursors: vec![KeyCursor::default(); split.keys.count()],
            keys: Vec::new(),
            columns: vec![Vec::new(); 1 + split.columns.values.len()],
            bytes: Vec::new(),
        }
    }

    fn add(
        &mut self,
        keys: &StringArray,
        instants_us: &[i64],
        values: &[Vec<f64>],
    ) -> Result<(), StoreError> {
        let mut last: Option<(&str, Option<u32>)> = None;
        for (row, &instant_us) in instants_us.iter().enumerate() {
            if keys.is_null(row) {
                continue;
            }
            let key = keys.value(row);
            let number = match last {
                Some((known, number)) if known == key => number,
                _ => self.wanted(key),
            };
            last = Some((key, number));
            let Some(number) = number else { continue };
            self.keys.push(number);
            self.columns[0].push(instant_us.to_le_bytes());
            for (column, values) in self.columns[1..].iter_mut().zip(values) {
                column.push(values[row].to_le_bytes());
            }
        }
        if self.keys.len() >= BUFFER_ROWS { self.flush() } else { Ok(()) }
    }

    /// The number of a key whose rows are copied.
    fn wanted(&self, key: &str) -> Option<u32> {
        let number = self.split.keys.number(key)?;
        let is_wanted = self.only.is_none_or(|only| only == number);
        (is_wanted && self.split.keys.key(number).fault.is_none()).then_some(number)
    }

    /// Writes the rows that are held, key by key.
    fn flush(&mut self) -> Result<(), StoreError> {
        let keys = std::mem::take(&mut self.keys);
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        // Keeps the rows of a key in order.
        order.sort_by_key(|&row| keys[row as usize]);
        for rows in order.chunk_by(|&row, &next| keys[row as usize] == keys[next as usize]) {
            self.write_key(keys[rows[0] as usize], rows)?;
        }
        self.columns.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    fn write_key(&mut self, number: u32, mut rows: &[u32]) -> Result<(), StoreError> {
        let key = self.split.keys.key(number);
        while !rows.is_empty() {
            let (taken, place) = self.cursors[number as usize]
                .take(key, rows.len() as u64)
                .ok_or_else(|| replaced(&self.split.columns.dir))?;
            let (now, later) = rows.split_at(taken as usize);
            for (at, column) in self.columns.iter().enumerate() {
                self.bytes.clear();
                self.bytes.extend(now.iter().flat_map(|&row| column[row as usize]));
                let offset = 8 * (at as u64 * self.split.keys.rows() + place);
                self.copy.write_all_at(&self.bytes, offset).map_err(|error| self.split.not_written(error))?;
            }
            rows = later;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), StoreError> {
        self.flush()?;
        let is_whole = |number: u32| {
            let key = self.split.keys.key(number);
            let mut cursor = self.cursors[number as usize];
            key.fault.is_some() || cursor.take(key, 1).is_none()
        };
        let mut wanted = match self.only {
            Some(key) => key..key + 1,
            None => 0..self.split.keys.count() as u32,
        };
        if wanted.all(is_whole) { Ok(()) } else { Err(replaced(&self.split.columns.dir)) }
    }
}

fn replaced(path: &Path) -> StoreError {
    StoreError::new(Fault::Transient, format!("{} was replaced while it was being read", path.display()))
}

fn not_counted(path: &Path, columns: &SplitColumns, fault: &KeyFault) -> StoreError {
    StoreError::permanent(match fault {
        KeyFault::TooMany(why) => format!(
            "{}: column `{}` with `key_column`: {why}; name the column that tells keys apart",
            path.display(),
            columns.key
        ),
        KeyFault::OutOfRange(instant_us) => format!(
            "{}: column `{}` has the instant {}, which is outside the years 0001 to 9998; correct the time of that row or remove it, \
             or name another column with `time`",
            path.display(),
            columns.time,
            display_instant(*instant_us)
        ),
    })
}

fn warn_of_nulls(columns: &SplitColumns, rows: u64, files: &[String]) {
    if rows > 0 {
        rollfit_job::warn_once::warn_once(format!(
            "{}: column `{}` is NULL in {rows} rows, which belong to no key and are not read: {}",
            columns.dir.display(),
            columns.key,
            few(files)
        ));
    }
}

/// The same error once more.
pub(super) fn again(error: &StoreError) -> StoreError {
    if error.is_damage() {
        StoreError::damage(error_chain(error))
    } else {
        StoreError::new(error.fault(), error_chain(error))
    }
}
