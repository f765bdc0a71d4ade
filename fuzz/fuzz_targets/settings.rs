//! The target `settings` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("settings");
