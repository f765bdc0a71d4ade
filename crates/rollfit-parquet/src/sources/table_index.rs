//! [`TableIndex`]: source tables as found, the files of `sources/TABLE/`, from any writer.
//!
//! Invariants: a file that rollfit wrote is checked, all its bytes, before a row of it is used.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;
use rollfit_files::damaged::contain_panics;
use rollfit_files::parquet_file::{FileBytes, Footer, ReadAt, check_body};
use rollfit_job::lock::lock;
use rollfit_job::store::{Fault, StoreError};
use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::fault::{file_error, source_fault, unreadable};
use crate::file_system::{FileSystem, OsFileSystem};
use crate::sources::file_spans::{Contents, FileIdentity, FileSpans, SmallFile};
use crate::sources::known_tables::KnownTables;
use crate::sources::listing::{TableListing, warn_of_passed_over};
use crate::sources::table_file::{TableFile, check_unwritten};

/// What is known of tables and their files, so that each footer is read once, and a directory listed again only when it or
/// one of its files has changed.
pub(crate) struct TableIndex {
    files: Arc<dyn FileSystem>,
    known: Mutex<KnownTables>,
    /// The tables whose files that are not read were named, hashed: of any number of tables little is kept.
    named: Mutex<HashSet<u64>>,
}

impl Default for TableIndex {
    fn default() -> Self {
        Self::new(Arc::new(OsFileSystem))
    }
}

impl TableIndex {
    /// An index of files that are opened through `files`.
    pub(crate) fn new(files: Arc<dyn FileSystem>) -> Self {
        Self { files, known: Mutex::default(), named: Mutex::default() }
    }

    /// The files of a table; `None` if the table does not exist.
    pub(crate) fn files(&self, dir: &Path, time: &str) -> Result<Option<Arc<Vec<FileSpans>>>, StoreError> {
        let modified = match last_change(dir) {
            Ok(modified) => modified,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error("list", dir, error)),
        };
        let known = lock(&self.known).listing(dir, time, modified);
        // A file that is rewritten in place does not change its directory.
        if let Some(files) = known.filter(|files| files.iter().all(FileSpans::is_current)) {
            return Ok(Some(files));
        }
        let Some(listed) = TableListing::read(dir)? else { return Ok(None) };
        if listed.has_others {
            self.warn_of_passed_over(dir, false);
        }
        let files =
            listed.paths.into_iter().map(|path| self.spans(path, time)).collect::<Result<Vec<_>, _>>()?;
        let files = Arc::new(files);
        if is_settled(modified) {
            lock(&self.known).insert_listing(dir, time, modified, files.clone());
        }
        Ok(Some(files))
    }

    /// Warns once of the files of a table that are not read, if there are any.
    pub(crate) fn warn_of_passed_over(&self, dir: &Path, is_long: bool) {
        if lock(&self.named).insert(hash_of(dir)) {
            warn_of_passed_over(dir, is_long);
        }
    }

    /// The spans of a file, which is opened only if it is new or has changed.
    pub(crate) fn spans(&self, path: PathBuf, time: &str) -> Result<FileSpans, StoreError> {
        if !lock(&self.known).has(&path) {
            return Ok(self.open_unchecked(&path, time)?.file_spans());
        }
        let status = std::fs::symlink_metadata(&path).map_err(|error| file_error("read", &path, error))?;
        let identity = FileIdentity::from_metadata(&status);
        let known = lock(&self.known).contents(&path, identity);
        let spans = known.as_ref().and_then(|known| lock(&known.spans).get(time).cloned());
        match spans.zip(known) {
            Some((spans, contents)) => Ok(FileSpans { path, identity, spans, contents }),
            None => Ok(self.open_unchecked(&path, time)?.file_spans()),
        }
    }

    /// Checks every byte of a file that rollfit wrote, of whose table rows are wanted.
    pub(crate) fn check(&self, listed: &FileSpans, time: &str) -> Result<(), StoreError> {
        if listed.contents.is_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        self.reopen(listed, time).map(drop)
    }

    /// Opens a file as it was listed, and checks it as [`Self::open`] does.
    pub(crate) fn reopen(&self, listed: &FileSpans, time: &str) -> Result<TableFile, StoreError> {
        let file = match &listed.contents.bytes {
            Some(bytes) if FileIdentity::at(&listed.path).ok() == Some(listed.identity) => {
                let (path, contents) = (listed.path.clone(), listed.contents.clone());
                let (file, spans) = (bytes.clone(), listed.spans.clone());
                let file = TableFile { path, file, identity: listed.identity, contents, spans };
                file.check()?;
                file
            }
            _ => self.open(&listed.path, time)?,
        };
        if file.identity == listed.identity {
            return Ok(file);
        }
        let message = format!("{} was replaced while it was being read", listed.path.display());
        Err(StoreError::new(Fault::Transient, message))
    }

    /// Opens a file of a table, and checks every byte of one that has our checksums: once for as long as it is the same
    /// file.
    pub(crate) fn open(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        let file = self.open_unchecked(path, time)?;
        file.check()?;
        Ok(file)
    }

    /// As [`Self::open`], without the instants of its row groups.
    pub(crate) fn open_without_spans(&self, path: &Path) -> Result<TableFile, StoreError> {
        let file = contain_panics(|| self.open_footer(path));
        let file = file.unwrap_or_else(|error| Err(unreadable(path, &error)))?;
        file.check()?;
        Ok(file)
    }

    /// Opens a file of which no row is used: a plan needs the footers of all keys, and the rows of a few.
    fn open_unchecked(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        let open = || {
            let mut file = self.open_footer(path)?;
            file.spans = file.find_spans(time)?;
            Ok(file)
        };
        contain_panics(open).unwrap_or_else(|error| Err(unreadable(path, &error)))
    }

    fn open_footer(&self, path: &Path) -> Result<TableFile, StoreError> {
        let (file, status) = self.files.open(path).map_err(|error| file_error("read", path, error))?;
        let file = Arc::new(file);
        let identity = FileIdentity::from_metadata(&status);
        let known = lock(&self.known).contents(path, identity);
        let is_known = known.is_some();
        let contents = match known {
            Some(contents) => contents,
            None => {
                let contents = read_footer(path, &file, &status);
                check_unwritten(path, &*file, identity)?;
                contents?
            }
        };
        let file: Arc<dyn ReadAt> = match &contents.bytes {
            Some(bytes) => bytes.clone(),
            None => file,
        };
        let opened = TableFile { path: path.to_owned(), file, identity, contents, spans: Arc::default() };
        if !is_known {
            lock(&self.known).insert(path, identity, opened.contents.clone());
        }
        Ok(opened)
    }
}

