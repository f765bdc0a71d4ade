//! [`Addition`]: the rows that a grown partition gets beside those it has.
//!
//! Invariants: the receipt after it is, byte for byte, the one of a single run over all rows. It is the rows before the new
//! ones that make it so: as many as the longest window reaches, or all that there are.

use crate::panel::Panel;
use crate::receipt::{Input, Receipt, Stored};
use crate::store::StoreError;

/// Rows that come after those of a receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// The receipt of the rows that are there.
    pub after: Box<Receipt>,
    /// The new rows, with rows that are there as their lookback.
    pub rows: Panel,
    /// What all rows together are in a receipt.
    pub input: Input,
}

impl Addition {
    /// An addition of `rows`. Their lookback are the last rows of `after`: one fewer than the longest window has, or all that its
    /// windows may use where these are fewer. None where nothing can be added to the numbers of that receipt.
    pub fn new(after: Receipt, rows: Panel, input: Input) -> Option<Self> {
        let stored = &after.stored;
        let features: usize = after.definition.series.iter().map(|series| series.columns.len()).sum();
        let cells = stored.rows.checked_mul(features as u64);
        let is_addable = stored.plus(&Stored { checksum: "0".repeat(16), ..Stored::default() }).is_some()
            && !stored.adopted
            && stored.rows == after.input.rows
            && cells.is_some()
            && stored.no_value.checked_total().is_some_and(|count| Some(count) <= cells)
            && stored.rows.checked_add(rows.rows() as u64) == Some(input.rows);
        is_addable.then(|| Self { after: Box::new(after), rows, input })
    }

    /// What is new in `panel` since `after`, whose input its first rows are; `input` is what a receipt records of the panel.
    pub fn from_panel(
        after: &Receipt,
        panel: &Panel,
        input: &Input,
        longest_window_rows: usize,
    ) -> Option<Self> {
        let recorded_rows = usize::try_from(after.input.rows).ok()?;
        let first_new = panel.lookback_rows.checked_add(recorded_rows)?;
        if first_new >= panel.instants_us.len() {
            return None;
        }
        let first = first_new.saturating_sub(longest_window_rows.saturating_sub(1));
        let rows = Panel {
            instants_us: panel.instants_us[first..].to_vec(),
            columns: panel.columns.iter().map(|column| column[first..].to_vec()).collect(),
            lookback_rows: first_new - first,
            lost_rows: panel.lost_rows.clone(),
            pending: panel.pending.clone(),
            join_loss: panel.join_loss.clone(),
        };
        Self::new(after.clone(), rows, input.clone())
    }

    /// The receipt of all rows, once the new ones are stored as `added` says.
    ///
    /// # Errors
    /// Where the sums are beyond all numbers.
    pub fn receipt(&self, added: &Stored) -> Result<Receipt, StoreError> {
        let after = &self.after;
        let stored = after.stored.plus(added).ok_or_else(|| {
            StoreError::permanent(
                "the receipt counts more than there can be; run with --force to write the partition again",
            )
        })?;
        Ok(Receipt {
            output: after.output.clone(),
            definition: after.definition.clone(),
            input: self.input.clone(),
            stored,
        })
    }
}
