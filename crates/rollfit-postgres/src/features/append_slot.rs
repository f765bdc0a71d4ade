//! [`AppendSlot`]: adds rows to one partition in one transaction: lock, look, INSERT into each table, receipt, COMMIT.
//!
//! Invariants: rows are added only to what was looked at under the locks, see [`look`]. No row is deleted or changed.
//! Readers see all of the old or all of the new.

mod look;
mod rows;
mod writing;

use std::sync::Arc;

use rollfit_job::activity::Activity;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::{ColumnTypes, Receipt};
use rollfit_job::store::{Claim, Fault, FeatureTile, Found, Rounding, Slot, StoreError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use self::look::{FollowedLeaf, FollowedReceipt, LOOK, Look, SeenToAppend, Verdict};
use self::rows::AddedRows;
use self::writing::{Inserted, Sent};
use crate::PostgresStore;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::holders::LOCK_KEY;
use crate::connection::pool::PooledSession;
use crate::connection::session::{Mode, PreparedCopy, Request, Session, SqlParameter, Step};
use crate::failpoint;
use crate::features::claim_batch::{ClaimBatch, ClaimOutcome, HeldBy};
use crate::features::narrow_columns::NarrowColumns;
use crate::features::slot::commit;
use crate::names::{literal, quoted};
use crate::partitioning::parent::{Ancestor, above_sql};
use crate::tables::receipts::ReceiptRow;
use crate::tables::table::{LOOK_UP, describe_sql, tables_from};
use crate::views::ReaderQuestion;

/// How a digest begins that is of the rows one after the other, so that it can be continued.
const CHAINED_DIGEST: &str = "rows1:";

/// A partition in a transaction that holds its locks, whose rows are those of a receipt.
struct AppendSlot<'a> {
    store: &'a PostgresStore,
    partition: Partition,
    session: PooledSession,
    /// The receipt of the rows that are there.
    after: Receipt,
    /// The digest of its row.
    digest: String,
    found: Found,
    leaves: Vec<FollowedLeaf>,
    /// The rows of the table that is written.
    adding: Option<AddedRows>,
    /// The tables before it whose rows are written together.
    inserted: Vec<Inserted>,
    /// The table before it whose rows were sent.
    sent: Option<Sent>,
    /// The COPY into each table, if rows are many, until it starts.
    prepared: Vec<Option<PreparedCopy>>,
    /// How many rows each table got.
    added: Vec<u64>,
    bytes: u64,
    ended: bool,
}

/// How the locking of a partition ended.
enum Locked {
    Ours(Box<SeenToAppend>),
    Held(HeldBy),
    Gone,
    /// Things are other than expected: what was asked together has to be asked one after the other.
    Unexpected,
}

