//! Files of others: opened only where they are regular files ([`regular_file`]), read with every error kept and every
//! checksum checked ([`parquet_file`]), their decimals as nearest doubles ([`decimal`]), and readers that panic on damaged
//! bytes contained ([`damaged`]). Knows no store.

pub mod damaged;
pub mod decimal;
pub mod parquet_file;
pub mod regular_file;
