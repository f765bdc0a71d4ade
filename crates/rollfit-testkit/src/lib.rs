//! What the tests of several crates share: a small market and its job ([`market`]), bars to import ([`bars`]), a store in memory
//! ([`memory`]), made-up records of runs ([`record`]), and runs on a simulated machine ([`simulation`]).
//!
//! Invariants: only tests depend on this crate, and it is not published. It knows the job and no store.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

pub mod bars;
pub mod market;
pub mod memory;
pub mod record;
#[allow(missing_docs)] // Names say what a helper is.
pub mod simulation;
