//! What the tests of the Parquet store share: a small market ([`market`]), file systems that fail or stop at any
//! operation ([`script`]), what a crash of the machine may leave ([`crash`]), and [`tree`], all the files below a directory.

#![allow(dead_code)] // Each test binary uses a part.

pub(crate) mod crash;
pub(crate) mod market;
pub(crate) mod script;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files below `dir`, by their path from there, with their bytes. Leaves out what counts imports
/// and not rows: the lock of the sources, which stays, and their generation.
pub(crate) fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree_whole(dir);
    files.remove("sources/.lock");
    files.remove("sources/.generation");
    files
}

/// As [`tree`], with nothing left out.
pub(crate) fn tree_whole(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(dir, dir, &mut files);
    files
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(relative(root, &path), fs::read(&path).unwrap());
        }
    }
}

/// `path` as seen from `root`.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Checks that `message` has every one of `parts`.
#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}
