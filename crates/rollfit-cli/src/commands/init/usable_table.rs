//! [`UsableTable`]: a table from which series can be read, with its time column and the columns to fit.

use std::collections::HashSet;

use rollfit::Metric;
use rollfit_job::config::TIME_COLUMN;
use rollfit_job::store::{ColumnKind, SurveyedColumn, SurveyedTable};

/// What time columns are called, the surest first.
const TIME_NAMES: [&str; 14] = [
    "ts_utc",
    "time_utc",
    "time",
    "ts",
    "timestamp",
    "datetime",
    "date_time",
    "instant",
    "date",
    "dt",
    "t",
    "open_time",
    "event_time",
    "epoch",
];
/// When a row was written or changed, which is not the time of its values: what such names begin with, and what may come after it.
const BOOKKEEPING_STARTS: [&str; 10] = [
    "created", "updated", "inserted", "deleted", "modified", "ingested", "loaded", "imported", "fetched",
    "synced",
];
const BOOKKEEPING_ENDS: [&str; 9] = ["", "at", "on", "ts", "utc", "atutc", "time", "date", "timestamp"];
/// What the column of a price series is called, the surest first: of a table of bars one column is enough to begin with.
const VALUE_NAMES: [&str; 9] =
    ["rate_index", "close", "adj_close", "price", "mid", "mid_price", "last", "last_price", "value"];
/// Numbers that count or name rows.
const ROW_NAMES: [&str; 7] = ["id", "row", "index", "row_number", "rownum", "seq", "__index_level_0__"];
/// What a column is called that says whose row it is: alone, or with an ending such as `_id`.
const KEY_NAMES: [&str; 13] = [
    "symbol",
    "sym",
    "ticker",
    "instrument",
    "pair",
    "currency_pair",
    "key",
    "isin",
    "figi",
    "ric",
    "security",
    "asset",
    "contract",
];
const KEY_ENDINGS: [&str; 3] = ["_id", "_name", "_code"];
/// What directories of a part of the time are called.
const PERIOD_NAMES: [&str; 8] = ["year", "quarter", "month", "week", "day", "hour", "date", "dt"];
/// The most columns of a table that are fitted unless one has a name of [`VALUE_NAMES`].
const VALUES_MAX: usize = 4;
/// Why a table of features gives no series.
pub(super) const HOLDS_FEATURES: &str = "it holds features";
/// Columns that are named after as many metrics make a table one of features.
const FEATURE_METRICS_MIN: usize = 3;

/// A table from which series can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsableTable {
    pub(super) name: String,
    pub(super) time: String,
    /// Whether the time column says that it is UTC, by its type or its name.
    pub(super) is_utc: bool,
    /// The column that says whose row it is; none where all rows are of one key.
    pub(super) key_column: Option<String>,
    /// The columns to fit.
    pub(super) values: Vec<String>,
    /// Further columns of numbers.
    pub(super) others: Vec<String>,
}

impl UsableTable {
    /// What can be read from a table.
    ///
    /// # Errors
    /// Why nothing can, as a clause.
    pub(super) fn new(table: &SurveyedTable) -> Result<Self, String> {
        if let Some(problem) = &table.problem {
            return Err(problem.clone());
        }
        if table.name.contains(['{', '}', '\\']) || table.name.contains(char::is_control) {
            return Err("its name cannot be written as a pattern".to_owned());
        }
        if holds_features(table) {
            return Err(HOLDS_FEATURES.to_owned());
        }
        let time = time_column(table)?;
        let key_column = key_column(table).map(|column| &column.name);
        let is_number = |column: &&SurveyedColumn| {
            column.kind == ColumnKind::Number && !names_rows(&column.name) && Some(&column.name) != key_column
        };
        let numbers: Vec<&String> =
            table.columns.iter().filter(is_number).map(|column| &column.name).collect();
        let (values, others) = split_values(&numbers);
        if values.is_empty() {
            return Err("it has no column of numbers".to_owned());
        }
        let is_utc =
            time.kind == ColumnKind::Time { has_zone: true } || time.name.to_lowercase().ends_with("utc");
        let (key_column, name) = (key_column.cloned(), table.name.clone());
        Ok(Self { name, time: time.name.clone(), is_utc, key_column, values, others })
    }
}

