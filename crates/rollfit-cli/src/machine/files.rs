//! [`Files`]: the system's files, below a directory that tests replace.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// What a file says, or why it cannot be read.
pub(super) type ReadResult<T> = Result<T, String>;

/// The files below a directory.
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// What `parse` makes of a file. `path` begins with a slash.
    pub(super) fn see<T>(&self, path: &str, parse: impl FnOnce(&str) -> Option<T>) -> ReadResult<T> {
        let text = self.text(path).map_err(|error| unreadable(path, &error))?;
        sense(path, parse(&text))
    }

    /// What `parse` makes of a file; none where there is no such file.
    pub(super) fn find<T>(&self, path: &str, parse: impl FnOnce(&str) -> Option<T>) -> ReadResult<Option<T>> {
        match self.text(path) {
            Ok(text) => sense(path, parse(&text)).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    /// The names in a directory.
    pub(super) fn names(&self, path: &str) -> ReadResult<Vec<String>> {
        let entries = std::fs::read_dir(self.path(path)).map_err(|error| unreadable(path, &error))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    /// The device that a directory, or what a link leads to, is on; none where that cannot be seen.
    pub(super) fn device(&self, path: &str) -> Option<u64> {
        Some(rustix::fs::stat(self.path(path)).ok()?.st_dev)
    }

    fn text(&self, path: &str) -> io::Result<String> {
        let bytes = std::fs::read(self.path(path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

fn unreadable(path: &str, error: &io::Error) -> String {
    format!("cannot read {path}: {error}")
}

fn sense<T>(path: &str, parsed: Option<T>) -> ReadResult<T> {
    parsed.ok_or_else(|| format!("{path} has an unexpected format"))
}
