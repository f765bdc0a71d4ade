//! Locks between processes: the kernel releases them when their holder ends, however it ends.
//!
//! Invariants: a holder has the lock for itself (exclusive); who looks whether there is a holder shares it (shared), for a moment. So a look
//! is never refused because of another look, and a claim that a look is in the way of is tried again.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rollfit_files::regular_file;

use crate::lock_note::LockNote;

/// How often a claim is tried again while others look at the lock.
const LOOKS_MAX: u32 = 100;

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
    Held(LockNote),
}

/// Who holds a lock, and since when.
pub(crate) struct LockHolder {
    pub(crate) note: LockNote,
    /// When the note was written, in microseconds since 1970; none where the file does not say.
    pub(crate) since_us: Option<i64>,
}

impl ExclusiveLock {
    /// Takes the lock at `path` if it is free, and leaves `note` for others. The file may be removed by a holder that ends at this moment,
    /// so what was locked is compared with what the path names.
    pub(crate) fn try_take(path: &Path, note: &LockNote) -> io::Result<LockAttempt> {
        let mut looks = 0;
        loop {
            let mut file = regular_file::open_or_create(path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => {
                    // Only others read the note; on a full disk there is none.
                    let _ = leave(note, &mut file);
                    return Ok(LockAttempt::Taken(Self { path: path.to_owned(), file }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if looks < LOOKS_MAX && !is_held(&file)? => {
                    looks += 1;
                    std::thread::sleep(moment());
                }
                Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Held(LockNote::read(&file))),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl ExclusiveLock {
    /// Whether the lock's file still has its name. Where another has it, or none, others do not see this lock.
    pub(crate) fn is_in_place(&self) -> bool {
        is_at(&self.file, &self.path)
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

/// Who holds the lock at `path` now; none where nobody does. Creates, writes and removes nothing.
pub(crate) fn holder(path: &Path) -> io::Result<Option<LockHolder>> {
    let (file, status) = match regular_file::open_and_look(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // Where the file system has no locks no runner can have taken one.
    if !is_held(&file).unwrap_or(false) {
        return Ok(None);
    }
    Ok(Some(LockHolder { note: LockNote::read(&file), since_us: modified_us(&status) }))
}

/// When a file was last written, in microseconds since 1970; none where that is no time.
pub(crate) fn modified_us(status: &std::fs::Metadata) -> Option<i64> {
    status.mtime().checked_mul(1_000_000)?.checked_add(status.mtime_nsec() / 1000)
}

/// Whether somebody has the lock of a file for himself.
fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        // Not left to the end of the file: a process that is being started may still share it.
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A time from 0.1 to 2.1 ms, another one each time: two claims that are in each other's way do not meet again and again.
fn moment() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let spread = now.subsec_nanos().wrapping_mul(2_654_435_761) ^ std::process::id().wrapping_mul(40_503);
    Duration::from_micros(100 + u64::from(spread >> 8) % 2000)
}

/// Whether a path names what is open.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn leave(note: &LockNote, file: &mut File) -> io::Result<()> {
    // A file with a second name may belong to another program.
    if file.metadata()?.nlink() > 1 {
        return Ok(());
    }
    file.set_len(0)?;
    file.rewind()?;
    // In one write, so that others read all of it or nothing.
    file.write_all(note.text().as_bytes())
}
