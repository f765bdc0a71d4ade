//! How often a partition waits for the server, from its start to its end: source, looks, claim, rows, receipt, commit and VACUUM. Counted
//! with one worker, partition by partition. The record says the same.

use std::sync::{Arc, Mutex};

use rollfit_job::Job;
use rollfit_job::config::{Layout, Workers};
use rollfit_job::derived_source::DerivedSource;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Observer, Outcome, RunOptions, Spent, Try, run};
use rollfit_job::selection::Selection;
use rollfit_job::state::State;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::watch::Unseen;
use rollfit_postgres::PostgresStore;

use crate::opened::Opened;
use crate::server::shared;
use crate::workload::{Shape, Workload};

/// The most round trips of a partition that is replaced: the first one, with which a run notes what there is and who has it, and each of
/// the others.
const REPLACED_MAX: [usize; 2] = [23, 12];
/// The most of one to which rows are added.
const APPENDED_MAX: [usize; 2] = [14, 8];
/// The most of one whose tables are made.
const CREATED_MAX: [usize; 2] = [26, 16];

/// The same where functions and views are made too.
const CREATED_WITH_VIEWS_MAX: [usize; 2] = [41, 16];

/// Series derived from closes. They lack the first rows of these, so that the first partition of a key also looks when the closes start.
const DERIVED: [(&str, &str); 7] = [
    ("SERIES__IDX__DERIVE", "rate_index"),
    ("SERIES__IDX__BASE", "100"),
    ("SERIES__BQX__TABLE", "m1_{key}"),
    ("SERIES__BQX__TIME", "time"),
    ("SERIES__BQX__VALUE", "rate_index"),
    ("SERIES__BQX__DERIVE", "backward_return(15)"),
    ("SERIES__BQX__BASE", "100"),
];

const MONTHS: Shape = Shape { keys: &["eurusd"], months: &["2017-01", "2017-02", "2017-03"] };
const KEYS: Shape = Shape { keys: &["eurusd", "gbpusd", "usdjpy"], months: &["2017-01"] };

/// Keeps what each partition waited for.
struct Counter<'a> {
    store: &'a PostgresStore,
    seen: Mutex<usize>,
    partitions: Mutex<Vec<Vec<String>>>,
}

impl Observer for Counter<'_> {
    fn ended(&self, _at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
        let log = self.store.last_round_trips();
        let mut seen = self.seen.lock().unwrap();
        let new = self.store.round_trips() as usize - *seen;
        assert!(new <= log.len());
        assert_eq!(spent.trips.count.total_us(), new as u64, "{:?}", spent.trips);
        assert!(spent.trips.source_us.is_some() && spent.trips.sink_us.is_some(), "{:?}", spent.trips);
        *seen += new;
        self.partitions.lock().unwrap().push(log[log.len() - new..].to_vec());
    }
}

/// Runs all partitions of a workload with one worker, and returns what each of them waited for.
#[track_caller]
fn waits(workload: &Workload<'_>, settings: &[(&str, &str)], options: &RunOptions) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    let url = text.lines().find_map(|line| line.strip_prefix("url = \"")?.strip_suffix('"')).unwrap();
    let Opened { config, store } =
        Opened::at(workload, url, &[&[("RUN__STORE_SESSIONS_MAX", "1")], settings].concat());
    let (config, store) = (&config, &Arc::new(store));
    let source = &*DerivedSource::wrap(Arc::clone(store) as _, &config.series);
    let sink = &**store;
    let job = Job { config, source, sink, workers: Workers::Fixed(1), machine: &Unseen };
    let partitions = partitions(config, source, sink, &Selection::default()).unwrap();
    // Before the first partition the run asks who else is at work.
    let seen = Mutex::new(store.round_trips() as usize + 1);
    let counter = Counter { store, seen, partitions: Mutex::default() };
    run(&job, &partitions, options, &StopSignal::default(), &counter);
    let waits = counter.partitions.into_inner().unwrap();
    assert_eq!(waits.len(), partitions.len());
    waits
}

/// Checks the first partition, which also asks what holds for all, and each of the others.
#[track_caller]
fn at_most(waits: &[Vec<String>], [first_max, others_max]: [usize; 2]) {
    let told = |(at, waits): (usize, &Vec<String>)| {
        format!("partition {at}: {} round trips\n  {}\n", waits.len(), waits.join("\n  "))
    };
    let told: String = waits.iter().enumerate().map(told).collect();
    println!("{told}");
    let is_right = waits[0].len() <= first_max && waits[1..].iter().all(|waits| waits.len() <= others_max);
    assert!(is_right, "more than {first_max} or {others_max}:\n{told}");
}

