//! The table of definitions, `rollfit_definitions`: each definition once, by its hash. Receipts name theirs, so that a
//! receipt stays small.
//!
//! Invariants: rows are never changed and never removed. A definition is used only after its JSON was held against its
//! hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rollfit_job::canonical_json::definition_hash;
use rollfit_job::lock::lock;
use rollfit_job::receipt::Definition;
use rollfit_job::store::StoreError;
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::connection::answer_row::first_value;
use crate::connection::session::Session;
use crate::names::{TableName, literal};

/// The name of the table, in the schema of the features.
pub(crate) const DEFINITIONS: &str = "rollfit_definitions";

/// The statement that creates the table.
pub(crate) fn create_sql(table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n    hash text PRIMARY KEY,\n    definition jsonb NOT NULL\n)",
        table.sql()
    )
}

/// A definition as JSON, and its hash.
#[derive(Clone, Debug)]
pub(crate) struct HashedDefinition {
    pub(crate) hash: String,
    pub(crate) json: Value,
}

impl HashedDefinition {
    pub(crate) fn new(definition: &Definition) -> Result<Self, StoreError> {
        let json = serde_json::to_value(definition).map_err(|error| {
            StoreError::permanent(format!("the definition cannot be written as JSON: {error}"))
        })?;
        Ok(Self { hash: definition_hash(&json), json })
    }

    /// Returns whether the table has this definition.
    ///
    /// # Errors
    /// When the row with its hash holds another one.
    pub(crate) fn is_in(&self, session: &mut Session, table: &TableName) -> Result<bool, StoreError> {
        let sql = format!("SELECT definition::text FROM {} WHERE hash = $1", table.sql());
        let rows = session.rows(&format!("read {table}"), &sql, &[(&self.hash, Type::TEXT)])?;
        let stored: Option<String> = first_value(&rows)?;
        let Some(stored) = stored else { return Ok(false) };
        if serde_json::from_str::<Value>(&stored).is_ok_and(|stored| stored == self.json) {
            return Ok(true);
        }
        Err(StoreError::permanent(format!(
            "{table}: the definition in the row {} is not the one with this hash: somebody changed it; have its owner \
             DELETE FROM {} WHERE hash = '{}'",
            self.hash,
            table.sql(),
            self.hash
        )))
    }

    /// The statement that adds it to the table, unless it is there.
    pub(crate) fn insert_sql(&self, table: &TableName) -> String {
        format!(
            "INSERT INTO {} (hash, definition) VALUES ({}, {}) ON CONFLICT DO NOTHING",
            table.sql(),
            literal(&self.hash),
            literal(&self.json.to_string())
        )
    }

    /// Checks that the table has it after it was added.
    ///
    /// # Errors
    /// When a trigger, rule or policy keeps it from being stored.
    pub(crate) fn check_added(&self, session: &mut Session, table: &TableName) -> Result<(), StoreError> {
        if self.is_in(session, table)? {
            return Ok(());
        }
        Err(StoreError::permanent(format!(
            "{table} did not store the definition: a trigger, rule or policy suppresses it; disable or drop it"
        )))
    }
}

/// Definitions that were read and held against their hashes. Many partitions have the same.
#[derive(Debug, Default)]
pub(crate) struct KnownDefinitions(Mutex<HashMap<String, Arc<Value>>>);

impl KnownDefinitions {
    /// More than a store has, unless somebody fills it.
    const KEPT_MAX: usize = 64;

    /// The hashes that need not be read again.
    pub(crate) fn hashes(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }

    /// Returns the definition with a hash. `text` is what the table holds; it is empty for one of [`Self::hashes`].
    /// None if the text is not what the hash says.
    pub(crate) fn resolve(&self, hash: &str, text: &str) -> Option<Arc<Value>> {
        if text.is_empty() {
            return lock(&self.0).get(hash).map(Arc::clone);
        }
        let definition: Value = serde_json::from_str(text).ok()?;
        if definition_hash(&definition) != hash {
            return None;
        }
        let definition = Arc::new(definition);
        let mut known = lock(&self.0);
        if known.len() < Self::KEPT_MAX {
            known.insert(hash.to_owned(), Arc::clone(&definition));
        }
        Some(definition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_known_once_its_text_was_what_its_hash_says() {
        let known = KnownDefinitions::default();
        let text = r#"{"version": 3, "series": []}"#;
        let hash = definition_hash(&serde_json::from_str(text).unwrap());
        assert_eq!(known.resolve(&hash, ""), None);
        for wrong in [r#"{"version": 4, "series": []}"#, r#"{"version": 3"#, "null"] {
            assert_eq!(known.resolve(&hash, wrong), None, "{wrong}");
        }
        assert_eq!(known.hashes(), Vec::<String>::new());
        let definition = known.resolve(&hash, text).unwrap();
        assert_eq!((definition["version"].as_u64(), known.hashes()), (Some(3), vec![hash.clone()]));
        assert_eq!(known.resolve(&hash, "").unwrap(), definition);
    }

    #[test]
    fn a_table_full_of_definitions_fills_no_memory() {
        let known = KnownDefinitions::default();
        for version in 0..1000 {
            let definition = serde_json::json!({ "version": version });
            let hash = definition_hash(&definition);
            assert!(known.resolve(&hash, &definition.to_string()).is_some());
        }
        assert_eq!(known.hashes().len(), KnownDefinitions::KEPT_MAX);
    }
}
