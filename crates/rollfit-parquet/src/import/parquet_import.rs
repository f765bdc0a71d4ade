//! [`ParquetImport`]: bars of any number of keys into the source tables `m1_{key}` and `bqx_{key}`, all or none.
//!
//! Invariants: the tables depend only on the set of bars and the base date, not on files, order or repetition. An import
//! that changes nothing writes nothing.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rollfit_job::month::Month;
use rollfit_job::store::{BarsImport, Fault, StoreError};

use crate::encode::{TableRows, write_table};
use crate::fault::{file_error, parquet_error};
use crate::file_system::{FileSystem, create_dirs, refuse_linked_dirs};
use crate::lock::{ExclusiveLock, LockAttempt};
use crate::names::{check_length, check_path};
use crate::sources::listing::{table_files, warn_of_passed_over};
use crate::sources::rate_index::BASE_KEY;
use crate::sources::sources_lock::{commit_import, finish_import_of_another};
use crate::sources::staged::{BARS_TABLE, RETURNS_TABLE, Staged, UNFINISHED_LIST, is_staging};
use crate::sources::table_index::TableIndex;
use rollfit_files::regular_file;
use rollfit_job::import::{
    Bar, BarsOptions, Base, KeyReport, KeyUpdate, NewBars, StoredBars, import_going_on, not_imported,
};

const IMPORT_LOCK: &str = ".import.lock";
/// As long as the name of any file of a table, staged or in place.
const LONGEST_FILE: &str = ".YYYY-MM.parquet.tmp";

/// An import in progress. Dropped without [`ParquetImport::commit`] it leaves everything as it was.
pub struct ParquetImport<'a> {
    sources_dir: PathBuf,
    files: &'a dyn FileSystem,
    options: BarsOptions,
    staged: Staged,
    committed: bool,
    _lock: ExclusiveLock,
}

impl<'a> ParquetImport<'a> {
    /// Begins an import into the store at `dir`, which is created if need be.
    ///
    /// # Errors
    /// When `dir` cannot be written, or another import is going on there.
    pub fn begin(dir: &Path, options: BarsOptions, files: &'a dyn FileSystem) -> Result<Self, StoreError> {
        let sources_dir = dir.join("sources");
        create_dirs(files, &sources_dir).map_err(|error| {
            StoreError::caused_by(
                Fault::Unreachable,
                format!("cannot create the store {}", dir.display()),
                error,
            )
        })?;
        refuse_linked_dirs(dir, &sources_dir)?;
        let lock_path = sources_dir.join(IMPORT_LOCK);
        let lock = match ExclusiveLock::try_take(&lock_path) {
            Ok(LockAttempt::Taken(lock)) => lock,
            Ok(LockAttempt::Held(holder)) => return Err(import_going_on(holder, dir.display())),
            Err(error) => return Err(file_error("lock", &lock_path, error)),
        };
        files.sync_dir(dir).map_err(|error| file_error("sync", dir, error))?;
        finish_import_of_another(&sources_dir, files)?;
        remove_unfinished(&sources_dir, files)?;
        Ok(Self { sources_dir, files, options, staged: Staged::default(), committed: false, _lock: lock })
    }

    /// Stages the files of both tables that differ from those in place; returns how many.
    fn stage_tables(&mut self, key: &str, update: &KeyUpdate) -> Result<usize, StoreError> {
        let before = self.staged.len();
        let KeyUpdate { instants_us, closes, rate_index, returns, base, .. } = update;
        let first_return = update.first_return();
        let metadata = [(BASE_KEY, serde_json::to_string(base).unwrap_or_default())];
        for (month, rows) in months(instants_us)? {
            self.stage(
                &format!("{BARS_TABLE}{key}/{month}.parquet"),
                &TableRows {
                    time: ("time", false),
                    instants_us: &instants_us[rows.clone()],
                    columns: &[("close", &closes[rows.clone()]), ("rate_index", &rate_index[rows.clone()])],
                    metadata: &metadata,
                },
            )?;
            let rows = rows.start.max(first_return)..rows.end;
            if rows.start < rows.end {
                let values = &returns[rows.start - first_return..rows.end - first_return];
                self.stage(
                    &format!("{RETURNS_TABLE}{key}/{month}.parquet"),
                    &TableRows {
                        time: ("ts_utc", true),
                        instants_us: &instants_us[rows],
                        columns: &[("w15_bqx_return", values)],
                        metadata: &metadata,
                    },
                )?;
            }
        }
        Ok(self.staged.len() - before)
    }

    fn stage(&mut self, to: &str, rows: &TableRows<'_>) -> Result<(), StoreError> {
        let to = PathBuf::from(to);
        let place = self.sources_dir.join(&to);
        let bytes = write_table(rows).map_err(|error| parquet_error("encode", &place, error))?;
        if holds(&place, &bytes).map_err(|error| file_error("read", &place, error))? {
            return Ok(());
        }
        if let Some(dir) = place.parent() {
            refuse_linked_dirs(&self.sources_dir, dir)?;
            create_dirs(self.files, dir).map_err(|error| file_error("create the directory", dir, error))?;
        }
        let staging = self.sources_dir.join(self.staged.add(to));
        let written = self.files.create(&staging).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync()
        });
        written.map_err(|error| file_error("write", &staging, error))
    }
}