impl PostgresStore {
    /// Locks a partition to add rows to those of the receipt `after`, unless another session holds it or one of its
    /// tables.
    pub(crate) fn claim_to_append(
        &self,
        partition: &Partition,
        after: Box<Receipt>,
    ) -> Result<Claim<'_>, StoreError> {
        let followed = self.followed_receipt(&after)?;
        let mut session = self.pool.session()?;
        failpoint::reach("connected");
        let looked = self.lock_and_look(&mut session, partition, &followed);
        let digest = followed.digest;
        let Look { found, leaves } = match looked {
            Ok(Verdict::Free(look)) => look,
            Ok(Verdict::Held(held)) => {
                session.roll_back();
                return self.holder_name(session, partition, held).map(Claim::Held);
            }
            Ok(Verdict::Rewrite(why)) => {
                session.roll_back();
                return Ok(Claim::Rewrite(why));
            }
            Err(error) => {
                session.roll_back();
                return Err(error);
            }
        };
        failpoint::reach("append-looked");
        let added = vec![0; leaves.len()];
        let (store, partition, after) = (self, partition.clone(), *after);
        let (adding, bytes, ended) = (None, 0, false);
        Ok(Claim::Taken(Box::new(AppendSlot {
            store,
            partition,
            session,
            after,
            digest,
            found,
            leaves,
            adding,
            inserted: Vec::new(),
            sent: None,
            prepared: Vec::new(),
            added,
            bytes,
            ended,
        })))
    }

    /// Returns a receipt as the look has it.
    fn followed_receipt<'a>(&self, receipt: &'a Receipt) -> Result<FollowedReceipt<'a>, StoreError> {
        let row = ReceiptRow::new(receipt)?;
        let refusal = if row.definition != self.definition.hash {
            Some("its receipt is of another definition")
        } else if receipt.stored.adopted {
            Some("another program wrote its rows")
        } else if !receipt.input.digest.starts_with(CHAINED_DIGEST) {
            Some("its receipt has the input digest of an earlier version")
        } else if receipt.stored.types.is_none() {
            Some("its receipt does not record the types of its columns")
        } else {
            None
        };
        Ok(FollowedReceipt { receipt, digest: row.digest, refusal: refusal.map(str::to_owned) })
    }

    /// Locks a partition and looks at all that an append depends on. Leaves a transaction open.
    fn lock_and_look(
        &self,
        session: &mut Session,
        partition: &Partition,
        followed: &FollowedReceipt<'_>,
    ) -> Result<Verdict, StoreError> {
        let receipt_query = self.expectations.receipt_query().filter(|_| self.claims_in_batches());
        let locked = match receipt_query {
            Some(receipt_query) => self.lock_at_once_to_append(session, partition, receipt_query)?,
            None => self.lock_to_append(session, partition)?,
        };
        let locked = match locked {
            Locked::Unexpected => {
                session.roll_back();
                self.lock_to_append(session, partition)?
            }
            locked => locked,
        };
        match locked {
            Locked::Ours(seen) => {
                failpoint::reach("append-locked");
                self.look(session, partition, *seen, followed)
            }
            Locked::Held(held) => Ok(Verdict::Held(held)),
            Locked::Gone | Locked::Unexpected => Ok(Verdict::Rewrite("one of its tables is gone".to_owned())),
        }
    }

    /// The statements that lock the tables of a partition. The receipts are locked as the UPDATE will lock them: no trigger can come
    /// between the look and the UPDATE.
    fn append_locks(&self, partition: &Partition) -> [String; 2] {
        let names = self.leaf_names(partition);
        let leaves: Vec<String> =
            names.iter().map(|name| format!("ONLY {}", self.table(name).sql())).collect();
        [
            format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", leaves.join(", ")),
            format!("LOCK TABLE ONLY {} IN ROW EXCLUSIVE MODE", self.receipts.sql()),
        ]
    }

    /// The names of the tables that an append describes.
    fn append_names(&self, partition: &Partition) -> Vec<String> {
        let mut names = self.leaf_names(partition);
        names.extend([self.receipts.name.clone(), self.definitions.name.clone()]);
        names
    }

    /// Begins the transaction, takes the locks and looks at all there is: one round trip. Once receipts have been read, it is known how.
    fn lock_at_once_to_append(
        &self,
        session: &mut Session,
        partition: &Partition,
        receipt_query: String,
    ) -> Result<Locked, StoreError> {
        let (output, names) = (self.output_of(partition), self.append_names(partition));
        let (leaf_names, known) = (self.leaf_names(partition), self.known_definitions.hashes());
        let [tables, lock] = self.append_locks(partition);
        let receipts = [vec![lock], self.receipt_locks(Some(&receipt_query))].concat();
        let reader_question = self.reader_question(partition);
        let named =
            |names| -> Vec<SqlParameter<'_>> { vec![(&self.schema, Type::TEXT), (names, Type::TEXT_ARRAY)] };
        let parameters: Vec<SqlParameter<'_>> = vec![(&output, Type::TEXT), (&known, Type::TEXT_ARRAY)];
        let mut looks: Vec<Step<'_>> = reader_question.iter().flat_map(ReaderQuestion::steps).collect();
        looks.extend([
            Step::query(LOOK_UP, describe_sql(), named(&names)),
            Step::query("look up the tables above a partition", above_sql(), named(&leaf_names)),
            Step::query(LOOK, self.look_sql(partition, &receipt_query), parameters),
        ]);
        let batch = ClaimBatch { partition, output: &output, tables: vec![tables], receipts, looks };
        let mut looked = match self.claim_and_look(session, batch)? {
            ClaimOutcome::Ours(looked) => looked.into_iter(),
            ClaimOutcome::Held(held) => return Ok(Locked::Held(held)),
            ClaimOutcome::Unexpected => return Ok(Locked::Unexpected),
        };
        let mut next = || looked.next().unwrap_or_default();
        failpoint::reach("append-began");
        let reader_view = match &reader_question {
            Some(question) => Some(question.answer(&next(), &next())?),
            None => None,
        };
        Ok(Locked::Ours(Box::new(SeenToAppend {
            tables: tables_from(&self.schema, next())?,
            above: Some(Ancestor::by_leaf(&next())?),
            row: next().into_iter().next().map(|row| (receipt_query, row)),
            reader_view,
        })))
    }

    /// Begins the transaction and takes the locks: two round trips.
    fn lock_to_append(&self, session: &mut Session, partition: &Partition) -> Result<Locked, StoreError> {
        let output = literal(&self.output_of(partition));
        let lock = format!("SELECT pg_try_advisory_xact_lock({})", LOCK_KEY.replace("$1", &output));
        let doing = ("begin a transaction and lock the partition", lock.as_str());
        if session.begin_with(Mode::Write, &self.settings, doing)?.as_deref() != Some("t") {
            return Ok(Locked::Held(HeldBy::Claim));
        }
        failpoint::reach("append-began");
        let (names, sql) = (self.append_names(partition), self.append_locks(partition).join("; "));
        let parameters: [SqlParameter<'_>; 2] = [(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
        let doing = format!("lock the tables of {partition}");
        let (lock, asking) = ((doing.as_str(), sql.as_str()), describe_sql());
        let asked = (LOOK_UP, asking.as_str());
        match session.try_lock_and_rows(lock, asked, &parameters)? {
            Ok(rows) => {
                let tables = tables_from(&self.schema, rows)?;
                Ok(Locked::Ours(Box::new(SeenToAppend { tables, above: None, row: None, reader_view: None })))
            }
            Err(error) if is_lock_timeout(&error) => Ok(Locked::Held(HeldBy::TablesOrReceipts)),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Locked::Gone),
            Err(error) => Err(server_error(&doing, error)),
        }
    }
}

