//! The target `long_tables` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("long_tables");
