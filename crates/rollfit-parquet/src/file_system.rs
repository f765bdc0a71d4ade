//! [`FileSystem`]: the operations on files that a commit is made of, few enough that a test can fail or stop at each.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rollfit_job::store::StoreError;
use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags};

use rollfit_files::regular_file;

use crate::direct::raw_file::RawFile;
use crate::direct::store_file::StoreFile;

/// What a commit does to the file system, what a reader of the sources opens, and how long both wait for others.
pub trait FileSystem: Send + Sync {
    /// Opens a regular file to read it, and returns its metadata too.
    ///
    /// # Errors
    /// Those of the file system; when it is not a regular file.
    fn open(&self, path: &Path) -> io::Result<(File, Metadata)> {
        regular_file::open_and_look(path)
    }

    /// How long to wait for a lock that others hold for moments. A process that holds it for longer is stuck.
    fn lock_patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The least bytes of direct writes, and of files that are written with them: what is smaller isn't worth it.
    fn direct_piece_bytes(&self) -> usize {
        1 << 20
    }

    /// Creates a file. What had its name is removed, never written through.
    ///
    /// # Errors
    /// Those of the file system.
    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>>;

    /// Puts a file in the place of another, at once.
    ///
    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Exchanges the names of two directories, at once.
    ///
    /// # Errors
    /// Those of the file system; `EINVAL` and others where it has no such operation.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        exchange_names(one, other)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file being written from its beginning to its end.
pub trait OutputFile: Write + Send {
    /// Says that the file will have about so many bytes: the file system may set aside room for them. What is too much is
    /// given back by [`OutputFile::sync`].
    ///
    /// # Errors
    /// When there is no room for them.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFileSystem;

impl FileSystem for OsFileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        Ok(Box::new(regular_file::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        open_dir(path, OFlags::empty())?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

#[cfg(target_os = "linux")]
fn exchange_names(one: &Path, other: &Path) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(CWD, one, CWD, other, rustix::fs::RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange_names(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens a directory.
pub(crate) fn open_dir(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | flags).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Creates a file that is written through the page cache.
pub(crate) fn create_buffered(files: &dyn FileSystem, path: &Path) -> io::Result<StoreFile> {
    Ok(StoreFile::new(files.create(path)?))
}

/// Creates a directory and those above it, each made durable in the one that holds it. Not for several threads at once: each
/// of them that finds a directory missing makes it durable.
pub(crate) fn create_dirs(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_dirs(files, parent)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    files.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Has a network file system ask the server what is in a directory: it may remember for half a minute that a name is not
/// there. What is wrong with the directory is found by whoever looks into it.
pub(crate) fn refresh_dir(path: &Path) {
    let _ = rustix::fs::statx(CWD, path, AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS);
}

/// Checks that no directory below `root` on the way to `dir` is a link, through which a store could have us write elsewhere.
pub(crate) fn refuse_linked_dirs(root: &Path, dir: &Path) -> Result<(), StoreError> {
    let is_link = |dir: &&Path| std::fs::symlink_metadata(dir).is_ok_and(|status| status.is_symlink());
    match dir.ancestors().take_while(|above| *above != root).find(is_link) {
        Some(link) => Err(StoreError::permanent(format!(
            "{} is a link, and rollfit does not write through links inside a store; replace it with a directory, \
             or use the directory that it leads to as the store",
            link.display()
        ))),
        None => Ok(()),
    }
}
