//! Any delimited text with a time and a close column, found by name or named by the user.
//!
//! Exchanges call files `BTCUSDT-1m-2023-01.zip` or `kraken_BTCUSDC_1m_...`.

use super::file_name::before_interval;
use super::rules::{ColumnRules, FormatRules, RowRules, TextRules};
use crate::table::column_indexes::{ColumnIndexes, is_header};
use crate::table::column_names::normal;
use crate::table::column_options::ColumnOptions;
use crate::table::delimiter;
use crate::table::fields::Fields;

pub(super) static RULES: FormatRules = FormatRules {
    name: "csv",
    looks_like: has_known_header,
    rows: RowRules::Text(TextRules {
        delimiters: delimiter::USUAL,
        columns: ColumnRules::Free,
        epochs: true,
        zone_in_header: false,
    }),
    zone: None,
    ticks: |_| None,
    symbol: before_interval,
};

/// Whether the line is a header with a time and a close that are found by name.
fn has_known_header(line: &str) -> bool {
    let Some(delimiter) = delimiter::most_frequent(delimiter::USUAL, line) else { return false };
    let mut fields = Fields::new(line, delimiter);
    let names: Vec<String> = fields.by_ref().map(normal).collect();
    !fields.is_broken()
        && is_header(&names)
        && ColumnIndexes::from_header(&names, &ColumnOptions::default()).is_ok()
}
