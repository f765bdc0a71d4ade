//! [`LongTable`]: one long table as it is now: the files of each key, and the rows of the files of many.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rollfit_job::config::Series;
use rollfit_job::few::few;
use rollfit_job::foreign;
use rollfit_job::lock::lock;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::store::{Fault, StoreError};
use rollfit_job::warn_once::warn_once;

use crate::fault::file_error;
use crate::sources::file_spans::{FileIdentity, FileSpans};
use crate::sources::long::key_tree::KeyTree;
use crate::sources::long::split::{FAULT_KEPT, Split, SplitColumns, again};
use crate::sources::long::split_rows::SplitKey;
use crate::sources::table_index::TableIndex;

/// The files that have rows of a key alone, and the key's rows among those of many.
type RowsOfKey = (Vec<FileSpans>, Option<SplitKey>);

/// The paths of the files of many keys, and of those of one.
type PathsOfKey = (Vec<PathBuf>, Vec<PathBuf>);

/// The long tables of a store that were read.
#[derive(Default)]
pub(crate) struct LongTables {
    tables: Mutex<HashMap<LongTableId, Arc<LongTable>>>,
}

/// What makes two series use one reading of a table.
#[derive(Clone, PartialEq, Eq, Hash)]
struct LongTableId {
    table: String,
    key_column: String,
    time: String,
    values: Vec<String>,
}

/// What a series reads of a long table.
#[derive(Clone, Copy)]
pub(crate) struct LongSeries<'a> {
    pub(crate) table: &'a str,
    pub(crate) key_column: &'a str,
    pub(crate) time: &'a str,
    pub(crate) value: &'a str,
}

impl LongTables {
    /// The table in `sources_dir` that a series reads, with the columns of it that others of `job` read.
    pub(crate) fn table(
        &self,
        series: LongSeries<'_>,
        job: &[Series],
        (sources_dir, index): (&Path, &Arc<TableIndex>),
    ) -> Arc<LongTable> {
        let LongSeries { table, key_column, time, value } = series;
        let is_of = |other: &&Series| {
            other.key_column.as_deref() == Some(key_column)
                && other.time == time
                && other.table.to_string() == table
        };
        let mut values: BTreeSet<&str> = job.iter().filter(is_of).map(|other| other.value.as_str()).collect();
        values.insert(value);
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        let (table, key, time) = (table.to_owned(), key_column.to_owned(), time.to_owned());
        let columns = SplitColumns {
            dir: sources_dir.join(&table),
            key: key.clone(),
            time: time.clone(),
            values: values.clone(),
            copy_dir: sources_dir.parent().unwrap_or(sources_dir).to_owned(),
        };
        let id = LongTableId { table, key_column: key, time, values };
        let new = || Arc::new(LongTable::new(columns, index.clone()));
        lock(&self.tables).entry(id).or_insert_with(new).clone()
    }
}

/// One long table.
pub(crate) struct LongTable {
    columns: Arc<SplitColumns>,
    index: Arc<TableIndex>,
    tree: Mutex<Option<Arc<KeyTree>>>,
    /// The files of many keys as they were read last.
    split: Mutex<Option<KnownSplit>>,
}

struct KnownSplit {
    files: Vec<(PathBuf, FileIdentity)>,
    found: Result<Arc<Split>, StoreError>,
    at: Instant,
}

impl KnownSplit {
    fn new(files: Vec<(PathBuf, FileIdentity)>, found: Result<Arc<Split>, StoreError>) -> Self {
        Self { files, found, at: Instant::now() }
    }

    /// Whether it is still what these files give.
    fn is_of(&self, files: &[(PathBuf, FileIdentity)]) -> bool {
        self.files == files && (self.found.is_ok() || self.at.elapsed() < FAULT_KEPT)
    }
}

impl LongTable {
    fn new(columns: SplitColumns, index: Arc<TableIndex>) -> Self {
        Self { columns: Arc::new(columns), index, tree: Mutex::default(), split: Mutex::default() }
    }

    /// What its directory has; none where there is no such table.
    fn tree(&self) -> Result<Option<Arc<KeyTree>>, StoreError> {
        let known = lock(&self.tree).clone();
        if let Some(tree) = known.filter(|tree| tree.is_current()) {
            return Ok(Some(tree));
        }
        let SplitColumns { dir, key, .. } = &*self.columns;
        let Some(tree) = KeyTree::read(dir, key)? else { return Ok(None) };
        self.index.warn_of_passed_over(dir, true);
        if tree.has_null_dir {
            warn_once(format!(
                "{}: the files in directories of {key} = NULL belong to no key and are not read",
                dir.display()
            ));
        }
        let tree = Arc::new(tree);
        *lock(&self.tree) = Some(tree.clone());
        Ok(Some(tree))
    }

