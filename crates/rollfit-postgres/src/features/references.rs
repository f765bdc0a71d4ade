//! [`References`]: the foreign keys with an action that refer to tables whose rows will be deleted, see
//! [`ForeignKey`].
//!
//! Invariants: rows are deleted only if no row of another table refers to them by such a key. This is checked under a
//! lock that prevents new references. After the DELETE, no row of another table has changed.

use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{RefusedStep, Session, SqlParameter, Step};
use crate::features::inspect::InspectedLeaf;
use crate::features::partition_look::PartitionLook;
use crate::names::TableName;
use crate::tables::foreign_key::ForeignKey;

/// The first of the given tables and their partitions in which this transaction deleted or changed rows.
const CHANGED: &str = "
    SELECT n.nspname::text, c.relname::text
    FROM unnest($1) AS asked (oid)
    CROSS JOIN LATERAL (
        SELECT asked.oid UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree(asked.oid)) AS part (oid)
    JOIN pg_catalog.pg_class c ON c.oid = part.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> ALL ($2)
        AND pg_stat_get_xact_tuples_deleted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) > 0
    LIMIT 1";

/// The next attempt sees the row that this one missed.
const ATTEMPTS_MAX: u32 = 3;

/// The foreign keys with an action that refer to the non-empty tables of one partition.
pub(crate) struct References {
    keys: Vec<ForeignKey>,
    /// All tables of the partition. Their rows are deleted together and may refer to each other.
    ours: Vec<(u32, TableName)>,
}

impl References {
    /// Returns the keys that refer to tables with rows. They are looked up if a look has not done it.
    pub(crate) fn find(
        session: &mut Session,
        leaves: &[Option<InspectedLeaf>],
        look: &mut PartitionLook,
    ) -> Result<Self, StoreError> {
        let leaves = || leaves.iter().flatten();
        let ours = leaves().map(|leaf| (leaf.oid, leaf.leaf.name.clone())).collect();
        let occupied: Vec<u32> = leaves().filter(|leaf| leaf.span.is_some()).map(|leaf| leaf.oid).collect();
        let keys = match look.take_keys(leaves().map(|leaf| &leaf.leaf.name)) {
            _ if occupied.is_empty() => Vec::new(),
            Some(keys) => keys.into_iter().filter(|key| occupied.contains(&key.referenced_oid)).collect(),
            None => ForeignKey::onto(session, &occupied)?,
        };
        Ok(Self { keys, ours })
    }

    /// Prevents new rows from referring to ours, where that is not done yet. Returns which rows would be lost, see
    /// [`Self::obstacle`]; nothing at all if another session is about to commit a row that refers to ours.
    pub(crate) fn keep_out(
        &self,
        session: &mut Session,
        unreferenced: &[TableName],
        look: &mut PartitionLook,
    ) -> Result<Option<Option<String>>, StoreError> {
        let is_referenced = |oid: u32| self.keys.iter().any(|key| key.referenced_oid == oid);
        // Adding a referring row takes ROW SHARE, which the lock against other writers does not block.
        let lock = |table: &TableName| {
            let sql = format!("LOCK TABLE ONLY {} IN EXCLUSIVE MODE", table.sql());
            Step::lock(format!("lock {table}"), sql)
        };
        let referenced = self.ours.iter().filter(|(oid, _)| is_referenced(*oid)).map(|(_, table)| table);
        let locks: Vec<Step<'static>> =
            referenced.filter(|table| !unreferenced.contains(table)).map(lock).collect();
        if locks.is_empty() {
            return self.obstacle(session, look).map(Some);
        }
        match self.ask(session, locks)? {
            Ok(refers) => Ok(Some(self.obstacle_of(&refers))),
            Err(refused) if refused.is_lock_timeout() => Ok(None),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// Returns which rows of other tables would be lost with the current rows of the partition. They are looked for if a look has not
    /// done it.
    pub(crate) fn obstacle(
        &self,
        session: &mut Session,
        look: &mut PartitionLook,
    ) -> Result<Option<String>, StoreError> {
        let refers = match look.take_referring(&self.keys, &self.oids()) {
            _ if self.keys.is_empty() => return Ok(None),
            Some(refers) => refers,
            None => self.ask(session, Vec::new())?.map_err(RefusedStep::into_error)?,
        };
        Ok(self.obstacle_of(&refers))
    }

    /// Runs steps, and then finds out whether rows refer to ours by each key. They may do so where not all of them can be read.
    fn ask(
        &self,
        session: &mut Session,
        steps: Vec<Step<'static>>,
    ) -> Result<Result<Vec<bool>, RefusedStep>, StoreError> {
        let (oids, first) = (self.oids(), steps.len());
        let mut steps: Vec<Step<'_>> = steps;
        let tables: Vec<TableName> = self.ours.iter().map(|(_, table)| table.clone()).collect();
        let queries: Vec<_> = self.keys.iter().map(|key| key.referring_query(&oids, &tables)).collect();
        for (doing, sql) in queries.iter().flatten() {
            let parameters: Vec<SqlParameter<'_>> = vec![(&oids, Type::OID_ARRAY)];
            steps.push(Step::query(doing, sql, parameters));
        }
        let answers = match session.try_batch("lock tables and look for rows that refer to them", &steps)? {
            Ok(answers) => answers,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut answers = answers.into_iter().skip(first);
        let mut refers = |query: &Option<_>| match query {
            Some(_) => ForeignKey::refers_from(&answers.next().unwrap_or_default()),
            None => Ok(true),
        };
        queries.iter().map(&mut refers).collect::<Result<_, _>>().map(Ok)
    }

    /// Returns what there is to say of rows that refer to ours by the keys for which this is true.
    fn obstacle_of(&self, refers: &[bool]) -> Option<String> {
        const SHOWN_MAX: usize = 3;
        let keys = self.keys.iter().zip(refers);
        let mut obstacles: Vec<String> = keys.filter_map(|(key, refers)| key.obstacle_if(*refers)).collect();
        let more = obstacles.len().saturating_sub(SHOWN_MAX);
        obstacles.truncate(SHOWN_MAX);
        obstacles.extend((more > 0).then(|| format!("and {more} more constraints")));
        (!obstacles.is_empty()).then(|| obstacles.join("; "))
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &[ForeignKey] {
        &self.keys
    }

    /// Returns the query for changed rows in tables that refer to ours, if there are any. Its parameters are their oids and ours.
    pub(crate) fn changed_query(&self) -> Option<(&'static str, [Vec<u32>; 2])> {
        let asked = || self.keys.iter().map(|key| key.referring_oid).collect();
        (!self.keys.is_empty()).then(|| (CHANGED, [asked(), self.oids()]))
    }

    /// Checks after the DELETE that it changed no row of another table, by the answer to that query. A row that arrived by replication, or while
    /// triggers were disabled, took no lock and may have been missed.
    ///
    /// # Errors
    /// When it did. A later attempt sees the row and finds the partition blocked.
    pub(crate) fn check_unchanged(rows: &[AnswerRow]) -> Result<(), StoreError> {
        let Some(row) = rows.first() else { return Ok(()) };
        let changed = TableName::new(row.get(0)?, row.get(1)?);
        let message = format!("the DELETE would have changed rows of {changed} and was rolled back");
        Err(StoreError::new(Fault::Transient, message).with_attempts_max(ATTEMPTS_MAX))
    }

    /// The oids of the tables of the partition.
    pub(crate) fn oids(&self) -> Vec<u32> {
        self.ours.iter().map(|(oid, _)| *oid).collect()
    }
}
