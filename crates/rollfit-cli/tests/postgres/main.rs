//! The command `rollfit` against real PostgreSQL servers, which the tests start themselves: every test runs the real
//! executable on a database of its own.
//!
//! The harness comes first: servers, poolers, standbys, and a proxy that cuts connections at chosen moments. Each of the
//! other modules is about one group of promises, and its tests are named after what they protect.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A failed helper fails its test; skips are said.

mod activities;
mod append;
mod append_runs;
mod causes;
mod certificates;
mod changing_over;
mod check;
mod checker;
mod claims;
mod compare;
mod cuts;
mod definitions;
mod derived;
mod doctor;
mod documented;
mod faults;
mod first_runners;
mod fits_promises;
mod fits_tables;
mod follow_faults;
mod following;
mod frames;
mod frozen_store;
mod further_columns;
mod hangs;
mod harness_works;
mod held;
mod import;
mod import_found;
mod include;
mod init;
mod isolation;
mod keys;
mod kill;
mod limits;
mod live;
mod long_tables;
mod looks;
mod many_runners;
mod metric_functions;
mod monitor_session;
mod network_conditions;
mod opened;
mod outages;
mod passed_over;
mod periods;
mod placement;
mod pooler;
mod printed;
mod programs;
mod proxy;
mod readers;
mod roles;
mod round_trips;
mod row_security;
mod rows_of_others;
mod schema;
mod server;
mod server_time;
mod server_words;
mod session_shares;
mod small_disk;
mod sql;
mod standby;
mod starting;
mod stopped;
mod store_runners;
mod switch;
mod tables_found;
mod tls;
mod triggers_found;
mod two_hosts;
mod two_runners;
mod versions;
mod view_functions;
mod views;
mod views_dropped;
mod views_followed;
mod views_found;
mod views_given;
mod watchdog;
mod watching;
mod wide_values;
mod wire;
mod workload;

#[allow(dead_code)] // What only the other tests use.
#[path = "../cli/bars.rs"]
mod bars;
#[allow(dead_code)]
#[path = "../cli/features.rs"]
mod features;
#[path = "../cli/hard_fits.rs"]
mod hard_fits;
#[allow(dead_code)]
#[path = "../cli/running.rs"]
mod running;
#[allow(dead_code)]
#[path = "../cli/sandbox.rs"]
mod sandbox;
#[allow(dead_code)]
#[path = "../cli/tree.rs"]
mod tree;
