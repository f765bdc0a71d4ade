//! [`ParquetImport`]: bars of any number of keys into the source tables `m1_{key}` and `bqx_{key}`, all or none.
//!
//! Invariants: the tables depend only on the set of bars and the base date, not on files, order or repetition. An import
//! that changes nothing writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rollfit_job::config::Workers;
use rollfit_job::foreign;
use rollfit_job::key::KeysByCase;
use rollfit_job::lock::lock;
use rollfit_job::month::Month;
use rollfit_job::store::{BarsImport, Fault, StoreError};
use rollfit_job::workers::for_each;

use crate::direct::store_file::StoreFile;
use crate::encode::{TableRows, write_table};
use crate::fault::{file_error, parquet_error};
use crate::file_system::{FileSystem, OutputFile, create_buffered, create_dirs, refuse_linked_dirs};
use crate::lock::{ExclusiveLock, LockAttempt};
use crate::lock_note::LockNote;
use crate::names::{check_length, check_path};
use crate::sources::generation::UNFINISHED_GENERATION;
use crate::sources::listing::{TableListing, table_files, warn_of_passed_over};
use crate::sources::long::is_hive_dir;
use crate::sources::rate_index::{BASE_KEY, CLOSE, RATE_INDEX};
use crate::sources::sources_lock::{commit_import, finish_import_of_another};
use crate::sources::staged::{BARS_TABLE, RETURNS_TABLE, Staged, UNFINISHED_LIST, is_staging};
use crate::sources::table_file::TableFile;
use crate::sources::table_index::TableIndex;
use arrow_schema::DataType;
use rollfit_files::dir_names::dir_names;
use rollfit_files::regular_file;
use rollfit_job::import::{
    Bar, BarsOptions, Base, KeyReport, KeyUpdate, NewBars, StoredBars, import_going_on, not_imported,
};

const IMPORT_LOCK: &str = ".import.lock";
/// Few enough to be open at once beside all else.
const UNSYNCED_MAX: usize = 64;

/// A file that is written but not yet durable.
type Unsynced = (PathBuf, StoreFile);
/// The time column of `m1_{key}`.
const TIME: &str = "time";
/// As long as the name of any file of a table, staged or in place.
const LONGEST_FILE: &str = ".YYYY-MM.parquet.tmp";

