//! What keeps readers of the sources apart from an import that is being put in place, and finishes one that a crash cut
//! short: [`SourcesView`] for readers, [`Staged`] for the import.
//!
//! Holds true: an import of many files becomes visible at once. Its list of renames (`sources/.import`) is the commit:
//! before it is durable nothing has changed, after it everything has, for whoever reads next finishes the renames.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rollfit_job::store::{Fault, StoreError};

use super::fault::file_error;
use super::files::Files;

const LOCK: &str = ".lock";
const JOURNAL: &str = ".import";
pub(crate) const UNFINISHED_JOURNAL: &str = ".import.tmp";
/// Renames take moments; whoever holds the lock for longer is stuck.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// While this lives no import changes the names of the source files.
pub(crate) struct SourcesView {
    _lock: Option<File>,
}

impl SourcesView {
    pub(crate) fn open(sources_dir: &Path, files: &dyn Files) -> Result<Self, StoreError> {
        loop {
            let lock = open_lock(sources_dir)?;
            if let Some(lock) = &lock {
                wait_for(lock, sources_dir, File::try_lock_shared)?;
            }
            if !has_journal(sources_dir)? {
                return Ok(Self { _lock: lock });
            }
            drop(lock);
            finish_import(sources_dir, files)?;
        }
    }
}

/// The lock file; none in a store where nobody ever imported, or that cannot be read.
fn open_lock(sources_dir: &Path) -> Result<Option<File>, StoreError> {
    let path = sources_dir.join(LOCK);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_unwritable(&error) || error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error("open", &path, error)),
    }
}

fn is_unwritable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

fn wait_for(
    lock: &File,
    sources_dir: &Path,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<(), StoreError> {
    const PAUSE: Duration = Duration::from_millis(10);
    let path = sources_dir.join(LOCK);
    let started = Instant::now();
    loop {
        match try_lock(lock) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(file_error("lock", &path, error)),
            Err(TryLockError::WouldBlock) if started.elapsed() > LONGEST_WAIT => {
                return Err(StoreError::new(
                    Fault::Transient,
                    format!(
                        "{} has been held by another process for {} s",
                        path.display(),
                        LONGEST_WAIT.as_secs()
                    ),
                ));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

fn has_journal(sources_dir: &Path) -> Result<bool, StoreError> {
    let path = sources_dir.join(JOURNAL);
    path.try_exists().map_err(|error| file_error("read", &path, error))
}

/// Does the renames of an import that was committed and cut short, if there is one.
pub(crate) fn finish_import(sources_dir: &Path, files: &dyn Files) -> Result<(), StoreError> {
    let lock_path = sources_dir.join(LOCK);
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| file_error("finish an interrupted import: cannot open", &lock_path, error))?;
    wait_for(&lock, sources_dir, File::try_lock)?;
    if !has_journal(sources_dir)? {
        return Ok(());
    }
    // Whoever put the journal there may have been stopped before its name was durable, and it must be before a rename is.
    files.sync_dir(sources_dir).map_err(|error| file_error("sync", sources_dir, error))?;
    rename_all(sources_dir, &read_journal(sources_dir)?, files)
}

/// The staged files of an import, each with the place it is for, below the directory of the sources.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Staged {
    renames: Vec<(PathBuf, PathBuf)>,
}

impl Staged {
    pub(crate) fn add(&mut self, from: PathBuf, to: PathBuf) {
        self.renames.push((from, to));
    }

    pub(crate) fn len(&self) -> usize {
        self.renames.len()
    }

    /// Puts every staged file in its place, all of them or, until the list is durable, none.
    pub(crate) fn commit(&self, sources_dir: &Path, files: &dyn Files) -> Result<(), StoreError> {
        if self.renames.is_empty() {
            return Ok(());
        }
        let listed = self.sync_dirs(sources_dir, files).and_then(|()| self.write_journal(sources_dir, files));
        if listed.is_err() && matches!(has_journal(sources_dir), Ok(false)) {
            self.discard(sources_dir, files);
        }
        listed?;
        finish_import(sources_dir, files)
    }

    /// Removes what was staged. It is never read, so failing to is no fault.
    pub(crate) fn discard(&self, sources_dir: &Path, files: &dyn Files) {
        let _ = files.remove(&sources_dir.join(UNFINISHED_JOURNAL));
        for (from, _) in &self.renames {
            let path = sources_dir.join(from);
            let _ = files.remove(&path);
            // The directory of a table that was to begin with this import; one that is not empty stays.
            let _ = path.parent().map(std::fs::remove_dir);
        }
    }

    fn write_journal(&self, sources_dir: &Path, files: &dyn Files) -> Result<(), StoreError> {
        let (from, to) = (sources_dir.join(UNFINISHED_JOURNAL), sources_dir.join(JOURNAL));
        let text = serde_json::to_vec(self).map_err(|error| {
            StoreError::permanent(format!("the list of an import cannot be written: {error}"))
        })?;
        let written = files.create(&from).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync()
        });
        written.map_err(|error| file_error("write", &from, error))?;
        files.rename(&from, &to).map_err(|error| file_error("put in place", &to, error))
    }

    fn sync_dirs(&self, sources_dir: &Path, files: &dyn Files) -> Result<(), StoreError> {
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

fn read_journal(sources_dir: &Path) -> Result<Staged, StoreError> {
    let path = sources_dir.join(JOURNAL);
    let text = std::fs::read(&path).map_err(|error| file_error("read", &path, error))?;
    serde_json::from_slice(&text).map_err(|error| {
        StoreError::permanent(format!("{} is not the list of an import: {error}", path.display()))
    })
}

fn rename_all(sources_dir: &Path, staged: &Staged, files: &dyn Files) -> Result<(), StoreError> {
    for (from, to) in &staged.renames {
        let (from, to) = (sources_dir.join(from), sources_dir.join(to));
        match files.rename(&from, &to) {
            // Already there: the import was cut short after this rename.
            Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => {}
            renamed => renamed.map_err(|error| file_error("put in place", &to, error))?,
        }
    }
    staged.sync_dirs(sources_dir, files)?;
    let journal = sources_dir.join(JOURNAL);
    files.remove(&journal).map_err(|error| file_error("remove", &journal, error))?;
    files.sync_dir(sources_dir).map_err(|error| file_error("sync", sources_dir, error))
}
