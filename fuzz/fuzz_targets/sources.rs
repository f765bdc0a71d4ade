//! The target `sources` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("sources");
