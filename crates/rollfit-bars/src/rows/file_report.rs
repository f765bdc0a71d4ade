//! [`FileReport`]: how many rows of a file were read, kept and dropped.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{DropCause, RowUnit};

/// The rows of one file. `rows_read = rows_kept + repeats_dropped + all of dropped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Lines or Parquet rows.
    pub unit: RowUnit,
    /// Rows read, without header and blank lines.
    pub rows_read: u64,
    /// Rows that are a bar by themselves: kept, repeated, contradicting or out of order.
    pub rows_good: u64,
    /// Rows that became bars.
    pub rows_kept: u64,
    /// Rows that repeat the instant and close of an earlier one.
    pub repeats_dropped: u64,
    /// Other rows dropped, by cause; empty unless lenient.
    pub dropped: BTreeMap<DropCause, u64>,
    /// The file was newest first, and was turned round.
    pub newest_first: bool,
    /// What a user should know although every row was read or counted.
    pub warnings: Vec<String>,
}

impl FileReport {
    /// Rows dropped for any cause, repeats not among them.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    pub(crate) fn drop_row(&mut self, cause: DropCause) {
        *self.dropped.entry(cause).or_insert(0) += 1;
    }

    /// Computes the derived numbers once every row has been seen.
    pub(crate) fn close(&mut self, rows_kept: u64) {
        let by_order: u64 =
            self.dropped.iter().filter(|(cause, _)| cause.is_about_order()).map(|(_, n)| n).sum();
        self.rows_kept = rows_kept;
        self.rows_good = rows_kept + self.repeats_dropped + by_order;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_serialises_causes_by_name() {
        let mut report = FileReport { rows_read: 3, repeats_dropped: 1, ..FileReport::default() };
        report.drop_row(DropCause::JumpBack);
        report.close(1);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["dropped"]["jump_back"], 1);
        assert_eq!(json["rows_good"], 3);
        assert_eq!(report.dropped_total(), 1);
    }
}
