//! The target `features` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("features");
