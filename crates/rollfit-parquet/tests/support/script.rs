//! [`Script`]: the file system of this machine, with every operation recorded, and one failing or all from one on. Direct
//! writes are buffered ones that have to be aligned, so that every machine can play them, and nothing waits for the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rollfit_parquet::{FileSystem, OsFileSystem, RawFile};

use super::relative;

/// The faults that a full disk, a broken one and a missing permission give.
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EIO: i32 = 5;
pub(crate) const EACCES: i32 = 13;
/// What a file system says that takes no direct writes, or not such ones.
pub(crate) const EINVAL: i32 = 22;

/// Direct writes of the tests: small, so that there are several in a small file.
pub(crate) const PIECE_BYTES: usize = 2 * ALIGN;
pub(crate) const ALIGN: usize = 512;

/// One operation, with paths as seen from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create(String),
    Reserve(String),
    Write(String),
    Truncate(String),
    SyncFile(String),
    Rename(String, String),
    SyncDir(String),
    Remove(String),
}

/// What becomes of operations, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Undisturbed,
    /// This one fails, a write after half of its bytes.
    FailAt(usize, i32),
    /// From this one on nothing is done any more, but for half the bytes if it is a write: the process has died.
    KillAt(usize),
}

/// Files that follow a [`Fate`]. Clones share the record.
#[derive(Clone)]
pub(crate) struct Script {
    root: PathBuf,
    fate: Fate,
    done: Arc<Mutex<Vec<Operation>>>,
}

impl Script {
    pub(crate) fn new(root: &Path, fate: Fate) -> Self {
        Self { root: root.to_owned(), fate, done: Arc::default() }
    }

    /// The operations so far; of writes to one file after each other, one.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut operations = self.done.lock().unwrap().clone();
        operations.dedup_by(|next, before| next == before && matches!(next, Operation::Write(_)));
        operations
    }

    /// The operations so far, each write by itself.
    pub(crate) fn all_operations(&self) -> Vec<Operation> {
        self.done.lock().unwrap().clone()
    }

    /// How many operations there were.
    pub(crate) fn count(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    fn seen_from_root(&self, path: &Path) -> String {
        relative(&self.root, path)
    }

    fn begin(&self, operation: Operation) -> io::Result<()> {
        let mut done = self.done.lock().unwrap();
        let at = done.len();
        done.push(operation);
        match self.fate {
            Fate::FailAt(failing, errno) if at == failing => Err(io::Error::from_raw_os_error(errno)),
            Fate::KillAt(last) if at >= last => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        }
    }

    /// Whether the operation just refused got half done.
    fn is_half_done(&self) -> bool {
        let at = self.count() - 1;
        matches!(self.fate, Fate::FailAt(half, _) | Fate::KillAt(half) if half == at)
    }
}

impl FileSystem for Script {
    fn direct_piece_bytes(&self) -> usize {
        PIECE_BYTES
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        let name = self.seen_from_root(path);
        self.begin(Operation::Create(name.clone()))?;
        let file = Unsynced.create(path)?;
        Ok(Box::new(ScriptedFile { script: self.clone(), name, file, is_direct: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(Operation::Rename(self.seen_from_root(from), self.seen_from_root(to)))?;
        OsFileSystem.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.begin(Operation::SyncDir(self.seen_from_root(path)))?;
        Unsynced.sync_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin(Operation::Remove(self.seen_from_root(path)))?;
        OsFileSystem.remove(path)
    }
}

/// The file system of this machine without waiting for the disk, so that races come up often.
pub(crate) struct Unsynced;

impl FileSystem for Unsynced {
    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        Ok(Box::new(UnsyncedFile(OsFileSystem.create(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFileSystem.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::read_dir(path).map(drop)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.remove(path)
    }
}

struct UnsyncedFile(Box<dyn RawFile>);

impl RawFile for UnsyncedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.0.reserve(bytes)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn id(&self) -> io::Result<(u64, u64)> {
        self.0.id()
    }

    fn direct_alignment(&self) -> Option<usize> {
        None
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        self.0.set_direct(is_direct)
    }
}

struct ScriptedFile {
    script: Script,
    name: String,
    file: Box<dyn RawFile>,
    is_direct: bool,
}

impl RawFile for ScriptedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        check_alignment(self.is_direct, bytes, offset);
        let begun = self.script.begin(Operation::Write(self.name.clone()));
        if begun.is_err() && self.script.is_half_done() {
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
        }
        begun?;
        self.file.write_at(bytes, offset)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let begun = self.script.begin(Operation::Reserve(self.name.clone()));
        if begun.is_err() && self.script.is_half_done() {
            self.file.set_len(bytes / 2)?;
        }
        begun?;
        self.file.set_len(bytes)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.script.begin(Operation::Truncate(self.name.clone()))?;
        self.file.set_len(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.script.begin(Operation::SyncFile(self.name.clone()))?;
        self.file.sync()
    }

    fn id(&self) -> io::Result<(u64, u64)> {
        self.file.id()
    }

    fn direct_alignment(&self) -> Option<usize> {
        Some(ALIGN)
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        self.is_direct = is_direct;
        Ok(())
    }
}

/// What a file system asks of direct writes.
#[track_caller]
pub(crate) fn check_alignment(is_direct: bool, bytes: &[u8], offset: u64) {
    let is_aligned = [bytes.as_ptr().addr(), bytes.len(), offset as usize].iter().all(|at| at % ALIGN == 0);
    assert!(is_aligned || !is_direct, "{:p} {} {offset}", bytes.as_ptr(), bytes.len());
}
