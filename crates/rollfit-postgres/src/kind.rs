//! [`Postgres`]: the kind of store whose URL is `postgres://...`.

use std::sync::Arc;

use rollfit_job::config::{JobConfig, Series, StoreConfig};
use rollfit_job::import::BarsOptions;
use rollfit_job::partition::Partition;
use rollfit_job::store::{
    Advice, BarsImport, Bottleneck, Diagnosis, Examination, Purpose, Sink, Source, Store, StoreError,
    StoreKind, SurveyedTable, Switch,
};

use crate::PostgresStore;
use crate::advice::advice;
use crate::import::postgres_import::{PostgresImport, check_table_names};
use crate::source::survey::{other_schemas, survey};
use crate::tables::capacity::check_columns;
use libpq_connect::url_without_passwords;
use rollfit_job::patience::patiently;

/// The name in records and documents.
pub(crate) const NAME: &str = "postgres";

/// Schemas of PostgreSQL databases.
#[derive(Clone, Copy, Debug)]
pub struct Postgres;

impl StoreKind for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn url_form(&self) -> &'static str {
        "postgres://user@host/db"
    }

    fn has_tables(&self) -> bool {
        true
    }

    fn check(&self, store: &StoreConfig) -> Result<(), StoreError> {
        match store.url.split_once(':') {
            Some((_, rest)) if rest.starts_with("//") => Ok(()),
            _ => Err(StoreError::permanent(format!("write the URL of a database as {}", self.url_form()))),
        }
    }

    fn open(
        &self,
        store: &StoreConfig,
        config: &JobConfig,
        purpose: Purpose,
    ) -> Result<Arc<dyn Store>, StoreError> {
        if config.sink.name.is_some() && config.sink.store == *store {
            return Err(StoreError::permanent(
                "a name, of --name or in [store] or [sink], separates jobs in a Parquet store only; in PostgreSQL use `features` and \
                 `schema`, or layout = \"fits\" with `views_schema` to replace a definition that has readers",
            ));
        }
        if config.sink.store == *store {
            check_named(&config.series)?;
            check_columns(&config.series)?;
        }
        Ok(Arc::new(PostgresStore::open(store, config, purpose)?))
    }

    fn advice(&self, bottleneck: Bottleneck) -> Vec<Advice> {
        advice(bottleneck)
    }

    fn survey(&self, store: &StoreConfig) -> Result<Vec<SurveyedTable>, StoreError> {
        survey(store)
    }

    fn other_schemas(&self, store: &StoreConfig) -> Result<Vec<String>, StoreError> {
        other_schemas(store)
    }

    fn url_without_passwords(&self, url: &str) -> Result<String, StoreError> {
        url_without_passwords(url).map_err(|error| StoreError::permanent(error.to_string()))
    }

    fn check_import_keys(&self, keys: &[&str]) -> Result<(), StoreError> {
        keys.iter().try_for_each(|key| check_table_names(key))
    }

    fn import_into(
        &self,
        store: &StoreConfig,
        options: BarsOptions,
    ) -> Result<Box<dyn BarsImport>, StoreError> {
        Ok(Box::new(PostgresImport::begin(store, options)?))
    }
}

/// Checks that the features of every series have tables.
fn check_named(all: &[Series]) -> Result<(), StoreError> {
    let Some(series) = all.iter().find(|series| series.features.is_none()) else { return Ok(()) };
    let name = &series.name;
    let of_period = series.by.placeholders().iter().map(|(placeholder, _)| format!("_{{{placeholder}}}"));
    Err(StoreError::permanent(format!(
        "[series.{name}] has no `features`: PostgreSQL keeps each partition's features in a table of its own; name it, such as \
         features = \"reg_{name}_{{key}}{}\"",
        of_period.collect::<String>()
    )))
}

impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn source(self: Arc<Self>) -> Arc<dyn Source> {
        self
    }

    fn sink(self: Arc<Self>) -> Arc<dyn Sink> {
        self
    }

    fn diagnose(&self, examination: &Examination<'_>) -> Result<Diagnosis, StoreError> {
        patiently(|| self.diagnosis(examination))
    }

    fn ddl(&self, partitions: &[Partition]) -> Result<Vec<String>, StoreError> {
        self.missing_ddl(partitions)
    }

    fn switch(&self, partitions: &[Partition], views_schema: &str) -> Result<Switch, StoreError> {
        patiently(|| self.switch_from(partitions, views_schema))
    }

    fn source_ddl(&self, partitions: &[Partition]) -> Result<Vec<String>, StoreError> {
        self.closes_ddl(partitions)
    }
}
