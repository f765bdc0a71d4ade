//! [`TableIndex`]: source tables as found, the files of `sources/TABLE/`, from any writer.
//!
//! Invariants: a file that rollfit wrote is checked, all its bytes, before a row of it is used.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;
use rollfit_files::damaged::contain_panics;
use rollfit_files::parquet_file::{FileBytes, Footer, check_body};
use rollfit_job::lock::lock;
use rollfit_job::store::{Fault, StoreError};

use crate::fault::{file_error, source_fault, unreadable};
use crate::file_system::{FileSystem, OsFileSystem, refresh_dir};
use crate::sources::file_spans::{Contents, FileIdentity, FileSpans};
use crate::sources::listing::{table_files, warn_of_passed_over};
use crate::sources::table_file::TableFile;

/// What is known of tables and their files, so that each footer is read once, and a directory listed again only when it
/// has changed.
pub(crate) struct TableIndex {
    files: Arc<dyn FileSystem>,
    seen: Mutex<HashMap<PathBuf, (FileIdentity, Arc<Contents>)>>,
    listed: Mutex<HashMap<(PathBuf, String), Listing>>,
    /// The tables whose files that are not read were named.
    named: Mutex<HashSet<PathBuf>>,
}

/// The files of a table, when its directory had not changed for a while.
struct Listing {
    modified: SystemTime,
    files: Arc<Vec<FileSpans>>,
}

impl Default for TableIndex {
    fn default() -> Self {
        Self::new(Arc::new(OsFileSystem))
    }
}

impl TableIndex {
    /// An index of files that are opened through `files`.
    pub(crate) fn new(files: Arc<dyn FileSystem>) -> Self {
        Self { files, seen: Mutex::default(), listed: Mutex::default(), named: Mutex::default() }
    }

    /// The files of a table; `None` if the table does not exist.
    pub(crate) fn files(&self, dir: &Path, time: &str) -> Result<Option<Arc<Vec<FileSpans>>>, StoreError> {
        refresh_dir(dir);
        let modified = match std::fs::metadata(dir).and_then(|status| status.modified()) {
            Ok(modified) => modified,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error("list", dir, error)),
        };
        let place = (dir.to_owned(), time.to_owned());
        if let Some(listing) = lock(&self.listed).get(&place).filter(|listing| listing.modified == modified) {
            return Ok(Some(listing.files.clone()));
        }
        let Some(paths) = table_files(dir)? else { return Ok(None) };
        if lock(&self.named).insert(dir.to_owned()) {
            warn_of_passed_over(dir);
        }
        let files = paths.iter().map(|path| self.spans(path, time)).collect::<Result<Vec<_>, _>>()?;
        let files = Arc::new(files);
        if is_settled(modified) {
            lock(&self.listed).insert(place, Listing { modified, files: files.clone() });
        }
        Ok(Some(files))
    }

    /// The spans of a file, which is opened only if it is new or has changed.
    fn spans(&self, path: &Path, time: &str) -> Result<FileSpans, StoreError> {
        let status = std::fs::symlink_metadata(path).map_err(|error| file_error("read", path, error))?;
        let identity = FileIdentity::from_metadata(&status);
        let known = self.known(path, identity);
        let spans = known.as_ref().and_then(|known| lock(&known.spans).get(time).cloned());
        match spans.zip(known) {
            Some((spans, contents)) => Ok(FileSpans { path: path.to_owned(), identity, spans, contents }),
            None => Ok(self.open_unchecked(path, time)?.file_spans()),
        }
    }

    /// Checks every byte of the files that rollfit wrote, those of a table of which rows are wanted.
    pub(crate) fn check(&self, listed: &[FileSpans], time: &str) -> Result<(), StoreError> {
        let mut unchecked = listed.iter().filter(|file| !file.contents.is_checked.load(Ordering::Acquire));
        unchecked.try_for_each(|file| self.reopen(file, time).map(drop))
    }

    /// Opens a file as it was listed.
    pub(crate) fn reopen(&self, listed: &FileSpans, time: &str) -> Result<TableFile, StoreError> {
        let file = self.open(&listed.path, time)?;
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

    /// Opens a file of which no row is used: a plan needs the footers of all keys, and the rows of a few.
    fn open_unchecked(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        contain_panics(|| self.open_file(path, time)).unwrap_or_else(|error| Err(unreadable(path, &error)))
    }

    fn open_file(&self, path: &Path, time: &str) -> Result<TableFile, StoreError> {
        let file = self.files.open(path).map_err(|error| file_error("read", path, error))?;
        let status = file.metadata().map_err(|error| file_error("read", path, error))?;
        let (file, identity) = (Arc::new(file), FileIdentity::from_metadata(&status));
        let known = self.known(path, identity);
        let is_known = known.is_some();
        let contents = match known {
            Some(contents) => contents,
            None => read_footer(path, &FileBytes::new(file.clone(), identity.bytes))?,
        };
        let mut opened = TableFile { path: path.to_owned(), file, identity, contents, spans: Arc::default() };
        if !is_known {
            lock(&self.seen).insert(path.to_owned(), (identity, opened.contents.clone()));
        }
        opened.spans = opened.find_spans(time)?;
        Ok(opened)
    }

    fn known(&self, path: &Path, identity: FileIdentity) -> Option<Arc<Contents>> {
        let seen = lock(&self.seen);
        seen.get(path).filter(|(known, _)| *known == identity).map(|(_, contents)| contents.clone())
    }
}

/// Reads the footer of a file, and checks one that has our checksums.
fn read_footer(path: &Path, bytes: &FileBytes) -> Result<Arc<Contents>, StoreError> {
    let footer = Footer::read(bytes).map_err(|fault| source_fault(path, fault))?;
    check_row_count(&footer.metadata).map_err(|why| unreadable(path, &why))?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::try_new(footer.metadata, options).map_err(|error| unreadable(path, &error))?;
    Ok(Arc::new(Contents {
        metadata,
        integrity: footer.integrity,
        is_checked: AtomicBool::default(),
        checking: Mutex::default(),
        spans: Mutex::default(),
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

/// Whether a directory changed long enough ago that a change from now on gives it another time stamp.
fn is_settled(modified: SystemTime) -> bool {
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
            check_body(&bytes, self.contents.integrity).map_err(|fault| source_fault(&self.path, fault))?;
            self.check_rate_index()?;
            self.contents.is_checked.store(true, Ordering::Release);
        }
        Ok(())
    }
}
