//! The sink: the state of each partition, from its tables and receipts.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rollfit_job::config::{FIT_PREFIX, Layout, Series};
use rollfit_job::partition::Partition;
use rollfit_job::runners::StoreRunner;
use rollfit_job::store::{
    Claim, FeatureReader, Found, Grouping, Holding, HoldingMark, Look, ReaderView, Sink, StoreError, Write,
};
use rollfit_job::store::{ServerProcess, StoreMonitor};

use crate::PostgresStore;
use crate::connection::monitor::PostgresMonitor;
use crate::connection::session::Session;
use crate::copy::instant::TimeType;
use crate::features::expected::Expected;
use crate::features::partition_look::PartitionLook;
use crate::features::read_back::TableReader;
use crate::features::references::References;
use crate::import::bases::BASES;
use crate::kind::NAME;
use crate::names::{TableName, check_length_with};
use crate::tables::definitions::DEFINITIONS;
use crate::tables::leaf::Leaf;
use crate::tables::receipts::RECEIPTS;
use crate::{tables::receipts, tables::table};

/// The receipts that are asked for in one query, so that none is long.
const MARKS_AT_ONCE: usize = 10_000;

impl PostgresStore {
    /// Says once that the role may not VACUUM or ANALYZE: the least rights do not allow it, and autovacuum does the same later.
    pub(crate) fn note_unmaintained(&self, table: &TableName) {
        if !self.vacuum_refused.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "the role may not VACUUM and ANALYZE {table} and other tables that it writes: queries may be slow, and replaced rows take \
                 space, until autovacuum has done it; run rollfit as their owner, or GRANT MAINTAIN on them (PostgreSQL 17 and later)"
            );
        }
    }

    /// Returns the partitions that have tables or receipts.
    fn stored_partitions(&self, session: &mut Session) -> Result<BTreeSet<Partition>, StoreError> {
        let names = table::names_with_rows(session, &self.schema)?;
        let known = table::describe(session, &self.schema, std::slice::from_ref(&self.receipts.name))?;
        let table = known.get(&self.receipts.name);
        let has_receipts = table.map_or(Ok(false), |table| self.is_readable(table))?;
        let listed = match table.filter(|_| has_receipts) {
            Some(table) => receipts::list(session, table)?,
            None => Vec::new(),
        };
        let series = || self.series.iter();
        let mut partitions: BTreeSet<Partition> =
            names.iter().flat_map(|name| series().filter_map(|series| series.partition_of(name))).collect();
        let (of_unit, of_others): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|(partition, _)| partition.period.unit() == self.by);
        // Without a placeholder of a period, the names of a job by other periods look like those of further keys.
        let of_others: HashSet<String> = of_others.into_iter().map(|(_, output)| output).collect();
        partitions.retain(|partition| !of_others.contains(&self.output_of(partition)));
        let ours = of_unit.into_iter().filter(|(partition, output)| self.output_of(partition) == *output);
        partitions.extend(ours.map(|(partition, _)| partition));
        Ok(partitions)
    }

    /// Finds out what there is of a partition, in a snapshot. Notes what the next look can expect.
    pub(super) fn found_in(
        &self,
        session: &mut Session,
        partition: &Partition,
        look: &mut PartitionLook,
    ) -> Result<Found, StoreError> {
        let inspection = self.inspect_with(session, partition, look)?;
        inspection.check_emptiness()?;
        let references = References::find(session, &inspection.leaves, look)?;
        let has_table = inspection.leaves.iter().map(Option::is_some).collect();
        let expected = Expected::from_look(has_table, references.oids(), references.keys().to_vec());
        self.expectations.note(partition, expected);
        Ok(inspection.found)
    }

    /// Finds out what rows of others are in the way of replacing a partition, in a snapshot.
    fn obstacle_in(
        &self,
        session: &mut Session,
        partition: &Partition,
        look: &mut PartitionLook,
    ) -> Result<Option<String>, StoreError> {
        let inspection = self.inspect_with(session, partition, look)?;
        References::find(session, &inspection.leaves, look)?.obstacle(session, look)
    }

    fn check_names(&self, partition: &Partition) -> Result<(), StoreError> {
        let named = |series: &Series| {
            [("features", Some(series.features_table(partition))), ("parent", series.parent_table(partition))]
        };
        for (stored, series) in self.series.iter().zip(&self.feature_series) {
            for (key, name) in named(stored) {
                name.map_or(Ok(()), |name| check_stored_length(series, key, &name))?;
            }
            for (key, name) in named(series) {
                name.map_or(Ok(()), |name| check_not_ours(series, key, &name))?;
            }
        }
        Ok(())
    }
}

