//! The look under the locks before rows are added. An append vouches only for what it has looked at: the receipt is the
//! one that it follows; each table has as many rows as the receipt says, up to its last instant, columns of the types
//! that it records, the place that it should have, and nothing that could change the rows of an INSERT; and readers find what is added by the
//! views that rollfit makes.
//!
//! Invariants: where less is there than the receipt says, or something may change what is added, the partition is to be
//! rewritten as a whole. Where more is there, in any of the tables, somebody else wrote it, and a rewrite would remove it: that
//! is an error, whatever else calls for a rewrite.

use std::collections::HashMap;

use rollfit_job::config::TIME_COLUMN;
use rollfit_job::few::few;
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{Found, ReaderView, StoreError};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter};
use crate::copy::instant::ServerInstant;
use crate::features::claim_batch::HeldBy;
use crate::names::{TableName, literal, quoted};
use crate::partitioning::parent::Ancestor;
use crate::tables::leaf::Leaf;
use crate::tables::rights::MAY_MAINTAIN;
use crate::tables::row_security::Accepting;
use crate::tables::stored_receipt::{Reading, ReceiptTables, StoredReceipt};
use crate::tables::table::Table;

/// What the look does, for messages.
pub(super) const LOOK: &str = "look at the rows and the receipt";

/// Returns the triggers and rules that an INSERT into the tables with the oids `leaves` or an UPDATE of the receipts runs, without the
/// server's own for foreign keys and deferred unique constraints, as an array in SQL.
fn triggers_sql(leaves: &str, receipts: &str) -> String {
    format!(
        "ARRAY(SELECT format('trigger %s on %s', t.tgname, t.tgrelid::regclass)
               FROM pg_catalog.pg_trigger t LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
               WHERE (t.tgrelid IN ({leaves}) AND t.tgtype & 4 <> 0 OR t.tgrelid = {receipts} AND t.tgtype & 16 <> 0)
                   AND t.tgenabled <> 'D' AND (k.oid IS NULL OR k.contype = 't')
               UNION ALL
               SELECT format('rule %s on %s', r.rulename, r.ev_class::regclass) FROM pg_catalog.pg_rewrite r
               WHERE (r.ev_class IN ({leaves}) AND r.ev_type = '3' OR r.ev_class = {receipts} AND r.ev_type = '2')
                   AND r.ev_enabled <> 'D'
               ORDER BY 1)"
    )
}

/// The columns of the receipt and of [`triggers_sql`], before those of the tables.
const COLUMNS_BEFORE: usize = 4;
/// The columns of one table.
const COLUMNS_OF_TABLE: usize = 5;

/// How the claim of a partition ended.
pub(super) enum Verdict {
    /// Its receipt was read, and if it is the one to follow, rows can be added.
    Free(Look),
    /// Another session has it, or what it takes to write it.
    Held(HeldBy),
    /// It has to be replaced, and why.
    Rewrite(String),
}

/// The receipt that rows are to be added to.
pub(super) struct FollowedReceipt<'a> {
    pub(super) receipt: &'a Receipt,
    /// The digest of its row.
    pub(super) digest: String,
    /// Why no rows can be added to those of this receipt; none if they can.
    pub(super) refusal: Option<String>,
}

/// What was seen of a partition.
pub(super) struct Look {
    pub(super) found: Found,
    pub(super) leaves: Vec<FollowedLeaf>,
}

/// What was seen of a partition with its locks.
pub(super) struct SeenToAppend {
    /// The tables as they are now, by name.
    pub(super) tables: HashMap<String, Table>,
    /// The partitioned tables above them, by oid.
    pub(super) above: Option<HashMap<u32, Vec<Ancestor>>>,
    /// The row of the look, and the query of the receipt in it.
    pub(super) row: Option<(String, AnswerRow)>,
    /// What readers find.
    pub(super) reader_view: Option<ReaderView>,
}

/// A table that rows can be added to.
pub(super) struct FollowedLeaf {
    pub(super) leaf: Leaf,
    /// The rows when it was analyzed last, negative if it never was; none if the role may not do it.
    pub(super) analyzed_rows: Option<f32>,
}

/// The rows of a table.
struct RowsThere {
    rows: u64,
    /// Rows whose instant is not NULL.
    instants: u64,
    first: Option<ServerInstant>,
    last: Option<ServerInstant>,
}

