//! The target `packed` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("packed");
