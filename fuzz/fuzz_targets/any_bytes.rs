//! Searches for bytes that break a promise: kernel, stream and exact rational arithmetic against each other, as
//! `crates/rollfit/tests/math/support/any_bytes.rs` says, which a property test runs on random bytes as well.
//! `./bench.sh fuzz` runs it.
#![no_main]

#[path = "../../crates/rollfit/tests/math/support/any_bytes.rs"]
mod any_bytes;
#[allow(dead_code)] // what other tests use
#[path = "../../crates/rollfit/tests/math/support/exact.rs"]
mod exact;
#[allow(dead_code)] // what other tests use
#[path = "../../crates/rollfit/tests/math/support/paths.rs"]
mod paths;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::hold(bytes));
