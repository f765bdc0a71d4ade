//! The target `records` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("records");
