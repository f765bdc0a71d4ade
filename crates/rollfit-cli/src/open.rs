//! [`OpenJob`]: made from arguments. Reads and checks the configuration, opens the stores, selects the partitions.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollfit_job::Job;
use rollfit_job::config::{CONFIG_BYTES_MAX, ConfigError, JobConfig, StoreConfig, Workers};
use rollfit_job::key::check_name;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::plan::{PlanError, partitions};
use rollfit_job::runners::Shard;
use rollfit_job::selection::Selection;
use rollfit_job::store::{Purpose, Sink, Source};
use rollfit_job::watch::Machine;
use rollfit_job::workers::for_each;

use crate::args::{ConfigArguments, SelectArguments};
use crate::config_path::ConfigPath;
use crate::exit::Failure;
use crate::given_shard::GivenShard;
use crate::job_arguments::JobArguments;
use crate::paths::dir_of_config;
use crate::share::Share;
use crate::stores::{self, Stores};
use crate::{environment, logging, machine};

/// Reads the configuration and the environment; a name that was typed is the job's.
pub(crate) fn config(arguments: &JobArguments) -> Result<JobConfig, Failure> {
    let mut config = parse_config(&arguments.file, &["STORE", "SINK"], JobConfig::parse_in)?;
    if let Some(name) = &arguments.name {
        check_name(name).map_err(|error| Failure::usage(format!("--name: {error}")))?;
        config.sink.name = Some(name.clone());
    }
    Ok(config)
}

/// Reads where series are from the configuration and the environment, and nothing else.
pub(crate) fn source_store(arguments: &ConfigArguments) -> Result<StoreConfig, Failure> {
    parse_config(arguments, &["STORE", "SOURCE"], StoreConfig::parse_source)
}

/// Names and values of the environment.
type Variables = Vec<(String, String)>;

/// Parses the configuration, which may be missing if the environment has the URL of one of `sections`.
fn parse_config<T>(
    arguments: &ConfigArguments,
    sections: &[&str],
    parse: impl FnOnce(&Path, &str, Variables) -> Result<T, ConfigError>,
) -> Result<T, Failure> {
    environment::check()?;
    let found = ConfigPath::find(arguments.config.as_deref())?;
    let path = &found.path;
    // Found first: the configuration may be a pipe, which is gone after reading.
    let dir = dir_of_config(path);
    let text = read_config(&found, sections)?;
    let variables =
        std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    parse(&dir, &text, variables.collect())
        .map_err(|error| Failure::from(error).after(&format!("{}:", path.display())))
}