/// The time column of a table, or why it has none.
fn time_column(table: &SurveyedTable) -> Result<&SurveyedColumn, String> {
    let times: Vec<&SurveyedColumn> =
        table.columns.iter().filter(|column| is_time(column) && !is_bookkeeping(&column.name)).collect();
    match times.as_slice() {
        [only] => Ok(*only),
        [] => Err(without_time(table)),
        several => first_of(several, |column| &column.name, &TIME_NAMES).copied().ok_or_else(|| {
            let names: Vec<&str> = several.iter().map(|column| column.name.as_str()).collect();
            format!("it has several timestamps: {}", names.join(", "))
        }),
    }
}

fn is_time(column: &SurveyedColumn) -> bool {
    matches!(column.kind, ColumnKind::Time { .. })
}

/// Whether a column of this name says when its row was written: `created_at`, `UpdatedOn`.
fn is_bookkeeping(name: &str) -> bool {
    let letters: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let rest = BOOKKEEPING_STARTS.iter().find_map(|start| letters.strip_prefix(start));
    rest.is_some_and(|rest| BOOKKEEPING_ENDS.contains(&rest))
}

/// Whether a column of this name holds prices, whatever else the table has.
pub(super) fn is_price(name: &str) -> bool {
    VALUE_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn without_time(table: &SurveyedTable) -> String {
    let written = table.columns.iter().find(|column| is_bookkeeping(&column.name) && is_time(column));
    let columns: Vec<&SurveyedColumn> = table.columns.iter().collect();
    match first_of(&columns, |column| &column.name, &TIME_NAMES) {
        Some(SurveyedColumn { name, kind, type_name }) if !matches!(kind, ColumnKind::Time { .. }) => {
            format!("its column {name} is {type_name}, not a timestamp")
        }
        _ => match written {
            Some(SurveyedColumn { name, .. }) => {
                format!("its only timestamp, {name}, seems to say when a row was written")
            }
            None => "it has no timestamp".to_owned(),
        },
    }
}

/// The columns to fit among columns of numbers, and the rest.
fn split_values(numbers: &[&String]) -> (Vec<String>, Vec<String>) {
    let values: HashSet<&String> = match first_of(numbers, |name| name, &VALUE_NAMES) {
        Some(named) => HashSet::from([*named]),
        None => numbers.iter().take(VALUES_MAX).copied().collect(),
    };
    numbers.iter().map(|name| (*name).clone()).partition(|name| values.contains(name))
}

/// The item with the first of these names, in any case.
fn first_of<'a, T>(items: &'a [T], name: impl Fn(&T) -> &String, known: &[&str]) -> Option<&'a T> {
    known.iter().find_map(|known| items.iter().find(|item| name(item).eq_ignore_ascii_case(known)))
}

/// The column that says whose row it is: by its name, or because each of its values has a directory.
fn key_column(table: &SurveyedTable) -> Option<&SurveyedColumn> {
    let is_dir_of_key = |column: &&SurveyedColumn| {
        column.kind == ColumnKind::Directory && !PERIOD_NAMES.contains(&column.name.to_lowercase().as_str())
    };
    let of_name = table.columns.iter().find(|column| names_keys(column));
    of_name.or_else(|| table.columns.iter().find(is_dir_of_key))
}

/// Whether a column says whose row it is: rows of several keys as one series would be wrong features.
fn names_keys(column: &SurveyedColumn) -> bool {
    let name = column.name.to_lowercase();
    let stem = KEY_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    !matches!(column.kind, ColumnKind::Time { .. }) && KEY_NAMES.contains(&stem)
}

fn names_rows(column: &str) -> bool {
    let column = column.to_lowercase();
    ROW_NAMES.contains(&column.as_str()) || column.ends_with("_id")
}

