//! The names by which the columns of a file are recognised, compared by [`normal`].

/// Names of a column that holds a whole time stamp, the surest first.
pub(crate) const INSTANT_NAMES: [&str; 24] = [
    "ts_utc",
    "timestamp_utc",
    "datetime_utc",
    "time_utc",
    "time (utc)",
    "utc time",
    "utc",
    "gmt time",
    "timestamp",
    "datetime",
    "date_time",
    "date time",
    "ts",
    "open_time",
    "open time",
    "opentime",
    "unix",
    "unix_time",
    "epoch",
    "local time",
    "time (eet)",
    "start",
    "bar_time",
    "t",
];

/// Names of a column that holds the close, the surest first.
pub(crate) const CLOSE_NAMES: [&str; 12] = [
    "close",
    "close_price",
    "closeprice",
    "bid_close",
    "bid close",
    "bidclose",
    "closebid",
    "last",
    "price",
    "rate",
    "bid",
    "c",
];

/// Names of a column that holds a date, and with it the time of day or without.
pub(crate) const DATE_NAMES: [&str; 5] = ["date", "dtyyyymmdd", "yyyymmdd", "date_utc", "day"];

/// Names of a column that holds a time of day, or a whole time stamp.
pub(crate) const TIME_NAMES: [&str; 5] = ["time", "hhmmss", "hhmm", "time_of_day", "timeofday"];

/// Names of a column that says which instrument a row belongs to, as a symbol that keys are made of.
pub(crate) const SYMBOL_NAMES: [&str; 16] = [
    "ticker",
    "symbol",
    "sym",
    "instrument",
    "instrument_name",
    "instid",
    "pair",
    "currency_pair",
    "currencypair",
    "ccy_pair",
    "ccypair",
    "product_id",
    "coin",
    "stock",
    "asset",
    "security",
];

/// Names of a column that says which instrument a row belongs to, in other words.
pub(crate) const IDENTIFIER_NAMES: [&str; 16] = [
    "name",
    "code",
    "ts_code",
    "ric",
    "#ric",
    "isin",
    "figi",
    "cusip",
    "sedol",
    "wkn",
    "secid",
    "security_id",
    "instrument_id",
    "asset_id",
    "permno",
    "underlying",
];

/// Whether a column of this name says which instrument a row belongs to.
pub(crate) fn names_an_instrument(name: &str) -> bool {
    let name = normal(name);
    SYMBOL_NAMES.contains(&name.as_str()) || IDENTIFIER_NAMES.contains(&name.as_str())
}

/// Whether the values of a column of this name are symbols that can be compared with a key.
pub(crate) fn is_symbol(name: &str) -> bool {
    SYMBOL_NAMES.contains(&normal(name).as_str())
}

/// A column name as it is compared: `<CLOSE>`, `Close` and `4. close` are `close`.
pub(crate) fn normal(name: &str) -> String {
    let name = name.trim().trim_start_matches('<').trim_end_matches('>').trim();
    without_number(name).unwrap_or(name).to_lowercase()
}

/// The word of a numbered name, such as `4. close`.
fn without_number(name: &str) -> Option<&str> {
    let (number, word) = name.split_once('.')?;
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.trim_start();
    (is_number && word.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(word)
}

/// The column of a header with the first of these names.
///
/// # Errors
/// Two columns have it.
pub(crate) fn first_of(header: &[String], names: &[&str]) -> Result<Option<usize>, String> {
    let Some(name) = names.iter().find(|name| header.iter().any(|found| found == *name)) else {
        return Ok(None);
    };
    only(header, name)
}

/// The one column of a header with this name.
///
/// # Errors
/// Two columns have it.
pub(crate) fn only(header: &[String], name: &str) -> Result<Option<usize>, String> {
    let mut found = header.iter().enumerate().filter(|(_, column)| *column == name).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => Err(format!(
            "the columns {} and {} are both called `{name}`; give the number of the right one with --time-column, \
             --date-column or --close-column",
            first + 1,
            second + 1
        )),
        (first, _) => Ok(first),
    }
}