/// The text of the configuration. It may be missing if the environment names the store.
fn read_config(found: &ConfigPath, sections: &[&str]) -> Result<String, Failure> {
    let path = &found.path;
    let in_environment = || {
        let is_set = |section: &&str| std::env::var_os(format!("ROLLFIT_{section}__URL")).is_some();
        sections.iter().any(is_set)
    };
    match read_bounded(path) {
        Ok(text) if text.len() > CONFIG_BYTES_MAX => {
            Err(Failure::from(ConfigError::too_long()).after(&format!("{}:", path.display())))
        }
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound && in_environment() => Ok(String::new()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(found.missing()),
        Err(error) => {
            Err(Failure::usage(format!("cannot read the configuration {}: {error}", path.display())))
        }
    }
}

/// Reads a file that may be a pipe, as far as a configuration goes and a little further.
fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > CONFIG_BYTES_MAX {
        // The end may be in the middle of a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// As [`partitions`]; a store that is lost on the way is waited for.
pub(crate) fn planned(
    config: &JobConfig,
    source: &dyn Source,
    sink: &dyn Sink,
    only: &Selection,
) -> Result<Vec<Partition>, PlanError> {
    patiently(|| match partitions(config, source, sink, only) {
        Err(PlanError::Store(error)) => Err(error),
        other => Ok(other),
    })?
}

/// A job with its stores open and its partitions selected.
pub(crate) struct OpenJob {
    pub(crate) config: JobConfig,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) sink: Arc<dyn Sink>,
    /// Those selected, of all shards until [`OpenJob::of_own_share`].
    pub(crate) partitions: Vec<Partition>,
    pub(crate) selection: Selection,
    /// The share that is this machine's; none where it has the whole job.
    pub(crate) share: Option<Share>,
    /// Those selected that are in that share.
    own: Option<Vec<Partition>>,
    workers: Workers,
    pub(crate) machine: Arc<dyn Machine>,
    /// Where the configuration is.
    pub(crate) config_path: PathBuf,
}

impl OpenJob {
    /// A job that may write, or the share of it that is given, which is said in one line.
    pub(crate) fn new(arguments: &SelectArguments, given: Option<&GivenShard>) -> Result<Self, Failure> {
        let job = Self::open(arguments, given, Purpose::Write)?;
        stores::opened(patiently(|| job.sink.check_version()))?;
        Ok(job)
    }

    /// The same for a job that only reads, for which a standby will do.
    pub(crate) fn to_read(arguments: &SelectArguments, given: Option<&GivenShard>) -> Result<Self, Failure> {
        Self::open(arguments, given, Purpose::Read)
    }

    /// Leaves out the partitions of other shards.
    #[must_use]
    pub(crate) fn of_own_share(mut self) -> Self {
        if let Some(own) = self.own.take() {
            self.partitions = own;
        }
        self
    }

    /// Leaves out the partitions that are not wanted.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&Partition) -> bool) {
        self.partitions.retain(&is_wanted);
        if let Some(own) = &mut self.own {
            own.retain(&is_wanted);
        }
    }

    /// Those selected that are in the share of this machine.
    pub(crate) fn own_partitions(&self) -> &[Partition] {
        self.own.as_deref().unwrap_or(&self.partitions)
    }

    fn open(
        arguments: &SelectArguments,
        given: Option<&GivenShard>,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        let selection = arguments.selection.selection()?;
        // Before the stores are opened: its first sample covers the time since then.
        let machine = machine::here();
        let mut config = config(&arguments.job)?;
        let config_path = ConfigPath::find(arguments.job.file.config.as_deref())?.path;
        // The stores name their sessions after it.
        config.run.shard = given.and_then(GivenShard::share);
        let stores = Stores::open(&config, purpose)?;
        let (source, sink) = (stores.source(), stores.sink());
        if let Some(device) = sink.device() {
            machine.watch_device(device);
        }
        let partitions = planned(&config, source.as_ref(), sink.as_ref(), &selection)?;
        let workers = arguments.workers.unwrap_or(config.run.workers);
        let mut job = Self {
            config,
            source,
            sink,
            partitions,
            selection,
            share: None,
            own: None,
            workers,
            machine,
            config_path,
        };
        if let Some(given) = given {
            job.tell_share(given, stores.only_here());
        }
        Ok(job)
    }

    /// Finds the share of this machine and says which it is.
    fn tell_share(&mut self, given: &GivenShard, only_here: Option<String>) {
        self.own = given.share().map(|shard| self.partitions_of(shard));
        let share = Share::new(given, self.own_partitions().len(), self.partitions.len());
        let only_here = only_here.filter(|_| given.share().is_some());
        logging::info(&share.sentence(only_here.as_deref().filter(|_| !given.is_of_array_job)));
        if let Some(why) = only_here.filter(|_| given.is_of_array_job) {
            logging::warn(&why);
        }
        self.share = given.share().map(|_| share);
    }

    /// Those selected that are in a share, found on all cores: of many shards and partitions that is much to hash.
    fn partitions_of(&self, shard: Shard) -> Vec<Partition> {
        let threads = Workers::Auto.count(self.partitions.len());
        let is_own =
            for_each(&self.partitions, threads, |partition| shard.owns(&self.sink.output(partition)));
        self.partitions
            .iter()
            .zip(is_own)
            .filter(|(_, is_own)| *is_own)
            .map(|(partition, _)| partition.clone())
            .collect()
    }

    pub(crate) fn job(&self) -> Job<'_> {
        Job {
            config: &self.config,
            source: self.source.as_ref(),
            sink: self.sink.as_ref(),
            workers: self.workers,
            machine: self.machine.as_ref(),
        }
    }
}
