//! MetaTrader 4 and 5: tab, semicolon or comma, with or without a header, date and time in one column or two. Times are the broker's.
//!
//! Files are called `EURUSD_M1_201701020000_202012312359.csv`, `CADJPY1.csv` or `EURUSDM1.csv`.

use super::file_name::before_interval;
use super::first_line::{begins_like, has_columns};
use super::rules::{ColumnRules, FormatRules, RowRules, RowShape, TextRules};

pub(super) static RULES: FormatRules = FormatRules {
    name: "metatrader",
    looks_like: |line| {
        let headers = ["<DATE>", "Time\tOpen", "Timestamp\tOpen", "Date\tTime\t"];
        begins_like(line, "9999.99.99") || headers.iter().any(|header| line.starts_with(header))
    },
    rows: RowRules::Text(TextRules {
        delimiters: b"\t;,",
        columns: ColumnRules::Known(&SHAPES),
        epochs: false,
        zone_in_header: false,
    }),
    zone: None,
    ticks: |line| {
        has_bid_and_ask(line).then_some(
            "is a MetaTrader tick file, not one-minute bars; export the bars of the timeframe M1 instead",
        )
    },
    symbol: |words| before_interval(words).or_else(|| before_minutes(words)),
};

/// `<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>`.
fn has_bid_and_ask(line: &str) -> bool {
    has_columns(line, &["<date>", "<bid>", "<ask>"]) && !has_columns(line, &["<close>"])
}

/// Behind the prices come no volume, one, two, or two and a spread.
static SHAPES: [RowShape; 2] = [
    RowShape { date: Some(0), time: 1, close: 5, fields: 6..=9 },
    RowShape { date: None, time: 0, close: 4, fields: 5..=8 },
];

/// `CADJPY1` or `EURUSDM1`: six letters and the minutes of a bar.
fn before_minutes<'a>(words: &[&'a str]) -> Option<&'a str> {
    let [word] = words else { return None };
    let (symbol, rest) = word.split_at_checked(6)?;
    let minutes = rest.strip_prefix('M').unwrap_or(rest);
    let periods = ["1", "5", "15", "30", "60", "240", "1440"];
    let is_pair = symbol.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_pair && periods.contains(&minutes)).then_some(symbol)
}