/// Whether a table holds features, whoever computed them: its columns are named after metrics.
fn holds_features(table: &SurveyedTable) -> bool {
    let is_of = |metric: &&Metric| {
        let prefix = format!("{}_", metric.name());
        table.columns.iter().any(|column| column.name.starts_with(&prefix))
    };
    let named = Metric::ALL.iter().filter(is_of).count();
    // What rollfit writes has this time column; a job may store one metric alone. `b_` begins many a name.
    let is_ours = table.columns.iter().any(|column| column.name == TIME_COLUMN)
        && Metric::ALL.iter().filter(|metric| **metric != Metric::B).any(|metric| is_of(&metric));
    named >= FEATURE_METRICS_MIN || is_ours
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table whose columns are `t NAME` for a time without a zone, `z NAME` for one with a zone, `n NAME` for a number, `d NAME` for
    /// the names of directories, else others.
    pub(in super::super) fn table(name: &str, columns: &[&str]) -> SurveyedTable {
        let column = |text: &&str| {
            let (kind, name) = text.split_once(' ').unwrap();
            let (kind, type_name) = match kind {
                "t" => (ColumnKind::Time { has_zone: false }, "timestamp"),
                "z" => (ColumnKind::Time { has_zone: true }, "timestamptz"),
                "n" => (ColumnKind::Number, "bigint"),
                "d" => (ColumnKind::Directory, "the name of a directory"),
                _ => (ColumnKind::Other, "text"),
            };
            SurveyedColumn { name: name.to_owned(), kind, type_name: type_name.to_owned() }
        };
        SurveyedTable { name: name.to_owned(), columns: columns.iter().map(column).collect(), problem: None }
    }

    fn read(columns: &[&str]) -> Result<(String, Vec<String>, Vec<String>), String> {
        UsableTable::new(&table("a", columns)).map(|table| (table.time, table.values, table.others))
    }

    #[test]
    fn the_time_and_the_columns_to_fit_are_told_by_type_and_then_by_name() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let some = |time: &str, values: &[&str], others: &[&str]| {
            Ok((time.to_owned(), names(values), names(others)))
        };
        assert_eq!(read(&["t when", "n x"]), some("when", &["x"], &[]));
        assert_eq!(
            read(&["n id", "z created_at", "t TS", "n a", "n b", "o note"]),
            some("TS", &["a", "b"], &[])
        );
        assert_eq!(
            read(&["z time", "n open", "n high", "n low", "n Close", "n volume"]),
            some("time", &["Close"], &["open", "high", "low", "volume"])
        );
        assert_eq!(
            read(&["z time", "z time_utc", "n a", "n b", "n c", "n d", "n e"]),
            some("time_utc", &["a", "b", "c", "d"], &["e"])
        );
        let error = |columns: &[&str]| read(columns).unwrap_err();
        assert_eq!(error(&["z begin", "z end", "n x"]), "it has several timestamps: begin, end");
        assert_eq!(error(&["n ts", "n x"]), "its column ts is bigint, not a timestamp");
        for name in ["created_at", "UpdatedOn", "inserted_ts", "loaded"] {
            let found = error(&[format!("z {name}").as_str(), "n amount"]);
            assert_eq!(found, format!("its only timestamp, {name}, seems to say when a row was written"));
        }
        assert_eq!(error(&["o x", "n amount"]), "it has no timestamp");
        assert_eq!(error(&["z ts", "n user_id", "o x"]), "it has no column of numbers");
        assert_eq!(
            error(&["z ts_utc", "n a2_idx_w15", "n r2_idx_w15", "n rmse_idx_w15"]),
            "it holds features"
        );
    }

    #[test]
    fn a_column_that_says_whose_row_it_is_is_no_value() {
        let key = |columns: &[&str]| UsableTable::new(&table("a", columns)).unwrap();
        for column in ["o symbol", "o Ticker", "n instrument_id", "n pair", "o currency_pair_code"] {
            let found = key(&["z ts", "n price", column]);
            assert_eq!(found.key_column.as_deref(), column.split_once(' ').map(|(_, name)| name));
            assert_eq!((found.values, found.others), (vec!["price".to_owned()], vec![]), "{column}");
        }
        assert_eq!(key(&["z ts", "n price", "o venue", "n trade_id", "z key", "d year"]).key_column, None);
        assert_eq!(key(&["d year", "d code", "z ts", "n price"]).key_column.as_deref(), Some("code"));
    }

    #[test]
    fn a_table_whose_name_is_no_pattern_is_left_out() {
        for name in ["a{key}", "a\nb", "a\\b"] {
            assert!(UsableTable::new(&table(name, &["z ts", "n x"])).is_err(), "{name}");
        }
        assert!(UsableTable::new(&table("é \"x\"", &["z ts", "n x"])).unwrap().is_utc);
    }
}
