//! [`BarsImport`]: bars of any number of keys into the source tables `m1_{key}` and `bqx_{key}`, all or none.
//!
//! Holds true: the tables depend only on the set of bars and the base date, not on files, order or repetition. An import
//! that changes nothing writes nothing.

use std::path::{Path, PathBuf};

use rollfit_job::month::{Month, display_instant};
use rollfit_job::store::{Fault, Rows, StoreError};
use serde::{Deserialize, Serialize};

use super::encode::{TableRows, write_table};
use super::fault::{file_error, parquet_error};
use super::files::{Files, create_dirs};
use super::lock::{Attempt, ExclusiveLock};
use super::sources_lock::{Staged, UNFINISHED_JOURNAL, finish_import};
use super::table::{TableIndex, table_files};
use crate::import::series::{RETURN_ROWS, backward_returns, rate_index};
use crate::import::{Bar, KeyBars};

/// The key of the base in the footer of the files that an import writes.
const BASE_KEY: &str = "rollfit.base";
const IMPORT_LOCK: &str = ".import.lock";

/// What an import may do.
#[derive(Clone, Debug, Default)]
pub struct BarsOptions {
    /// The instant on or after which a key's base is its first close; none for the stored rule, or its first row.
    pub base_from_us: Option<i64>,
    /// Whether a base may change.
    pub rebase: bool,
    /// Whether a close may change.
    pub replace: bool,
}

/// The close that a key's rate index is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// The rule: the first row on or after this instant, or the first of all.
    pub from_us: Option<i64>,
    /// The row it gave.
    pub instant_us: i64,
    /// That row's close.
    pub close: f64,
}

/// What an import did to one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyReport {
    /// The key.
    pub key: String,
    /// Bars that were not in the store.
    pub added: u64,
    /// Bars that were, and are the same.
    pub unchanged: u64,
    /// Bars that were, with another close.
    pub replaced: u64,
    /// Bars in the store now.
    pub total: u64,
    /// The first instant.
    pub first: String,
    /// The last instant.
    pub last: String,
    /// The base of the rate index.
    pub base: Base,
    /// Files of either table written anew.
    pub files_written: usize,
}

/// An import going on. Dropped without [`BarsImport::commit`] it leaves everything as it was.
pub struct BarsImport<'a> {
    sources_dir: PathBuf,
    files: &'a dyn Files,
    options: BarsOptions,
    staged: Staged,
    committed: bool,
    _lock: ExclusiveLock,
}

impl<'a> BarsImport<'a> {
    /// Begins an import into the store at `dir`, which is created if need be.
    ///
    /// # Errors
    /// When `dir` cannot be written, or another import is going on there.
    pub fn begin(dir: &Path, options: BarsOptions, files: &'a dyn Files) -> Result<Self, StoreError> {
        let sources_dir = dir.join("sources");
        create_dirs(files, &sources_dir).map_err(|error| {
            StoreError::caused_by(
                Fault::Unreachable,
                format!("cannot make the store {}", dir.display()),
                error,
            )
        })?;
        let lock_path = sources_dir.join(IMPORT_LOCK);
        let lock = match ExclusiveLock::try_take(&lock_path) {
            Ok(Attempt::Taken(lock)) => lock,
            Ok(Attempt::Held(holder)) => {
                return Err(StoreError::new(
                    Fault::Transient,
                    format!("{holder} is importing into {}: wait until it is done", dir.display()),
                ));
            }
            Err(error) => return Err(file_error("lock", &lock_path, error)),
        };
        files.sync_dir(dir).map_err(|error| file_error("sync", dir, error))?;
        finish_import(&sources_dir, files)?;
        remove_unfinished(&sources_dir, files)?;
        Ok(Self { sources_dir, files, options, staged: Staged::default(), committed: false, _lock: lock })
    }

