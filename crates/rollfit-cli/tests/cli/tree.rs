//! [`Tree`]: everything below a directory, to be compared before and after.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names, bytes and times of change of all that is below a directory.
#[derive(PartialEq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

#[derive(PartialEq)]
struct Entry {
    /// None for a directory.
    bytes: Option<Vec<u8>>,
    modified: (i64, i64),
}

impl Tree {
    pub(crate) fn read(dir: &Path) -> Self {
        let mut entries = BTreeMap::new();
        for path in walk(dir) {
            let status = fs::symlink_metadata(&path).unwrap();
            let bytes = status.is_file().then(|| fs::read(&path).unwrap());
            let entry = Entry { bytes, modified: (status.mtime(), status.mtime_nsec()) };
            entries.insert(path.strip_prefix(dir).unwrap().to_owned(), entry);
        }
        Self(entries)
    }

    /// The same names with the same bytes, whenever they were written.
    pub(crate) fn has_the_files_of(&self, other: &Self) -> bool {
        self.differences(other).is_empty()
    }

    /// The names of files that only one has, or that have other bytes. The generation of the sources is not among them: it
    /// counts imports.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let bytes = |tree: &Self, path: &PathBuf| tree.0.get(path).map(|entry| entry.bytes.clone());
        let paths = self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path)));
        paths
            .filter(|path| bytes(self, path) != bytes(other, path) && !path.ends_with(".generation"))
            .map(|path| path.display().to_string())
            .collect()
    }

    /// The names of what was written or touched between the two.
    pub(crate) fn changes(&self, later: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(later.0.keys().filter(|path| !self.0.contains_key(*path)));
        paths
            .filter(|path| self.0.get(*path) != later.0.get(*path))
            .map(|path| path.display().to_string())
            .collect()
    }

    /// Checks that nothing below `dir` was written, removed or touched since.
    #[track_caller]
    pub(crate) fn is_untouched(&self, dir: &Path) {
        let changes = self.changes(&Self::read(dir));
        assert!(changes.is_empty(), "changed: {changes:?}");
    }
}

/// Everything below `dir`, itself included, sorted.
pub(crate) fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if fs::symlink_metadata(&found[at]).is_ok_and(|status| status.is_dir()) {
            let entries = fs::read_dir(&found[at]).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found.sort();
    found
}

/// What a stopped run may have left below `dir`: hidden files.
pub(crate) fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    walk(dir).into_iter().filter(|path| path != dir).filter(hidden).collect()
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
