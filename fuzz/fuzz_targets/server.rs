//! The target `server` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("server");
