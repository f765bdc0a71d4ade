//! What the analysis says of simulated runs comes true.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod estimates;
mod full_machine;
mod matrix;
mod runs;
mod steps;
