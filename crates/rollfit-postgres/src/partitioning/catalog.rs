//! [`Catalog`]: caches what many partitions read from the server's catalogues, so that ten thousand of them do not
//! repeat the queries.
//!
//! Invariants: it decides only what to refuse and how large a partition becomes. What is written depends on fresh
//! queries under the locks.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::names::TableName;
use crate::partitioning::parent::Parent;
use crate::partitioning::siblings::Siblings;
use crate::tables::problem::TableProblem;
use crate::tables::table::Table;

/// How long an entry stays valid.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(10);

/// Recent answers of the catalogues.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) siblings: Recent<(), Siblings>,
    pub(crate) parents: Recent<TableName, Option<Parent>>,
    pub(crate) models: Recent<TableName, Option<Table>>,
    row_bytes: Mutex<HashMap<Partition, u64>>,
    printed: Mutex<HashMap<Vec<String>, TableName>>,
    made_by: Mutex<HashMap<TableName, String>>,
}

impl Catalog {
    /// Notes the bytes of a row over all tables of a partition.
    pub(crate) fn note_row_bytes(&self, partition: &Partition, bytes: u64) {
        lock(&self.row_bytes).insert(partition.clone(), bytes);
    }

    /// Returns what was noted of a partition.
    pub(crate) fn row_bytes(&self, partition: &Partition) -> Option<u64> {
        lock(&self.row_bytes).get(partition).copied()
    }

    /// Returns the statement that creates a missing parent: the first one, for every table that belongs under it.
    pub(crate) fn first_sql(&self, table: &TableName, sql: String) -> String {
        lock(&self.made_by).entry(table.clone()).or_insert(sql).clone()
    }

    /// Returns the problem without statements about a parent that were already printed for another table.
    pub(crate) fn print_once(&self, mut problem: TableProblem) -> TableProblem {
        if problem.at != problem.table && !problem.statements.is_empty() {
            let mut printed = lock(&self.printed);
            let first = printed.entry(problem.statements.clone()).or_insert_with(|| problem.table.clone());
            problem.printed_for = Some(first.clone()).filter(|first| *first != problem.table);
        }
        problem
    }
}

/// Answers that stay valid for a while.
pub(crate) struct Recent<K, V>(Mutex<HashMap<K, (Instant, Arc<V>)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// Returns the known answer if it is at most `age_max` old.
    pub(crate) fn known(&self, key: &K, age_max: Duration) -> Option<Arc<V>> {
        let known = lock(&self.0);
        let (seen, answer) = known.get(key)?;
        (seen.elapsed() < age_max).then(|| Arc::clone(answer))
    }

    /// Notes an answer.
    pub(crate) fn note(&self, key: &K, answer: V) {
        lock(&self.0).insert(key.clone(), (Instant::now(), Arc::new(answer)));
    }

    /// Forgets all answers.
    pub(crate) fn forget(&self) {
        lock(&self.0).clear();
    }

    /// Returns the known answer, or asks with `ask`.
    ///
    /// # Errors
    /// Those of `ask`; they are not kept.
    pub(crate) fn get(
        &self,
        key: &K,
        ask: impl FnOnce() -> Result<V, StoreError>,
    ) -> Result<Arc<V>, StoreError> {
        self.get_within(key, FRESH_FOR, ask)
    }

    /// Returns an answer that is at most `age_max` old.
    ///
    /// # Errors
    /// As [`Recent::get`].
    pub(crate) fn get_within(
        &self,
        key: &K,
        age_max: Duration,
        ask: impl FnOnce() -> Result<V, StoreError>,
    ) -> Result<Arc<V>, StoreError> {
        if let Some(answer) = self.known(key, age_max) {
            return Ok(answer);
        }
        let answer = Arc::new(ask()?);
        lock(&self.0).insert(key.clone(), (Instant::now(), Arc::clone(&answer)));
        Ok(answer)
    }
}
