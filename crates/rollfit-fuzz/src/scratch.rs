//! [`Scratch`]: a directory in memory, one a thread, where a target puts the file that it reads.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory that lasts as long as its thread.
pub(crate) struct Scratch {
    dir: TempDir,
}

impl Scratch {
    /// A new directory, in memory where the system has one there.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self { dir: dir.unwrap() }
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        if fs::write(&path, bytes).is_err() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        path
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Calls `with` with the directory of this thread.
pub(crate) fn in_scratch<T>(with: impl FnOnce(&Scratch) -> T) -> T {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(with)
}
