//! [`Staged`]: the files that an import has written beside those that they are to replace, and the list of them that
//! commits it.
//!
//! Invariants: a list names files of the tables that an import writes, inside the store, and nothing else; any other list
//! is refused before a file moves.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rollfit_job::foreign;
use rollfit_job::json_fault::json_fault;
use rollfit_job::key::check_key;
use rollfit_job::month::Month;
use rollfit_job::store::StoreError;

use crate::fault::file_error;
use crate::file_system::{FileSystem, OutputFile, create_buffered};
use crate::sources::generation::{UNFINISHED_GENERATION, stage_generation};
use rollfit_files::regular_file;

const LIST: &str = ".import";
pub(crate) const UNFINISHED_LIST: &str = ".import.tmp";
/// No list is longer: some 900,000 files.
const LIST_BYTES_MAX: usize = 64 << 20;

/// The source tables of an import, as their names begin.
pub(crate) const BARS_TABLE: &str = "m1_";
pub(crate) const RETURNS_TABLE: &str = "bqx_";

/// The staged files of an import, each with the place it is for, below the directory of the sources.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Staged {
    renames: Vec<(PathBuf, PathBuf)>,
}

/// Whether the list of a committed but unfinished import exists.
pub(crate) fn has_list(sources_dir: &Path) -> Result<bool, StoreError> {
    let path = sources_dir.join(LIST);
    regular_file::is_there(&path).map_err(|error| file_error("read", &path, error))
}

/// Where the list of a committed but unfinished import is.
pub(crate) fn list_path(sources_dir: &Path) -> PathBuf {
    sources_dir.join(LIST)
}

/// Opens the list of a committed but unfinished import, if it exists.
pub(crate) fn open_list(sources_dir: &Path) -> Result<Option<File>, StoreError> {
    let path = sources_dir.join(LIST);
    match regular_file::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error("read", &path, error)),
    }
}

/// Checks the list of a committed but unfinished import, if it exists. Moves nothing.
///
/// # Errors
/// When an import of this store did not write the list.
pub(crate) fn check_list(sources_dir: &Path) -> Result<(), StoreError> {
    if has_list(sources_dir)? { Staged::read(sources_dir).map(drop) } else { Ok(()) }
}

/// Whether a file is one that an import stages.
pub(crate) fn is_staging(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(".parquet.tmp")
}

impl Staged {
    /// Adds the file for a place, and returns where it is to be staged.
    pub(crate) fn add(&mut self, to: PathBuf) -> PathBuf {
        let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let from = to.with_file_name(format!(".{name}.tmp"));
        self.renames.push((from.clone(), to));
        from
    }

    /// Puts the files into the order of their places.
    pub(crate) fn sort(&mut self) {
        self.renames.sort();
    }

    pub(crate) fn len(&self) -> usize {
        self.renames.len()
    }

    /// The tables that the files are for.
    pub(crate) fn tables(&self) -> BTreeSet<String> {
        let table = |to: &PathBuf| Some(to.parent()?.to_string_lossy().into_owned());
        self.renames.iter().filter_map(|(_, to)| table(to)).collect()
    }

    /// Makes the list durable, which commits the import. Where that fails, removes what was staged.
    pub(crate) fn publish_list(&self, sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
        let listed = self
            .sync_dirs(sources_dir, files)
            .and_then(|()| stage_generation(sources_dir, files))
            .and_then(|()| self.write(sources_dir, files));
        if listed.is_err() && matches!(has_list(sources_dir), Ok(false)) {
            self.discard(sources_dir, files);
        }
        listed
    }

    /// Removes what was staged. It is never read, so a failure does not matter.
    pub(crate) fn discard(&self, sources_dir: &Path, files: &dyn FileSystem) {
        for name in [UNFINISHED_LIST, UNFINISHED_GENERATION] {
            let _ = files.remove(&sources_dir.join(name));
        }
        for (from, _) in &self.renames {
            let path = sources_dir.join(from);
            let _ = files.remove(&path);
            // The directory of a table that was to begin with this import; one that is not empty stays.
            let _ = path.parent().map(fs::remove_dir);
        }
    }

