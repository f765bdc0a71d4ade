//! Names of Hive directories, `symbol=EURUSD`, as Spark, DuckDB, Polars and pyarrow write them.

use crate::names::NULL_KEY;

/// A column and its value, as the name of a directory gives them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HiveDir {
    pub(super) column: String,
    /// None for NULL.
    pub(super) value: Option<String>,
}

impl HiveDir {
    /// What a directory's name says; none where it is no name of a Hive directory.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (column, value) = name.split_once('=')?;
        if column.is_empty() || name.starts_with(['.', '_']) {
            return None;
        }
        let value = if value == NULL_KEY { None } else { Some(unescape(value)?) };
        Some(Self { column: unescape(column)?, value })
    }
}

/// Whether a directory of this name can be part of a long table.
pub(crate) fn is_hive_dir(name: &str) -> bool {
    HiveDir::parse(name).is_some()
}

/// The text with its `%XX` decoded; none where that is not UTF-8. A `%` before anything else is itself.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|code| first == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_a_column_and_a_value() {
        let said = |name| HiveDir::parse(name).map(|dir| (dir.column, dir.value.unwrap_or("NULL".into())));
        let pair = |column: &str, value: &str| Some((column.to_owned(), value.to_owned()));
        assert_eq!(said("symbol=EURUSD"), pair("symbol", "EURUSD"));
        assert_eq!(said("my%20column=EUR%2fUSD"), pair("my column", "EUR/USD"));
        assert_eq!(said("a=b=c"), pair("a", "b=c"));
        assert_eq!(said("a=100%"), pair("a", "100%"));
        assert_eq!(said("a=%zz%4"), pair("a", "%zz%4"));
        assert_eq!(said("a=__HIVE_DEFAULT_PARTITION__"), pair("a", "NULL"));
        for name in ["symbol", "=x", ".a=b", "_a=b", "a=%ff"] {
            assert_eq!(said(name), None, "{name}");
        }
    }
}
