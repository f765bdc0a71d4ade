//! The commit of an import: [`commit_import`] for the import, [`try_finish`] for those who find one that was cut short.
//!
//! Invariants: an import of many files becomes visible at once. Its list of renames (`sources/.import`) is the commit:
//! before it is durable nothing has changed; after it everything has, because readers wait for the renames, or finish
//! them. `.lock` keeps those who rename apart; readers do not take it.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rollfit_job::store::{Fault, StoreError};

use crate::fault::file_error;
use crate::file_system::{FileSystem, refuse_linked_dirs};
use crate::sources::generation::raise_generation;
use crate::sources::staged::{Staged, has_list};
use rollfit_files::regular_file;

const LOCK: &str = ".lock";
/// How often is looked for a lock that was held.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);
/// How long a wait may be without a word.
pub(crate) const SILENT_WAIT: Duration = Duration::from_secs(2);

/// What came of the attempt to finish an import.
pub(crate) enum FinishAttempt {
    /// All its files are in place: so many.
    Finished(usize),
    /// There was none, or another process has finished it.
    Nothing,
    /// Another process has the lock, at this path.
    Locked(PathBuf),
    /// This process may not take the lock, or the file system has none.
    Forbidden(StoreError),
}

/// The error of one who has waited in vain for a lock that is held for moments.
pub(crate) fn stuck_lock(path: &Path, waited: Duration) -> StoreError {
    StoreError::new(
        Fault::Transient,
        format!(
            "{}: another process has held this lock for {} s; stop it if it is stuck",
            path.display(),
            waited.as_secs()
        ),
    )
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
        warn_of_finished(sources_dir, count);
    }
    Ok(())
}

pub(crate) fn warn_of_finished(sources_dir: &Path, count: usize) {
    let files = if count == 1 { "file is" } else { "files are" };
    tracing::warn!(
        "finished the import of another process, which was killed or is still running: {count} {files} in place in {}",
        sources_dir.display()
    );
}

/// Does the renames of an import that was committed, as soon as the lock is free; returns how many files it has, none where
/// there is no such import.
fn finish_import(sources_dir: &Path, files: &dyn FileSystem) -> Result<Option<usize>, StoreError> {
    let (started, mut was_told) = (Instant::now(), false);
    loop {
        let path = match try_finish(sources_dir, files)? {
            FinishAttempt::Finished(count) => return Ok(Some(count)),
            FinishAttempt::Nothing => return Ok(None),
            FinishAttempt::Forbidden(error) => return Err(error),
            FinishAttempt::Locked(path) => path,
        };
        if started.elapsed() > files.lock_patience() {
            return Err(stuck_lock(&path, files.lock_patience()));
        }
        if started.elapsed() > SILENT_WAIT && !std::mem::replace(&mut was_told, true) {
            tracing::warn!("waiting for another process that has locked {}", path.display());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Does the renames of an import that was committed and cut short, if there is one and nobody is at it. Does not wait.
pub(crate) fn try_finish(sources_dir: &Path, files: &dyn FileSystem) -> Result<FinishAttempt, StoreError> {
    refuse_linked_dirs(sources_dir.parent().unwrap_or(Path::new("")), sources_dir)?;
    let path = sources_dir.join(LOCK);
    let lock = match regular_file::open_or_create(&path) {
        Ok(lock) => lock,
        Err(error) if is_forbidden(&error) && is_locked(&path) => return Ok(FinishAttempt::Locked(path)),
        Err(error) => {
            let is_forbidden = is_forbidden(&error);
            let error = file_error("finish an interrupted import: cannot open", &path, error);
            return if is_forbidden { Ok(FinishAttempt::Forbidden(error)) } else { Err(error) };
        }
    };
    // Nobody waits for a lock where there is nothing to finish.
    if !has_list(sources_dir)? {
        return Ok(FinishAttempt::Nothing);
    }
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(FinishAttempt::Locked(path)),
        Err(TryLockError::Error(error)) => {
            return Ok(FinishAttempt::Forbidden(file_error("lock", &path, error)));
        }
    }
    if !has_list(sources_dir)? {
        return Ok(FinishAttempt::Nothing);
    }
    let staged = Staged::read(sources_dir)?;
    raise_generation(sources_dir, files)?;
    // The import may have been stopped before the list's name was durable, which must come before any rename.
    files.sync_dir(sources_dir).map_err(|error| file_error("sync", sources_dir, error))?;
    staged.put_in_place(sources_dir, files)?;
    Ok(FinishAttempt::Finished(staged.len()))
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Whether another process has the lock, for one who may not take it.
fn is_locked(path: &Path) -> bool {
    let probe = regular_file::open(path).map(|file: File| file.try_lock_shared());
    matches!(probe, Ok(Err(TryLockError::WouldBlock)))
}
