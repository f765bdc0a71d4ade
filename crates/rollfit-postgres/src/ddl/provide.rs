//! Creates the tables that partitions share, once, before the first partition that needs them: the receipts and
//! parents.
//!
//! Invariants: a table is created under a lock of its schema, after checking again under the lock, and committed at
//! once. Any number of runners and workers create it once, and none waits for the partition of another.

use rollfit_job::config::Series;
use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::holders::LOCK_KEY;
use crate::connection::session::{Mode, Session, TransactionSettings};
use crate::names::{TableName, quoted};
use crate::tables::receipts;
use crate::tables::table::describe;

/// The tables that a partition shares with others.
struct SharedTables {
    there: Vec<TableName>,
    /// The missing tables that it needs.
    needed: Vec<TableName>,
    /// The series without a table.
    without_leaf: Vec<usize>,
}

impl PostgresStore {
    /// Creates the missing tables that `partition` shares with others.
    pub(crate) fn provide_shared_tables(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        // Other workers wait until the tables exist.
        let mut known = lock(&self.shared_tables);
        if self.shared_tables_of(partition).all(|table| known.contains(&table)) {
            return Ok(());
        }
        let shared = self.shared_tables(session, partition)?;
        if !shared.needed.is_empty() {
            self.make_shared_tables(session, partition)?;
        }
        lock(&self.missed_parents).extend(shared.needed.iter().cloned());
        known.extend(shared.there.into_iter().chain(shared.needed));
        Ok(())
    }

    fn shared_tables_of(&self, partition: &Partition) -> impl Iterator<Item = TableName> {
        let parents = self.series.iter().filter_map(|series| series.parent_table(partition));
        std::iter::once(self.receipts.clone()).chain(parents.map(|name| self.table(&name)))
    }

    /// Checks which exist. A partition that already has its table needs no parent.
    fn shared_tables(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<SharedTables, StoreError> {
        let leaf = |series: &Series| series.features_table(partition);
        let shared = || self.shared_tables_of(partition);
        let names: Vec<String> =
            shared().map(|table| table.name).chain(self.series.iter().map(leaf)).collect();
        let found = describe(session, &self.schema, &names)?;
        let has_none = |at: &usize| !found.contains_key(&leaf(&self.series[*at]));
        let without_leaf: Vec<usize> = (0..self.series.len()).filter(has_none).collect();
        let parents = without_leaf.iter().filter_map(|&at| self.series[at].parent_table(partition));
        let needed: Vec<String> = parents.collect();
        let is_needed = |table: &TableName| *table == self.receipts || needed.contains(&table.name);
        let (there, missing): (Vec<_>, Vec<_>) = shared().partition(|table| found.contains_key(&table.name));
        Ok(SharedTables { there, needed: missing.into_iter().filter(is_needed).collect(), without_leaf })
    }

    fn make_shared_tables(&self, session: &mut Session, partition: &Partition) -> Result<(), StoreError> {
        // Other sessions hold this lock only briefly, to create tables.
        let settings = TransactionSettings { lock: self.settings.statement, ..self.settings };
        session.begin(Mode::Write, &settings)?;
        let made = self.make_under_lock(session, partition);
        if made.is_err() {
            session.roll_back();
        }
        made
    }

    fn make_under_lock(&self, session: &mut Session, partition: &Partition) -> Result<(), StoreError> {
        let lock = format!("tables of {}", quoted(&self.schema));
        let sql = format!("SELECT pg_advisory_xact_lock({LOCK_KEY})");
        session.rows("lock the creation of tables", &sql, &[(&lock, Type::TEXT)])?;
        let shared = self.shared_tables(session, partition)?;
        let mut statements = Vec::new();
        if shared.needed.contains(&self.receipts) {
            statements.push(receipts::create_sql(&self.receipts));
        }
        if shared.needed.iter().any(|table| *table != self.receipts) {
            // Checks every series first, so that nothing is created if the table of one cannot be.
            for at in shared.without_leaf {
                let parent = self.creation(session, &self.series[at], partition)?.parent;
                statements.extend(parent.into_iter().flat_map(|(_, statements)| statements));
            }
        }
        let names: Vec<String> = shared.needed.iter().map(ToString::to_string).collect();
        let doing = format!("create {}, which `rollfit schema` prints", names.join(" and "));
        statements.push("COMMIT".to_owned());
        session.execute(&doing, &statements.join("; "))
    }

    /// Returns whether a parent was missing when a partition of this process first needed it. Its first partitions
    /// then get the owner and grants that they would have without it.
    pub(crate) fn was_missing(&self, parent: &TableName) -> bool {
        lock(&self.missed_parents).contains(parent)
    }
}