    fn write(&self, sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
        let (from, to) = (sources_dir.join(UNFINISHED_LIST), sources_dir.join(LIST));
        let text = serde_json::to_vec(self).map_err(|error| {
            StoreError::permanent(format!("cannot write the list of the import: {error}"))
        })?;
        if text.len() > LIST_BYTES_MAX {
            return Err(StoreError::permanent(format!(
                "one import cannot change {} files; import fewer keys at a time",
                self.len()
            )));
        }
        let written = create_buffered(files, &from).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync()
        });
        written.map_err(|error| file_error("write", &from, error))?;
        files.rename(&from, &to).map_err(|error| file_error("put in place", &to, error))
    }

    /// Reads the list of an import and checks it, see [`Staged::read_from`].
    pub(crate) fn read(sources_dir: &Path) -> Result<Self, StoreError> {
        let path = sources_dir.join(LIST);
        let file = regular_file::open(&path).map_err(|error| file_error("read", &path, error))?;
        Self::read_from(&file, sources_dir)
    }

    /// Reads the list of an import, which anybody may have put there, and checks it against the store.
    pub(crate) fn read_from(file: &File, sources_dir: &Path) -> Result<Self, StoreError> {
        let (path, mut text) = (sources_dir.join(LIST), Vec::new());
        file.take(LIST_BYTES_MAX as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|error| file_error("read", &path, error))?;
        if text.len() > LIST_BYTES_MAX {
            return Err(not_a_list(sources_dir, "it is too large"));
        }
        let staged: Self =
            serde_json::from_slice(&text).map_err(|error| not_a_list(sources_dir, &json_fault(&error)))?;
        if staged.renames.is_empty() {
            return Err(not_a_list(sources_dir, "it lists no files"));
        }
        staged.renames.iter().try_for_each(|(from, to)| check(sources_dir, from, to))?;
        Ok(staged)
    }

    /// Moves the files to their places, unless they are there already, and removes the list.
    pub(crate) fn put_in_place(&self, sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
        for (from, to) in &self.renames {
            let (from, to) = (sources_dir.join(from), sources_dir.join(to));
            match files.rename(&from, &to) {
                // Already there: the import was cut short after this rename.
                Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => {}
                renamed => renamed.map_err(|error| file_error("put in place", &to, error))?,
            }
        }
        self.sync_dirs(sources_dir, files)?;
        let list = sources_dir.join(LIST);
        files.remove(&list).map_err(|error| file_error("remove", &list, error))?;
        files.sync_dir(sources_dir).map_err(|error| file_error("sync", sources_dir, error))
    }

    fn sync_dirs(&self, sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
        let mut dirs: Vec<PathBuf> = self
            .renames
            .iter()
            .filter_map(|(_, to)| sources_dir.join(to).parent().map(Path::to_owned))
            .collect();
        dirs.sort();
        dirs.dedup();
        for dir in dirs {
            files.sync_dir(&dir).map_err(|error| file_error("sync", &dir, error))?;
        }
        Ok(())
    }
}

fn not_a_list(sources_dir: &Path, why: &str) -> StoreError {
    StoreError::permanent(format!(
        "{} is not a list that an import wrote ({why}); remove it, then run the last import again",
        sources_dir.join(LIST).display()
    ))
}

/// Checks a line of a list: names that an import writes, and regular files that have them.
fn check(sources_dir: &Path, from: &Path, to: &Path) -> Result<(), StoreError> {
    let refuse = |path: &Path, why: &str| {
        const CHARS_MAX: usize = 120;
        let name = path.to_string_lossy();
        let name = foreign::printable(&name, CHARS_MAX);
        Err(not_a_list(sources_dir, &format!("{name} {why}")))
    };
    if !is_place(to) {
        return refuse(to, "is not a file of a table that imports write");
    }
    if Staged::default().add(to.to_owned()) != from {
        return refuse(from, "is not where an import stages a file");
    }
    let table = to.parent().unwrap_or(to);
    if !fs::symlink_metadata(sources_dir.join(table)).is_ok_and(|status| status.is_dir()) {
        return refuse(table, "is not a directory of this store");
    }
    let (staged, there) = (is_file(&sources_dir.join(from)), is_file(&sources_dir.join(to)));
    match (staged, there) {
        (Some(false), _) => refuse(from, "is not a regular file"),
        (_, Some(false)) => refuse(to, "is not a regular file"),
        (None, None) => refuse(from, "is missing"),
        _ => Ok(()),
    }
}

/// Whether a path is that of a month's file in a table that imports write.
fn is_place(to: &Path) -> bool {
    let parts = to.to_str().and_then(|to| to.split_once('/'));
    let named = parts.and_then(|(table, file)| {
        let key = table.strip_prefix(BARS_TABLE).or_else(|| table.strip_prefix(RETURNS_TABLE))?;
        Some((key, file.strip_suffix(".parquet")?))
    });
    named.is_some_and(|(key, month)| check_key(key).is_ok() && month.parse::<Month>().is_ok())
}

/// Whether a name is that of a regular file; none where nothing has it.
fn is_file(path: &Path) -> Option<bool> {
    match fs::symlink_metadata(path) {
        Ok(status) => Some(status.is_file()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => Some(false),
    }
}
