//! From arguments to things: the configuration read and checked, the store opened, the partitions selected.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rollfit_job::Job;
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::spec::Spec;
use rollfit_job::store::Fault;
use rollfit_store::parquet::ParquetStore;

use crate::args::{ConfigArguments, SelectArguments};
use crate::exit::Failure;

/// The directory that a store's URL names.
pub(crate) fn store_dir(url: &str) -> Result<PathBuf, Failure> {
    match url.split_once(':') {
        Some(("parquet", dir)) if !dir.is_empty() => Ok(PathBuf::from(dir)),
        Some((scheme, _)) if scheme != "parquet" => Err(Failure::usage(format!(
            "there is no store `{scheme}:`; write parquet:DIR, such as parquet:./fx"
        ))),
        _ => Err(Failure::usage("a store is written parquet:DIR, such as parquet:./fx")),
    }
}

/// Reads the configuration and the environment.
pub(crate) fn spec(arguments: &ConfigArguments) -> Result<Spec, Failure> {
    let path = &arguments.config;
    let text = read_config(path)?;
    let variables =
        std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    Spec::parse(&text, variables).map_err(|error| {
        let failure = Failure::from(error);
        Failure::usage(format!("{}: {failure}", path.display()))
    })
}

/// The text of the configuration. Where there is none, the environment may say everything.
fn read_config(path: &Path) -> Result<String, Failure> {
    let in_environment = || std::env::var_os("ROLLFIT_STORE__URL").is_some();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound && in_environment() => Ok(String::new()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::usage(format!(
            "there is no configuration {}: `rollfit init` writes one, --config names another",
            path.display()
        ))),
        Err(error) => {
            Err(Failure::usage(format!("cannot read the configuration {}: {error}", path.display())))
        }
    }
}

/// Opens the store of a job. A relative directory is relative to where the command runs.
pub(crate) fn store(spec: &Spec) -> Result<ParquetStore, Failure> {
    ParquetStore::open(&store_dir(&spec.store.url)?, spec).map_err(|error| match error.fault() {
        Fault::Permanent => Failure::usage(error),
        Fault::Transient | Fault::Unreachable => error.into(),
    })
}

/// A job with its store open and its partitions selected.
pub(crate) struct OpenJob {
    pub(crate) spec: Spec,
    pub(crate) store: ParquetStore,
    pub(crate) partitions: Vec<Partition>,
    workers: usize,
}

impl OpenJob {
    pub(crate) fn new(arguments: &SelectArguments) -> Result<Self, Failure> {
        let spec = spec(&arguments.config)?;
        let store = store(&spec)?;
        let partitions = partitions(&spec, &store, &store, &arguments.only)?;
        let workers = arguments.workers.unwrap_or(spec.run.workers).count(partitions.len());
        Ok(Self { spec, store, partitions, workers })
    }

    pub(crate) fn job(&self) -> Job<'_> {
        Job { spec: &self.spec, source: &self.store, sink: &self.store, workers: self.workers }
    }
}
