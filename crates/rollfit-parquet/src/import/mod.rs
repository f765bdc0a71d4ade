//! The import of bars into source tables, all keys or none.

pub(crate) mod parquet_import;
