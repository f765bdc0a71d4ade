//! Files of others: opened only where they are regular files ([`regular_file`]), read with every error kept and every
//! checksum checked ([`parquet_file`]), their columns as doubles, instants ([`numbers`]) or text ([`texts`]), readers that
//! panic on damaged bytes contained ([`damaged`]), one name for each path ([`path`]), the names in a directory ([`dir_names`]).
//! Knows no store.

pub mod damaged;
mod decimal;
pub mod dir_names;
pub mod numbers;
pub mod parquet_file;
pub mod path;
pub mod regular_file;
pub mod texts;
