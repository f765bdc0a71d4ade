//! The import of bars into source tables, all keys in one transaction.

pub(crate) mod bases;
pub(crate) mod further_columns;
pub(crate) mod postgres_import;
pub(crate) mod source_table;
