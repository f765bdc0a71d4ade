//! [`FileSpans`]: what is known of a file of a table that need not be open: which file it is, its footer, and the
//! instants of its row groups.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::parquet_to_arrow_schema;
use rollfit_files::damaged::contain_panics;
use rollfit_files::parquet_file::{Integrity, ReadAt};
use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::sources::group_span::GroupSpan;

/// A file of a table that need not be open, and the instants of its row groups.
#[derive(Clone)]
pub(crate) struct FileSpans {
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) spans: Arc<Vec<GroupSpan>>,
    pub(crate) contents: Arc<Contents>,
}

impl FileSpans {
    pub(crate) fn integrity(&self) -> Integrity {
        self.contents.integrity
    }

    /// Whether it is still the file at its path.
    pub(crate) fn is_current(&self) -> bool {
        std::fs::symlink_metadata(&self.path)
            .is_ok_and(|status| FileIdentity::from_metadata(&status) == self.identity)
    }

    /// The first and the last instant of the file; none where it is empty.
    pub(crate) fn span_us(&self) -> Option<(i64, i64)> {
        let first = self.spans.iter().map(|span| span.first_us).min()?;
        let last = self.spans.iter().map(|span| span.last_us).max()?;
        Some((first, last))
    }

    /// The rows of the file.
    pub(crate) fn rows(&self) -> usize {
        self.spans.iter().map(|span| span.rows).sum()
    }

    /// About how many rows lie within `span_us`: of a row group that reaches beyond it, a share as large as the share
    /// of its time.
    pub(crate) fn estimate_rows(&self, span_us: &Range<i64>) -> u64 {
        let within = |span: &GroupSpan| {
            let shared = span.last_us.min(span_us.end - 1).saturating_sub(span.first_us.max(span_us.start));
            let share = (shared as f64 + 1.0) / (span.last_us.saturating_sub(span.first_us) as f64 + 1.0);
            (share.clamp(0.0, 1.0) * span.rows as f64).round() as u64
        };
        self.spans.iter().map(within).sum()
    }
}

/// Tells a file from another one that takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
    pub(crate) bytes: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    pub(crate) fn from_metadata(status: &Metadata) -> Self {
        Self {
            device: status.dev(),
            inode: status.ino(),
            bytes: status.len(),
            modified: (status.mtime(), status.mtime_nsec()),
        }
    }

    /// The file at `path` as it is now, for a network file system as well; an error where there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let flags = AtFlags::STATX_FORCE_SYNC | AtFlags::SYMLINK_NOFOLLOW;
        let Ok(status) = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS) else {
            // Not every system lets a process ask so.
            return std::fs::symlink_metadata(path).map(|status| Self::from_metadata(&status));
        };
        Ok(Self {
            device: rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor),
            inode: status.stx_ino,
            bytes: status.stx_size,
            modified: (status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec.into()),
        })
    }
}

/// All bytes of a file that has few.
pub(crate) struct SmallFile(pub(crate) Bytes);

impl ReadAt for SmallFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

/// What is known of a file's contents: its footer, checked where that is possible.
pub(crate) struct Contents {
    pub(crate) metadata: ArrowReaderMetadata,
    /// The file itself, where it is small: then it need not be opened again.
    pub(crate) bytes: Option<Arc<SmallFile>>,
    pub(crate) integrity: Integrity,
    /// Whether the rest of the file was checked too.
    pub(crate) is_checked: AtomicBool,
    /// Held while it is, so that threads do not all read it.
    pub(crate) checking: Mutex<()>,
    /// The instants of each row group, for each time column read so far.
    pub(crate) spans: Mutex<HashMap<String, Arc<Vec<GroupSpan>>>>,
    /// Key columns whose rows all have a key, each with that.
    pub(crate) agreed_keys: Mutex<HashSet<(String, String)>>,
    /// The columns whose whole numbers are durations, as Arrow says; found when one is asked about.
    pub(crate) durations: OnceLock<HashSet<String>>,
}

impl Contents {
    /// Whether the file has a column of this name.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.metadata.schema().fields().iter().any(|field| field.name() == name)
    }

    /// Whether the whole numbers of a column are durations. Parquet has no such type: only Arrow's own schema in the footer says so.
    pub(crate) fn is_duration(&self, column: &str) -> bool {
        let durations = || {
            let file = self.metadata.metadata().file_metadata();
            let read = || parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata());
            // A schema of Arrow that cannot be read says nothing.
            let Ok(Ok(schema)) = contain_panics(read) else { return HashSet::new() };
            let is_duration = |field: &&Arc<Field>| matches!(field.data_type(), DataType::Duration(_));
            schema.fields().iter().filter(is_duration).map(|field| field.name().clone()).collect()
        };
        self.durations.get_or_init(durations).contains(column)
    }

    /// What the footer says under `key`.
    pub(crate) fn metadata_value(&self, key: &str) -> Option<String> {
        let entries = self.metadata.metadata().file_metadata().key_value_metadata()?;
        entries.iter().find(|entry| entry.key == key)?.value.clone()
    }
}
