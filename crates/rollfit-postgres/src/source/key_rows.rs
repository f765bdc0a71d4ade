//! [`KeyRows`]: which rows of a table are those of a key, where one table has the rows of several keys.
//!
//! Invariants: no row belongs to two keys. What the server takes for equal to a key is written as the key is, but for the blanks that
//! fill up a CHAR; columns of other types are refused.

use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::store::{SeriesOfKey, StoreError};
use tokio_postgres::types::Type;

use crate::names::{literal, quoted};
use crate::tables::table::{Column, Table};

/// The rows of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyRows {
    /// The column that tells keys apart, as it is named.
    column: String,
    key: String,
    /// The key as it is compared with the column, in SQL.
    value: String,
}

/// How a column writes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyForm {
    Text,
    Label,
    Integer,
}

/// The setting that names the column, for messages.
pub(super) fn key_setting(series: &str) -> String {
    format!("`key_column` of series `{series}`")
}

impl KeyRows {
    /// Returns the rows of a series in a table; none if all of them are the key's.
    ///
    /// # Errors
    /// When the column is missing or cannot tell keys apart, or no value of its type is written as the key is.
    pub(super) fn new(table: &Table, series: &SeriesOfKey<'_>) -> Result<Option<Self>, StoreError> {
        let Some(name) = series.key_column else { return Ok(None) };
        let column = table.needed_column(&key_setting(series.name), name)?;
        let key = series.key;
        let value = match key_form(table, column)? {
            KeyForm::Text => literal(key),
            KeyForm::Label if column.labels.iter().any(|label| label == key) => literal(key),
            KeyForm::Label => return Err(no_label(table, column, key)),
            KeyForm::Integer => match key.parse::<i64>() {
                Ok(number) if number.to_string() == key => key.to_owned(),
                _ => return Err(no_number(table, column, key)),
            },
        };
        Ok(Some(Self { column: name.to_owned(), key: key.to_owned(), value }))
    }

    /// Returns the condition for these rows.
    pub(super) fn sql(&self) -> String {
        format!("{} = {}", quoted(&self.column), self.value)
    }
}

/// Formats the rows for messages.
impl std::fmt::Display for KeyRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.column, self.key)
    }
}

/// Checks that a column can tell keys apart.
///
/// # Errors
/// Naming its type, and what to do.
pub(super) fn check_key_column(table: &Table, column: &Column) -> Result<(), StoreError> {
    key_form(table, column).map(drop)
}

fn key_form(table: &Table, column: &Column) -> Result<KeyForm, StoreError> {
    let form = match Type::from_oid(column.type_oid) {
        Some(Type::TEXT | Type::VARCHAR | Type::BPCHAR) => Some(KeyForm::Text),
        Some(Type::INT2 | Type::INT4 | Type::INT8) => Some(KeyForm::Integer),
        None if !column.labels.is_empty() => Some(KeyForm::Label),
        _ => None,
    };
    let (name, Column { name: column_name, type_name, .. }) = (&table.name, column);
    match form {
        Some(_) if column.merges_texts => Err(StoreError::permanent(format!(
            "{name}: the collation of key column {column_name} takes different texts for equal, so keys cannot be told apart by it; \
             give it a deterministic collation"
        ))),
        Some(form) => Ok(form),
        None => Err(StoreError::permanent(format!(
            "{name}: key column {column_name} is {type_name}, expected text, varchar, char, an integer or an enum; change its type, \
             or read a view that has it as text"
        ))),
    }
}

fn no_label(table: &Table, column: &Column, key: &str) -> StoreError {
    let labels = || column.labels.iter().map(String::as_str);
    StoreError::permanent(format!(
        "{}: column {} cannot be {key}, which is no label of {}; {}correct the key (the labels: {})",
        table.name,
        column.name,
        column.type_name,
        did_you_mean(key, labels()),
        few(labels())
    ))
}

fn no_number(table: &Table, column: &Column, key: &str) -> StoreError {
    StoreError::permanent(format!(
        "{}: column {} is {} and cannot be {key}; write the key as the number is written, such as 7",
        table.name, column.name, column.type_name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::TableName;
    use crate::tables::table::RelationKind;
    use rollfit_job::store::SeriesKind;

    fn column(type_oid: u32, labels: &[&str], merges_texts: bool) -> Column {
        Column {
            name: "the \"symbol\"".to_owned(),
            type_name: "a type".to_owned(),
            type_oid,
            modifier: -1,
            not_null: false,
            default: None,
            generated: false,
            labels: labels.iter().map(ToString::to_string).collect(),
            merges_texts,
        }
    }

    fn condition(column: Column, key: &str) -> Result<String, String> {
        let table = Table {
            name: TableName::new("public", "bars"),
            oid: 1,
            kind: RelationKind::Plain,
            readable: true,
            policies: None,
            columns: vec![column],
            attachment: None,
            children: Vec::new(),
        };
        let series = SeriesOfKey {
            name: "idx",
            table: "bars".to_owned(),
            key,
            key_column: Some("the \"symbol\""),
            time: "time",
            value: "close",
            kind: SeriesKind::Stored,
        };
        let rows = KeyRows::new(&table, &series).map_err(|error| error.to_string())?;
        Ok(rows.expect("some rows of the table").sql())
    }

    #[test]
    fn a_key_is_compared_as_the_type_writes_it() {
        let is = |value: &str| Ok(format!("\"the \"\"symbol\"\"\" = {value}"));
        for text in [Type::TEXT, Type::VARCHAR, Type::BPCHAR] {
            assert_eq!(condition(column(text.oid(), &[], false), "ES.c.0"), is("E'ES.c.0'"));
        }
        assert_eq!(condition(column(Type::TEXT.oid(), &[], false), "a'\\b"), is("E'a''\\\\b'"));
        assert_eq!(condition(column(Type::INT2.oid(), &[], false), "70000"), is("70000"));
        assert_eq!(condition(column(90_000, &["eurusd"], false), "eurusd"), is("E'eurusd'"));
    }

    #[test]
    fn what_would_mix_keys_or_fit_none_is_refused() {
        for (column, key, word) in [
            (column(Type::INT4.oid(), &[], false), "007", "cannot be 007"),
            (column(Type::INT4.oid(), &[], false), "7e0", "cannot be 7e0"),
            (column(90_000, &["eurusd"], false), "eurusx", "did you mean `eurusd`"),
            (column(90_000, &[], false), "eurusd", "expected text"),
            (column(Type::FLOAT8.oid(), &[], false), "7", "expected text"),
            (column(Type::TEXT.oid(), &[], true), "eurusd", "deterministic collation"),
        ] {
            let error = condition(column, key).unwrap_err();
            assert!(error.contains(word) && error.contains("public.bars"), "{error}");
        }
    }
}
