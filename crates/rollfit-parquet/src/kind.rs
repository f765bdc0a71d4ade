//! [`Parquet`]: the kind of store whose URL is `parquet:DIR`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollfit_job::config::{JobConfig, Layout, RowSecurity, StoreConfig};
use rollfit_job::import::{BarsOptions, KeyReport, NewBars};
use rollfit_job::key::KeysByCase;
use rollfit_job::store::{
    Advice, BarsImport, Bottleneck, Diagnosis, Examination, JobExchange, Purpose, Sink, Source, Store,
    StoreError, StoreKind, SurveyedTable,
};

use crate::advice::advice;
use crate::features::job_dir::check_job_dir;
use crate::file_system::OsFileSystem;
use crate::import::parquet_import::{ParquetImport, check_key_names};
use crate::names::check_patterns;
use crate::sources::survey::survey;
use crate::{NAME, ParquetStore, diagnose};
use rollfit_files::path::{full, without_shell};

/// Directories of Parquet files.
#[derive(Clone, Copy, Debug)]
pub struct Parquet;

impl StoreKind for Parquet {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schemes(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn url_form(&self) -> &'static str {
        "parquet:DIR, such as parquet:./fx"
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_secs(15 * 60)
    }

    fn check(&self, store: &StoreConfig) -> Result<(), StoreError> {
        if url_path(store).is_empty() {
            return Err(StoreError::permanent(format!(
                "the directory is missing; write the URL as {}",
                self.url_form()
            )));
        }
        path_of(store)?;
        let is_set = store.schema.is_some()
            || store.password_command.is_some()
            || store.row_security != RowSecurity::default();
        match is_set {
            false => Ok(()),
            true => Err(StoreError::permanent(
                "schema, password_command and row_security apply to databases only; remove them for a directory of files",
            )),
        }
    }

    fn open(
        &self,
        store: &StoreConfig,
        config: &JobConfig,
        purpose: Purpose,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let is_sink = config.sink.store == *store;
        if is_sink && config.sink.layout == Layout::Fits {
            return Err(StoreError::permanent(
                "layout = \"fits\" applies to databases only, where views compute the features: a directory of files keeps \
                 metrics; remove layout, or write features to a database",
            ));
        }
        if is_sink && config.sink.server.is_set() {
            return Err(StoreError::permanent(
                "server_cores and server_metrics_command apply to databases only: a directory of files has no server; remove them",
            ));
        }
        check_patterns(config, config.source == *store, is_sink)?;
        let dir = dir_of(store)?;
        let mut opened = ParquetStore::open(&dir, config)?;
        if let Some(name) = config.sink.name.as_deref().filter(|_| is_sink) {
            check_job_dir(&dir, name)?;
        }
        if is_sink && purpose == Purpose::Write {
            opened.lock_job()?;
        }
        Ok(Arc::new(opened))
    }

    fn survey(&self, store: &StoreConfig) -> Result<Vec<SurveyedTable>, StoreError> {
        survey(&dir_of(store)?)
    }

    fn advice(&self, bottleneck: Bottleneck) -> Vec<Advice> {
        advice(bottleneck)
    }

    fn check_import_keys(&self, keys: &[&str]) -> Result<(), StoreError> {
        KeysByCase::check(keys.iter().copied())
            .map_err(|clash| StoreError::permanent(format!("{clash}; give one of them another key")))
    }

    fn import_into(
        &self,
        store: &StoreConfig,
        options: BarsOptions,
    ) -> Result<Box<dyn BarsImport>, StoreError> {
        Ok(Box::new(DirectoryImport { dir: dir_of(store)?, options, started: None }))
    }
}

/// The part after the scheme.
fn url_path(store: &StoreConfig) -> &str {
    store.url.split_once(':').map_or("", |(_, path)| path)
}

/// The path that is meant by it.
fn path_of(store: &StoreConfig) -> Result<PathBuf, StoreError> {
    without_shell(url_path(store))
        .map_err(|why| StoreError::permanent(format!("the store {}: {why}", url_path(store))))
}

/// The directory that a URL names. Where it is relative it starts from the place's own directory.
///
/// # Errors
/// When it is not there, but is where it would be if the path started from the working directory.
fn dir_of(store: &StoreConfig) -> Result<PathBuf, StoreError> {
    let dir = path_of(store)?;
    if store.url_dir.as_os_str().is_empty() || dir.is_absolute() {
        return Ok(dir);
    }
    let found: PathBuf = store.url_dir.join(&dir).components().collect();
    if found.exists() || !dir.exists() {
        return Ok(found);
    }
    let (found, other) = (full(&found), full(&dir));
    Err(StoreError::permanent(format!(
        "the store {} does not exist, but {} does: paths in a configuration are relative to its own directory, not to \
         the working directory; move the store, or write url = \"parquet:{}\"",
        found.display(),
        other.display(),
        other.display()
    )))
}

/// An import into a directory, which is not touched before the first key.
struct DirectoryImport {
    dir: PathBuf,
    options: BarsOptions,
    started: Option<ParquetImport<'static>>,
}

impl BarsImport for DirectoryImport {
    fn add(&mut self, key: &str, bars: &dyn NewBars) -> Result<KeyReport, StoreError> {
        check_key_names(&self.dir, key)?;
        let import = match &mut self.started {
            Some(import) => import,
            None => {
                let import = ParquetImport::begin(&self.dir, self.options.clone(), &OsFileSystem)?;
                self.started.insert(import)
            }
        };
        import.add(key, bars)
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.started.map_or(Ok(()), |import| Box::new(import).commit())
    }
}

impl Store for ParquetStore {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }

    fn sink(self: Arc<Self>) -> Arc<dyn Sink> {
        self
    }

    fn exchange(&self, other: Option<&str>) -> Result<Box<dyn JobExchange + '_>, StoreError> {
        Ok(Box::new(self.begin_exchange(other)?))
    }

    fn diagnose(&self, examination: &Examination<'_>) -> Result<Diagnosis, StoreError> {
        diagnose::diagnose(self, examination)
    }
}
