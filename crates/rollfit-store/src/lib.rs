//! Where series come from and features go. One module a store ([`parquet`], [`postgres`]), and [`import`], which turns the
//! files that vendors publish into bars for either.

mod damaged;
mod decimal;
pub mod import;
mod key_finder;
pub mod parquet;
mod parquet_file;
pub mod patience;
pub mod postgres;
pub mod regular_file;
