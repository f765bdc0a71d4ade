//! [`OpenStores`]: the stores of a configuration, opened as the command opens them, for other front ends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rollfit_job::Job;
use rollfit_job::config::{JobConfig, Keys};
use rollfit_job::foreign;
use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::runners::Shard;
use rollfit_job::selection::Selection;
use rollfit_job::state::State;
use rollfit_job::store::{Purpose, Sink, Source};
use rollfit_job::watch::Machine;

use crate::args::ConfigArguments;
use crate::commands::before_work::tell_before_work;
use crate::config_path::ConfigPath;
use crate::exit::Failure;
use crate::job_arguments::JobArguments;
use crate::open::{self, planned};
use crate::partition_task::TaskPartition;
use crate::stores::{self, Stores};
use crate::{logging, machine};

/// A configuration whose stores are open to be read.
pub struct OpenStores {
    /// The configuration.
    pub config: JobConfig,
    /// Where series come from, derived ones included.
    pub source: Arc<dyn Source>,
    /// Where features are.
    pub sink: Arc<dyn Sink>,
    machine: Arc<dyn Machine>,
    /// Why the same configuration on another machine means other stores; none where it does not.
    only_here: Option<String>,
    /// Whether it is known who else is at work, and the caller was told.
    is_checked: Mutex<bool>,
}

impl OpenStores {
    /// The configuration that the command takes where none is named: that of `ROLLFIT_CONFIG`, or the nearest `rollfit.toml` in the working
    /// directory or above it.
    ///
    /// # Errors
    /// When the nearest one is another user's.
    pub fn usual_config() -> Result<PathBuf, Failure> {
        match std::env::var_os("ROLLFIT_CONFIG").filter(|named| !named.is_empty()) {
            Some(named) => Ok(PathBuf::from(named)),
            None => Ok(ConfigPath::find(None)?.path),
        }
    }

    /// Reads the configuration, with `ROLLFIT_` variables of the environment, and opens its stores. A standby will do.
    ///
    /// Relative paths in it are those of this moment, wherever the process works later.
    ///
    /// # Errors
    /// Where the command fails too.
    pub fn open(config: impl Into<PathBuf>) -> Result<Self, Failure> {
        Self::open_for(config.into(), Purpose::Read)
    }

    /// The same, for one who writes features too.
    ///
    /// # Errors
    /// Where `rollfit run` fails too.
    pub fn open_to_write(config: impl Into<PathBuf>) -> Result<Self, Failure> {
        let open = Self::open_for(config.into(), Purpose::Write)?;
        stores::opened(patiently(|| open.sink.check_version()))?;
        Ok(open)
    }

    fn open_for(config: PathBuf, purpose: Purpose) -> Result<Self, Failure> {
        let config = std::path::absolute(config)
            .map_err(|error| Failure::usage(format!("cannot find the configuration: {error}")))?;
        let file = ConfigArguments { config: Some(config) };
        let config = open::config(&JobArguments::of_config(file))?;
        let stores = Stores::open(&config, purpose)?;
        let (source, sink) = (stores.source(), stores.sink());
        let only_here = stores.only_here();
        let is_checked = Mutex::new(false);
        Ok(Self { config, source, sink, machine: machine::here(), only_here, is_checked })
    }

    /// The partitions of the job that `only` selects, all without any, in the order of a plan; of those the share that is asked for.
    ///
    /// # Errors
    /// Where there is no plan, or `only` selects none.
    pub fn partitions(&self, only: &Selection, shard: Option<Shard>) -> Result<Vec<Partition>, Failure> {
        let mut partitions = planned(&self.config, self.source.as_ref(), self.sink.as_ref(), only)?;
        if let Some(shard) = shard {
            partitions.retain(|partition| shard.owns(&self.sink.output(partition)));
        }
        Ok(partitions)
    }

    /// Looks, before the first partition that is worked on here, at who else is at work on the store, and says what a task would come across.
    /// `planned_on` is the host that planned the partition, where that is known.
    ///
    /// # Errors
    /// Where another runner computes something else for this partition, and where the store cannot be reached.
    pub(crate) fn check_once(
        &self,
        partition: &Partition,
        planned_on: Option<&str>,
        replace: &[State],
    ) -> Result<(), Failure> {
        // Whoever comes at the same time waits: its partition is not begun before.
        let mut is_checked = lock(&self.is_checked);
        if *is_checked {
            return Ok(());
        }
        tell_before_work(&self.job(), std::slice::from_ref(partition), replace)?;
        let is_elsewhere = planned_on.is_some_and(|host| host != machine::host_name());
        if let Some(why) = self.only_here.as_ref().filter(|_| is_elsewhere) {
            let planned_on = foreign::name(planned_on.unwrap_or_default());
            logging::warn(&format!(
                "the partitions were planned on {planned_on}, and this is another machine: {why}"
            ));
        }
        *is_checked = true;
        Ok(())
    }

    /// The partition that a caller means, if the job has it.
    pub(crate) fn partition(&self, partition: &TaskPartition) -> Result<Partition, Failure> {
        match partition {
            TaskPartition::Named(selector) if selector.partition_by(self.config.by).is_none() => {
                Err(Failure::usage(format!(
                    "`{selector}` is not one partition; name its key and its {}, such as \"eurusd:{}\"",
                    self.config.by.noun(),
                    self.config.by.example()
                )))
            }
            TaskPartition::Named(selector) => {
                let found = self.partitions(&Selection::from_iter([selector.clone()]), None)?;
                found
                    .into_iter()
                    .next()
                    .ok_or_else(|| Failure::usage(format!("{selector}: no such partition")))
            }
            TaskPartition::Planned { partition, .. } => {
                self.check_planned(partition).map(|()| partition.clone())
            }
        }
    }

    /// Checks cheaply that a partition of a plan is one of this configuration: the plan may have been made with another.
    fn check_planned(&self, partition: &Partition) -> Result<(), Failure> {
        let config = &self.config;
        let is_listed = match &config.keys {
            Keys::Listed(keys) => keys.contains(&partition.key),
            Keys::All => true,
        };
        if is_listed && config.has_period(partition.period) {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{partition}: no such partition in the configuration that this process reads; was it planned with another one?"
        )))
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

#[cfg(test)]
mod tests {
    use rollfit_job::config::EXAMPLE;

    use super::*;

    #[test]
    fn that_a_store_is_one_machines_alone_is_said_once_where_another_machine_planned() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("url = \"parquet:{}\"", dir.path().display());
        let lines = EXAMPLE.lines().map(|line| if line.starts_with("url = ") { url.as_str() } else { line });
        let config = dir.path().join("rollfit.toml");
        std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let open =
            || OpenStores { only_here: Some("a disk".to_owned()), ..OpenStores::open(&config).unwrap() };
        let partition = Partition::new("eurusd", "2017-01".parse().unwrap());
        logging::keep_messages();
        let told = |stores: &OpenStores, host: Option<&str>| {
            stores.check_once(&partition, host, &[]).unwrap();
            let messages = logging::take_messages();
            messages.iter().filter(|message| message.text.contains("were planned on")).count()
        };
        let stores = open();
        assert_eq!(told(&stores, Some("elsewhere")), 1);
        assert_eq!(told(&stores, Some("elsewhere")), 0);
        let here = machine::host_name();
        for host in [None, Some(here.as_str())] {
            assert_eq!(told(&open(), host), 0);
        }
    }
}
