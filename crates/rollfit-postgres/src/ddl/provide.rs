//! Creates the tables that partitions share, once, before the first partition that needs them: receipts, definitions
//! and parents; and writes the definition of the job.
//!
//! Invariants: all of it is done under a lock of the schema, after checking again under the lock, and committed at
//! once: written with a partition, a definition would keep others waiting until that partition is committed. Any number of runners and workers create it once, and none waits for the partition of another.

use rollfit_job::activity::Activity;
use rollfit_job::config::Series;
use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::holders::LOCK_KEY;
use crate::connection::session::{Mode, Request, Session, TransactionSettings};
use crate::ddl::model_lookups::ModelLookups;
use crate::names::{TableName, quoted};
use crate::tables::definitions;
use crate::tables::receipts;
use crate::tables::table::describe;

/// The tables that a partition shares with others.
struct SharedTables {
    there: Vec<TableName>,
    /// The missing tables that it needs.
    needed: Vec<TableName>,
    /// The series without a table.
    without_leaf: Vec<usize>,
    /// Whether the definition of the job is there.
    has_definition: bool,
}

impl PostgresStore {
    /// Creates the missing tables that `partition` shares with others, and adds the definition of the job. One that has its own tables
    /// needs no parents.
    ///
    /// # Errors
    /// When the receipts are of an earlier version, or a statement fails.
    pub(crate) fn provide_shared_tables(
        &self,
        session: &mut Session,
        partition: &Partition,
        has_leaves: bool,
    ) -> Result<(), StoreError> {
        // Other workers wait until the tables exist.
        let mut known = lock(&self.shared_tables);
        let mut needed = self.shared_tables_of(partition).filter(|table| !has_leaves || self.is_ours(table));
        if needed.all(|table| known.contains(&table)) {
            return Ok(());
        }
        // In a transaction, whose timeouts end the wait for a table that somebody holds.
        session.begin(Mode::Snapshot, &self.settings);
        let shared = self.shared_tables(session, partition);
        session.roll_back();
        let shared = shared?;
        if !shared.needed.is_empty() || !shared.has_definition {
            self.make_shared_tables(session, partition)?;
        }
        lock(&self.missed_parents).extend(shared.needed.iter().cloned());
        known.extend(shared.there.into_iter().chain(shared.needed));
        Ok(())
    }

    fn shared_tables_of(&self, partition: &Partition) -> impl Iterator<Item = TableName> {
        let parents = self.series.iter().filter_map(|series| series.parent_table(partition));
        [self.receipts.clone(), self.definitions.clone()]
            .into_iter()
            .chain(parents.map(|name| self.table(&name)))
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
        found.get(&self.receipts.name).map_or(Ok(()), receipts::check_version)?;
        let has_definition = found.contains_key(&self.definitions.name)
            && self.definition.is_in(session, &self.definitions)?;
        let has_none = |at: &usize| !found.contains_key(&leaf(&self.series[*at]));
        let without_leaf: Vec<usize> = (0..self.series.len()).filter(has_none).collect();
        let parents = without_leaf.iter().filter_map(|&at| self.series[at].parent_table(partition));
        let needed: Vec<String> = parents.collect();
        let is_needed = |table: &TableName| self.is_ours(table) || needed.contains(&table.name);
        let (there, missing): (Vec<_>, Vec<_>) = shared().partition(|table| found.contains_key(&table.name));
        let needed = missing.into_iter().filter(is_needed).collect();
        Ok(SharedTables { there, needed, without_leaf, has_definition })
    }

    /// Whether a table is one that rollfit keeps for itself.
    fn is_ours(&self, table: &TableName) -> bool {
        [&self.receipts, &self.definitions].contains(&table)
    }

    fn make_shared_tables(&self, session: &mut Session, partition: &Partition) -> Result<(), StoreError> {
        // Other sessions hold this lock only briefly, to create tables.
        let settings = TransactionSettings { lock: self.settings.statement, ..self.settings };
        session.begin(Mode::Write, &settings);
        let made = self.make_under_lock(session, partition);
        if made.is_err() {
            session.roll_back();
        }
        made
    }

    /// Waits until no other session makes tables or views of the schema.
    ///
    /// # Errors
    /// When that takes too long.
    pub(crate) fn lock_creation(&self, session: &mut Session) -> Result<(), StoreError> {
        let lock = format!("tables of {}", quoted(&self.schema));
        let sql = format!("SELECT pg_advisory_xact_lock({LOCK_KEY})");
        let lock = Request::query("lock the creation of tables", sql, vec![(&lock, Type::TEXT)]);
        session.at_once(vec![lock.counted_as(Activity::Waiting)]).done()
    }

    fn make_under_lock(&self, session: &mut Session, partition: &Partition) -> Result<(), StoreError> {
        self.lock_creation(session)?;
        let shared = self.shared_tables(session, partition)?;
        let mut statements = Vec::new();
        if shared.needed.contains(&self.receipts) {
            statements.push(receipts::create_sql(&self.receipts));
        }
        if shared.needed.contains(&self.definitions) {
            statements.push(definitions::create_sql(&self.definitions));
        }
        if shared.needed.iter().any(|table| !self.is_ours(table)) {
            // Checks every series first, so that nothing is created if the table of one cannot be.
            let mut lookups = ModelLookups::default();
            lookups.look_ahead(self, session, partition, &shared.without_leaf)?;
            for at in shared.without_leaf {
                let parent = self.creation(session, &self.series[at], partition, &mut lookups)?.parent;
                statements.extend(parent.into_iter().flat_map(|(_, statements)| statements));
            }
        }
        let names: Vec<String> = shared.needed.iter().map(ToString::to_string).collect();
        let doing = match names.is_empty() {
            true => format!("write the definition into {}", self.definitions),
            false => format!("create {}, which `rollfit schema` prints", names.join(" and ")),
        };
        if !shared.has_definition {
            statements.push(self.definition.insert_sql(&self.definitions));
        }
        statements.push("COMMIT".to_owned());
        session.execute(&doing, &statements.join("; "))?;
        if shared.has_definition { Ok(()) } else { self.definition.check_added(session, &self.definitions) }
    }

    /// Returns whether a parent was missing when a partition of this process first needed it. Its first partitions
    /// then get the owner and grants that they would have without it.
    pub(crate) fn was_missing(&self, parent: &TableName) -> bool {
        lock(&self.missed_parents).contains(parent)
    }
}
