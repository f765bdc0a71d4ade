//! A Parquet file with a timestamp column and a close column, found by name and type. Times without a zone are UTC, as in the
//! source tables of a store.

use super::file_name::before_interval;
use super::rules::{FormatRules, RowRules};

pub(super) static RULES: FormatRules = FormatRules {
    name: "parquet",
    help: "a timestamp column and `close`, found by name and type; naive means UTC",
    looks_like: |line| line.starts_with("PAR1"),
    rows: RowRules::Parquet,
    zone: Some("UTC"),
    symbol: before_interval,
};
