//! [`JobLock`]: a lock on the directory of a job's features. Who writes there shares it; who exchanges two jobs has it alone.
//!
//! Invariants: it is the directory itself that is locked, so nothing is written, and the lock goes where a rename puts the directory. Where
//! the job has no directory yet, that of the store is locked in its place. Not every file system has such locks, and NFS keeps them to one
//! machine: so before each claim the directory at the path is also held against the one that was opened.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use rollfit_job::store::StoreError;
use rustix::fs::OFlags;

use crate::ParquetStore;
use crate::fault::file_error;
use crate::file_system::open_dir;
use crate::lock::is_at;
use crate::sources::sources_lock::{PAUSE, SILENT_WAIT, stuck_lock};

/// The directory of a job, or of the store that it will be in, while somebody writes features there.
pub(crate) struct JobLock {
    dir: File,
    is_of_job: bool,
}

impl ParquetStore {
    /// Keeps the job from being exchanged with another as long as this store is open. Waits for an exchange that is going on.
    pub(crate) fn lock_job(&mut self) -> Result<(), StoreError> {
        let (started, patience, mut was_told) = (Instant::now(), self.files.lock_patience(), false);
        self.job_lock = loop {
            let Some(lock) = self.open_job_dir()? else { return Ok(()) };
            let path = if lock.is_of_job { &self.features_dir } else { &self.dir };
            match lock.dir.try_lock_shared() {
                // Exchanged before it was locked.
                Ok(()) if lock.is_of_job && !is_at(&lock.dir, path) => {}
                Ok(()) | Err(TryLockError::Error(_)) => break Some(lock),
                Err(TryLockError::WouldBlock) if started.elapsed() > patience => {
                    return Err(stuck_lock(path, patience));
                }
                Err(TryLockError::WouldBlock) => {
                    if started.elapsed() > SILENT_WAIT && !std::mem::replace(&mut was_told, true) {
                        tracing::warn!("waiting for another process that has locked {}", path.display());
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        };
        Ok(())
    }

    /// The directory of the job, or that of the store where there is none yet; neither where somebody who claims a partition says why.
    fn open_job_dir(&self) -> Result<Option<JobLock>, StoreError> {
        match open_dir(&self.features_dir, OFlags::NOFOLLOW) {
            Ok(dir) => Ok(Some(JobLock { dir, is_of_job: true })),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let dir = open_dir(&self.dir, OFlags::empty());
                let dir = dir.map_err(|error| file_error("open", &self.dir, error))?;
                Ok(Some(JobLock { dir, is_of_job: false }))
            }
            Err(_) => Ok(None),
        }
    }

    /// Checks that the features are where they were when the store was opened: what was decided since is about those.
    pub(super) fn check_job_dir_in_place(&self) -> Result<(), StoreError> {
        match &self.job_lock {
            Some(lock) if lock.is_of_job && !is_at(&lock.dir, &self.features_dir) => {
                Err(StoreError::permanent(format!(
                    "{} was exchanged, moved or removed while this command was at work, so nothing is written there; type it again",
                    self.features_dir.display()
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for JobLock {
    fn drop(&mut self) {
        // Not left to the end of the file: a process that was forked still shares it.
        let _ = self.dir.unlock();
    }
}

/// What came of the attempt to have a directory alone.
pub(super) enum SoleLock {
    /// The lock, until the file is closed; of a file system without locks on directories the directory alone.
    Taken(File),
    /// The process that shares it, if it is one of this machine and the system says so.
    Held(Option<u32>),
}

impl SoleLock {
    /// Locks a directory if nobody else has a lock on it.
    pub(super) fn try_take(dir: &Path) -> io::Result<Self> {
        let file = open_dir(dir, OFlags::empty())?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(Self::Held(holder_of(&file))),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self::Taken(file)),
        }
    }
}

/// The process that has a lock on a file, from the list of the system.
#[cfg(target_os = "linux")]
fn holder_of(file: &File) -> Option<u32> {
    let status = file.metadata().ok()?;
    let device = status.dev();
    let locked =
        format!("{:02x}:{:02x}:{}", rustix::fs::major(device), rustix::fs::minor(device), status.ino());
    holder_in(&std::fs::read_to_string("/proc/locks").ok()?, &locked)
}

#[cfg(not(target_os = "linux"))]
fn holder_of(_file: &File) -> Option<u32> {
    None
}

/// `1: FLOCK  ADVISORY  READ 4711 fd:01:393283 0 EOF`; a process that cannot be seen from here has the number 0.
fn holder_in(locks: &str, locked: &str) -> Option<u32> {
    let process = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_meant = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&locked);
        words.get(4).filter(|_| is_meant)?.parse().ok().filter(|&process| process > 0)
    };
    locks.lines().find_map(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_has_a_lock_is_found_in_the_list_of_the_system() {
        let locks = "1: POSIX  ADVISORY  WRITE 12 fd:01:7 0 EOF\n2: FLOCK  ADVISORY  READ 0 fd:01:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fd:01:7 0 EOF\n3: FLOCK  ADVISORY  READ 4711 fd:01:7 0 EOF\n";
        assert_eq!(holder_in(locks, "fd:01:7"), Some(4711));
        assert_eq!(holder_in(locks, "fd:01:70"), None);
    }
}
