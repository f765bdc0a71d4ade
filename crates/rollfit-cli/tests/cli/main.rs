//! The command `rollfit` as users run it: every test starts the real executable on a store of its own.
//!
//! Each module is about one group of promises and its tests are named after what they protect. Nothing here looks
//! inside the program: arguments, files and environment go in; exit code, output and files come out.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A failed helper fails its test; skips are said.

mod absurd_records;
mod analyze;
mod analyze_joined;
mod bad_config;
mod bad_source;
mod bars;
mod boundary;
mod browser;
mod check;
mod chromium;
mod config_paths;
mod crash;
mod deployed;
mod derived;
mod disk;
mod empty_months;
mod environment;
mod exit_codes;
mod features;
mod first_minutes;
mod follow;
mod foreign;
mod frozen_stores;
mod hard_fits;
mod hive;
mod import;
mod import_certain;
mod import_columns;
mod import_inputs;
mod include;
mod init;
mod init_long;
mod job;
mod jobs_that_cannot_be_meant;
mod join_loss;
mod keys;
mod last_signal;
mod limits;
mod log;
mod long_tables;
mod many_runners;
mod memory;
mod metric_macros;
mod metrics_file;
mod named_jobs;
mod passed_over;
mod periods;
mod plan_estimate;
mod planted;
mod record;
mod reference_data;
mod rot;
mod running;
mod runs;
mod sandbox;
mod schedulers;
mod selecting;
mod shards;
mod signals;
mod states;
mod status;
mod status_store;
mod switch;
mod terminal;
mod trace;
mod tree;
mod two_runners;
mod unwritable;
mod verify;
mod versions;
