//! Source tables: the files of `sources/TABLE/`, finding and reading their rows, and the generation and the
//! list of renames by which readers know what an import does meanwhile.

pub(crate) mod file_spans;
pub(crate) mod generation;
pub(crate) mod group_span;
mod known_tables;
pub(crate) mod listing;
pub(crate) mod long;
pub(crate) mod open_table;
pub(crate) mod rate_index;
mod sealed_rows;
pub(crate) mod series_table;
pub(crate) mod source;
pub(crate) mod sources_lock;
pub(crate) mod sources_reader;
pub(crate) mod spans;
pub(crate) mod staged;
mod stamps;
pub(crate) mod survey;
pub(crate) mod table_file;
pub(crate) mod table_index;
