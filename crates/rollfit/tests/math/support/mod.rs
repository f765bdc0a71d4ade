//! What the tests measure with: exact rational fits, the golden file, a generator of windows that are hard to fit, and
//! every way through the kernel.
//!
//! Exact means exact until the end: sums are taken in integers, and only finished quantities are rounded, to 300 bits.
//! Nothing here uses rollfit's own arithmetic or formulas.

#![allow(dead_code)] // every test binary compiles this module and uses its own share of it

pub(crate) mod any_bytes;
pub(crate) mod cases;
pub(crate) mod exact;
pub(crate) mod golden;
pub(crate) mod hard;
pub(crate) mod paths;
pub(crate) mod slack;
pub(crate) mod worst_case;
pub(crate) mod worst_residuals;
