//! [`replace`]: files that others read while they change: all of the old or all of the new.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rollfit_files::regular_file::create;

/// Makes `bytes` all there is in the file at `path`. Follows links; writes directly to what is not a file, such
/// as a terminal or a pipe. After a crash of the machine there may be less: for what is replaced often, and read by those who
/// notice.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_after(path, bytes, |_| Ok(()))
}

/// As [`replace`], also if the machine crashes.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_after(path, bytes, File::sync_data)
}

fn replace_after(path: &Path, bytes: &[u8], settle: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        return fs::write(&path, bytes);
    }
    let beside = beside(&path);
    let written = create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        settle(&file)
    });
    let replaced = written.and_then(|()| fs::rename(&beside, &path));
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    }
    replaced
}

/// A hidden name in the same directory, which readers of `*.prom` or `*.json` do not take for theirs.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_through_its_link_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        replace(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_made_durable_is_not_put_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        replace_durably(&file, b"old").unwrap();
        let no_disk = |_: &File| Err(io::Error::from(io::ErrorKind::StorageFull));
        assert!(replace_after(&file, b"new", no_disk).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_replaced_and_what_cannot_be_written_is_an_error() {
        replace(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let dir = tempfile::tempdir().unwrap();
        assert!(replace(&dir.path().join("none/file"), b"").is_err());
    }
}
