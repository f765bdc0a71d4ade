//! Opens files that anybody may have put where they are, such as those inside a store: regular files only, without
//! following a link and without waiting.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Something else than a regular file where a file belongs.
#[derive(Debug, thiserror::Error)]
enum NotRegular {
    #[error("it is a link, and links are not followed here; replace it with the file itself, or remove it")]
    Link,
    #[error("it is {0}, and only regular files are opened here; move it elsewhere, or remove it")]
    Other(&'static str),
}

impl NotRegular {
    fn new(kind: FileType) -> Self {
        match kind {
            kind if kind.is_symlink() => Self::Link,
            kind if kind.is_dir() => Self::Other("a directory"),
            kind if kind.is_fifo() => Self::Other("a named pipe"),
            kind if kind.is_socket() => Self::Other("a socket"),
            _ => Self::Other("a device"),
        }
    }
}

/// Opens a file to read it.
///
/// # Errors
/// When it cannot be opened, or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    Ok(open_and_look(path)?.0)
}

/// As [`open`], with the metadata of the open file.
///
/// # Errors
/// As [`open`].
pub fn open_and_look(path: &Path) -> io::Result<(File, Metadata)> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a file to read and write it, and creates it if it is not there.
///
/// # Errors
/// As [`open`].
pub fn open_or_create(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), path)
        .map(|(file, _)| file)
}

/// Creates a file to write it. A file or link that has its name is removed, never written through.
///
/// # Errors
/// When it cannot be created.
pub fn create(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    match create() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        created => created,
    }
}

/// Whether the name exists, including as a dangling link.
///
/// # Errors
/// When that cannot be found out.
pub fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let kind = match options.custom_flags(flags).open(path) {
        Ok(file) => match file.metadata()? {
            status if status.is_file() => return Ok((file, status)),
            status => status.file_type(),
        },
        // There is no name, not even that of a link.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        // Each kind fails to open with another error: the name's metadata says which it is.
        Err(error) => match fs::symlink_metadata(path).map(|status| status.file_type()) {
            Ok(kind) if !kind.is_file() => kind,
            _ => return Err(error),
        },
    };
    Err(io::Error::new(ErrorKind::InvalidInput, NotRegular::new(kind)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A directory with a file `precious` and one of each kind that is not a regular file.
    fn kinds() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("precious"), "precious").unwrap();
        symlink("precious", path("link")).unwrap();
        symlink("nowhere", path("dangling link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        drop(UnixListener::bind(path("socket")).unwrap());
        assert!(std::process::Command::new("mkfifo").arg(path("named pipe")).status().unwrap().success());
        dir
    }

    #[test]
    fn only_regular_files_are_opened_and_what_else_there_is_is_named() {
        let dir = kinds();
        for name in ["link", "dangling link", "directory", "socket", "named pipe"] {
            let path = dir.path().join(name);
            for error in [open(&path).unwrap_err(), open_or_create(&path).unwrap_err()] {
                assert!(error.to_string().contains(name.trim_start_matches("dangling ")), "{name}: {error}");
            }
        }
        assert!(open(Path::new("/dev/null")).unwrap_err().to_string().contains("a device"));
        assert_eq!(open(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        open(&dir.path().join("precious")).unwrap();
        open_or_create(&dir.path().join("new")).unwrap();
    }

    #[test]
    fn what_is_created_is_never_written_through_what_had_its_name() {
        use std::io::Write;
        let dir = kinds();
        let path = |name: &str| dir.path().join(name);
        fs::hard_link(path("precious"), path("hard link")).unwrap();
        for name in ["link", "dangling link", "hard link", "named pipe", "socket"] {
            create(&path(name)).unwrap().write_all(b"new").unwrap();
            assert_eq!(fs::read(path(name)).unwrap(), b"new", "{name}");
        }
        assert_eq!(fs::read(path("precious")).unwrap(), b"precious");
        assert!(!is_there(&path("nowhere")).unwrap());
        assert!(create(&path("directory")).is_err());
    }
}
