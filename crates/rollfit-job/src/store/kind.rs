//! [`StoreKind`]: a kind of store and how one is opened; [`Store`]: one that is open.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Advice, Bottleneck, Diagnosis, Examination, JobExchange, Sink, Source, StoreError, SurveyedTable, Switch,
};
use crate::config::{JobConfig, StoreConfig};
use crate::import::{BarsOptions, KeyReport, NewBars};
use crate::partition::Partition;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read from: a standby will do.
    Read,
    /// To read the series of features that are written elsewhere: a standby will do.
    Source,
    /// To write to as well: of several servers, the one that takes writes.
    Write,
}

/// A kind of store.
pub trait StoreKind: Sync {
    /// The name in records and documents, `parquet`.
    fn name(&self) -> &'static str;

    /// The schemes of its URLs: the part before the first colon.
    fn schemes(&self) -> &'static [&'static str];

    /// How its URLs are written, for people, with an example.
    fn url_form(&self) -> &'static str;

    /// Whether its stores keep features in tables, which statements make and which lie in a schema.
    fn has_tables(&self) -> bool {
        false
    }

    /// How often a follower that writes there asks its source, unless told otherwise: rarely where each addition writes a
    /// partition anew.
    fn poll_interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Checks what can be known of `store`, whose URL has one of the schemes, without going there.
    ///
    /// # Errors
    /// Where its URL is written in another way, or a setting means nothing to this kind of store.
    fn check(&self, store: &StoreConfig) -> Result<(), StoreError>;

    /// Opens the store at `store` for the job `config`. Writes nothing. Relative paths in the URL start from
    /// [`StoreConfig::url_dir`].
    ///
    /// # Errors
    /// [`Fault::Permanent`](super::Fault::Permanent) where it cannot be opened as configured; others where it cannot be
    /// reached.
    fn open(
        &self,
        store: &StoreConfig,
        config: &JobConfig,
        purpose: Purpose,
    ) -> Result<Arc<dyn Store>, StoreError>;

    /// The tables of the store at `store`, sorted by name, but for those that rollfit keeps for itself. Reads no rows and writes
    /// nothing: serves a configuration that is still to be written.
    ///
    /// # Errors
    /// As [`StoreKind::open`]; when the tables cannot be listed.
    fn survey(&self, store: &StoreConfig) -> Result<Vec<SurveyedTable>, StoreError>;

    /// The schemas that have tables besides the one at `store`, sorted by name.
    ///
    /// # Errors
    /// As [`StoreKind::survey`].
    fn other_schemas(&self, _store: &StoreConfig) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// `url` without the passwords in it: what may be written into a file.
    ///
    /// # Errors
    /// When it cannot be told what in it is a password.
    fn url_without_passwords(&self, url: &str) -> Result<String, StoreError> {
        Ok(url.to_owned())
    }

    /// Checks that one import can write source tables of all these keys, without going to a store.
    ///
    /// # Errors
    /// Naming the first key whose tables cannot have their names, or two that a store of this kind cannot tell apart.
    fn check_import_keys(&self, _keys: &[&str]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Begins an import into the source tables of the store at `store`. Nothing is visible before its commit.
    ///
    /// # Errors
    /// As [`StoreKind::open`]; when another import is going on there.
    fn import_into(
        &self,
        store: &StoreConfig,
        options: BarsOptions,
    ) -> Result<Box<dyn BarsImport>, StoreError>;

    /// What to do about what limits a run with such a store. None is opened: an analysis has a record alone.
    fn advice(&self, _bottleneck: Bottleneck) -> Vec<Advice> {
        Vec::new()
    }
}

/// A store that is open for a job.
pub trait Store: Send + Sync {
    /// The kind that it is of, see [`StoreKind::name`].
    fn kind(&self) -> &'static str;

    /// The store as the source of the job.
    fn source(self: Arc<Self>) -> Arc<dyn Source>;

    /// The store as the sink of the job.
    fn sink(self: Arc<Self>) -> Arc<dyn Sink>;

    /// Finds out whether a run could start, and what it would find. Writes nothing.
    ///
    /// # Errors
    /// When the store is lost on the way. What is wrong with it is in the answer.
    fn diagnose(&self, examination: &Examination<'_>) -> Result<Diagnosis, StoreError>;

    /// The statements that make what a run over `partitions` would find missing, in order.
    ///
    /// # Errors
    /// When a missing table cannot be made, or the store cannot be asked.
    fn ddl(&self, _partitions: &[Partition]) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// The statements that move the views of `partitions` from `views_schema` to the schema of the tables, in the place of the
    /// tables that have their names there. Writes nothing.
    ///
    /// # Errors
    /// When a view is missing, features of others would be lost from sight, or the store cannot be asked.
    fn switch(&self, _partitions: &[Partition], _views_schema: &str) -> Result<Switch, StoreError> {
        Err(StoreError::permanent("this store has no views"))
    }

    /// Gets hold of this job and of the job `other` of the same store, none for the one without a name, to exchange their features.
    ///
    /// # Errors
    /// When one of them has no features, a runner of one is at work ([`Fault::Transient`](super::Fault::Transient)), or the store does not
    /// keep jobs apart by their names.
    fn exchange(&self, _other: Option<&str>) -> Result<Box<dyn JobExchange + '_>, StoreError> {
        Err(StoreError::permanent("this store does not keep jobs apart by their names"))
    }

    /// The statements by which the source tables of `partitions` take rows that hold no more than their series need.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn source_ddl(&self, _partitions: &[Partition]) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// An import going on. Dropped without [`BarsImport::commit`] it leaves everything as it was.
pub trait BarsImport {
    /// Takes the bars of one key beside those that the store has.
    ///
    /// # Errors
    /// When a bar contradicts one in the store or the base would change, and that was not allowed; when no import wrote the
    /// tables; when the store cannot be read or written.
    fn add(&mut self, key: &str, bars: &dyn NewBars) -> Result<KeyReport, StoreError>;

    /// Makes everything visible at once.
    ///
    /// # Errors
    /// When the commit fails. Then nothing has changed, or, where the fault came after the change itself, everything.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
