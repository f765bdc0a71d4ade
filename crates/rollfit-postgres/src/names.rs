//! Names in SQL: [`quoted`] identifiers, and [`TableName`], a table in its schema.
//!
//! Invariants: nothing that a user configured reaches the server as SQL other than through here.

use rollfit_job::store::StoreError;

/// The longest name that the server keeps; it cuts longer ones off without an error.
const NAME_BYTES_MAX: usize = 63;

/// An identifier, whatever its characters.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Identifiers, separated by commas.
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

    /// The name in SQL.
    pub(crate) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// The name for people.
impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Checks that the server keeps all of a name.
///
/// # Errors
/// Naming the name, and `what` it is of.
pub(crate) fn check_length(what: &str, name: &str) -> Result<(), StoreError> {
    if name.contains('\0') {
        return Err(StoreError::permanent(format!("{what}: a name cannot hold a zero byte")));
    }
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{what}: `{name}` has {} bytes, but PostgreSQL keeps {NAME_BYTES_MAX}; choose a shorter pattern",
        name.len()
    )))
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
    }
}
