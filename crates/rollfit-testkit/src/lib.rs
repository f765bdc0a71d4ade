//! What the tests of several crates share.

#![allow(clippy::unwrap_used, missing_docs)] // A failed helper fails its test; names say what a helper is.

pub mod simulation;