impl PostgresStore {
    /// Looks at a partition under its locks. What was not seen with them is asked.
    ///
    /// # Errors
    /// When a table cannot be written as it is, which a replacement would say too, or has rows of others.
    pub(super) fn look(
        &self,
        session: &mut Session,
        partition: &Partition,
        seen: SeenToAppend,
        followed: &FollowedReceipt<'_>,
    ) -> Result<Verdict, StoreError> {
        let SeenToAppend { tables, above, row, reader_view } = seen;
        let Some(receipts) = self.receipt_tables(&tables)? else {
            return Ok(Verdict::Rewrite(format!("{} is gone or cannot be read", self.receipts)));
        };
        let mut found = Vec::new();
        for name in self.leaf_names(partition) {
            let Some(table) = tables.get(&name) else {
                return Ok(Verdict::Rewrite(format!("{} is gone", self.table(&name))));
            };
            found.push(table);
        }
        let own = [&self.receipts, &self.definitions].into_iter().filter_map(|table| tables.get(&table.name));
        let hiding = found.iter().copied().chain(own).find(|table| table.policies.is_some());
        hiding.map_or(Ok(()), |table| self.check_row_security(table, Accepting::Sink))?;
        let leaves = self.leaves_to_follow(session, partition, &found, above)?;
        let (output, receipt_query) = (self.output_of(partition), receipts.select());
        self.expectations.note_receipt_query(&receipt_query);
        let row = match row.filter(|(asked, _)| *asked == receipt_query) {
            Some((_, row)) => row,
            None => self.row_of_look(session, partition, (&receipts, &output))?,
        };
        let reader_view = match (reader_view, self.reader_question(partition)) {
            (Some(seen), _) => seen,
            (None, Some(question)) => question.ask(session)?,
            (None, None) => ReaderView::Ready,
        };
        let (found, seen_digest) = seen_receipt(receipts.stored(&output, &row)?);
        if !matches!(&found, Found::Ours(receipt) if **receipt == *followed.receipt) {
            return Ok(Verdict::Free(Look { found, leaves: Vec::new() }));
        }
        // Rows of others in any of the tables are an error, which comes before every reason for a rewrite.
        let (leaves, differing) = followed_leaves(leaves, &row, partition, followed.receipt)?;
        let hidden = hiding.map(|table| format!("row-level security applies to {}", table.name));
        let why = match followed.refusal.clone().or(hidden) {
            Some(why) => Some(why),
            None => unlike(followed, seen_digest.as_deref(), &leaves, &row)?
                .or(differing)
                .or_else(|| unread(reader_view)),
        };
        Ok(why.map_or_else(|| Verdict::Free(Look { found, leaves }), Verdict::Rewrite))
    }

    /// Checks the tables as a replacement does.
    fn leaves_to_follow(
        &self,
        session: &mut Session,
        partition: &Partition,
        tables: &[&Table],
        mut above: Option<HashMap<u32, Vec<Ancestor>>>,
    ) -> Result<Vec<Leaf>, StoreError> {
        let mut leaves = Vec::new();
        for (table, series) in tables.iter().zip(&self.series) {
            let leaf = match Leaf::new(table, series) {
                Ok(leaf) => leaf,
                Err(defect) => return Err(self.refused(session, &defect)),
            };
            let above = above.as_mut().map(|above| above.remove(&table.oid).unwrap_or_default());
            self.check_placement(session, (table, &leaf), series, partition, above)?;
            leaves.push(leaf);
        }
        self.catalog.note_row_bytes(partition, leaves.iter().map(Leaf::row_bytes).sum());
        Ok(leaves)
    }

