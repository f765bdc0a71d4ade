//! The embedded store, a directory of Parquet files:
//!
//! ```text
//! DIR/sources/TABLE/*.parquet                                  any file with the named columns
//! DIR/features/[NAME/]key=K/month=YYYY-MM/part.parquet         one file a partition, the receipt in its footer
//! ```

mod advice;
mod bars;
mod diagnose;
mod encode;
mod fault;
mod files;
mod kind;
mod listing;
mod lock;
mod open_table;
mod rate_index;
mod read_back;
mod sink;
mod source;
mod sources_lock;
mod spans;
mod staged;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use bars::ParquetImport;
pub use files::{Files, OutputFile, RealFiles};
use rollfit_job::spec::{Compression, Series, Spec};
use rollfit_job::store::{Fault, StoreError};

pub use kind::Parquet;
use rollfit_job::key_finder::KeyFinder;
use table::TableIndex;

/// A directory of Parquet files, as source and sink of one job.
pub struct ParquetStore {
    dir: PathBuf,
    sources_dir: PathBuf,
    features_dir: PathBuf,
    series: Vec<Series>,
    columns: Vec<String>,
    compression: Compression,
    files: Box<dyn Files>,
    index: Arc<TableIndex>,
    key_finder: KeyFinder,
}

impl ParquetStore {
    /// The store at `dir` for the job `spec`. Creates nothing.
    ///
    /// # Errors
    /// When `dir` cannot be opened.
    pub fn open(dir: &Path, spec: &Spec) -> Result<Self, StoreError> {
        Self::open_with(dir, spec, Box::new(RealFiles))
    }

    /// As [`ParquetStore::open`], committing through `files`.
    ///
    /// # Errors
    /// As [`ParquetStore::open`].
    pub fn open_with(dir: &Path, spec: &Spec, files: Box<dyn Files>) -> Result<Self, StoreError> {
        std::fs::read_dir(dir).map_err(|error| {
            StoreError::caused_by(
                Fault::Unreachable,
                format!(
                    "cannot open the store {}; `rollfit import --into` makes one, or mkdir",
                    dir.display()
                ),
                error,
            )
        })?;
        let features = dir.join("features");
        Ok(Self {
            dir: dir.to_owned(),
            sources_dir: dir.join("sources"),
            features_dir: spec
                .sink
                .name
                .as_ref()
                .map_or_else(|| features.clone(), |name| features.join(name)),
            series: spec.series.clone(),
            columns: spec.series.iter().flat_map(|series| series.columns.clone()).collect(),
            compression: spec.sink.compression,
            files,
            index: Arc::default(),
            key_finder: KeyFinder::new(spec),
        })
    }
}