/// Checks that the server keeps all of the name of a table that holds rows, or of its parent.
fn check_stored_length(series: &Series, key: &str, name: &str) -> Result<(), StoreError> {
    let pattern = if key == "parent" { series.parent.as_ref() } else { series.features.as_ref() };
    let (what, reason) = match (series.layout(), pattern) {
        (Layout::Fits, Some(pattern)) => (
            format!("[series.{}] {key} = \"{pattern}\"", series.name),
            format!(" and layout = \"fits\" adds `{FIT_PREFIX}`"),
        ),
        _ => (format!("[series.{}] {key}", series.name), String::new()),
    };
    check_length_with(&what, name, &reason)
}

/// Checks that a table is not one that rollfit keeps beside features and bars.
fn check_not_ours(series: &Series, key: &str, table: &str) -> Result<(), StoreError> {
    if ![RECEIPTS, DEFINITIONS, BASES].contains(&table) {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "[series.{}] {key}: `{table}` is a table that rollfit keeps for itself; choose another pattern",
        series.name
    )))
}

impl Sink for PostgresStore {
    fn can_append(&self) -> bool {
        true
    }

    fn found(&self, partition: &Partition) -> Result<Found, StoreError> {
        let (mut session, mut look) = self.look_at(partition)?;
        let found = self.found_in(&mut session, partition, &mut look);
        session.end_reading();
        found
    }

    fn look(&self, partition: &Partition) -> Result<Look, StoreError> {
        self.look_of(partition)
    }

    fn runners(&self, partitions: &[Partition]) -> Result<Vec<StoreRunner>, StoreError> {
        self.runners_with(partitions)
    }

    fn clock_us(&self) -> Result<Option<i64>, StoreError> {
        self.server_clock_us()
    }

    fn only_here(&self) -> Option<String> {
        let what = if self.pool.is_socket() { "a Unix socket" } else { "localhost" };
        let advice = "use a host name that all machines reach";
        self.pool
            .leads_here()
            .then(|| format!("the store is on {what}, which is another server on each machine; {advice}"))
    }

    fn holdings(
        &self,
        partitions: &[Partition],
        with_rows: bool,
    ) -> Result<Vec<Result<Holding, StoreError>>, StoreError> {
        self.holdings_of(partitions, with_rows)
    }

    fn marks(&self, partitions: &[Partition]) -> Result<Vec<Option<HoldingMark>>, StoreError> {
        self.in_snapshot(|session| {
            let names = std::slice::from_ref(&self.receipts.name);
            let known = table::describe(session, &self.schema, names)?;
            let is_readable =
                known.get(&self.receipts.name).map_or(Ok(false), |table| self.is_readable(table))?;
            if !is_readable {
                return Ok(vec![None; partitions.len()]);
            }
            let mut marks = Vec::with_capacity(partitions.len());
            for some in partitions.chunks(MARKS_AT_ONCE) {
                let outputs: Vec<String> = some.iter().map(|partition| self.output_of(partition)).collect();
                let mut known = receipts::marks(session, &self.receipts, &outputs)?;
                marks.extend(outputs.iter().map(|output| known.remove(output)));
            }
            Ok(marks)
        })
    }

    fn obstacle(&self, partition: &Partition) -> Result<Option<String>, StoreError> {
        // The claim looks again, under the locks.
        let known = self.expectations.partition(partition);
        if known.is_some_and(|known| known.is_fresh() && known.keys.is_empty()) {
            return Ok(None);
        }
        let (mut session, mut look) = self.look_at(partition)?;
        let obstacle = self.obstacle_in(&mut session, partition, &mut look);
        session.end_reading();
        obstacle
    }

