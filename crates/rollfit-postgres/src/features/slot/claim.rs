//! The claim of a partition that is replaced: its locks, and the look under them, in one round trip where things are as expected.
//!
//! Invariants: what is written is decided by what is looked up after the locks were taken, in statements of their own, and never by what
//! was expected. No existing table is written that was not locked before it was looked at.

use std::collections::HashMap;

use rollfit_job::config::Series;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Claim, Fault, Found, StoreError};
use tokio_postgres::types::Type;

use super::{PostgresSlot, TargetTable};
use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::holders::{Holder, LOCK_KEY};
use crate::connection::pool::PooledSession;
use crate::connection::session::{Mode, Request, Session, Step};
use crate::ddl::model_lookups::ModelLookups;
use crate::failpoint;
use crate::features::claim_batch::{ClaimBatch, ClaimOutcome, HeldBy};
use crate::features::expected::Expected;
use crate::features::inspect::InspectedLeaf;
use crate::features::partition_look::PartitionLook;
use crate::features::references::References;
use crate::names::TableName;
use crate::partitioning::siblings::Siblings;
use crate::tables::table::{LOOK_UP, describe};

/// The mode that keeps other writers out, and no reader.
const AGAINST_WRITERS: &str = "SHARE ROW EXCLUSIVE";
/// The mode that also keeps out rows that refer to the table.
const AGAINST_REFERENCES: &str = "EXCLUSIVE";

/// What was seen of a partition under its locks.
struct LockedPartition {
    /// What is found, and the receipt as the server prints it.
    inspected: (Found, Option<String>),
    references: References,
    obstacle: Option<String>,
    targets: Vec<TargetTable>,
}

/// How the locking of a partition ended.
enum Locking {
    Locked(Box<LockedTables>),
    Held(HeldBy),
    /// Things are other than expected. What is locked by now is not what has to be.
    Unexpected,
}

/// The locked tables of a partition.
struct LockedTables {
    tables: Vec<TableName>,
    /// Those that no new row can refer to.
    unreferenced: Vec<TableName>,
    /// What was looked up after they were locked.
    look: PartitionLook,
}

