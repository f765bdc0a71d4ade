//! [`dir_names`]: the names in a directory, with no more memory and calls of the system than a small one takes: a plan lists a
//! few directories for each partition.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::retry_on_intr;

/// Room for a dozen long names at a time.
const BUFFER_BYTES: usize = 4096;

/// The names in a directory, in no order.
///
/// # Errors
/// Those of the system.
pub fn dir_names(dir: &Path) -> io::Result<Vec<OsString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = retry_on_intr(|| rustix::fs::open(dir, flags, Mode::empty()))?;
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut entries = RawDir::new(&opened, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(OsStr::from_bytes(name).to_owned()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_has_every_name_once_however_many_and_however_long() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(dir_names(dir.path()).unwrap(), Vec::<OsString>::new());
        let mut wanted: BTreeSet<OsString> = (0..1000).map(|at| format!("{at}").into()).collect();
        wanted.extend((0..50).map(|at| OsString::from(format!("{at:0>255}"))));
        wanted.extend([".hidden".into(), "...".into(), OsStr::from_bytes(b"\xff\n").to_owned()]);
        for name in &wanted {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names = dir_names(dir.path()).unwrap();
        assert_eq!(names.len(), wanted.len());
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), wanted);
    }

    #[test]
    fn what_is_no_directory_is_the_error_that_the_standard_library_has() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        fs::create_dir(dir.path().join("directory")).unwrap();
        symlink("directory", dir.path().join("link")).unwrap();
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        for name in ["none", "file", "dangling", "file/below", "directory", "link", "with\0zero"] {
            let path = dir.path().join(name);
            let found = dir_names(&path).map(|names| names.len()).map_err(|error| error.kind());
            let standard = fs::read_dir(&path).map(Iterator::count).map_err(|error| error.kind());
            assert_eq!(found, standard, "{name:?}");
        }
    }
}
