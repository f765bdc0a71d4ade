//! What keeps readers of the sources apart from an import that is being put in place, and finishes one that a crash cut
//! short: [`SourcesView`] for readers, [`commit_import`] for the import.
//!
//! Invariants: an import of many files becomes visible at once. Its list of renames (`sources/.import`) is the commit:
//! before it is durable nothing has changed; after it everything has, because the next reader finishes the renames.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use rollfit_job::store::{Fault, StoreError};

use crate::fault::file_error;
use crate::file_system::{FileSystem, refuse_linked_dirs};
use crate::sources::staged::{Staged, has_list};
use rollfit_files::regular_file;

const LOCK: &str = ".lock";
/// Renames take moments; a process that holds the lock for longer is stuck.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// While this lives no import changes the names of the source files.
pub(crate) struct SourcesView {
    _lock: Option<File>,
}

impl SourcesView {
    pub(crate) fn open(sources_dir: &Path, files: &dyn FileSystem) -> Result<Self, StoreError> {
        loop {
            let lock = open_lock(sources_dir)?;
            if let Some(lock) = &lock {
                wait_for(lock, sources_dir, File::try_lock_shared)?;
            }
            if !has_list(sources_dir)? {
                return Ok(Self { _lock: lock });
            }
            drop(lock);
            finish_import_of_another(sources_dir, files)?;
        }
    }
}

/// The lock file; `None` in a store without imports, or one that cannot be read.
fn open_lock(sources_dir: &Path) -> Result<Option<File>, StoreError> {
    let path = sources_dir.join(LOCK);
    match regular_file::open(&path) {
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
                        "{}: another process has held this lock for {} s; stop it if it is stuck",
                        path.display(),
                        LONGEST_WAIT.as_secs()
                    ),
                ));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

/// Puts every staged file in its place, all of them or, until the list is durable, none.
pub(crate) fn commit_import(
    staged: &Staged,
    sources_dir: &Path,
    files: &dyn FileSystem,
) -> Result<(), StoreError> {
    if staged.len() == 0 {
        return Ok(());
    }
    staged.publish_list(sources_dir, files)?;
    finish_import(sources_dir, files).map(drop)
}

/// Finishes an import that another process committed but did not finish, if any, and warns. That process may still
/// run: of the two, the one that gets the lock first finishes the import.
pub(crate) fn finish_import_of_another(sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
    if let Some(count) = finish_import(sources_dir, files)? {
        let files = if count == 1 { "file is" } else { "files are" };
        tracing::warn!(
            "finished the import of another process, which was killed or is still running: {count} {files} in place \
             in {}",
            sources_dir.display()
        );
    }
    Ok(())
}

/// Does the renames of an import that was committed and cut short; returns how many files it has, none where there is no
/// such import.
fn finish_import(sources_dir: &Path, files: &dyn FileSystem) -> Result<Option<usize>, StoreError> {
    refuse_linked_dirs(sources_dir.parent().unwrap_or(Path::new("")), sources_dir)?;
    let lock_path = sources_dir.join(LOCK);
    let lock = regular_file::open_or_create(&lock_path)
        .map_err(|error| file_error("finish an interrupted import: cannot open", &lock_path, error))?;
    wait_for(&lock, sources_dir, File::try_lock)?;
    if !has_list(sources_dir)? {
        return Ok(None);
    }
    // The import may have been stopped before the list's name was durable, which must come before any rename.
    files.sync_dir(sources_dir).map_err(|error| file_error("sync", sources_dir, error))?;
    let staged = Staged::read(sources_dir)?;
    staged.put_in_place(sources_dir, files)?;
    Ok(Some(staged.len()))
}