    /// The keys that it has; none where there is no such table.
    pub(crate) fn keys(&self) -> Result<Option<BTreeSet<String>>, StoreError> {
        let Some(tree) = self.tree()? else { return Ok(None) };
        let mut keys = BTreeSet::new();
        for key in tree.keys() {
            if !tree.files_of(key, &self.columns.key)?.is_empty() {
                keys.insert(key.clone());
            }
        }
        if let Some(split) = self.split(&tree)? {
            keys.extend(split.keys.names().map(str::to_owned));
        }
        Ok(Some(keys))
    }

    /// The rows of a key: the files that have no others, and those among the rows of many keys. None where there is no such
    /// table.
    ///
    /// # Errors
    /// When it cannot be read, or has no row of the key.
    pub(crate) fn rows_of(&self, key: &str) -> Result<Option<RowsOfKey>, StoreError> {
        let Some(tree) = self.tree()? else { return Ok(None) };
        let files = tree.files_of(key, &self.columns.key)?;
        let files =
            files.into_iter().map(|path| self.file_of(path, key)).collect::<Result<Vec<_>, StoreError>>()?;
        let split = self.split(&tree)?.map(|split| SplitKey::find(split, key)).transpose()?.flatten();
        if files.is_empty() && split.is_none() {
            return Err(self.no_row_of(key)?);
        }
        Ok(Some((files, split)))
    }

    /// A file in a directory of a key.
    fn file_of(&self, path: PathBuf, key: &str) -> Result<FileSpans, StoreError> {
        let SplitColumns { key: key_column, time, .. } = &*self.columns;
        let file = self.index.spans(path, time)?;
        let agreed = (key_column.clone(), key.to_owned());
        if file.contents.has_column(key_column) && !lock(&file.contents.agreed_keys).contains(&agreed) {
            self.index.reopen(&file, time)?.check_agrees(key_column, key)?;
            lock(&file.contents.agreed_keys).insert(agreed);
        }
        Ok(file)
    }

    /// The paths of the files of many keys, and of those of one; none where there is no such table.
    pub(crate) fn paths_of(&self, key: &str) -> Result<Option<PathsOfKey>, StoreError> {
        let Some(tree) = self.tree()? else { return Ok(None) };
        Ok(Some((tree.mixed.clone(), tree.files_of(key, &self.columns.key)?)))
    }

    /// The files of many keys.
    pub(crate) fn mixed_files(&self) -> Result<Vec<FileSpans>, StoreError> {
        let Some(tree) = self.tree()? else { return Ok(Vec::new()) };
        Ok(self.split(&tree)?.map_or_else(Vec::new, |split| split.files.clone()))
    }

    /// The rows of the files of many keys, which are read again where one of them has changed. Whoever asks meanwhile waits.
    fn split(&self, tree: &KeyTree) -> Result<Option<Arc<Split>>, StoreError> {
        if tree.mixed.is_empty() {
            return Ok(None);
        }
        let mut known = lock(&self.split);
        let files = tree.mixed.iter().map(|path| Ok((path.clone(), identity(path)?)));
        let files = files.collect::<Result<Vec<_>, StoreError>>()?;
        if let Some(known) = known.as_ref().filter(|known| known.is_of(&files)) {
            return known.found.as_ref().map(|split| Some(split.clone())).map_err(again);
        }
        // Before another copy is made, the old one is given up.
        *known = None;
        let found = Split::new(self.columns.clone(), self.index.clone(), &tree.mixed);
        let is_of_these = |split: &Arc<Split>| {
            split.files.iter().zip(&files).all(|(file, (_, identity))| file.identity == *identity)
        };
        match found.map(Arc::new) {
            Ok(split) if is_of_these(&split) => {
                *known = Some(KnownSplit::new(files, Ok(split.clone())));
                Ok(Some(split))
            }
            Ok(split) => Ok(Some(split)),
            Err(error) => {
                if error.fault() == Fault::Permanent {
                    *known = Some(KnownSplit::new(files, Err(again(&error))));
                }
                Err(error)
            }
        }
    }

    fn no_row_of(&self, key: &str) -> Result<StoreError, StoreError> {
        let SplitColumns { dir, key: column, .. } = &*self.columns;
        let keys = self.keys()?.unwrap_or_default();
        let known = match keys.len() {
            0 => "it has no keys".to_owned(),
            _ => format!("its keys are {}", few(&keys)),
        };
        Ok(StoreError::permanent(format!(
            "table {} has no row of key `{}` in column `{column}`; {}{known}",
            dir.display(),
            foreign::name(key),
            did_you_mean(key, keys.iter().map(String::as_str))
        )))
    }
}

fn identity(path: &Path) -> Result<FileIdentity, StoreError> {
    let status = std::fs::symlink_metadata(path).map_err(|error| match error.kind() {
        // It was there a moment ago.
        std::io::ErrorKind::NotFound => StoreError::new(
            Fault::Transient,
            format!("{} was removed while it was being read", path.display()),
        ),
        _ => file_error("read", path, error),
    })?;
    Ok(FileIdentity::from_metadata(&status))
}