/// An import in progress. Dropped without [`ParquetImport::commit`] it leaves everything as it was.
pub struct ParquetImport<'a> {
    sources_dir: PathBuf,
    files: &'a dyn FileSystem,
    options: BarsOptions,
    staged: Mutex<Staged>,
    /// Staged files that are not yet durable.
    unsynced: Mutex<Vec<Unsynced>>,
    /// The keys that the store had before.
    stored_keys: BTreeSet<String>,
    /// Those and the keys of this import.
    keys: KeysByCase,
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
        let lock = match ExclusiveLock::try_take(&lock_path, &LockNote::of_import()) {
            Ok(LockAttempt::Taken(lock)) => lock,
            Ok(LockAttempt::Held(holder)) => {
                let place = format!("{} (it has locked {})", dir.display(), lock_path.display());
                return Err(import_going_on(holder, place));
            }
            Err(error) => return Err(file_error("lock", &lock_path, error)),
        };
        files.sync_dir(dir).map_err(|error| file_error("sync", dir, error))?;
        finish_import_of_another(&sources_dir, files)?;
        remove_unfinished(&sources_dir, files)?;
        let stored_keys = stored_keys(&sources_dir)?;
        let mut keys = KeysByCase::default();
        // Two that clash already are both stored, and an import may add to either.
        stored_keys.iter().for_each(|key| drop(keys.add(key)));
        Ok(Self {
            sources_dir,
            files,
            options,
            staged: Mutex::default(),
            unsynced: Mutex::default(),
            stored_keys,
            keys,
            committed: false,
            _lock: lock,
        })
    }

    /// Refuses a new key that differs from another one of the store only in case: on a file system that ignores case, both
    /// would be one table.
    fn check_case(&mut self, key: &str) -> Result<(), StoreError> {
        if self.stored_keys.contains(key) {
            return Ok(());
        }
        self.keys.add(key).map_err(|clash| {
            StoreError::permanent(format!(
                "{clash}; {} has `{earlier}`: import these bars with --key {earlier} (or that name in the column of \
                 --key-column), or choose another key",
                self.sources_dir.display(),
                earlier = clash.earlier
            ))
        })
    }

    /// Stages the files of both tables that differ from those in place, on all cores; returns how many.
    fn stage_tables(&self, key: &str, update: &KeyUpdate) -> Result<usize, StoreError> {
        let months = months(&update.instants_us)?;
        let threads = Workers::Auto.count(months.len());
        let staged =
            for_each(&months, threads, |(month, rows)| self.stage_month(key, update, *month, rows.clone()));
        // Every thread is done before an error is told: what was staged is removed then.
        staged.into_iter().sum()
    }

    fn stage_month(
        &self,
        key: &str,
        update: &KeyUpdate,
        month: Month,
        rows: Range<usize>,
    ) -> Result<usize, StoreError> {
        let KeyUpdate { instants_us, closes, columns, base, .. } = update;
        let metadata = [(BASE_KEY, serde_json::to_string(base).unwrap_or_default())];
        let rate_index = update.rate_index(rows.clone());
        let mut values = vec![(CLOSE, &closes[rows.clone()]), (RATE_INDEX, rate_index.as_slice())];
        values.extend(columns.iter().map(|column| (column.name.as_str(), &column.values[rows.clone()])));
        let bars = self.stage(
            &format!("{BARS_TABLE}{key}/{month}.parquet"),
            &TableRows {
                time: TIME,
                instants_us: &instants_us[rows.clone()],
                columns: &values,
                metadata: &metadata,
            },
        )?;
        let rows = rows.start.max(update.first_return())..rows.end;
        if rows.is_empty() {
            return Ok(usize::from(bars));
        }
        let returns = self.stage(
            &format!("{RETURNS_TABLE}{key}/{month}.parquet"),
            &TableRows {
                time: "ts_utc",
                instants_us: &instants_us[rows.clone()],
                columns: &[("w15_bqx_return", &update.returns(rows))],
                metadata: &metadata,
            },
        )?;
        Ok(usize::from(bars) + usize::from(returns))
    }

    /// Stages a file unless the one in its place is the same; returns whether it did.
    fn stage(&self, to: &str, rows: &TableRows<'_>) -> Result<bool, StoreError> {
        let to = PathBuf::from(to);
        let place = self.sources_dir.join(&to);
        let bytes = write_table(rows).map_err(|error| parquet_error("encode", &place, error))?;
        if holds(&place, &bytes).map_err(|error| file_error("read", &place, error))? {
            return Ok(false);
        }
        // One thread at a time: of two that miss a table's directory, both would make it durable.
        let mut staged = lock(&self.staged);
        if let Some(dir) = place.parent() {
            refuse_linked_dirs(&self.sources_dir, dir)?;
            create_dirs(self.files, dir).map_err(|error| file_error("create the directory", dir, error))?;
        }
        let staging = self.sources_dir.join(staged.add(to));
        drop(staged);
        let written =
            create_buffered(self.files, &staging).and_then(|mut file| file.write_all(&bytes).map(|()| file));
        let file = written.map_err(|error| file_error("write", &staging, error))?;
        let mut unsynced = lock(&self.unsynced);
        unsynced.push((staging, file));
        let full = if unsynced.len() < UNSYNCED_MAX { Vec::new() } else { std::mem::take(&mut *unsynced) };
        drop(unsynced);
        sync(full)?;
        Ok(true)
    }
}

/// Makes staged files durable, several at once: file systems commit together what waits together.
fn sync(written: Vec<Unsynced>) -> Result<(), StoreError> {
    const AT_ONCE: usize = 8;
    let threads: Vec<usize> = (0..AT_ONCE.min(written.len())).collect();
    let left = Mutex::new(written.into_iter());
    let synced = for_each(&threads, threads.len(), |_| {
        while let Some((path, mut file)) = { lock(&left).next() } {
            file.sync().map_err(|error| file_error("write", &path, error))?;
        }
        Ok(())
    });
    synced.into_iter().collect()
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

/// Refuses a table whose rows are in directories of keys: the file of an import lacks the column that those are named after, so that no job
/// could read the table any more.
fn refuse_long_table(table: &Path, key: &str) -> Result<(), StoreError> {
    let Some(listing) = TableListing::read(table)?.filter(|listing| listing.paths.is_empty()) else {
        return Ok(());
    };
    let names = if listing.has_others {
        dir_names(table).map_err(|error| file_error("list", table, error))?
    } else {
        Vec::new()
    };
    let is_dir = |name: &str| table.join(name).is_dir();
    let hive = names.iter().filter_map(|name| name.to_str()).find(|name| is_hive_dir(name) && is_dir(name));
    hive.map_or(Ok(()), |dir| {
        Err(StoreError::permanent(format!(
            "{} is a long table, with a directory for each key such as {}, and import writes tables of one key: import with another --key \
             than {key}, into another store, or move the table elsewhere",
            table.display(),
            foreign::name(dir)
        )))
    })
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
        self.check_case(key)?;
        for prefix in [BARS_TABLE, RETURNS_TABLE] {
            refuse_long_table(&self.sources_dir.join(format!("{prefix}{key}")), key)?;
        }
        let stored = stored_bars(&self.sources_dir, key)?;
        let update = KeyUpdate::new(key, stored, bars, &self.options)?;
        let files_written = self.stage_tables(key, &update)?;
        Ok(update.report(files_written))
    }

    /// If it fails, either nothing has changed or the next process that opens the store finishes it.
    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        // No list names a file that is not durable. Where one is not, the import is dropped.
        sync(std::mem::take(&mut *lock(&self.unsynced)))?;
        self.committed = true;
        let mut staged = lock(&self.staged);
        staged.sort();
        commit_import(&staged, &self.sources_dir, self.files)
    }
}

