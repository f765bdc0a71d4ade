//! [`PostgresSlot`]: replaces one partition in one transaction: lock, inspect, DELETE, COPY each table, receipt,
//! COMMIT; then VACUUM.
//!
//! Invariants: readers are never blocked and see all of the old or all of the new. Only DELETE and COPY are correct
//! for every snapshot: after TRUNCATE or a swap of tables, a transaction that started earlier reads no rows.

mod checks;
pub(super) mod claim;
mod copying;
mod ending;
mod room;

use std::sync::Arc;

use rollfit_job::activity::{Activity, during};
use rollfit_job::config::TIME_COLUMN;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::{ColumnTypes, Receipt};
use rollfit_job::store::{FeatureReader, FeatureTile, Found, Rounding, Slot, StoreError};

use self::copying::{Copy, SentCopy};
pub(super) use self::ending::commit;
use self::room::{Room, Then};
use crate::PostgresStore;
use crate::connection::pool::PooledSession;
use crate::ddl::creation::Creation;
use crate::failpoint;
use crate::features::narrow_columns::NarrowColumns;
use crate::features::read_back::TableReader;
use crate::features::references::References;
use crate::names::list;
use crate::tables::leaf::Leaf;
use crate::tables::receipts::{self, RowsBy};
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

/// A table to write.
struct TargetTable {
    leaf: Leaf,
    /// How to create it, if it is missing.
    creation: Option<Creation>,
    has_rows: bool,
    /// The statements that make its view, if it has one of its own and that is missing.
    view: Vec<String>,
    /// Whether policies apply. The server refuses COPY then, so rows are staged and then inserted.
    is_staged: bool,
}

impl PostgresStore {
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
}

impl Slot for PostgresSlot<'_> {
    fn found(&mut self) -> Result<Found, StoreError> {
        Ok(self.found.clone())
    }

    fn obstacle(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.obstacle.clone())
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        during(Activity::Querying, || self.make_room(Then::RowsCome))
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
            Found::Nothing | Found::Foreign(_) | Found::Newer(_) | Found::Blocked(_) => None,
        };
        let leaves = self.targets.iter().map(|target| target.leaf.clone()).collect();
        let series = &self.store.series;
        Ok(Box::new(TableReader::new(&mut *self.session, series, leaves, receipt, false)))
    }

    fn adopt(mut self: Box<Self>, receipt: &Receipt) -> Result<(), StoreError> {
        let rows_by = match &self.found {
            Found::Ours(_) => RowsBy::RunBefore,
            Found::Nothing | Found::Foreign(_) | Found::Newer(_) | Found::Blocked(_) => RowsBy::ThisSession,
        };
        let (written, triggers) = self.write_receipt(receipt, rows_by, (Vec::new(), None, 0))?;
        if !triggers.is_empty() {
            written.check_kept(&mut self.session, &self.store.receipts)?;
        }
        self.end_transaction()
    }

    fn commit(mut self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError> {
        self.flush()?;
        let (written, triggers) = during(Activity::Querying, || self.complete(receipt))?;
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
        // Readers of a view wait from here to the end.
        self.store.drop_views(&mut self.session, &self.partition)?;
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
