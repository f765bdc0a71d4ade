//! The target `parquet_import` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("parquet_import");