/// Creates and replaces the partitions of a workload.
#[track_caller]
fn is_created_and_replaced(workload: &Workload<'_>, settings: &[(&str, &str)]) {
    at_most(&waits(workload, settings, &RunOptions::default()), CREATED_MAX);
    workload.change_sources();
    at_most(&waits(workload, settings, &RunOptions::default()), REPLACED_MAX);
}

fn under_a_parent() -> Workload<'static> {
    let workload = Workload::on(shared(), MONTHS);
    for series in ["rate", "bqx"] {
        let pattern = format!("features = \"reg_{series}_{{key}}_{{yyyy}}_{{mm}}\"");
        let parent = format!("{pattern}\nparent = \"reg_{series}_{{key}}\"");
        workload.replace_in_configuration(&pattern, &parent);
    }
    workload
}

#[test]
fn a_partition_takes_few_round_trips() {
    let workload = Workload::on(shared(), MONTHS);
    is_created_and_replaced(&workload, &[]);
    workload.database.sql("drop table reg_rate_eurusd_2017_02");
    workload.change_sources();
    let forced = RunOptions { force: true, replace: vec![State::Foreign], ..RunOptions::default() };
    at_most(&waits(&workload, &[], &forced), CREATED_MAX);
}

#[test]
fn a_partition_of_fits_takes_as_few_with_its_views() {
    for workload in [Workload::on(shared(), MONTHS), under_a_parent()] {
        workload.in_fits("");
        at_most(&waits(&workload, &[], &RunOptions::default()), CREATED_WITH_VIEWS_MAX);
        workload.change_sources();
        at_most(&waits(&workload, &[], &RunOptions::default()), REPLACED_MAX);
    }
}

#[test]
fn a_partition_of_decimals_takes_few_round_trips() {
    is_created_and_replaced(&Workload::on(shared(), MONTHS), &[("STORE__NUMBERS", "numeric")]);
}

#[test]
fn a_partition_under_a_parent_to_which_others_refer_takes_few_round_trips() {
    let workload = under_a_parent();
    is_created_and_replaced(&workload, &[]);
    workload.database.sql(
        "create table labels (ts timestamp references reg_rate_eurusd on delete cascade);
         create table notes (ts timestamp references reg_bqx_eurusd on delete set null)",
    );
    workload.change_sources();
    at_most(&waits(&workload, &[], &RunOptions::default()), REPLACED_MAX);
}

#[test]
fn a_partition_under_row_security_takes_few_round_trips() {
    let workload = Workload::on(shared(), MONTHS);
    workload.done();
    let role = workload.as_new_role("tenant");
    let mut grants =
        format!("grant select, insert, update, delete on all tables in schema public to {role};");
    for table in workload.tables() {
        grants += &format!(
            "alter table {table} enable row level security; create policy every on {table} using (true);"
        );
    }
    workload.database.sql(&grants);
    workload.change_sources();
    let forced = RunOptions { force: true, replace: vec![State::DefinitionChanged], ..RunOptions::default() };
    at_most(&waits(&workload, &[("STORE__ROW_SECURITY", "apply")], &forced), REPLACED_MAX);
}

#[test]
fn rows_are_added_in_few_round_trips() {
    for layout in [Layout::Metrics, Layout::Fits] {
        let workload = Workload::on(shared(), KEYS).in_layout(layout);
        workload.cut_sources("2017-01-31 20:00");
        workload.done();
        for until in ["2017-01-31 20:30", "2017-01-31 23:30"] {
            workload.grow_sources(until);
            at_most(&waits(&workload, &[], &RunOptions::default()), APPENDED_MAX);
        }
    }
}

#[test]
fn a_partition_of_derived_series_takes_as_few_be_it_the_first_of_its_key() {
    for shape in [MONTHS, KEYS] {
        let workload = Workload::on(shared(), shape);
        at_most(&waits(&workload, &DERIVED, &RunOptions::default()), CREATED_MAX);
        for key in shape.keys {
            workload.database.sql(&format!("update m1_{key} set rate_index = 200 - rate_index"));
        }
        at_most(&waits(&workload, &DERIVED, &RunOptions::default()), REPLACED_MAX);
    }
}
