//! [`PostgresSlot`]: replaces one partition in one transaction: lock, inspect, DELETE, COPY each table, receipt,
//! COMMIT; then VACUUM.
//!
//! Invariants: readers are never blocked and see all of the old or all of the new. Only DELETE and COPY are correct
//! for every snapshot: after TRUNCATE or a swap of tables, a transaction that started earlier reads no rows.

mod checks;
mod copying;
mod ending;
mod room;

use std::sync::Arc;

use rollfit_job::activity::waiting;
use rollfit_job::config::{Series, TIME_COLUMN};
use rollfit_job::partition::Partition;
use rollfit_job::receipt::{ColumnTypes, Receipt};
use rollfit_job::store::{Claim, FeatureReader, FeatureTile, Found, Rounding, Slot, StoreError};
use tokio_postgres::types::Type;

use self::copying::{Copy, SentCopy};
pub(super) use self::ending::commit;
use self::room::{Room, Then};
use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::holders::{Holder, LOCK_KEY};
use crate::connection::pool::PooledSession;
use crate::connection::session::Mode;
use crate::ddl::creation::Creation;
use crate::failpoint;
use crate::features::inspect::InspectedLeaf;
use crate::features::narrow_columns::NarrowColumns;
use crate::features::read_back::TableReader;
use crate::features::references::References;
use crate::names::list;
use crate::tables::leaf::Leaf;
use crate::tables::receipts::{self, RowsBy};
use crate::tables::table::describe;
use crate::tables::trigger::{Trigger, run_deferred};

/// A partition in a transaction that holds its locks.
pub(crate) struct PostgresSlot<'a> {
    store: &'a PostgresStore,
    partition: Partition,
    session: PooledSession,
    found: Found,
    /// The receipt that the new one takes the place of, as the server prints it.
    seen_receipt: Option<String>,
    references: References,
    /// Which rows of other tables would be lost with the existing rows.
    obstacle: Option<String>,
    /// The table of each series.
    targets: Vec<TargetTable>,
    /// Set once the tables exist and are empty.
    room: Option<Room>,
    copy: Option<Copy>,
    /// The last table, once its rows were sent.
    sent: Option<SentCopy>,
    /// Whether the rows of every table were sent.
    flushed: bool,
    bytes: u64,
    ended: bool,
}

/// What was seen of a partition under its locks.
struct LockedPartition {
    /// What is found, and the receipt as the server prints it.
    inspected: (Found, Option<String>),
    references: References,
    obstacle: Option<String>,
    targets: Vec<TargetTable>,
}

/// A table to write.
struct TargetTable {
    leaf: Leaf,
    /// How to create it, if it is missing.
    creation: Option<Creation>,
    has_rows: bool,
    /// Whether policies apply. The server refuses COPY then, so rows are staged and then inserted.
    is_staged: bool,
}

