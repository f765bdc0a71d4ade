//! How the transaction of a partition ends: what completes its tables, the receipt and the last look are one round trip, COMMIT and
//! the VACUUM after it another.

use rollfit_job::activity::Activity;
use rollfit_job::config::TIME_COLUMN;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::StoreError;

use super::PostgresSlot;
use crate::connection::session::{Answers, Request, Session};
use crate::failpoint;
use crate::names::quoted;
use crate::tables::receipts::{ReceiptRow, RowsBy};
use crate::tables::trigger::{Trigger, TriggerQuery, run_deferred};

/// Commits the transaction of a partition. `afterwards` is sent with it: statements whose failure undoes nothing.
pub(in crate::features) fn commit(
    session: &mut Session,
    afterwards: Vec<Request<'_>>,
) -> Result<Answers, StoreError> {
    const DOING: &str =
        "commit (if only the answer was lost, the receipt is stored and the next run skips the partition)";
    failpoint::reach("commit-sent");
    let answers = session.commit(DOING, afterwards)?;
    failpoint::reach("commit-answered");
    Ok(answers)
}

impl PostgresSlot<'_> {
    /// Ends the last COPY, completes the tables, and puts a receipt in the place of the one that was there when the partition was
    /// locked. Returns the receipt as stored, and the triggers and rules that may have changed something.
    pub(super) fn complete(&mut self, receipt: &Receipt) -> Result<(ReceiptRow, Vec<Trigger>), StoreError> {
        let sent = self.sent.take();
        let (mut before, sent) = self.end_requests(sent);
        let completions = self.completions();
        let statements = completions.len();
        before.extend(completions);
        let written = self.write_receipt(receipt, RowsBy::ThisSession, (before, sent, statements));
        let has_view = self.targets.iter().any(|target| !target.view.is_empty());
        if let (Err(_), true, Some(views)) = (&written, has_view, &self.store.views) {
            // What a view calls may have been dropped since it was provided. The next attempt makes it.
            views.start_over();
        }
        written
    }

    /// Puts a receipt in the place of the one that was there when the partition was locked, after other requests: the end of a COPY
    /// and some statements.
    pub(super) fn write_receipt(
        &mut self,
        receipt: &Receipt,
        rows_by: RowsBy,
        (mut requests, sent, statements): (Vec<Request<'_>>, Option<(usize, u64)>, usize),
    ) -> Result<(ReceiptRow, Vec<Trigger>), StoreError> {
        let row = ReceiptRow::new(receipt)?;
        let tables = [&self.store.receipts, &self.store.definitions];
        let leaves = self.targets.iter().map(|target| &target.leaf.name);
        let triggers = TriggerQuery::new(leaves.chain([&self.store.receipts]));
        requests.push(row.write(tables, &self.partition, &self.seen_receipt, rows_by));
        requests.push(triggers.request());
        let mut answers = self.session.at_once(requests);
        self.check_sent(sent, &mut answers)?;
        (0..statements).try_for_each(|_| answers.done())?;
        let (written, seen) = (answers.rows()?, self.seen_receipt.as_deref());
        row.check_written(&mut self.session, tables, seen, &written)?;
        failpoint::reach("receipt-written");
        let triggers = Trigger::from_rows(&answers.rows()?)?;
        if !triggers.is_empty() {
            run_deferred(&mut self.session)?;
        }
        Ok((row, triggers))
    }

    /// Returns the statements that add keys and parents, and analyze what the planner needs now. Autovacuum analyzes the rest later.
    fn completions(&self) -> Vec<Request<'static>> {
        let mut statements = Vec::new();
        for (at, target) in self.targets.iter().enumerate() {
            let name = &target.leaf.name;
            let after = target.creation.iter().flat_map(|creation| &creation.after).chain(&target.view);
            let complete = |statement| Request::execute(format!("complete {name}"), statement);
            statements.extend(after.map(|statement| complete(statement).counted_as(Activity::Keying)));
            if self.may_maintain(at) {
                let sql = format!("ANALYZE {} ({})", name.sql(), quoted(TIME_COLUMN));
                let analyze = Request::execute(format!("analyze {name}"), sql);
                statements.push(analyze.counted_as(Activity::Analyzing));
            }
        }
        statements
    }

    /// Whether the role may VACUUM and ANALYZE a table. If not, that is told once.
    fn may_maintain(&self, series: usize) -> bool {
        let may_maintain = self.room.as_ref().is_some_and(|room| room.may_maintain[series]);
        if !may_maintain {
            self.store.note_unmaintained(&self.targets[series].leaf.name);
        }
        may_maintain
    }

    /// Commits, and makes the space of deleted rows reusable without blocking other sessions. If only the latter fails, the
    /// partition has not failed.
    pub(super) fn end_transaction(&mut self) -> Result<(), StoreError> {
        let emptied =
            self.targets.iter().enumerate().filter(|(_, target)| target.has_rows && self.room.is_some());
        let vacuumed = emptied.filter(|(at, _)| self.may_maintain(*at)).map(|(_, target)| {
            let name = &target.leaf.name;
            let sql = format!("VACUUM (SKIP_LOCKED, TRUNCATE false) {}", name.sql());
            Request::execute(format!("vacuum {name}"), sql).counted_as(Activity::Vacuuming)
        });
        let vacuumed: Vec<Request<'_>> = vacuumed.collect();
        let answers = commit(&mut self.session, vacuumed)?;
        self.ended = true;
        answers.failures().iter().for_each(|error| tracing::warn!("{error}"));
        failpoint::reach("vacuumed");
        Ok(())
    }
}
