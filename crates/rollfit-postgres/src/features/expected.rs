//! [`Expected`]: what the last look at a partition found, so that the next one can ask everything at once.
//!
//! Invariants: it decides which questions are sent together, which lock is taken, and never what an answer is. Where things are other
//! than expected, the questions are asked one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Instant;

use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::names::TableName;
use crate::partitioning::catalog::FRESH_FOR;
use crate::tables::foreign_key::ForeignKey;

/// What is expected of a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// Whether each series has its table.
    pub(crate) has_table: Vec<bool>,
    /// The tables' oids, where a look has seen them.
    pub(crate) oids: Vec<u32>,
    /// The foreign keys with an action that refer to rows of the partition.
    pub(crate) keys: Vec<ForeignKey>,
    /// When a look has seen all this; none if it follows from the names of tables.
    seen_at: Option<Instant>,
}

impl Expected {
    /// What a look has found.
    pub(crate) fn from_look(has_table: Vec<bool>, oids: Vec<u32>, keys: Vec<ForeignKey>) -> Self {
        Self { has_table, oids, keys, seen_at: Some(Instant::now()) }
    }

    /// Whether a look has seen it a moment ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen_at.is_some_and(|at| at.elapsed() < FRESH_FOR)
    }

    /// Whether every series has its table.
    pub(crate) fn has_all_tables(&self) -> bool {
        !self.has_table.is_empty() && self.has_table.iter().all(|has_table| *has_table)
    }
}

/// What is expected of each partition that was looked at, and of the receipts.
#[derive(Default)]
pub(crate) struct Expectations {
    partitions: Mutex<HashMap<Partition, Expected>>,
    receipt_query: Mutex<Option<String>>,
    /// The partitions that another session had when they were claimed last.
    held: Mutex<HashSet<Partition>>,
}

impl Expectations {
    /// Notes what a look has found of a partition.
    pub(crate) fn note(&self, partition: &Partition, found: Expected) {
        lock(&self.partitions).insert(partition.clone(), found);
    }

    /// What is expected of a partition, if it was looked at.
    pub(crate) fn partition(&self, partition: &Partition) -> Option<Expected> {
        lock(&self.partitions).get(partition).cloned()
    }

    /// Notes whether another session has a partition.
    pub(crate) fn note_held(&self, partition: &Partition, is_held: bool) {
        let mut held = lock(&self.held);
        match is_held {
            true => held.insert(partition.clone()),
            false => held.remove(partition),
        };
    }

    /// Whether another session had a partition when it was claimed last.
    pub(crate) fn is_held(&self, partition: &Partition) -> bool {
        lock(&self.held).contains(partition)
    }

    /// Notes the query that receipts were read with.
    pub(crate) fn note_receipt_query(&self, sql: &str) {
        let mut known = lock(&self.receipt_query);
        if known.as_deref() != Some(sql) {
            *known = Some(sql.to_owned());
        }
    }

    /// The query that receipts were read with last.
    pub(crate) fn receipt_query(&self) -> Option<String> {
        lock(&self.receipt_query).clone()
    }
}

impl PostgresStore {
    /// Returns what is expected of a partition: what the last look found or, before the first one, tables where the catalogue had
    /// some at some time.
    pub(crate) fn expected(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<Expected, StoreError> {
        if let Some(expected) = self.expectations.partition(partition) {
            return Ok(expected);
        }
        let siblings = self.siblings_ever(session)?;
        let has_table = self.leaf_names(partition).iter().map(|name| siblings.has(name)).collect();
        Ok(Expected { has_table, ..Expected::default() })
    }

    /// Returns the tables of a partition that are expected to be there.
    pub(crate) fn expected_leaves(&self, partition: &Partition, expected: &Expected) -> Vec<TableName> {
        let names = self.leaf_names(partition).into_iter().zip(&expected.has_table);
        names.filter(|(_, has_table)| **has_table).map(|(name, _)| self.table(&name)).collect()
    }
}
