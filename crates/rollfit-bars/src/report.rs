//! What became of the rows of a file, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::error::Unit;

/// Why lenient reading dropped a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Not UTF-8, too few columns, or a time or close that cannot be read.
    Unparsable,
    /// A close that is not finite or not above zero.
    Price,
    /// A time finer than a microsecond.
    TooFine,
    /// A local time that exists twice or never.
    LocalTime,
    /// The instant of an earlier row with another close; the earlier one is kept.
    Contradiction,
    /// Older than the row before it, and no repetition.
    JumpBack,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 6] =
        [Self::Unparsable, Self::Price, Self::TooFine, Self::LocalTime, Self::Contradiction, Self::JumpBack];

    /// Whether the row was a bar by itself and fell only to the rows before it.
    #[must_use]
    pub fn is_about_order(self) -> bool {
        matches!(self, Self::Contradiction | Self::JumpBack)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unparsable => "unparsable",
            Self::Price => "price not above zero",
            Self::TooFine => "time finer than a microsecond",
            Self::LocalTime => "local time that exists twice or never",
            Self::Contradiction => "contradicts an earlier row",
            Self::JumpBack => "jumps back in time",
        })
    }
}

/// The rows of one file. `rows_read = rows_kept + repeats_dropped + all of dropped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Lines or Parquet rows.
    pub unit: Unit,
    /// Rows read; header and blank lines are none.
    pub rows_read: u64,
    /// Rows that are a bar by themselves: kept, repeated, contradicting or out of order.
    pub rows_good: u64,
    /// Rows that became bars.
    pub rows_kept: u64,
    /// Rows that repeat the instant and close of an earlier one.
    pub repeats_dropped: u64,
    /// Other rows dropped, by cause; empty unless lenient.
    pub dropped: BTreeMap<Cause, u64>,
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

    pub(crate) fn drop_row(&mut self, cause: Cause) {
        *self.dropped.entry(cause).or_insert(0) += 1;
    }

    /// Settles the derived numbers once every row has been seen.
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
        report.drop_row(Cause::JumpBack);
        report.close(1);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["dropped"]["jump_back"], 1);
        assert_eq!(json["rows_good"], 3);
        assert_eq!(report.dropped_total(), 1);
    }
}