impl AppendSlot<'_> {
    /// Checks that the rows that are there are those of the receipt that rows are added to.
    fn check_found(&self) -> Result<(), StoreError> {
        if matches!(&self.found, Found::Ours(found) if **found == self.after) {
            return Ok(());
        }
        let message = format!("{}: another program changed its receipt meanwhile", self.partition);
        Err(StoreError::new(Fault::Transient, message))
    }

    /// Checks that a receipt is that of the rows that are there and of those added.
    ///
    /// # Errors
    /// When it is not, which would be a defect of rollfit.
    fn check_receipt(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let rows = |added: &u64| self.after.stored.rows + added == receipt.stored.rows;
        let is_right = self.added.iter().all(rows)
            && receipt.output == self.after.output
            && receipt.definition == self.after.definition
            && receipt.stored.types == self.after.stored.types
            && !receipt.stored.adopted;
        if is_right {
            return Ok(());
        }
        Err(StoreError::permanent(format!(
            "{}: the receipt is not of the rows that were added; please report this bug in rollfit",
            self.partition
        )))
    }

    /// Returns the statement that tells the planner of the instants, where a tenth is new to it.
    fn analysis(&self) -> Option<Request<'static>> {
        let is_outgrown = |(leaf, added): (&FollowedLeaf, &u64)| {
            let rows = self.after.stored.rows + added;
            leaf.analyzed_rows
                .is_some_and(|analyzed| analyzed < 0.0 || rows as f64 > 1.1 * f64::from(analyzed))
        };
        let outgrown = self.leaves.iter().zip(&self.added).filter(|&leaf| is_outgrown(leaf));
        let tables: Vec<String> = outgrown
            .map(|(leaf, _)| {
                format!("{} ({})", leaf.leaf.name.sql(), quoted(rollfit_job::config::TIME_COLUMN))
            })
            .collect();
        let sql = format!("ANALYZE (SKIP_LOCKED) {}", tables.join(", "));
        (!tables.is_empty()).then(|| {
            let analyze = Request::execute(format!("analyze the tables of {}", self.partition), sql);
            analyze.counted_as(Activity::Analyzing)
        })
    }
}

impl Slot for AppendSlot<'_> {
    fn found(&mut self) -> Result<Found, StoreError> {
        Ok(self.found.clone())
    }

    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        NarrowColumns::from_leaves(self.leaves.iter().map(|leaf| &leaf.leaf))
    }

    fn column_types(&self) -> Option<Vec<ColumnTypes>> {
        self.after.stored.types.clone()
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        self.check_found()
    }

    fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), StoreError> {
        self.check_found()?;
        let series = self.store.series_at(tile.first_column);
        if self.adding.as_ref().is_none_or(|adding| adding.series() != series) {
            self.end_table()?;
        }
        let after_us = self.after.input.last_us;
        let new =
            || AddedRows::new(series, &self.leaves[series].leaf, self.store.columns_of(series), after_us);
        let mut adding = self.adding.take().unwrap_or_else(new);
        adding.expect(&tile)?;
        if adding.needs_copy() {
            let copy = self.start_copy(series)?;
            adding.begin_copy(copy, &mut self.session)?;
        }
        self.adding.insert(adding).add(tile, &mut self.session)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.end_table()
    }

    fn bytes_written(&self) -> u64 {
        self.bytes + self.adding.as_ref().map_or(0, AddedRows::bytes)
    }

    fn memory_bytes(&self) -> u64 {
        let inserted: u64 = self.inserted.iter().map(Inserted::memory_bytes).sum();
        inserted + self.adding.as_ref().map_or(0, AddedRows::memory_bytes)
    }

    fn commit(mut self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError> {
        self.check_found()?;
        self.flush()?;
        self.check_receipt(receipt)?;
        self.write_receipt(receipt)?;
        let analysis = self.analysis();
        let answers = commit(&mut self.session, analysis.into_iter().collect())?;
        self.ended = true;
        answers.failures().iter().for_each(|error| tracing::warn!("{error}"));
        Ok(self.bytes)
    }

    fn remove(self: Box<Self>) -> Result<(), StoreError> {
        let partition = &self.partition;
        Err(StoreError::permanent(format!("{partition} was claimed to add rows, which removes none")))
    }
}

impl Drop for AppendSlot<'_> {
    fn drop(&mut self) {
        // The COPY in progress is cancelled, and those prepared are forgotten, before the transaction is rolled back.
        (self.adding, self.sent) = (None, None);
        self.prepared.clear();
        if !self.ended {
            self.session.roll_back();
        }
    }
}
