//! From arguments to things: the configuration read and checked, the store opened, the partitions selected.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollfit_job::partition::Partition;
use rollfit_job::partition::Selector;
use rollfit_job::patience::patiently;
use rollfit_job::plan::{PlanError, partitions};
use rollfit_job::spec::{Place, RowSecurity, Spec, Workers};
use rollfit_job::store::{Fault, Sink, Source, StoreError};
use rollfit_job::watch::Machine;
use rollfit_job::{Job, error_chain};
use rollfit_parquet::ParquetStore;
use rollfit_postgres::{PostgresStore, Purpose};

use crate::args::{ConfigArguments, SelectArguments};
use crate::exit::Failure;
use crate::machine;
use crate::paths::{dir_of_config, store_dir};

/// A store as its URL names it.
pub(crate) enum Address {
    Parquet(PathBuf),
    Postgres,
}

/// What a store's URL names. The URL itself is not repeated: it may hold a password.
pub(crate) fn address(url: &str) -> Result<Address, Failure> {
    match url.split_once(':') {
        Some(("parquet", dir)) if !dir.is_empty() => Ok(Address::Parquet(PathBuf::from(dir))),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Address::Postgres),
        Some((scheme, _)) if !matches!(scheme, "parquet" | "postgres" | "postgresql") => {
            Err(Failure::usage(format!(
                "there is no store `{scheme}:`; write parquet:DIR, such as parquet:./fx, or postgres://user@host/db"
            )))
        }
        _ => Err(Failure::usage(
            "a store is written parquet:DIR, such as parquet:./fx, or postgres://user@host/db",
        )),
    }
}

/// Reads the configuration and the environment.
pub(crate) fn spec(arguments: &ConfigArguments) -> Result<Spec, Failure> {
    let path = &arguments.config;
    // Asked first: what is read may be a pipe, which is then gone.
    let dir = dir_of_config(path);
    let text = read_config(path)?;
    let variables =
        std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    Spec::parse_in(&dir, &text, variables)
        .map_err(|error| Failure::from(error).after(&format!("{}:", path.display())))
}

/// The text of the configuration. Where there is none, the environment may say everything.
fn read_config(path: &Path) -> Result<String, Failure> {
    let in_environment = || {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        is_set("ROLLFIT_STORE__URL") || is_set("ROLLFIT_SINK__URL")
    };
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

/// A store that is open.
#[derive(Clone)]
pub(crate) enum Store {
    Parquet(Arc<ParquetStore>),
    Postgres(Arc<PostgresStore>),
}

impl Store {
    fn open(place: &Place, spec: &Spec, purpose: Purpose) -> Result<Self, Failure> {
        match address(&place.url)? {
            Address::Parquet(dir) => {
                Ok(Self::Parquet(Arc::new(parquet(&store_dir(&place.url_dir, &dir)?, place, spec)?)))
            }
            Address::Postgres => Ok(Self::Postgres(Arc::new(postgres(place, spec, purpose)?))),
        }
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        match self {
            Self::Parquet(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    pub(crate) fn sink(&self) -> Arc<dyn Sink> {
        match self {
            Self::Parquet(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }
}

/// Opens where the features of a job go.
pub(crate) fn sink(spec: &Spec, purpose: Purpose) -> Result<Arc<dyn Sink>, Failure> {
    Ok(Store::open(&spec.sink.place, spec, purpose)?.sink())
}

/// Opens a directory for a job.
fn parquet(dir: &Path, place: &Place, spec: &Spec) -> Result<ParquetStore, Failure> {
    if place.schema.is_some()
        || place.password_command.is_some()
        || place.row_security != RowSecurity::default()
    {
        return Err(Failure::usage(
            "schema, password_command and row_security are for databases; a directory of files has none of them",
        ));
    }
    opened(ParquetStore::open(dir, spec))
}

/// Opens the database at `place` for a job.
pub(crate) fn postgres(place: &Place, spec: &Spec, purpose: Purpose) -> Result<PostgresStore, Failure> {
    if spec.sink.name.is_some() && spec.sink.place == *place {
        return Err(Failure::usage(
            "[sink] name sets jobs apart in a store of files; in PostgreSQL `features` and `schema` do",
        ));
    }
    opened(PostgresStore::open(place, spec, purpose))
}

/// What cannot be opened as configured is a fault of the configuration.
pub(crate) fn opened<S>(store: Result<S, StoreError>) -> Result<S, Failure> {
    store.map_err(|error| match error.fault() {
        Fault::Permanent => Failure::usage(error_chain(&error)),
        Fault::Transient | Fault::Unreachable => error.into(),
    })
}

/// Where series come from, and where features go.
pub(crate) struct Stores {
    pub(crate) source: Store,
    pub(crate) sink: Store,
    /// Whether the two are one.
    pub(crate) is_one: bool,
}

/// Opens the stores of a job: one where the two are the same.
pub(crate) fn stores(spec: &Spec, purpose: Purpose) -> Result<Stores, Failure> {
    let is_one = spec.source == spec.sink.place;
    let source = Store::open(&spec.source, spec, if is_one { purpose } else { Purpose::Read })?;
    let sink = if is_one { source.clone() } else { Store::open(&spec.sink.place, spec, purpose)? };
    Ok(Stores { source, sink, is_one })
}

/// As [`partitions`]; a store that is lost on the way is waited for.
pub(crate) fn planned(
    spec: &Spec,
    source: &dyn Source,
    sink: &dyn Sink,
    only: &[Selector],
) -> Result<Vec<Partition>, PlanError> {
    patiently(|| match partitions(spec, source, sink, only) {
        Err(PlanError::Store(error)) => Err(error),
        other => Ok(other),
    })?
}

/// A job with its stores open and its partitions selected.
pub(crate) struct OpenJob {
    pub(crate) spec: Spec,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) partitions: Vec<Partition>,
    workers: Workers,
    machine: Arc<dyn Machine>,
}

impl OpenJob {
    /// A job that may write.
    pub(crate) fn new(arguments: &SelectArguments) -> Result<Self, Failure> {
        Self::open(arguments, Purpose::Write)
    }

    /// A job that only reads, for which a standby will do.
    pub(crate) fn to_read(arguments: &SelectArguments) -> Result<Self, Failure> {
        Self::open(arguments, Purpose::Read)
    }

    fn open(arguments: &SelectArguments, purpose: Purpose) -> Result<Self, Failure> {
        // Before the stores are opened: its first sample tells of the time since then.
        let machine = machine::here();
        let spec = spec(&arguments.config)?;
        let stores = stores(&spec, purpose)?;
        let (source, sink) = (stores.source.source(), stores.sink.sink());
        let partitions = planned(&spec, source.as_ref(), sink.as_ref(), &arguments.only)?;
        let workers = arguments.workers.unwrap_or(spec.run.workers);
        Ok(Self { spec, source, sink, partitions, workers, machine })
    }

    pub(crate) fn job(&self) -> Job<'_> {
        Job {
            spec: &self.spec,
            source: self.source.as_ref(),
            sink: self.sink.as_ref(),
            workers: self.workers,
            machine: self.machine.as_ref(),
        }
    }
}
