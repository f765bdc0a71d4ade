//! [`KeyLock`]: a lock on the directory of a key while one of its partitions is put in place, so that runners by other periods do not do
//! that at the same moment.
//!
//! Invariants: it is the directory itself that is locked, so nothing is written. Not every file system has such locks.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use rollfit_job::store::StoreError;
use rustix::fs::OFlags;

use crate::fault::file_error;
use crate::file_system::{open_dir, refresh_dir};
use crate::sources::sources_lock::stuck_lock;

/// How long until the lock is tried again: others have it for as long as a rename takes.
const PAUSE: Duration = Duration::from_millis(1);

/// The directory of a key, which nobody else puts partitions into.
pub(super) struct KeyLock(File);

impl KeyLock {
    /// Takes the lock; none on a file system without locks on directories.
    ///
    /// # Errors
    /// When the directory cannot be opened, or another process has it for too long.
    pub(super) fn take(key_dir: &Path, patience: Duration) -> Result<Option<Self>, StoreError> {
        let dir = open_dir(key_dir, OFlags::NOFOLLOW).map_err(|error| file_error("open", key_dir, error))?;
        let started = Instant::now();
        let lock = loop {
            match dir.try_lock() {
                Ok(()) => break Some(Self(dir)),
                Err(TryLockError::Error(_)) => break None,
                Err(TryLockError::WouldBlock) if started.elapsed() > patience => {
                    return Err(stuck_lock(key_dir, patience));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        };
        refresh_dir(key_dir);
        Ok(lock)
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Not left to the end of the file: a process that was forked still shares it.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let take = || KeyLock::take(dir.path(), Duration::from_millis(5));
        let Some(held) = take().unwrap() else { return };
        assert!(take().err().unwrap().to_string().contains("another process has held this lock"));
        drop(held);
        assert!(take().unwrap().is_some());
    }
}