impl PostgresStore {
    /// Locks a partition, unless another session holds it or one of its tables.
    pub(crate) fn claim_partition(&self, partition: &Partition) -> Result<Claim<'_>, StoreError> {
        let mut session = self.pool.session()?;
        failpoint::reach("connected");
        match self.lock_and_inspect(&mut session, partition) {
            Ok(Ok(locked)) => Ok(Claim::Taken(Box::new(self.slot(session, partition, locked)))),
            Ok(Err(held)) => {
                session.roll_back();
                self.holder_name(session, partition, held).map(Claim::Held)
            }
            // Its locks are not kept by a session that waits in the pool.
            Err(error) => {
                session.roll_back();
                Err(error)
            }
        }
    }

    fn slot(
        &self,
        session: PooledSession,
        partition: &Partition,
        locked: LockedPartition,
    ) -> PostgresSlot<'_> {
        let LockedPartition { inspected, references, obstacle, targets } = locked;
        let (found, seen_receipt) = inspected;
        PostgresSlot {
            store: self,
            partition: partition.clone(),
            session,
            found,
            seen_receipt,
            references,
            obstacle,
            targets,
            room: None,
            copy: None,
            sent: None,
            flushed: false,
            bytes: 0,
            ended: false,
        }
    }

    /// Locks a partition in a transaction and inspects it, or returns what another session has of it.
    fn lock_and_inspect(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
    ) -> Result<Result<LockedPartition, HeldBy>, StoreError> {
        let expected = self.expected(session, partition)?;
        let in_a_batch = self.claims_in_batches();
        self.provide_shared_tables(session, partition, in_a_batch && expected.has_all_tables())?;
        self.provide_views(session, partition)?;
        let mut locking = match in_a_batch {
            true => self.lock_at_once(session, partition, &expected)?,
            false => self.lock_in_turn(session, partition)?,
        };
        if matches!(locking, Locking::Unexpected) {
            session.roll_back();
            self.provide_shared_tables(session, partition, false)?;
            self.provide_views(session, partition)?;
            locking = self.lock_in_turn(session, partition)?;
        }
        match locking {
            Locking::Locked(locked) => {
                failpoint::reach("locked");
                self.inspect_locked(session, partition, *locked)
            }
            Locking::Held(held) => Ok(Err(held)),
            Locking::Unexpected => Err(changed_meanwhile(&self.output_of(partition))),
        }
    }

    /// Begins the transaction, takes the locks and looks at all there is: one round trip.
    fn lock_at_once(
        &self,
        session: &mut Session,
        partition: &Partition,
        expected: &Expected,
    ) -> Result<Locking, StoreError> {
        let (output, tables) = (self.output_of(partition), self.expected_leaves(partition, expected));
        let is_referenced = |table: &&TableName| {
            let at = tables.iter().position(|known| known == *table);
            let oid = at.and_then(|at| expected.oids.get(at));
            oid.is_some_and(|oid| expected.keys.iter().any(|key| key.referenced_oid == *oid))
        };
        let unreferenced: Vec<TableName> = tables.iter().filter(is_referenced).cloned().collect();
        let mode = |table: &TableName| match unreferenced.contains(table) {
            true => AGAINST_REFERENCES,
            false => AGAINST_WRITERS,
        };
        let locks: Vec<String> = tables.iter().map(|table| lock_sql(table, mode(table))).collect();
        let questions = self.look_questions(partition, expected).with_siblings();
        let receipts = self.receipt_locks(questions.receipt_query());
        let looks = questions.steps();
        let batch = ClaimBatch { partition, output: &output, tables: locks, receipts, looks };
        let looked = match self.claim_and_look(session, batch)? {
            ClaimOutcome::Ours(looked) => looked,
            ClaimOutcome::Held(held) => return Ok(Locking::Held(held)),
            ClaimOutcome::Unexpected => return Ok(Locking::Unexpected),
        };
        let look = questions.look(looked.into_iter())?;
        if self.has_other_tables(partition, &look, &tables) {
            return Ok(Locking::Unexpected);
        }
        Ok(Locking::Locked(Box::new(LockedTables { tables, unreferenced, look })))
    }

    /// Whether a table of the partition is there that is not among those locked.
    fn has_other_tables(&self, partition: &Partition, look: &PartitionLook, locked: &[TableName]) -> bool {
        let there = look.tables.as_ref();
        let is_there = |name: &String| there.is_none_or(|tables| tables.contains_key(name));
        self.leaf_names(partition)
            .iter()
            .filter(|name| is_there(name))
            .any(|name| !locked.iter().any(|table| table.name == *name))
    }

    /// Begins the transaction, takes one lock after the other on the tables that are there, and looks at nothing.
    fn lock_in_turn(&self, session: &mut Session, partition: &Partition) -> Result<Locking, StoreError> {
        session.begin(Mode::Write, &self.settings);
        let sql = format!("SELECT pg_try_advisory_xact_lock({LOCK_KEY})");
        let output = self.output_of(partition);
        let locked = session.rows("lock the partition", &sql, &[(&output, Type::TEXT)])?;
        if !first_value(&locked)?.unwrap_or(false) {
            return Ok(Locking::Held(HeldBy::Claim));
        }
        let names = self.leaf_names(partition);
        let there = describe(session, &self.schema, &names)?;
        let tables: Vec<TableName> =
            names.iter().filter(|name| there.contains_key(*name)).map(|name| self.table(name)).collect();
        for table in &tables {
            let doing = format!("lock {table}");
            let lock = Step::lock(&doing, lock_sql(table, AGAINST_WRITERS));
            match session.at_once(vec![Request::Step(lock)]).try_rows()? {
                Ok(_) => {}
                Err(error) if is_lock_timeout(&error) => return Ok(Locking::Held(HeldBy::Tables)),
                Err(error) => return Err(server_error(&doing, error)),
            }
        }
        let locked = LockedTables { tables, unreferenced: Vec::new(), look: PartitionLook::default() };
        Ok(Locking::Locked(Box::new(locked)))
    }

    /// Inspects a partition whose tables are locked.
    fn inspect_locked(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
        locked: LockedTables,
    ) -> Result<Result<LockedPartition, HeldBy>, StoreError> {
        let LockedTables { tables, unreferenced, mut look } = locked;
        let inspection = self.inspect_with(session, partition, &mut look)?;
        let mut there = inspection.leaves.iter().flatten().map(|seen| &seen.leaf.name);
        if let Some(table) = there.find(|name| !tables.contains(name)) {
            return Err(changed_meanwhile(&table.to_string()));
        }
        failpoint::reach("receipt-read");
        let references = References::find(session, &inspection.leaves, &mut look)?;
        let Some(obstacle) = references.keep_out(session, &unreferenced, &mut look)? else {
            return Ok(Err(HeldBy::Tables));
        };
        failpoint::reach("references-read");
        let targets = self.targets(session, partition, inspection.leaves, look.siblings.take())?;
        let inspected = (inspection.found, inspection.receipt_text);
        Ok(Ok(LockedPartition { inspected, references, obstacle, targets }))
    }

    fn targets(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
        leaves: Vec<Option<InspectedLeaf>>,
        siblings: Option<Siblings>,
    ) -> Result<Vec<TargetTable>, StoreError> {
        let missing: Vec<usize> = (0..leaves.len()).filter(|at| leaves[*at].is_none()).collect();
        let mut lookups = ModelLookups::new(siblings);
        if !missing.is_empty() {
            lookups.look_ahead(self, session, partition, &missing)?;
        }
        let target = |(at, (series, seen)): (usize, (&Series, Option<InspectedLeaf>))| match seen {
            Some(seen) => {
                let view = self.view_of_leaf(session, at, partition)?;
                let policies = seen.policies.as_ref();
                policies.map_or(Ok(()), |policies| policies.check_writable(&seen.leaf.name))?;
                let (has_rows, is_staged) = (seen.span.is_some(), policies.is_some());
                Ok(TargetTable { leaf: seen.leaf, creation: None, view, has_rows, is_staged })
            }
            None => {
                let view = self.view_of_leaf(session, at, partition)?;
                let creation = self.creation(session, series, partition, &mut lookups)?;
                let leaf = creation.leaf.clone();
                Ok(TargetTable { leaf, creation: Some(creation), view, has_rows: false, is_staged: false })
            }
        };
        self.series.iter().zip(leaves).enumerate().map(target).collect()
    }

    /// Names who has what of a partition, and ends the session of one that is stuck.
    pub(in crate::features) fn holder_name(
        &self,
        mut session: PooledSession,
        partition: &Partition,
        held: HeldBy,
    ) -> Result<String, StoreError> {
        let (mut names, shared) = match &held {
            HeldBy::Claim | HeldBy::Looked(..) => (Vec::new(), Vec::new()),
            HeldBy::Tables => (self.leaf_names(partition), Vec::new()),
            HeldBy::Receipts => (Vec::new(), vec![&self.receipts, &self.definitions]),
            HeldBy::TablesOrReceipts => (self.leaf_names(partition), vec![&self.receipts, &self.definitions]),
        };
        names.extend(shared.iter().map(|table| table.name.clone()));
        // Every append changes rows of the receipts: whoever only does that is in nobody's way.
        let mut known = oids(&mut session, &self.schema, &names)?;
        let shared: Vec<u32> = shared.iter().filter_map(|table| known.remove(&table.name)).collect();
        let leaves: Vec<u32> = known.into_values().collect();
        let holder = Holder::find(&mut session, &self.output_of(partition), &leaves, &shared)?;
        if let Some(holder) = &holder {
            self.stalled_sessions.end_if_stuck(&mut session, holder);
        }
        let name = match (holder, held) {
            (_, HeldBy::Looked(_, Some(holder))) => holder,
            (Some(holder), _) => holder.to_string(),
            (None, HeldBy::Looked(doing, None)) => {
                format!("another session, which keeps rollfit waiting to {doing}")
            }
            (None, _) => "another session".to_owned(),
        };
        self.pool.seen_holders().record_holder(&name);
        Ok(name)
    }
}

/// Returns the oids of tables by name. To describe them would wait for whoever has them.
fn oids(
    session: &mut Session,
    schema: &String,
    names: &Vec<String>,
) -> Result<HashMap<String, u32>, StoreError> {
    const NAMED: &str = "
        SELECT c.relname::text, c.oid FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY($2)";
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = session.rows(LOOK_UP, NAMED, &[(schema, Type::TEXT), (names, Type::TEXT_ARRAY)])?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

fn lock_sql(table: &TableName, mode: &str) -> String {
    format!("LOCK TABLE ONLY {} IN {mode} MODE", table.sql())
}

fn changed_meanwhile(what: &str) -> StoreError {
    StoreError::new(Fault::Transient, format!("{what}: another program made or changed a table meanwhile"))
}