impl PostgresStore {
    /// Locks a partition, unless another session holds it or one of its tables.
    pub(crate) fn claim_partition(&self, partition: &Partition) -> Result<Claim<'_>, StoreError> {
        let mut session = self.pool.session()?;
        failpoint::reach("connected");
        self.provide_shared_tables(&mut session, partition)?;
        session.begin(Mode::Write, &self.settings);
        match self.lock_and_inspect(&mut session, partition) {
            Ok(Ok(LockedPartition { inspected, references, obstacle, targets })) => {
                let (found, seen_receipt) = inspected;
                Ok(Claim::Taken(Box::new(PostgresSlot {
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
                })))
            }
            Ok(Err(oids)) => {
                session.roll_back();
                self.held(session, &self.output_of(partition), &oids, None)
            }
            // Its locks are not kept by a session that waits in the pool.
            Err(error) => {
                session.roll_back();
                Err(error)
            }
        }
    }

    /// Locks a partition in the session's transaction and inspects it. Returns the tables that another session may hold,
    /// if one has the partition.
    fn lock_and_inspect(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
    ) -> Result<Result<LockedPartition, Vec<u32>>, StoreError> {
        let output = self.output_of(partition);
        let sql = format!("SELECT pg_try_advisory_xact_lock({LOCK_KEY})");
        let locked = session.rows("lock the partition", &sql, &[(&output, Type::TEXT)])?;
        let locked = first_value(&locked)?.unwrap_or(false);
        let held = if locked { self.lock_tables(session, partition)? } else { Err(Vec::new()) };
        if let Err(oids) = held {
            return Ok(Err(oids));
        }
        failpoint::reach("locked");
        let inspection = self.inspect(session, partition)?;
        failpoint::reach("receipt-read");
        let references = References::find(session, &inspection.leaves)?;
        if !references.keep_out(session)? {
            return Ok(Err(inspection.leaves.iter().flatten().map(|leaf| leaf.oid).collect()));
        }
        let obstacle = references.obstacle(session)?;
        failpoint::reach("references-read");
        let targets = self.targets(session, partition, inspection.leaves)?;
        let inspected = (inspection.found, inspection.receipt_text);
        Ok(Ok(LockedPartition { inspected, references, obstacle, targets }))
    }

    /// Returns the written columns of a series' table, in SQL.
    pub(super) fn columns_of(&self, series: usize) -> String {
        let columns = &self.series[series].columns;
        list(std::iter::once(TIME_COLUMN).chain(columns.iter().map(String::as_str)))
    }

    /// Returns the series whose features begin at a column of a tile.
    pub(super) fn series_at(&self, first_column: usize) -> usize {
        let mut columns_before = 0;
        let is_at = |columns: usize| {
            let starts_here = columns_before == first_column;
            columns_before += columns;
            starts_here
        };
        self.series.iter().map(|series| series.columns.len()).position(is_at).unwrap_or(0)
    }

    fn targets(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
        leaves: Vec<Option<InspectedLeaf>>,
    ) -> Result<Vec<TargetTable>, StoreError> {
        let target = |(series, seen): (&Series, Option<InspectedLeaf>)| match seen {
            Some(seen) => {
                let policies = seen.policies.as_ref();
                policies.map_or(Ok(()), |policies| policies.check_writable(&seen.leaf.name))?;
                let (has_rows, is_staged) = (seen.span.is_some(), policies.is_some());
                Ok(TargetTable { leaf: seen.leaf, creation: None, has_rows, is_staged })
            }
            None => {
                let creation = self.creation(session, series, partition)?;
                let leaf = creation.leaf.clone();
                Ok(TargetTable { leaf, creation: Some(creation), has_rows: false, is_staged: false })
            }
        };
        self.series.iter().zip(leaves).map(target).collect()
    }

    /// Locks other writers out of the existing tables. Readers are not blocked. Returns the tables if another session
    /// holds one.
    fn lock_tables(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
    ) -> Result<Result<(), Vec<u32>>, StoreError> {
        let names: Vec<String> = self.series.iter().map(|series| series.features_table(partition)).collect();
        let tables = describe(session, &self.schema, &names)?;
        for name in &names {
            let Some(table) = tables.get(name) else { continue };
            let doing = format!("lock {}", table.name);
            let sql = format!("LOCK TABLE ONLY {} IN SHARE ROW EXCLUSIVE MODE", table.name.sql());
            match waiting(|| session.try_execute(&doing, &sql))? {
                Ok(()) => {}
                Err(error) if is_lock_timeout(&error) => {
                    return Ok(Err(tables.values().map(|table| table.oid).collect()));
                }
                Err(error) => return Err(server_error(&doing, error)),
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn held(
        &self,
        mut session: PooledSession,
        output: &str,
        tables: &[u32],
        updated: Option<u32>,
    ) -> Result<Claim<'_>, StoreError> {
        let holder = Holder::find(&mut session, output, tables, updated)?;
        if let Some(holder) = &holder {
            self.stalled_sessions.end_if_stuck(&mut session, holder);
        }
        let name = holder.map_or("another session".to_owned(), |holder| holder.to_string());
        self.seen_holders.record_holder(&name);
        Ok(Claim::Held(name))
    }
}

impl Slot for PostgresSlot<'_> {
    fn found(&mut self) -> Result<Found, StoreError> {
        Ok(self.found.clone())
    }

    fn obstacle(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.obstacle.clone())
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        self.make_room(Then::RowsCome)
    }

    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        NarrowColumns::from_leaves(self.targets.iter().map(|target| &target.leaf))
    }

    fn column_types(&self) -> Option<Vec<ColumnTypes>> {
        Some(self.targets.iter().map(|target| target.leaf.types.clone()).collect())
    }

    fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), StoreError> {
        self.turn_to(self.store.series_at(tile.first_column))?;
        let Some(copy) = &mut self.copy else { return Ok(()) };
        let (session, stream) = (&mut self.session, &mut copy.stream);
        let is_first = copy.rows == 0;
        copy.rows += tile.rows() as u64;
        copy.encoder.add(tile, |bytes| session.send(stream, bytes))?;
        if is_first {
            failpoint::reach("first-copy-byte");
        }
        failpoint::reach(if copy.series == 0 { "middle-of-table-1" } else { "middle-of-table-2" });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.flushed {
            return Ok(());
        }
        // A partition without rows has started no table yet.
        self.turn_to(self.store.series.len() - 1)?;
        self.sent = self.send_rest()?;
        self.flushed = true;
        Ok(())
    }

    fn bytes_written(&self) -> u64 {
        self.bytes + self.copy.as_ref().map_or(0, |copy| copy.encoder.bytes())
    }

    fn memory_bytes(&self) -> u64 {
        self.copy.as_ref().map_or(0, |copy| copy.encoder.memory_bytes())
    }

    fn read(&mut self) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        let receipt = match &self.found {
            Found::Ours(receipt) => Some(receipt.as_ref().clone()),
            Found::Nothing | Found::Foreign(_) | Found::Newer(_) => None,
        };
        let leaves = self.targets.iter().map(|target| target.leaf.clone()).collect();
        let series = &self.store.series;
        Ok(Box::new(TableReader::new(&mut *self.session, series, leaves, receipt, false)))
    }

    fn adopt(mut self: Box<Self>, receipt: &Receipt) -> Result<(), StoreError> {
        let rows_by = match &self.found {
            Found::Ours(_) => RowsBy::RunBefore,
            Found::Nothing | Found::Foreign(_) | Found::Newer(_) => RowsBy::ThisSession,
        };
        let (written, triggers) = self.write_receipt(receipt, rows_by, (Vec::new(), None, 0))?;
        if !triggers.is_empty() {
            written.check_kept(&mut self.session, &self.store.receipts)?;
        }
        self.end_transaction()
    }

    fn commit(mut self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError> {
        self.flush()?;
        let (written, triggers) = self.complete(receipt)?;
        self.check_stored(receipt, (&written, &triggers))?;
        self.end_transaction()?;
        Ok(self.bytes)
    }

    fn remove(mut self: Box<Self>) -> Result<(), StoreError> {
        self.make_room(Then::ItStaysEmpty)?;
        let output = self.store.output_of(&self.partition);
        receipts::remove(&mut self.session, &self.store.receipts, &output)?;
        let names = self.targets.iter().map(|target| &target.leaf.name).chain([&self.store.receipts]);
        if !Trigger::on(&mut self.session, names)?.is_empty() {
            run_deferred(&mut self.session)?;
            let emptiness = self.emptiness_request();
            let rows = self.session.at_once(vec![emptiness]).rows()?;
            self.check_empty(&rows)?;
        }
        self.end_transaction()
    }
}

impl Drop for PostgresSlot<'_> {
    fn drop(&mut self) {
        // The COPY in progress is cancelled, and those prepared are forgotten, before the transaction is rolled back.
        (self.copy, self.sent, self.room) = (None, None, None);
        if !self.ended {
            self.session.roll_back();
        }
    }
}
