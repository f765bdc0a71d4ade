//! [`PostgresSlot`]: replaces one partition in one transaction: lock, inspect, DELETE, COPY each table, receipt,
//! COMMIT; then VACUUM.
//!
//! Invariants: readers are never blocked and see all of the old or all of the new. Only DELETE and COPY are correct
//! for every snapshot: after TRUNCATE or a swap of tables, a transaction that started earlier reads no rows.

mod checks;
mod ending;

use std::sync::Arc;

use rollfit_job::activity::waiting;
use rollfit_job::config::{Series, TIME_COLUMN};
use rollfit_job::partition::Partition;
use rollfit_job::receipt::{ColumnTypes, Receipt};
use rollfit_job::store::{Claim, FeatureReader, FeatureTile, Found, Rounding, Slot, StoreError};
use tokio_postgres::types::Type;

pub(super) use self::ending::commit;
use self::ending::vacuum;
use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::holders::{Holder, LOCK_KEY};
use crate::connection::pool::PooledSession;
use crate::connection::session::{CopyIn, Mode};
use crate::copy::encode::RowEncoder;
use crate::ddl::creation::Creation;
use crate::failpoint;
use crate::features::inspect::InspectedLeaf;
use crate::features::narrow_columns::NarrowColumns;
use crate::features::read_back::TableReader;
use crate::features::references::References;
use crate::names::{list, quoted};
use crate::tables::leaf::Leaf;
use crate::tables::receipts::{self, ReceiptRow, RowsBy};
use crate::tables::staging;
use crate::tables::table::{Column, check_taken, describe};

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
    /// Whether the tables exist and are empty.
    prepared: bool,
    copy: Option<Copy>,
    /// Whether the server has the rows of every table.
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

/// The table whose rows are being sent.
struct Copy {
    series: usize,
    stream: CopyIn,
    encoder: RowEncoder,
    rows: u64,
}

impl PostgresStore {
    /// Locks a partition, unless another session holds it or one of its tables.
    pub(crate) fn claim_partition(&self, partition: &Partition) -> Result<Claim<'_>, StoreError> {
        let mut session = self.pool.session()?;
        failpoint::reach("connected");
        self.provide_shared_tables(&mut session, partition)?;
        self.provide_views(&mut session, partition)?;
        session.begin(Mode::Write, &self.settings)?;
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
                    prepared: false,
                    copy: None,
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

impl PostgresSlot<'_> {
    /// Creates missing tables and deletes existing rows. From here on the transaction sees only the new rows.
    fn make_room(&mut self) -> Result<(), StoreError> {
        self.check_obstacle()?;
        self.check_others()?;
        for target in &self.targets {
            let name = &target.leaf.name;
            let doing = format!("create {name}, which `rollfit schema` prints");
            for statement in target.creation.iter().flat_map(Creation::before) {
                self.session.execute(&doing, statement)?;
            }
            if target.has_rows {
                self.session
                    .execute(&format!("empty {name}"), &format!("DELETE FROM ONLY {}", name.sql()))?;
            }
        }
        if self.targets.iter().any(|target| target.has_rows) {
            self.check_empty()?;
            self.references.check_unchanged(&mut self.session)?;
        }
        self.prepared = true;
        failpoint::reach("deleted");
        Ok(())
    }

    /// Checks that no values in columns of other programs would be lost with their rows. Columns of an earlier
    /// definition belong to rollfit.
    fn check_others(&mut self) -> Result<(), StoreError> {
        for (at, target) in self.targets.iter().enumerate().filter(|(_, target)| target.has_rows) {
            let is_ours = |column: &Column| match &self.found {
                Found::Ours(receipt) => receipt.definition.series[at].stored_columns().contains(&column.name),
                Found::Nothing | Found::Foreign(_) | Found::Newer(_) => false,
            };
            for other in target.leaf.others.iter().filter(|other| !is_ours(other)) {
                check_other(&mut self.session, &target.leaf, other)?;
            }
        }
        Ok(())
    }

    fn start_copy(&mut self, series: usize) -> Result<(), StoreError> {
        let target = &self.targets[series];
        let columns = self.store.columns_of(series);
        // FREEZE is safe only in a table that no other session can see yet. Through a parent, a transaction that
        // started earlier would see the rows.
        let is_unknown = target.creation.as_ref().is_some_and(|creation| !creation.has_parent);
        let freeze = if is_unknown { ", FREEZE" } else { "" };
        let name = &target.leaf.name;
        if target.is_staged {
            staging::create(&mut self.session, name, &columns)?;
        }
        let to = if target.is_staged { staging::STAGED.to_owned() } else { name.sql() };
        let sql = format!("COPY {to} ({columns}) FROM STDIN (FORMAT binary{freeze})");
        let stream = self.session.copy_in(&format!("write {name}"), &sql)?;
        let encoder = RowEncoder::new(target.leaf.features.clone());
        self.copy = Some(Copy { series, stream, encoder, rows: 0 });
        Ok(())
    }

