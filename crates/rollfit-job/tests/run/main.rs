//! The job with source and sink in memory: what is planned, what is written, retried, left alone, given up and
//! reported, whatever happens to single partitions and however many workers there are.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod adopting;
mod before_work;
mod bench;
mod computed;
mod derived;
mod faults;
mod fits;
mod further_columns;
mod growing;
mod held;
mod other_runners;
mod pending;
mod planning;
mod several_runners;
mod shares;
mod states;
mod stopping;
mod workers;
