//! The kinds of stores that the command knows, and the stores of a job. Nothing else in the command names a kind.

use std::sync::Arc;

use rollfit_job::config::{JobConfig, StoreConfig};
use rollfit_job::derived_source::DerivedSource;
use rollfit_job::error_chain;
use rollfit_job::store::{Fault, Purpose, Sink, Source, Store, StoreError, StoreKind};
use rollfit_parquet::Parquet;
use rollfit_postgres::Postgres;

use crate::exit::Failure;

const KINDS: [&dyn StoreKind; 2] = [&Parquet, &Postgres];

/// The kind of store at `store`. The URL is not repeated in errors: it may hold a password.
pub(crate) fn kind_of(store: &StoreConfig) -> Result<&'static dyn StoreKind, Failure> {
    let forms = || KINDS.map(StoreKind::url_form).join(", or ");
    let (scheme, _) = store
        .url
        .split_once(':')
        .ok_or_else(|| Failure::usage(format!("the store has no URL scheme; write {}", forms())))?;
    let kind = KINDS.into_iter().find(|kind| kind.schemes().contains(&scheme));
    let kind =
        kind.ok_or_else(|| Failure::usage(format!("unknown kind of store `{scheme}:`; write {}", forms())))?;
    opened(kind.check(store))?;
    Ok(kind)
}

/// The kind of store with this name in records.
pub(crate) fn kind_named(name: &str) -> Option<&'static dyn StoreKind> {
    KINDS.into_iter().find(|kind| kind.name() == name)
}

/// A store that cannot be opened as configured is an error of the configuration.
pub(crate) fn opened<S>(store: Result<S, StoreError>) -> Result<S, Failure> {
    store.map_err(|error| match error.fault() {
        Fault::Permanent => Failure::usage(error_chain(&error)),
        Fault::Transient | Fault::Unreachable => error.into(),
    })
}

/// Where the series of a job come from, and where its features go.
pub(crate) struct Stores {
    source: Arc<dyn Store>,
    /// The source of the job, derived series included.
    series: Arc<dyn Source>,
    sink: Arc<dyn Store>,
    /// Whether the two are one.
    pub(crate) is_one: bool,
}

impl Stores {
    /// Opens the stores of a job: one where the two are the same.
    pub(crate) fn open(config: &JobConfig, purpose: Purpose) -> Result<Self, Failure> {
        let is_one = config.source == config.sink.store;
        let of_source = if is_one || purpose == Purpose::Read { purpose } else { Purpose::Source };
        let source = open(&config.source, config, of_source)?;
        let sink = if is_one { source.clone() } else { open(&config.sink.store, config, purpose)? };
        let series = DerivedSource::wrap(source.clone().source(), &config.series);
        Ok(Self { source, series, sink, is_one })
    }

    /// Why the same configuration on another machine means other stores, as a clause; none where it does not, as far as can be told.
    pub(crate) fn only_here(&self) -> Option<String> {
        let of_sink = self.sink().only_here();
        of_sink.or_else(|| self.source.clone().sink().only_here())
    }

    /// The store of the series.
    pub(crate) fn source_store(&self) -> &dyn Store {
        self.source.as_ref()
    }

    /// The store of the features.
    pub(crate) fn sink_store(&self) -> &dyn Store {
        self.sink.as_ref()
    }

    /// Where series come from.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        self.series.clone()
    }

    /// Where derived series come from.
    pub(crate) fn derived_source(&self) -> DerivedSource {
        DerivedSource::new(self.source.clone().source())
    }

    /// Where features go.
    pub(crate) fn sink(&self) -> Arc<dyn Sink> {
        self.sink.clone().sink()
    }
}

/// Opens where the features of a job go.
pub(crate) fn open_sink(config: &JobConfig, purpose: Purpose) -> Result<Arc<dyn Sink>, Failure> {
    Ok(open(&config.sink.store, config, purpose)?.sink())
}

fn open(store: &StoreConfig, config: &JobConfig, purpose: Purpose) -> Result<Arc<dyn Store>, Failure> {
    opened(kind_of(store)?.open(store, config, purpose))
}
