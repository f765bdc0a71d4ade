//! Where relative paths of a configuration start, and names of paths that are the same from every directory.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use rollfit_files::path::full;

/// The directory that relative paths of a configuration start from: the one in which the user names it, whatever a link
/// there leads to. A path that is not a file, such as a pipe, has the working directory, an empty path.
pub(crate) fn dir_of_config(config: &Path) -> PathBuf {
    let is_file = fs::metadata(config).is_ok_and(|status| status.is_file());
    config.parent().filter(|_| is_file).map(Path::to_owned).unwrap_or_default()
}

/// As [`full`], where the last name stays, be it a link: what a configuration is called.
pub(crate) fn full_name(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) => full(dir).join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_full_name_however_it_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        for path in ["a/b/none/yet", "link/b/./none/yet", "a/b/../b/none/yet"] {
            assert_eq!(full(&root.join(path)), root.join("a/b/none/yet"), "{path}");
        }
        assert_eq!(full_name(&root.join("a/../link")), root.join("link"));
    }

    #[test]
    fn what_is_no_file_has_no_directory() {
        assert_eq!(dir_of_config(Path::new("/dev/null")), Path::new(""));
        assert_eq!(dir_of_config(Path::new("none/rollfit.toml")), Path::new(""));
    }
}
