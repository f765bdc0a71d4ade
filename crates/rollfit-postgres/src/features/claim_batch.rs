//! [`ClaimBatch`]: begins the transaction of a partition, claims it, locks its tables and looks at it, in one round trip.
//!
//! Invariants: what is looked at without the locks is not used. A lock that cannot be had is no error in the server's log, where each attempt
//! would add one for itself and one for each look after it.

use std::sync::atomic::Ordering;

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::holders::LOCK_KEY;
use crate::connection::session::{Mode, RefusedStep, Session, Step};
use crate::names::{TableName, literal};

/// The setting that tells the statements of a batch whose the partition is. It ends with the transaction.
const CLAIMED: &str = "rollfit.claimed";

/// What another session has of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::features) enum HeldBy {
    /// The partition itself.
    Claim,
    /// One of its tables.
    Tables,
    /// The receipts or their definitions.
    Receipts,
    /// One of its tables, or the receipts.
    TablesOrReceipts,
    /// Something else that has to be looked at, to do this; and who has it, where that is known.
    Looked(String, Option<String>),
}

/// What is sent.
pub(in crate::features) struct ClaimBatch<'a> {
    pub(in crate::features) partition: &'a Partition,
    pub(in crate::features) output: &'a String,
    /// The statements that lock its tables.
    pub(in crate::features) tables: Vec<String>,
    /// The statements that lock receipts and definitions, after them.
    pub(in crate::features) receipts: Vec<String>,
    /// What is asked under the locks.
    pub(in crate::features) looks: Vec<Step<'a>>,
}

/// What came of it.
pub(in crate::features) enum ClaimOutcome {
    /// The partition is locked; the answers to the looks.
    Ours(Vec<Vec<AnswerRow>>),
    Held(HeldBy),
    /// Things are other than expected.
    Unexpected,
}

impl<'a> ClaimBatch<'a> {
    /// The steps of the claim. The last one is answered with how it ended.
    fn claim_steps(&self, begin: Step<'a>) -> Vec<Step<'a>> {
        let claim =
            format!("SELECT set_config('{CLAIMED}', pg_try_advisory_xact_lock({LOCK_KEY})::text, true)");
        let mut steps =
            vec![begin, Step::query("lock the partition", claim, vec![(self.output, Type::TEXT)])];
        let groups = [("tables", &self.tables), ("receipts", &self.receipts)];
        let locks: String = groups
            .into_iter()
            .filter(|(_, locks)| !locks.is_empty())
            .map(|(held, locks)| {
                format!(
                    "BEGIN {}; EXCEPTION WHEN lock_not_available THEN PERFORM set_config('{CLAIMED}', '{held}', true); RETURN; END; ",
                    locks.join("; ")
                )
            })
            .collect();
        if !locks.is_empty() {
            let body = format!("BEGIN IF current_setting('{CLAIMED}') = 'true' THEN {locks} END IF; END");
            let sql = format!("DO LANGUAGE plpgsql {}", literal(&body));
            steps.push(Step::lock(format!("lock the tables of {}", self.partition), sql));
        }
        steps.push(Step::query(
            "ask whether the partition is locked",
            format!("SELECT current_setting('{CLAIMED}')"),
            Vec::new(),
        ));
        steps
    }
}

/// What another session has, in the answer to the last step of a claim.
fn held_by(answer: &[AnswerRow]) -> Result<Option<HeldBy>, StoreError> {
    let claimed: Option<&str> = first_value(answer)?;
    Ok(match claimed {
        Some("true") => None,
        Some("tables") => Some(HeldBy::Tables),
        Some("receipts") => Some(HeldBy::Receipts),
        _ => Some(HeldBy::Claim),
    })
}

impl PostgresStore {
    /// Whether claims can be sent as a batch: a role that may not run DO blocks is refused once.
    pub(in crate::features) fn claims_in_batches(&self) -> bool {
        !self.blocks_refused.load(Ordering::Relaxed)
    }

    /// Claims a partition, locks its tables and looks at it.
    ///
    /// # Errors
    /// When the server refuses a step for another reason than that something is held by others or is other than expected.
    pub(in crate::features) fn claim_and_look(
        &self,
        session: &mut Session,
        mut batch: ClaimBatch<'_>,
    ) -> Result<ClaimOutcome, StoreError> {
        let doing = format!("lock and look at {}", batch.partition);
        // What another session had a moment ago it may still have: it is not looked at in vain, and no look waits for what a lock could
        // not get.
        let was_held = self.expectations.is_held(batch.partition);
        let mut steps = batch.claim_steps(session.begin_step(Mode::Write, &self.settings));
        let claim = steps.len();
        if !was_held {
            steps.append(&mut batch.looks);
        }
        let (mut answers, refused) = match session.try_batch(&doing, &steps)? {
            Ok(answers) => (answers, None),
            Err(mut refused) => (refused.take_answers(), Some(refused)),
        };
        // Whatever the looks after it came to.
        if let Some(held) = answers.get(claim - 1).map_or(Ok(None), |answer| held_by(answer))? {
            self.expectations.note_held(batch.partition, true);
            return Ok(ClaimOutcome::Held(held));
        }
        if let Some(refused) = refused {
            return self.refused_claim(refused);
        }
        let mut looked = answers.split_off(claim);
        if was_held {
            looked = match session.try_batch(&doing, &batch.looks)? {
                Ok(answers) => answers,
                Err(refused) => return self.refused_claim(refused),
            };
        }
        self.expectations.note_held(batch.partition, false);
        Ok(ClaimOutcome::Ours(looked))
    }

    fn refused_claim(&self, refused: RefusedStep) -> Result<ClaimOutcome, StoreError> {
        if refused.is_lock_timeout() {
            let (doing, holder) = refused.into_doing_and_holder();
            return Ok(ClaimOutcome::Held(HeldBy::Looked(doing, holder)));
        }
        if !refused.is_wrong_statement() {
            return Err(refused.into_error());
        }
        if refused.is_block_refused() {
            self.blocks_refused.store(true, Ordering::Relaxed);
        }
        Ok(ClaimOutcome::Unexpected)
    }

    /// Returns the statements that lock what a query of receipts reads, as that query would.
    pub(in crate::features) fn receipt_locks(&self, receipt_query: Option<&str>) -> Vec<String> {
        let is_read = |table: &String| receipt_query.is_some_and(|query| query.contains(table));
        let read = [&self.receipts, &self.definitions].map(TableName::sql).into_iter().filter(is_read);
        read.map(|table| format!("LOCK TABLE ONLY {table} IN ACCESS SHARE MODE")).collect()
    }
}