    fn finish_copy(&mut self) -> Result<(), StoreError> {
        let Some(Copy { series, mut stream, mut encoder, rows }) = self.copy.take() else { return Ok(()) };
        let rest = encoder.finish();
        self.session.send(&mut stream, rest)?;
        let stored = self.session.finish(stream)?;
        self.bytes += encoder.bytes();
        let TargetTable { leaf: Leaf { name, .. }, is_staged, .. } = &self.targets[series];
        check_taken(name, stored, rows)?;
        if *is_staged {
            let columns = self.store.columns_of(series);
            let moved =
                staging::move_rows(&mut self.session, &format!("write {name}"), (name, &columns, ""))?;
            check_taken(name, moved, rows)?;
        }
        Ok(())
    }

    /// Makes the table of `series` the one that is written. Skipped tables without rows are emptied too.
    fn turn_to(&mut self, series: usize) -> Result<(), StoreError> {
        self.prepare()?;
        if self.copy.as_ref().is_some_and(|copy| copy.series == series) {
            return Ok(());
        }
        self.finish_copy()?;
        if series > 0 {
            failpoint::reach("between-tables");
        }
        self.start_copy(series)
    }

    /// Adds keys and parents, and analyzes what the planner needs now. Autovacuum analyzes the rest later.
    fn complete_tables(&mut self) -> Result<(), StoreError> {
        for target in &self.targets {
            let name = &target.leaf.name;
            for statement in target.creation.iter().flat_map(|creation| &creation.after) {
                self.session.execute(&format!("complete {name}"), statement)?;
            }
            let sql = format!("ANALYZE {} ({})", name.sql(), quoted(TIME_COLUMN));
            self.session.execute(&format!("analyze {name}"), &sql)?;
        }
        self.make_views()
    }

    /// Makes the views of tables that have one of their own.
    fn make_views(&mut self) -> Result<(), StoreError> {
        for (at, target) in self.targets.iter().enumerate() {
            let statements = self.store.view_of_leaf(&mut self.session, at, &self.partition)?;
            let doing = format!("create the view of {}, which `rollfit schema` prints", target.leaf.name);
            if !statements.is_empty() {
                self.session.execute(&doing, &statements.join(";\n"))?;
            }
        }
        Ok(())
    }

    /// Puts a receipt in the place of the one that was there when the partition was locked.
    fn write_receipt(&mut self, receipt: &Receipt, rows_by: RowsBy) -> Result<ReceiptRow, StoreError> {
        let row = ReceiptRow::new(receipt)?;
        let tables = [&self.store.receipts, &self.store.definitions];
        let seen = self.seen_receipt.as_deref();
        row.write(&mut self.session, tables, &self.partition, seen, rows_by)?;
        Ok(row)
    }

    fn end_transaction(&mut self) -> Result<(), StoreError> {
        let committed = commit(&mut self.session);
        self.ended = committed.is_ok();
        committed
    }

    /// Makes the space of the deleted rows reusable without blocking other sessions. A failure is not a failure of
    /// the partition.
    fn vacuum(&mut self) {
        for target in self.targets.iter().filter(|target| target.has_rows) {
            match vacuum(&mut self.session, &target.leaf.name) {
                Ok(true) => {}
                Ok(false) => self.store.note_refused_vacuum(),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        failpoint::reach("vacuumed");
    }
}

fn check_other(session: &mut PooledSession, leaf: &Leaf, other: &Column) -> Result<(), StoreError> {
    let Some(usual) = other.usual_value() else { return Ok(()) };
    let name = &leaf.name;
    let column = quoted(&other.name);
    let sql =
        format!("SELECT EXISTS (SELECT FROM ONLY {} WHERE {column} IS DISTINCT FROM {usual})", name.sql());
    let rows = session.rows(&format!("read {name}"), &sql, &[])?;
    if !first_value(&rows)?.unwrap_or(false) {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{name} is skipped: its column {} is not rollfit's and holds values that replacing the rows would lose; move them \
         to a table of their own",
        other.name
    )))
}

impl Slot for PostgresSlot<'_> {
    fn found(&mut self) -> Result<Found, StoreError> {
        Ok(self.found.clone())
    }

    fn obstacle(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.obstacle.clone())
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        if self.prepared { Ok(()) } else { self.make_room() }
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
        self.finish_copy()?;
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
        let written = self.write_receipt(receipt, rows_by)?;
        if !self.run_deferred_triggers()?.is_empty() {
            written.check_kept(&mut self.session, &self.store.receipts)?;
        }
        self.end_transaction()
    }

    fn commit(mut self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError> {
        self.flush()?;
        self.complete_tables()?;
        let written = self.write_receipt(receipt, RowsBy::ThisSession)?;
        failpoint::reach("receipt-written");
        self.check_stored(receipt, &written)?;
        self.end_transaction()?;
        self.vacuum();
        Ok(self.bytes)
    }

    fn remove(mut self: Box<Self>) -> Result<(), StoreError> {
        self.prepare()?;
        let output = self.store.output_of(&self.partition);
        receipts::remove(&mut self.session, &self.store.receipts, &output)?;
        if !self.run_deferred_triggers()?.is_empty() {
            self.check_empty()?;
        }
        self.end_transaction()?;
        self.vacuum();
        Ok(())
    }
}

impl Drop for PostgresSlot<'_> {
    fn drop(&mut self) {
        // The COPY in progress is cancelled before the transaction is rolled back.
        self.copy = None;
        if !self.ended {
            self.session.roll_back();
        }
    }
}
