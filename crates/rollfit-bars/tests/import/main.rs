//! Importing whole files: every raw file of the shared market data, and every kind of bad file with a message that says
//! what, where and what to do.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A failed helper fails its test; skips are said.

mod anything;
mod dress;
mod further_columns;
mod key_column;
mod parquet;
mod parquet_times;
mod raw;
mod series;
mod support;
mod text;
