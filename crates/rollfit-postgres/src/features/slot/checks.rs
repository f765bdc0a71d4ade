//! The checks of a [`PostgresSlot`] after a statement: deleted rows are gone, and despite triggers and rules the
//! tables hold what the receipt says.

use rollfit_job::activity::{Activity, during};
use rollfit_job::features_of_fits::as_features;
use rollfit_job::few::few;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{Slot, StoreError};
use rollfit_job::verify::receipt_difference;

use super::{PostgresSlot, TargetTable};
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::Request;
use crate::tables::receipts::ReceiptRow;
use crate::tables::trigger::Trigger;

impl PostgresSlot<'_> {
    /// Refuses to delete rows that other tables refer to.
    pub(super) fn check_obstacle(&self) -> Result<(), StoreError> {
        match &self.obstacle {
            None => Ok(()),
            Some(obstacle) => {
                Err(StoreError::permanent(format!("{} is blocked: {obstacle}", self.partition)))
            }
        }
    }

    /// Returns the query for whether each table has rows.
    pub(super) fn emptiness_request(&self) -> Request<'static> {
        let has_rows = |target: &TargetTable| format!("EXISTS (SELECT FROM ONLY {})", target.leaf.name.sql());
        let sql = format!("SELECT {}", self.targets.iter().map(has_rows).collect::<Vec<_>>().join(", "));
        Request::query("check that the deleted rows are gone", sql, Vec::new())
    }

    /// Checks by the answer that no table has rows: a rule or trigger may have kept some or inserted others.
    pub(super) fn check_empty(&mut self, rows: &[AnswerRow]) -> Result<(), StoreError> {
        let has_rows = |at: usize| rows.first().map_or(Ok(true), |row| row.get(at));
        let has_rows = (0..self.targets.len()).map(has_rows).collect::<Result<Vec<bool>, StoreError>>()?;
        let Some(at) = has_rows.iter().position(|has_rows| *has_rows) else { return Ok(()) };
        let name = &self.targets[at].leaf.name;
        let triggers = Trigger::on(&mut self.session, [name])?;
        Err(StoreError::permanent(format!(
            "{name} still has rows after DELETE: {} keeps them or adds others; disable or drop it",
            Trigger::names(&triggers, name)
        )))
    }

    /// If triggers or rules may have changed what was written, compares the tables with the receipt.
    pub(super) fn check_stored(
        &mut self,
        receipt: &Receipt,
        (written, triggers): (&ReceiptRow, &[Trigger]),
    ) -> Result<(), StoreError> {
        if triggers.is_empty() {
            return Ok(());
        }
        during(Activity::Keying, || {
            written.check_kept(&mut self.session, &self.store.receipts)?;
            self.check_rows(receipt, triggers)
        })
    }

    fn check_rows(&mut self, receipt: &Receipt, triggers: &[Trigger]) -> Result<(), StoreError> {
        let series = &self.store.feature_series;
        let mut reader = as_features(series, self.read()?);
        let Some(difference) = receipt_difference(receipt, reader.as_mut())? else { return Ok(()) };
        let culprits = triggers.iter().map(|trigger| format!("{} on {}", trigger.name, trigger.table));
        Err(StoreError::permanent(format!(
            "the tables do not hold what was written to them: {difference}; disable or drop {}",
            few(culprits)
        )))
    }
}
