//! HistData "Generic ASCII": `20170301 000000;1.05522;1.05529;1.05522;1.05529;0`, always six fields and no header.
//!
//! Files are called `DAT_ASCII_EURUSD_M1_201703.csv` or `HISTDATA_COM_ASCII_EURUSD_M1201703.zip`, and `DAT_MT_...` where they
//! hold what HistData exports for MetaTrader.

use super::file_name::is_symbol;
use super::first_line::begins_like;
use super::rules::{ColumnRules, FormatRules, RowRules, RowShape, TextRules};

pub(super) static RULES: FormatRules = FormatRules {
    name: "histdata",
    help: "HistData ASCII, `20170301 000000;o;h;l;c;v`; implies the zone histdata",
    looks_like: |line| begins_like(line, "99999999 999999;"),
    rows: RowRules::Text(TextRules {
        delimiters: b";",
        columns: ColumnRules::Fixed(RowShape { date: None, time: 0, close: 4, fields: 6..=6 }),
    }),
    zone: Some("histdata"),
    symbol,
};

fn symbol<'a>(words: &[&'a str]) -> Option<&'a str> {
    let symbol = match words {
        ["DAT", _, symbol, _, ..] | ["HISTDATA", "COM", _, symbol, _, ..] => symbol,
        _ => return None,
    };
    is_symbol(symbol).then_some(*symbol)
}
