//! The target `config` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("config");
