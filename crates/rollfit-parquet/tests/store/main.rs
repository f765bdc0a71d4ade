//! The store in files: its commits, its imports, its sources and its readers, and what it makes of faults and damage. Tests that start
//! processes are apart: between a fork and what follows it a child has every lock that is held here.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod activities;
mod commit;
mod further_columns;
mod long_tables;
mod lost_locks;
mod names;
mod readers;
mod rot;
mod sources;
mod syncs;
mod torn;
mod watching;

#[path = "../support/mod.rs"]
mod support;
