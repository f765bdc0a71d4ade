//! Names in SQL: [`quoted`] identifiers, and [`TableName`], a table in its schema.
//!
//! Invariants: user-configured names reach the server as SQL only through here.

use rollfit_job::store::StoreError;

/// The longest name that the server keeps. It truncates longer ones without an error.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// Quotes an identifier, whatever its characters.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Writes a string, whatever its characters and the session's settings.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Quotes identifiers, separated by commas.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A table in its schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableName {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl TableName {
    pub(crate) fn new(schema: &str, name: &str) -> Self {
        Self { schema: schema.to_owned(), name: name.to_owned() }
    }

    /// Returns the name in SQL.
    pub(crate) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// Formats the name for messages.
impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Checks that the server keeps all of a name.
///
/// # Errors
/// When it does not; the error contains the name and `what` it is of.
pub(crate) fn check_length(what: &str, name: &str) -> Result<(), StoreError> {
    check_length_with(what, name, "")
}

/// As [`check_length`], with a reason that the name is longer than its pattern makes it.
pub(crate) fn check_length_with(what: &str, name: &str, reason: &str) -> Result<(), StoreError> {
    if name.contains('\0') {
        return Err(StoreError::permanent(format!("{what}: a name cannot hold a zero byte")));
    }
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{what}: `{name}` has {} bytes, but PostgreSQL keeps {NAME_BYTES_MAX}{reason}; choose a shorter pattern",
        name.len()
    )))
}

/// The first characters of a name, in at most so many bytes.
pub(crate) fn start_of(name: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(quoted("a\"; drop table b; --"), "\"a\"\"; drop table b; --\"");
        assert_eq!(TableName::new("My Schema", "r.1").sql(), "\"My Schema\".\"r.1\"");
    }

    #[test]
    fn a_name_that_would_be_cut_off_is_refused() {
        assert!(check_length("features", &"x".repeat(63)).is_ok());
        assert!(check_length("features", &"é".repeat(32)).unwrap_err().to_string().contains("64 bytes"));
        assert_eq!(
            [start_of("abc", 2), start_of("abc", 3), start_of("abc", 9), start_of("é", 1)],
            ["ab", "abc", "abc", ""]
        );
    }
}