/// When a directory was changed last; on a network file system as the server has it, which may be asked for names again.
pub(crate) fn last_change(dir: &Path) -> io::Result<SystemTime> {
    let flags = AtFlags::STATX_FORCE_SYNC;
    let Ok(status) = rustix::fs::statx(CWD, dir, flags, StatxFlags::BASIC_STATS) else {
        // Not every system lets a process ask so.
        return std::fs::metadata(dir)?.modified();
    };
    let since_1970 = u64::try_from(status.stx_mtime.tv_sec).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::new(since_1970, status.stx_mtime.tv_nsec))
}

fn hash_of(dir: &Path) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    dir.hash(&mut hasher);
    hasher.finish()
}

/// Reads the footer of a file, and checks one that has our checksums. A small file that is at rest is read whole, and kept.
fn read_footer(path: &Path, file: &Arc<File>, status: &Metadata) -> Result<Arc<Contents>, StoreError> {
    const KEPT_BYTES_MAX: u64 = 4096;
    let bytes = status.len();
    let from_disk = FileBytes::new(file.clone(), bytes);
    // What is written into the file from now on must give it another time stamp.
    let kept = if bytes <= KEPT_BYTES_MAX && status.modified().is_ok_and(is_settled) {
        let all = from_disk.get_bytes(0, bytes as usize);
        all.ok().map(|all| Arc::new(SmallFile(all)))
    } else {
        None
    };
    let from_memory = kept.clone().map(|kept| FileBytes::new(kept, bytes));
    let footer =
        Footer::read(&from_memory.unwrap_or(from_disk)).map_err(|fault| source_fault(path, fault))?;
    check_row_count(&footer.metadata).map_err(|why| unreadable(path, &why))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::try_new(footer.metadata, options).map_err(|error| unreadable(path, &error))?;
    Ok(Arc::new(Contents {
        metadata,
        bytes: kept,
        integrity: footer.integrity,
        is_checked: AtomicBool::default(),
        checking: Mutex::default(),
        spans: Mutex::default(),
        agreed_keys: Mutex::default(),
        durations: OnceLock::default(),
    }))
}

/// The rows of a file are those of its row groups.
fn check_row_count(metadata: &ParquetMetaData) -> Result<(), String> {
    let rows = metadata.file_metadata().num_rows();
    let sum: i128 = metadata.row_groups().iter().map(|group| i128::from(group.num_rows())).sum();
    if sum == i128::from(rows) {
        return Ok(());
    }
    Err(format!("its footer says {rows} rows, but its row groups have {sum}"))
}

/// Whether a directory or file changed long enough ago that a change from now on gives it another time stamp.
pub(crate) fn is_settled(modified: SystemTime) -> bool {
    const COARSEST_CLOCK: Duration = Duration::from_secs(3);
    modified.elapsed().is_ok_and(|age| age > COARSEST_CLOCK)
}

impl TableFile {
    /// Checks what the footer does not vouch for by itself.
    fn check(&self) -> Result<(), StoreError> {
        if self.contents.is_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        let _checking = lock(&self.contents.checking);
        if !self.contents.is_checked.load(Ordering::Acquire) {
            let bytes = FileBytes::new(self.file.clone(), self.identity.bytes);
            self.read(|| {
                check_body(&bytes, self.contents.integrity).map_err(|fault| source_fault(&self.path, fault))
            })?;
            self.check_rate_index()?;
            self.contents.is_checked.store(true, Ordering::Release);
        }
        Ok(())
    }
}
