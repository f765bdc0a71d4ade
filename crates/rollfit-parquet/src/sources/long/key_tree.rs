//! [`KeyTree`]: the files and directories of a long table.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rollfit_files::dir_names::dir_names;
use rollfit_job::store::StoreError;

use crate::fault::file_error;
use crate::sources::listing::is_read;
use crate::sources::long::hive::HiveDir;
use crate::sources::table_index::{is_settled, last_change};

/// How deep directories are looked into.
const DEPTH_MAX: usize = 8;

/// What the directory of a long table has, but for what is in the directories of its keys.
#[derive(Default)]
pub(super) struct KeyTree {
    /// The files whose rows are told apart by the column.
    pub(super) mixed: Vec<PathBuf>,
    /// The directories of each key.
    dirs: BTreeMap<String, Vec<PathBuf>>,
    /// Whether a directory is of no key, NULL.
    pub(super) has_null_dir: bool,
    /// The directories that were listed, and when each had changed last.
    listed: Vec<(PathBuf, SystemTime)>,
}

impl KeyTree {
    /// Lists a table; none where it does not exist.
    pub(super) fn read(dir: &Path, key_column: &str) -> Result<Option<Self>, StoreError> {
        let mut tree = Self::default();
        match last_change(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            _ => tree.visit(dir, key_column, 0)?,
        }
        tree.mixed.sort();
        Ok(Some(tree))
    }

    /// Whether a listing now would give the same.
    pub(super) fn is_current(&self) -> bool {
        self.listed.iter().all(|(dir, modified)| {
            is_settled(*modified) && last_change(dir).is_ok_and(|change| change == *modified)
        })
    }

    fn visit(&mut self, dir: &Path, key_column: &str, depth: usize) -> Result<(), StoreError> {
        // Before its names: what changes after that is seen by the next look.
        let modified = last_change(dir).map_err(|error| file_error("list", dir, error))?;
        self.listed.push((dir.to_owned(), modified));
        for entry in entries(dir)? {
            match entry {
                TreeEntry::File(path) => self.mixed.push(path),
                TreeEntry::Dir(path, HiveDir { column, value }) if column == key_column => match value {
                    Some(key) => self.dirs.entry(key).or_default().push(path),
                    None => self.has_null_dir = true,
                },
                TreeEntry::Dir(path, _) if depth < DEPTH_MAX => self.visit(&path, key_column, depth + 1)?,
                TreeEntry::Dir(..) => {}
            }
        }
        Ok(())
    }

    /// The keys that have a directory.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.dirs.keys()
    }

    /// The files in the directories of a key, sorted by name.
    pub(super) fn files_of(&self, key: &str, key_column: &str) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        for dir in self.dirs.get(key).into_iter().flatten() {
            add_files(dir, key_column, 0, &mut files)?;
        }
        files.sort();
        Ok(files)
    }
}

/// Adds the files in a directory of a key, and in those below it.
fn add_files(dir: &Path, key_column: &str, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    for entry in entries(dir)? {
        match entry {
            TreeEntry::File(path) => files.push(path),
            TreeEntry::Dir(path, HiveDir { column, .. }) if column == key_column => {
                return Err(StoreError::permanent(format!(
                    "{}: `{key_column}=` is twice in the path of this directory; move its files where the key is said once",
                    path.display()
                )));
            }
            TreeEntry::Dir(path, _) if depth < DEPTH_MAX => add_files(&path, key_column, depth + 1, files)?,
            TreeEntry::Dir(..) => {}
        }
    }
    Ok(())
}

/// What is read of a directory.
enum TreeEntry {
    File(PathBuf),
    Dir(PathBuf, HiveDir),
}

/// The files and Hive directories in a directory. Links to directories are not followed.
fn entries(dir: &Path) -> Result<Vec<TreeEntry>, StoreError> {
    let names = dir_names(dir).map_err(|error| file_error("list", dir, error))?;
    let entry = |name: std::ffi::OsString| {
        let path = dir.join(&name);
        let name = name.to_str()?;
        let is_dir = || std::fs::symlink_metadata(&path).is_ok_and(|status| status.is_dir());
        match HiveDir::parse(name) {
            Some(hive) if is_dir() => Some(TreeEntry::Dir(path, hive)),
            _ if is_read(name) => Some(TreeEntry::File(path)),
            _ => None,
        }
    };
    Ok(names.into_iter().filter_map(entry).collect())
}
