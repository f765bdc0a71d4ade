//! Dukascopy: `Gmt time,Open,High,Low,Close,Volume`, day first. The header or the stamps state the zone.
//!
//! Files are called `EURUSD_1_m_BID_...`, `EURUSD_Candlestick_1_M_BID_...` or `gbpusd-m1-bid-...`.

use super::file_name::before_interval;
use super::first_line::{begins_like, begins_with_word};
use super::rules::{ColumnRules, FormatRules, RowRules, RowShape, TextRules};
use crate::table::delimiter;

pub(super) static RULES: FormatRules = FormatRules {
    name: "dukascopy",
    help: "Dukascopy, `Gmt time,Open,...` or local time with its GMT offset",
    looks_like: |line| {
        begins_like(line, "99.99.9999 ")
            || begins_with_word(line, "gmt time")
            || begins_with_word(line, "local time")
    },
    rows: RowRules::Text(TextRules { delimiters: delimiter::USUAL, columns: ColumnRules::Known(&SHAPES) }),
    zone: None,
    symbol: before_interval,
};

/// A volume follows the prices, or nothing.
static SHAPES: [RowShape; 1] = [RowShape { date: None, time: 0, close: 4, fields: 5..=6 }];