impl Drop for ParquetImport<'_> {
    fn drop(&mut self) {
        if !self.committed {
            lock(&self.staged).discard(&self.sources_dir, self.files);
        }
    }
}

/// The keys of the tables that are there, whether or not an import wrote them.
fn stored_keys(sources_dir: &Path) -> Result<BTreeSet<String>, StoreError> {
    let key = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let key = name.strip_prefix(BARS_TABLE).or_else(|| name.strip_prefix(RETURNS_TABLE))?;
        Some(key.to_owned())
    };
    Ok(list(sources_dir)?.iter().filter_map(key).collect())
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
fn stored_bars(sources_dir: &Path, key: &str) -> Result<StoredBars<'static>, StoreError> {
    let mut stored = StoredBars::default();
    let table = sources_dir.join(format!("{BARS_TABLE}{key}"));
    let Some(paths) = table_files(&table)? else { return Ok(stored) };
    warn_of_passed_over(&table, false);
    let index = TableIndex::default();
    // A column that grows is moved, and for a moment there twice.
    let mut bars_max = 0;
    for path in &paths {
        bars_max += index.open(path, TIME)?.file_spans().rows();
    }
    let (mut columns, mut bars) = (BTreeMap::<String, Vec<f64>>::new(), 0);
    for path in paths {
        let file = index.open(&path, TIME)?;
        stored.set_base(stored_base(&path, &file.metadata_value(BASE_KEY))?);
        let further = further_columns(&file)?;
        let names: Vec<&str> = std::iter::once(CLOSE).chain(further.iter().copied()).collect();
        let (instants_us, mut values) = file.rows(TIME, &names)?;
        for (&instant_us, &close) in instants_us.iter().zip(&values[0]) {
            stored.push(path.display(), Bar { instant_us, close })?;
        }
        // Months before a column was added have none, and neither have those after one that somebody removed.
        for (name, values) in further.into_iter().zip(values.drain(1..)) {
            let column = columns.entry(name.to_owned()).or_insert_with(|| Vec::with_capacity(bars_max));
            column.resize(bars, f64::NAN);
            column.extend(values);
        }
        bars += instants_us.len();
    }
    for (name, mut values) in columns {
        values.resize(bars, f64::NAN);
        stored.push_column(&name, values);
    }
    if !stored.has_base()
        && let Some(base) = base_of_returns(sources_dir, key, &index)?
    {
        stored.set_base(base);
    }
    Ok(stored)
}

/// The columns of a file besides those that an import makes.
///
/// # Errors
/// When one does not hold doubles: it would be lost when the file is written anew.
fn further_columns(file: &TableFile) -> Result<Vec<&str>, StoreError> {
    let mut further = Vec::new();
    for (name, kind) in file.columns().filter(|(name, _)| ![TIME, CLOSE, RATE_INDEX].contains(name)) {
        if *kind != DataType::Float64 {
            return Err(StoreError::permanent(format!(
                "{}: column `{name}` is {kind}, but an import keeps doubles only; remove the column, or make it double",
                file.path.display()
            )));
        }
        further.push(name);
    }
    Ok(further)
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
    let mut unfinished: Vec<PathBuf> = found.iter().filter(|path| is_unfinished(path)).cloned().collect();
    for table_dir in found.iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        unfinished.extend(list(table_dir)?.into_iter().filter(|path| is_staging(path)));
    }
    for path in &unfinished {
        files.remove(path).map_err(|error| file_error("remove", path, error))?;
    }
    Ok(())
}

fn is_unfinished(path: &Path) -> bool {
    path.ends_with(UNFINISHED_LIST) || path.ends_with(UNFINISHED_GENERATION)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|error| file_error("list", dir, error))?;
    let path = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|entry| entry.path());
    entries.map(path).collect::<Result<_, _>>().map_err(|error| file_error("list", dir, error))
}
