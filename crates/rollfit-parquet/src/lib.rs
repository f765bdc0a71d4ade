//! The embedded store, a directory of Parquet files:
//!
//! ```text
//! DIR/sources/TABLE/*.parquet                                  any file with the named columns
//! DIR/sources/TABLE/COLUMN=KEY/*.parquet                       of a long table, files of one key
//! DIR/features[.NAME]/key=K/month=YYYY-MM/part.parquet         one file a partition, the receipt in its footer
//! ```

mod advice;
mod diagnose;
mod direct;
mod encode;
mod fault;
mod features;
mod file_system;
mod import;
mod kind;
mod lock;
mod lock_note;
mod names;
mod own_disk;
mod sources;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollfit_job::config::{Compression, DirectIo, JobConfig, Series};
use rollfit_job::period::PeriodUnit;
use rollfit_job::runners::RunnerName;
use rollfit_job::store::{Fault, StoreError};

use crate::direct::direct_writes::DirectWrites;
use crate::encode::BufferPool;
use crate::features::durable_dirs::DurableDirs;
use crate::features::job_dir::job_dir_name;
use crate::features::job_lock::JobLock;
use crate::features::receipt_reader::ReceiptReader;
use crate::lock_note::LockNote;
use crate::sources::long::LongTables;
use crate::sources::sources_reader::SourcesReader;
use crate::sources::table_index::TableIndex;

pub use self::direct::raw_file::RawFile;
pub use self::file_system::{FileSystem, OsFileSystem, OutputFile};
pub use self::import::parquet_import::ParquetImport;
pub use self::kind::Parquet;

/// The name of this kind of store in records and documents.
const NAME: &str = "parquet";

/// A directory of Parquet files, as source and sink of one job.
pub struct ParquetStore {
    dir: PathBuf,
    sources_dir: PathBuf,
    features_dir: PathBuf,
    is_unnamed: bool,
    /// Of a store that is opened to write features, as far as its file system has locks on directories.
    job_lock: Option<JobLock>,
    by: PeriodUnit,
    series: Vec<Series>,
    columns: Vec<String>,
    compression: Compression,
    /// None where all files are buffered.
    direct: Option<Arc<DirectWrites>>,
    durable_dirs: DurableDirs,
    buffers: Arc<BufferPool>,
    files: Arc<dyn FileSystem>,
    index: Arc<TableIndex>,
    long: LongTables,
    reader: SourcesReader,
    receipts: ReceiptReader,
    /// What its locks say of who holds them.
    note: LockNote,
}

impl ParquetStore {
    /// The store at `dir` for the job `config`. Creates nothing.
    ///
    /// # Errors
    /// When `dir` cannot be opened.
    pub fn open(dir: &Path, config: &JobConfig) -> Result<Self, StoreError> {
        Self::open_with(dir, config, Box::new(OsFileSystem))
    }

    /// As [`ParquetStore::open`], reading sources and committing through `files`.
    ///
    /// # Errors
    /// As [`ParquetStore::open`].
    pub fn open_with(dir: &Path, config: &JobConfig, files: Box<dyn FileSystem>) -> Result<Self, StoreError> {
        std::fs::read_dir(dir).map_err(|error| {
            // Where nothing is, there is nothing to wait for: the configuration names something else than the user means.
            let is_absent = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
            StoreError::caused_by(
                if is_absent { Fault::Permanent } else { Fault::Unreachable },
                format!(
                    "cannot open the store {}; create it with `rollfit import --into` or mkdir",
                    dir.display()
                ),
                error,
            )
        })?;
        let sources_dir = dir.join("sources");
        let files: Arc<dyn FileSystem> = Arc::from(files);
        let features_dir = dir.join(job_dir_name(config.sink.name.as_deref()));
        let direct = || Arc::new(DirectWrites::new(features_dir.clone(), files.direct_piece_bytes()));
        Ok(Self {
            dir: dir.to_owned(),
            direct: (config.sink.direct_io == DirectIo::Auto).then(direct),
            durable_dirs: DurableDirs::default(),
            index: Arc::new(TableIndex::new(files.clone())),
            long: LongTables::default(),
            reader: SourcesReader::new(sources_dir.clone(), files.clone()),
            sources_dir,
            features_dir,
            receipts: ReceiptReader::default(),
            note: LockNote::new(&RunnerName::of_job(config)),
            is_unnamed: config.sink.name.is_none(),
            job_lock: None,
            by: config.by,
            series: config.series.clone(),
            columns: config.series.iter().flat_map(|series| series.columns.clone()).collect(),
            compression: config.sink.compression,
            buffers: Arc::default(),
            files,
        })
    }
}