    /// Stages the bars of one key beside those it has.
    ///
    /// # Errors
    /// When a bar contradicts one in the store or the base would change, and that was not allowed; when the tables hold
    /// files that no import wrote; when a file cannot be read or written.
    pub fn add(&mut self, key: &str, new: &KeyBars) -> Result<KeyReport, StoreError> {
        let stored = StoredBars::read(&self.sources_dir, key)?;
        let merged = merge(key, &stored.bars, new, self.options.replace)?;
        let base = self.base(key, stored.base, &merged.bars)?;
        let files_written = self.stage_tables(key, &merged.bars, &base)?;
        let instant = |bar: Option<&Bar>| bar.map(|bar| display_instant(bar.instant_us)).unwrap_or_default();
        Ok(KeyReport {
            key: key.to_owned(),
            added: merged.added,
            unchanged: merged.unchanged,
            replaced: merged.replaced,
            total: merged.bars.len() as u64,
            first: instant(merged.bars.first()),
            last: instant(merged.bars.last()),
            base,
            files_written,
        })
    }

    /// Makes everything staged visible at once.
    ///
    /// # Errors
    /// When the commit fails. Then either nothing has changed, or whoever opens the store next finishes it.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.committed = true;
        self.staged.commit(&self.sources_dir, self.files)
    }

    /// The base of a key with these bars, unless that would change the stored one.
    fn base(&self, key: &str, stored: Option<Base>, bars: &[Bar]) -> Result<Base, StoreError> {
        let from_us = self.options.base_from_us.or(stored.and_then(|base| base.from_us));
        let at = from_us.map_or(0, |from_us| bars.partition_point(|bar| bar.instant_us < from_us));
        let bar = bars.get(at).ok_or_else(|| {
            let date = from_us.map(display_instant).unwrap_or_default();
            StoreError::permanent(format!(
                "{key} has no bar on or after the base date {date}: give an earlier one"
            ))
        })?;
        let base = Base { from_us, instant_us: bar.instant_us, close: bar.close };
        match stored {
            Some(stored) if stored.close != base.close && !self.options.rebase => {
                Err(StoreError::permanent(format!(
                    "the base of {key} would change from the close {} at {} to {} at {}, and with it every rate index; \
                     give --rebase if that is meant, or --base-date",
                    stored.close,
                    display_instant(stored.instant_us),
                    base.close,
                    display_instant(base.instant_us)
                )))
            }
            _ => Ok(base),
        }
    }

    /// Stages the files of both tables that differ from those in place; returns how many.
    fn stage_tables(&mut self, key: &str, bars: &[Bar], base: &Base) -> Result<usize, StoreError> {
        let before = self.staged.len();
        let instants_us: Vec<i64> = bars.iter().map(|bar| bar.instant_us).collect();
        let closes: Vec<f64> = bars.iter().map(|bar| bar.close).collect();
        let index: Vec<f64> = closes.iter().map(|&close| rate_index(close, base.close)).collect();
        let returns = backward_returns(&index);
        let first_return = RETURN_ROWS.min(bars.len());
        let metadata = [(BASE_KEY, serde_json::to_string(base).unwrap_or_default())];
        for (month, rows) in months(&instants_us)? {
            self.stage(
                &format!("m1_{key}/{month}.parquet"),
                &TableRows {
                    time: ("time", false),
                    instants_us: &instants_us[rows.clone()],
                    columns: &[("close", &closes[rows.clone()]), ("rate_index", &index[rows.clone()])],
                    metadata: &metadata,
                },
            )?;
            let rows = rows.start.max(first_return)..rows.end;
            if rows.start < rows.end {
                let values = &returns[rows.start - first_return..rows.end - first_return];
                self.stage(
                    &format!("bqx_{key}/{month}.parquet"),
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
        if std::fs::read(&place).is_ok_and(|present| present == bytes) {
            return Ok(());
        }
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let from = to.with_file_name(format!(".{name}.tmp"));
        let staging = self.sources_dir.join(&from);
        if let Some(dir) = staging.parent() {
            create_dirs(self.files, dir).map_err(|error| file_error("create the directory", dir, error))?;
        }
        self.staged.add(from, to);
        let written = self.files.create(&staging).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync()
        });
        written.map_err(|error| file_error("write", &staging, error))
    }
}

