//! The target `text` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("text");