/// Checks that the store at `dir` can have the tables of a key.
pub(crate) fn check_key_names(dir: &Path, key: &str) -> Result<(), StoreError> {
    for prefix in [BARS_TABLE, RETURNS_TABLE] {
        let table = format!("{prefix}{key}");
        check_length("the table of a key", &table)?;
        check_path("the table of a key", &dir.join("sources").join(table).join(LONGEST_FILE))?;
    }
    Ok(())
}

/// Whether the file at `path` is there and holds these bytes.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = match regular_file::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut present = Vec::new();
    let is_as_long = file.metadata()?.len() == bytes.len() as u64;
    Ok(is_as_long && file.read_to_end(&mut present).is_ok() && present == bytes)
}

impl BarsImport for ParquetImport<'_> {
    fn add(&mut self, key: &str, bars: &dyn NewBars) -> Result<KeyReport, StoreError> {
        check_key_names(self.sources_dir.parent().unwrap_or(&self.sources_dir), key)?;
        let stored = stored_bars(&self.sources_dir, key)?;
        let update = KeyUpdate::new(key, stored, bars, &self.options)?;
        let files_written = self.stage_tables(key, &update)?;
        Ok(update.report(files_written))
    }

    /// If it fails, either nothing has changed or the next process that opens the store finishes it.
    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.committed = true;
        commit_import(&self.staged, &self.sources_dir, self.files)
    }
}

impl Drop for ParquetImport<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.staged.discard(&self.sources_dir, self.files);
        }
    }
}

/// The rows of each month, in order.
fn months(instants_us: &[i64]) -> Result<Vec<(Month, std::ops::Range<usize>)>, StoreError> {
    let mut months = Vec::new();
    let mut first = 0;
    while let Some(&instant) = instants_us.get(first) {
        let month =
            Month::of_instant_us(instant).map_err(|error| StoreError::permanent(error.to_string()))?;
        let end = instants_us.partition_point(|&other| other < month.span_us().end);
        months.push((month, first..end));
        first = end;
    }
    Ok(months)
}

/// The bars of a key in the store. The names of the files, months, are in the order of their bars.
fn stored_bars(sources_dir: &Path, key: &str) -> Result<StoredBars, StoreError> {
    let mut stored = StoredBars::default();
    let table = sources_dir.join(format!("{BARS_TABLE}{key}"));
    let Some(paths) = table_files(&table)? else { return Ok(stored) };
    warn_of_passed_over(&table);
    let index = TableIndex::default();
    for path in paths {
        let file = index.open(&path, "time")?;
        stored.set_base(stored_base(&path, &file.metadata_value(BASE_KEY))?);
        let rows = file.rows("time", "close")?;
        for (&instant_us, &close) in rows.instants_us.iter().zip(&rows.values) {
            stored.push(path.display(), Bar { instant_us, close })?;
        }
    }
    if !stored.has_base()
        && let Some(base) = base_of_returns(sources_dir, key, &index)?
    {
        stored.set_base(base);
    }
    Ok(stored)
}

/// The base that the files of the returns name: where those of the bars were moved away, a rule for it is not forgotten.
fn base_of_returns(sources_dir: &Path, key: &str, index: &TableIndex) -> Result<Option<Base>, StoreError> {
    let paths = table_files(&sources_dir.join(format!("bqx_{key}")))?.unwrap_or_default();
    // Damaged ones are written anew by this import.
    let base = |path: &PathBuf| {
        let text = index.open(path, "ts_utc").ok()?.metadata_value(BASE_KEY)?;
        serde_json::from_str(&text).ok()
    };
    Ok(paths.iter().find_map(base))
}

fn stored_base(path: &Path, text: &Option<String>) -> Result<Base, StoreError> {
    let base = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    base.ok_or_else(|| not_imported(path.display()))
}

/// Removes what killed imports staged, in every table. This import holds the lock that they held.
fn remove_unfinished(sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
    let found = list(sources_dir)?;
    let mut unfinished: Vec<PathBuf> =
        found.iter().filter(|path| path.ends_with(UNFINISHED_LIST)).cloned().collect();
    for table_dir in found.iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        unfinished.extend(list(table_dir)?.into_iter().filter(|path| is_staging(path)));
    }
    for path in &unfinished {
        files.remove(path).map_err(|error| file_error("remove", path, error))?;
    }
    Ok(())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|error| file_error("list", dir, error))?;
    let path = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|entry| entry.path());
    entries.map(path).collect::<Result<_, _>>().map_err(|error| file_error("list", dir, error))
}