impl Drop for BarsImport<'_> {
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

/// The bars of a key in the store.
#[derive(Default)]
struct StoredBars {
    bars: Vec<Bar>,
    base: Option<Base>,
}

impl StoredBars {
    fn read(sources_dir: &Path, key: &str) -> Result<Self, StoreError> {
        let Some(paths) = table_files(&sources_dir.join(format!("m1_{key}")))? else {
            return Ok(Self::default());
        };
        let index = TableIndex::default();
        let mut stored = Self::default();
        for path in paths {
            let file = index.open(&path, "time")?;
            stored.base = Some(stored_base(&path, &file.metadata_value(BASE_KEY))?);
            stored.append(&path, &file.rows("time", "close")?)?;
        }
        Ok(stored)
    }

    /// Adds the bars of one file; the names of the files, months, are in the order of their bars.
    fn append(&mut self, path: &Path, rows: &Rows) -> Result<(), StoreError> {
        for (&instant_us, &close) in rows.instants_us.iter().zip(&rows.values) {
            if self.bars.last().is_some_and(|last| last.instant_us >= instant_us) {
                return Err(StoreError::permanent(format!(
                    "{}: {} is not after the bar before it; this is not as an import wrote it",
                    path.display(),
                    display_instant(instant_us)
                )));
            }
            self.bars.push(Bar { instant_us, close });
        }
        Ok(())
    }
}

fn stored_base(path: &Path, text: &Option<String>) -> Result<Base, StoreError> {
    text.as_deref().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| {
        StoreError::permanent(format!(
            "{} was not written by an import, which therefore cannot add to its table: move it elsewhere, or choose \
             another store",
            path.display()
        ))
    })
}

/// Removes what killed imports staged, in every table. This import holds the lock that they held.
fn remove_unfinished(sources_dir: &Path, files: &dyn Files) -> Result<(), StoreError> {
    let found = list(sources_dir)?;
    let mut unfinished: Vec<PathBuf> =
        found.iter().filter(|path| path.ends_with(UNFINISHED_JOURNAL)).cloned().collect();
    for table_dir in found.iter().filter(|path| path.is_dir()) {
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

fn is_staging(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(".parquet.tmp")
}

/// The bars of the store and of the import together.
struct Merged {
    bars: Vec<Bar>,
    added: u64,
    unchanged: u64,
    replaced: u64,
}

fn merge(key: &str, stored: &[Bar], new: &KeyBars, replace: bool) -> Result<Merged, StoreError> {
    let mut merged = Merged {
        bars: Vec::with_capacity(stored.len() + new.bars().len()),
        added: 0,
        unchanged: 0,
        replaced: 0,
    };
    let mut stored = stored.iter().peekable();
    for (at, bar) in new.bars().iter().enumerate() {
        while let Some(earlier) = stored.next_if(|stored| stored.instant_us < bar.instant_us) {
            merged.bars.push(*earlier);
        }
        match stored.next_if(|stored| stored.instant_us == bar.instant_us) {
            None => merged.added += 1,
            Some(same) if same.close == bar.close => merged.unchanged += 1,
            Some(_) if replace => merged.replaced += 1,
            Some(other) => {
                return Err(StoreError::permanent(format!(
                    "{}: the close of {key} at {} is {} there and {} in the store; give --replace if the file is right",
                    new.place(at),
                    display_instant(bar.instant_us),
                    bar.close,
                    other.close
                )));
            }
        }
        merged.bars.push(*bar);
    }
    merged.bars.extend(stored);
    Ok(merged)
}
