//! A Parquet file with a time column and a close column, found by name and type. Times are those of `csv`, of any type.

use super::file_name::before_interval;
use super::rules::{FormatRules, RowRules};

pub(super) static RULES: FormatRules = FormatRules {
    name: "parquet",
    looks_like: |line| line.starts_with("PAR1"),
    rows: RowRules::Parquet,
    zone: None,
    ticks: |_| None,
    symbol: before_interval,
};