    fn row_of_look(
        &self,
        session: &mut Session,
        partition: &Partition,
        (receipts, output): (&ReceiptTables<'_>, &str),
    ) -> Result<AnswerRow, StoreError> {
        let (sql, known) = (self.look_sql(partition, &receipts.select()), receipts.known.hashes());
        let parameters: [SqlParameter<'_>; 2] = [(&output, Type::TEXT), (&known, Type::TEXT_ARRAY)];
        let rows = session.rows(LOOK, &sql, &parameters)?;
        rows.into_iter().next().ok_or_else(|| StoreError::permanent("the server did not answer the look"))
    }

    /// Returns the query of the look, with that of the receipt. The tables are those that have these names: once they are locked, their
    /// names stay theirs.
    pub(super) fn look_sql(&self, partition: &Partition, receipt_query: &str) -> String {
        let time = quoted(TIME_COLUMN);
        let leaves: Vec<TableName> = self.leaf_names(partition).iter().map(|name| self.table(name)).collect();
        let oid = |table: &TableName| format!("{}::regclass::oid", literal(&table.sql()));
        let of_table = |leaf: &TableName| {
            format!(
                "(SELECT count(*), count({time}), min({time}), max({time}),
                         (SELECT CASE WHEN {MAY_MAINTAIN} THEN c.reltuples END
                          FROM pg_catalog.pg_class c WHERE c.oid = {}) FROM ONLY {}) ",
                oid(leaf),
                leaf.sql()
            )
        };
        let tables: String = leaves
            .iter()
            .enumerate()
            .map(|(at, leaf)| {
                format!(" CROSS JOIN {} AS leaf_{at} (rows, instants, first, last, analyzed)", of_table(leaf))
            })
            .collect();
        let columns: String = (0..leaves.len()).map(|at| format!(", leaf_{at}.*")).collect();
        let oids: Vec<String> = leaves.iter().map(oid).collect();
        let triggers = triggers_sql(&oids.join(", "), &oid(&self.receipts));
        format!(
            "SELECT stored.receipt, stored.digest, stored.definition, {triggers}{columns}
             FROM (VALUES (1)) AS one LEFT JOIN ({receipt_query}) AS stored ON true{tables}"
        )
    }
}

/// Returns what a receipt says, and the digest of its row.
fn seen_receipt(stored: Option<StoredReceipt>) -> (Found, Option<String>) {
    let Some(StoredReceipt { digest, reading, .. }) = stored else { return (Found::Nothing, None) };
    let found = match reading {
        Reading::Receipt(receipt) => Found::Ours(receipt),
        Reading::Newer(what) => Found::Newer(what),
        Reading::Void(cause) => Found::Foreign(format!("the receipt is void: {cause}")),
        Reading::Nothing => Found::Foreign("the row of its receipt holds none".to_owned()),
    };
    (found, digest)
}

/// Returns the tables with what the look saw of them, and how their rows differ from those of a receipt, if they do.
///
/// # Errors
/// When a table has rows of others, also where another one differs.
fn followed_leaves(
    leaves: Vec<Leaf>,
    row: &AnswerRow,
    partition: &Partition,
    receipt: &Receipt,
) -> Result<(Vec<FollowedLeaf>, Option<String>), StoreError> {
    let (mut followed, mut differing) = (Vec::new(), None);
    for (at, leaf) in leaves.into_iter().enumerate() {
        let (rows, analyzed_rows) = RowsThere::from_row(row, COLUMNS_BEFORE + at * COLUMNS_OF_TABLE)?;
        let why = rows.differ(&leaf.name, partition, receipt)?;
        differing = differing.or(why);
        followed.push(FollowedLeaf { leaf, analyzed_rows });
    }
    Ok((followed, differing))
}

/// Returns why rows cannot be added, whatever rows there are; none if they can.
fn unlike(
    followed: &FollowedReceipt<'_>,
    seen_digest: Option<&str>,
    leaves: &[FollowedLeaf],
    row: &AnswerRow,
) -> Result<Option<String>, StoreError> {
    // Fields that this version does not know would be lost.
    if seen_digest != Some(followed.digest.as_str()) {
        return Ok(Some("its receipt has fields that this version of rollfit does not write".to_owned()));
    }
    let triggers: Vec<String> = row.get(COLUMNS_BEFORE - 1)?;
    if !triggers.is_empty() {
        return Ok(Some(format!("{} may change what is added", few(&triggers))));
    }
    let recorded = followed.receipt.stored.types.as_deref().unwrap_or_default();
    let is_other = |(at, leaf): &(usize, &Leaf)| recorded.get(*at) != Some(&leaf.types);
    let other = leaves.iter().map(|followed| &followed.leaf).enumerate().find(is_other);
    Ok(other
        .map(|(_, leaf)| format!("the columns of {} have other types than its receipt records", leaf.name)))
}

/// Returns why readers would not find what is added; none if they would.
fn unread(reader_view: ReaderView) -> Option<String> {
    match reader_view {
        ReaderView::Ready => None,
        ReaderView::Missing(what) | ReaderView::Foreign(what) => Some(what),
    }
}

impl RowsThere {
    /// Reads the columns of a table, and how many rows it had when it was analyzed.
    fn from_row(row: &AnswerRow, first: usize) -> Result<(Self, Option<f32>), StoreError> {
        let count = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let (rows, instants) = (count(first)?, count(first + 1)?);
        let there = Self { rows, instants, first: row.get(first + 2)?, last: row.get(first + 3)? };
        Ok((there, row.get(first + 4)?))
    }

    /// Returns how the rows differ from those of a receipt, where they can be replaced; none if they do not differ.
    ///
    /// # Errors
    /// When some are not ours.
    fn differ(
        &self,
        table: &TableName,
        partition: &Partition,
        receipt: &Receipt,
    ) -> Result<Option<String>, StoreError> {
        let (recorded, last_us) = (receipt.stored.rows, receipt.input.last_us);
        let Some((first, last)) = self.first.zip(self.last).filter(|_| self.rows == self.instants) else {
            // The replacement says what is wrong with rows without an instant.
            return Ok(Some(format!("{table} has no rows, or some without an instant")));
        };
        let is_inside = first.us().is_some_and(|us| partition.period.span_us().contains(&us));
        let (is_more, ends_later) = (self.rows > recorded, last.us() > last_us);
        let is_moved = self.rows == recorded && last.us() < last_us;
        if is_inside && !is_more && !ends_later && !is_moved {
            let is_same = self.rows == recorded && last.us() == last_us;
            return Ok((!is_same).then(|| format!("{table} has {} of {recorded} rows", self.rows)));
        }
        Err(StoreError::permanent(format!(
            "{table} has {} rows from {first} to {last}, but its receipt is of {recorded} rows to {}: another program \
             added rows; move them elsewhere, or remove them with all others of the partition: `rollfit run --force --only {}:{}`",
            self.rows,
            last_us.map_or("none".to_owned(), display_instant),
            partition.key,
            partition.period
        )))
    }
}
