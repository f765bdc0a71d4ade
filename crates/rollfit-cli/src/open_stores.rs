//! [`OpenStores`]: the stores of a configuration, opened as the command opens them, for other front ends.

use std::path::PathBuf;
use std::sync::Arc;

use rollfit_job::Job;
use rollfit_job::config::JobConfig;
use rollfit_job::store::{Purpose, Sink, Source};
use rollfit_job::watch::Machine;

use crate::args::ConfigArguments;
use crate::exit::Failure;
use crate::machine;
use crate::open;
use crate::stores::Stores;

/// A configuration whose stores are open to be read.
pub struct OpenStores {
    /// The configuration.
    pub config: JobConfig,
    /// Where series come from, derived ones included.
    pub source: Arc<dyn Source>,
    /// Where features are.
    pub sink: Arc<dyn Sink>,
    machine: Arc<dyn Machine>,
}

impl OpenStores {
    /// The configuration that the command takes where none is named.
    pub fn usual_config() -> PathBuf {
        std::env::var_os("ROLLFIT_CONFIG").map_or_else(|| PathBuf::from("rollfit.toml"), PathBuf::from)
    }

    /// Reads the configuration, with `ROLLFIT_` variables of the environment, and opens its stores. A standby will do.
    ///
    /// Relative paths in it are those of this moment, wherever the process works later.
    ///
    /// # Errors
    /// Where the command fails too.
    pub fn open(config: impl Into<PathBuf>) -> Result<Self, Failure> {
        let config = std::path::absolute(config.into())
            .map_err(|error| Failure::usage(format!("cannot find the configuration: {error}")))?;
        let config = open::config(&ConfigArguments { config })?;
        let stores = Stores::open(&config, Purpose::Read)?;
        let (source, sink) = (stores.source(), stores.sink());
        Ok(Self { config, source, sink, machine: machine::here() })
    }

    /// The job.
    pub fn job(&self) -> Job<'_> {
        Job {
            config: &self.config,
            source: self.source.as_ref(),
            sink: self.sink.as_ref(),
            workers: self.config.run.workers,
            machine: self.machine.as_ref(),
        }
    }
}
