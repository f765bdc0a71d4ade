//! [`References`]: the foreign keys with an action that refer to tables whose rows will be deleted, see
//! [`ForeignKey`].
//!
//! Invariants: rows are deleted only if no row of another table refers to them by such a key. This is checked under a
//! lock that prevents new references. After the DELETE, no row of another table has changed.

use rollfit_job::activity::waiting;
use rollfit_job::store::{Fault, StoreError};

use crate::connection::answer_row::AnswerRow;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::session::Session;
use crate::features::inspect::InspectedLeaf;
use crate::names::TableName;
use crate::tables::foreign_key::{DoomedRows, ForeignKey};

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
    pub(crate) fn find(session: &mut Session, leaves: &[Option<InspectedLeaf>]) -> Result<Self, StoreError> {
        let leaves = || leaves.iter().flatten();
        let ours = leaves().map(|leaf| (leaf.oid, leaf.leaf.name.clone())).collect();
        let occupied: Vec<u32> = leaves().filter(|leaf| leaf.span.is_some()).map(|leaf| leaf.oid).collect();
        let keys = if occupied.is_empty() { Vec::new() } else { ForeignKey::onto(session, &occupied)? };
        Ok(Self { keys, ours })
    }

    /// Prevents new rows from referring to ours. Returns `false` if another session is about to commit one.
    pub(crate) fn keep_out(&self, session: &mut Session) -> Result<bool, StoreError> {
        let is_referenced = |oid: u32| self.keys.iter().any(|key| key.referenced_oid == oid);
        for (_, table) in self.ours.iter().filter(|(oid, _)| is_referenced(*oid)) {
            // Adding a referring row takes ROW SHARE, which the lock against other writers does not block.
            let doing = format!("lock {table}");
            let sql = format!("LOCK TABLE ONLY {} IN EXCLUSIVE MODE", table.sql());
            match waiting(|| session.try_execute(&doing, &sql))? {
                Ok(()) => {}
                Err(error) if is_lock_timeout(&error) => return Ok(false),
                Err(error) => return Err(server_error(&doing, error)),
            }
        }
        Ok(true)
    }

    /// Returns which rows of other tables would be lost with the current rows of the partition.
    pub(crate) fn obstacle(&self, session: &mut Session) -> Result<Option<String>, StoreError> {
        let ours = self.oids();
        let mut obstacles = Vec::new();
        for key in &self.keys {
            for (_, table) in self.ours.iter().filter(|(oid, _)| *oid == key.referenced_oid) {
                let doomed = DoomedRows { table, condition: "true", parameters: &[] };
                obstacles.extend(key.obstacle(session, doomed, &ours)?);
            }
        }
        const SHOWN_MAX: usize = 3;
        let more = obstacles.len().saturating_sub(SHOWN_MAX);
        obstacles.truncate(SHOWN_MAX);
        obstacles.extend((more > 0).then(|| format!("and {more} more constraints")));
        Ok((!obstacles.is_empty()).then(|| obstacles.join("; ")))
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

    fn oids(&self) -> Vec<u32> {
        self.ours.iter().map(|(oid, _)| *oid).collect()
    }
}
