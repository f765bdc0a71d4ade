//! Where series come from and features go. One module a store ([`parquet`], [`postgres`]), and [`import`], which turns the
//! files that vendors publish into bars for either.

mod damaged;
mod decimal;
pub mod import;
pub mod parquet;
pub mod postgres;
mod stopwatch;
mod trial;
