//! How often a partition waits for the server, from its start to its end: source, looks, claim, rows, receipt, commit and VACUUM. Counted
//! with one worker, partition by partition.

use std::sync::Mutex;

use rollfit_job::Job;
use rollfit_job::config::Workers;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Observer, Outcome, RunOptions, Spent, Try, run};
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::watch::Unseen;
use rollfit_postgres::PostgresStore;

use crate::opened::Opened;
use crate::server::shared;
use crate::workload::{SMALL, Shape, Workload};

/// The most round trips of a partition that is replaced.
const REPLACED_MAX: usize = 12;
/// The most of one to which rows are added.
const APPENDED_MAX: usize = 8;
/// The most of one whose tables are made.
const CREATED_MAX: usize = 16;

/// Keeps what each partition waited for.
struct Counter<'a> {
    store: &'a PostgresStore,
    seen: Mutex<usize>,
    partitions: Mutex<Vec<Vec<String>>>,
}

impl Observer for Counter<'_> {
    fn ended(&self, _at: Try<'_>, outcome: &Outcome, _spent: &Spent) {
        assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
        let log = self.store.last_round_trips();
        let mut seen = self.seen.lock().unwrap();
        let new = self.store.round_trips() as usize - *seen;
        assert!(new <= log.len());
        *seen += new;
        self.partitions.lock().unwrap().push(log[log.len() - new..].to_vec());
    }
}

/// Runs all partitions of a workload with one worker, and returns what each of them waited for.
#[track_caller]
fn waits(workload: &Workload<'_>, force: bool) -> Vec<Vec<String>> {
    let settings = [("RUN__STORE_SESSIONS_MAX", "1")];
    let opened = Opened::at(workload, &workload.database.url(), &settings);
    let Opened { config, store } = &opened;
    let job = Job { config, source: store, sink: store, workers: Workers::Fixed(1), machine: &Unseen };
    let partitions = partitions(config, store, store, &[]).unwrap();
    let counter =
        Counter { store, seen: Mutex::new(store.round_trips() as usize), partitions: Mutex::default() };
    let options = RunOptions { force, ..RunOptions::default() };
    run(&job, &partitions, &options, &StopSignal::default(), &counter);
    let waits = counter.partitions.into_inner().unwrap();
    assert_eq!(waits.len(), partitions.len());
    waits
}

/// Checks each partition but the first, which also asks what holds for all.
#[track_caller]
fn at_most(waits: &[Vec<String>], most: usize) {
    let told = |(at, waits): (usize, &Vec<String>)| {
        format!("partition {at}: {} round trips\n  {}\n", waits.len(), waits.join("\n  "))
    };
    let told: String = waits.iter().enumerate().map(told).collect();
    println!("{told}");
    assert!(waits.iter().skip(1).all(|waits| waits.len() <= most), "more than {most}:\n{told}");
}

#[test]
fn a_replaced_partition_takes_at_most_twelve_round_trips() {
    let workload = Workload::small();
    at_most(&waits(&workload, false), CREATED_MAX);
    workload.change_sources();
    at_most(&waits(&workload, false), REPLACED_MAX);
    at_most(&waits(&workload, true), REPLACED_MAX);
    let _ = (APPENDED_MAX, shared(), SMALL, Shape { keys: &[], months: &[] });
}
