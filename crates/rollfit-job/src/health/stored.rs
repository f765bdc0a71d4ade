//! What is stored of each partition: whether a receipt vouches for it, as many rows as the receipt says, and what its join lost.

use super::{Aspect, Examining, HealthFact, Held, KeyHoldings, Verdict};
use crate::panel::Panel;
use crate::partition::Partition;
use crate::period::Period;
use crate::receipt::{Definition, Receipt};
use crate::store::{Found, Holding, StoreError, TableRows};

impl Examining<'_> {
    pub(super) fn stored(&mut self, key: &KeyHoldings<'_>) -> Result<(), StoreError> {
        let definition = Definition::from_config(self.job.config);
        for (period, held) in key.iter() {
            if let Some((status, fact)) = vouched_for(held, &definition) {
                self.add(Aspect::Receipts, status, (key.name(), Some(period)), fact);
            }
            if let Ok(Holding { found: Found::Ours(receipt), rows: Some(tables), .. }) = held
                && tables.iter().any(|table| table.rows != receipt.stored.rows)
            {
                let fact = rows_differ(receipt, tables);
                self.add(Aspect::Rows, Verdict::Problem, (key.name(), Some(period)), fact);
            }
        }
        self.join_losses(key)
    }

    fn join_losses(&mut self, key: &KeyHoldings<'_>) -> Result<(), StoreError> {
        let mut with_rows: Vec<(Period, &Receipt)> = key.receipts().collect();
        let first = with_rows.pop();
        for (period, receipt) in with_rows {
            if receipt.input.join_loss() > self.job.config.run.join_loss_max {
                self.add(Aspect::JoinLoss, Verdict::Warning, (key.name(), Some(period)), join_loses(receipt));
            }
        }
        match first {
            Some((period, receipt)) if receipt.input.join_loss() > self.job.config.run.join_loss_max => {
                self.first_join_loss(key.name(), period)
            }
            _ => Ok(()),
        }
    }

    /// In the first month of a key a series that is made of another one starts later. Only the source shows how much is lost but for
    /// that.
    fn first_join_loss(&mut self, key: &str, period: Period) -> Result<(), StoreError> {
        let partition = Partition::new(key, period);
        let panel = Panel::read(self.job.source, self.job.config, &partition);
        let subject = (key, Some(period));
        let panel = self.answer(Aspect::JoinLoss, subject, panel)?;
        if let Some(loss) = panel.and_then(|panel| panel.join_loss) {
            let (share, lost_rows) = (loss.share(), loss.lost_rows);
            let fact = HealthFact::JoinLoses { series: loss.series, lost_rows, share };
            self.add(Aspect::JoinLoss, Verdict::Warning, subject, fact);
        }
        Ok(())
    }
}

/// What keeps a receipt from vouching for what is stored, by the definition of this job.
fn vouched_for(held: &Held, definition: &Definition) -> Option<(Verdict, HealthFact)> {
    match held {
        Err(error) if error.is_damage() => {
            Some((Verdict::Problem, HealthFact::Damaged { message: crate::error_chain(error) }))
        }
        Err(error) => Some((Verdict::Unknown, HealthFact::Unreadable { message: crate::error_chain(error) })),
        Ok(Holding { found: Found::Nothing, .. }) => None,
        Ok(Holding { found: Found::Foreign(what), is_void: true, .. }) => {
            Some((Verdict::Problem, HealthFact::Void { message: what.clone() }))
        }
        Ok(Holding { found: Found::Foreign(what), .. }) => {
            Some((Verdict::Warning, HealthFact::Foreign { message: what.clone() }))
        }
        Ok(Holding { found: Found::Blocked(what), .. }) => {
            Some((Verdict::Problem, HealthFact::Blocked { message: what.clone() }))
        }
        Ok(Holding { found: Found::Newer(what), .. }) => {
            Some((Verdict::Warning, HealthFact::Newer { message: what.clone() }))
        }
        Ok(Holding { found: Found::Ours(receipt), .. }) => {
            let message = receipt.definition.difference(definition)?;
            Some((Verdict::Warning, HealthFact::DefinitionChanged { message }))
        }
    }
}

fn rows_differ(receipt: &Receipt, tables: &[TableRows]) -> HealthFact {
    HealthFact::RowsDiffer { receipt_rows: receipt.stored.rows, tables: tables.to_vec() }
}

/// The series that loses the largest share.
fn join_loses(receipt: &Receipt) -> HealthFact {
    let share = |lost: u64| lost as f64 / (receipt.input.rows as f64 + lost as f64).max(1.0);
    let series = receipt.definition.series.iter().map(|series| series.name.as_str());
    let losses = series.chain(std::iter::repeat("?")).zip(receipt.input.lost_rows.iter().copied());
    let (series, lost_rows) = losses.max_by_key(|(_, lost)| *lost).unwrap_or(("?", 0));
    HealthFact::JoinLoses { series: series.to_owned(), lost_rows, share: share(lost_rows) }
}