    fn dependents(&self, partition: &Partition) -> Result<Vec<String>, StoreError> {
        self.dependents_of_views(partition)
    }

    fn reader_view(&self, partition: &Partition) -> Result<ReaderView, StoreError> {
        self.reader_view_of(partition)
    }

    fn make_reader_view(&self, partition: &Partition) -> Result<(), StoreError> {
        let mut session = self.pool.session()?;
        self.make_missing_views(&mut session, partition)
    }

    fn read_as_readers(
        &self,
        partition: &Partition,
        instants_us: Option<&[i64]>,
    ) -> Result<Option<Box<dyn FeatureReader + '_>>, StoreError> {
        self.read_views(partition, instants_us)
    }

    fn partitions(&self) -> Result<Vec<Partition>, StoreError> {
        let mut session = self.snapshot_session()?;
        let stored = self.stored_partitions(&mut session);
        session.roll_back();
        Ok(stored?.into_iter().collect())
    }

    fn claim(&self, partition: &Partition, write: Write) -> Result<Claim<'_>, StoreError> {
        match write {
            Write::Replace => self.claim_partition(partition),
            Write::Append { after } => self.claim_to_append(partition, after),
        }
    }

    fn read(&self, partition: &Partition) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        let (mut session, mut look) = self.look_at(partition)?;
        let inspection = match self.inspect_with(&mut session, partition, &mut look) {
            Ok(inspection) => inspection,
            Err(error) => {
                session.roll_back();
                return Err(error);
            }
        };
        let leaves: Vec<Leaf> = inspection.leaves.into_iter().flatten().map(|seen| seen.leaf).collect();
        if leaves.len() < self.series.len() {
            session.roll_back();
            return Err(StoreError::permanent(format!("{partition}: some of its tables are missing")));
        }
        let receipt = match inspection.found {
            Found::Ours(receipt) => Some(*receipt),
            Found::Nothing | Found::Foreign(_) | Found::Newer(_) | Found::Blocked(_) => None,
        };
        Ok(Box::new(TableReader::new(session, &self.series, leaves, receipt, true)))
    }

    fn grouping(&self) -> Grouping {
        Grouping::Apart
    }

    fn check_outputs(&self, partitions: &[Partition]) -> Result<(), StoreError> {
        partitions.iter().try_for_each(|partition| self.check_names(partition))
    }

    fn check_version(&self) -> Result<(), StoreError> {
        self.check_receipts_version()
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        self.describe()
    }

    fn is_local(&self) -> Option<bool> {
        self.is_local
    }

    fn sessions(&self) -> Option<(usize, String)> {
        Some((self.budget.sessions, self.budget.arithmetic()))
    }

    fn monitor(&self) -> Option<Box<dyn StoreMonitor>> {
        // With one session for ever, a worker would have to wait. One that is the share beside other runners becomes more when these end.
        if !self.budget.may_grow() {
            return None;
        }
        let pool = (Arc::clone(&self.pool), self.budget.configured_max);
        let (metrics, is_elsewhere) = (self.metrics_command.as_ref(), self.is_local == Some(false));
        Some(Box::new(PostgresMonitor::new(pool, metrics, is_elsewhere)))
    }

    fn server_process(&self) -> Option<ServerProcess> {
        self.server_process.clone()
    }

    /// Returns the bytes that COPY sends, for the tables that exist or that a run would create. Before the first
    /// inspection it assumes columns of the configured type.
    fn estimate_bytes(&self, partition: &Partition, rows: u64) -> u64 {
        let configured =
            || self.series.iter().map(|series| self.new_leaf(series, TimeType::Naive).row_bytes()).sum();
        rows.saturating_mul(self.catalog.row_bytes(partition).unwrap_or_else(configured))
    }

    /// The server does not tell.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    fn output(&self, partition: &Partition) -> String {
        self.output_of(partition)
    }
}
