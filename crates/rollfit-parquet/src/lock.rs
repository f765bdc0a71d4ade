//! Locks between processes: the kernel releases them when their holder ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rollfit_files::regular_file;

/// The most that is read of the note in a lock file.
const NOTE_BYTES_MAX: u64 = 256;

/// A lock file that is this process's alone, and goes away with the lock.
#[derive(Debug)]
pub(crate) struct ExclusiveLock {
    path: PathBuf,
    file: File,
}

/// The answer to [`ExclusiveLock::try_take`].
pub(crate) enum LockAttempt {
    Taken(ExclusiveLock),
    /// Who has it, as the file says.
    Held(String),
}

impl ExclusiveLock {
    /// Takes the lock at `path` if it is free. The file may be removed by a holder that ends at this moment, so what
    /// was locked is compared with what the path names.
    pub(crate) fn try_take(path: &Path) -> io::Result<LockAttempt> {
        loop {
            let mut file = regular_file::open_or_create(path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => {
                    // Only others read the note; on a full disk there is none.
                    let _ = note_holder(&mut file);
                    return Ok(LockAttempt::Taken(Self { path: path.to_owned(), file }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Held(read_holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for ExclusiveLock {
    fn drop(&mut self) {
        // Where the file cannot be removed it stays behind, unlocked and harmless.
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    // A file with a second name may belong to another program.
    if file.metadata()?.nlink() > 1 {
        return Ok(());
    }
    let host = rustix::system::uname();
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "process {} on {}", std::process::id(), host.nodename().to_string_lossy())
}

fn read_holder(file: &mut File) -> String {
    let mut holder = String::new();
    match file.take(NOTE_BYTES_MAX).read_to_string(&mut holder) {
        Ok(_) if !holder.is_empty() => holder,
        _ => "another process".to_owned(),
    }
}
