//! The job with source and sink in memory: what is planned, what is written, retried, left alone, given up and
//! reported, whatever happens to single partitions and however many workers there are.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rollfit_job::activity::Activity;
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::plan::{PlanError, PlannedPartition, assess, estimate_missing_bytes, partitions};
use rollfit_job::receipt::{Definition, Input};
use rollfit_job::run::{Outcome, RunOptions, Stage};
use rollfit_job::spec::Spec;
use rollfit_job::spec::Workers;
use rollfit_job::state::State;
use rollfit_job::store::{Fault, Grouping, Rounding, Sink, StoreError};
use rollfit_job::watch::{Machine, MachineLimits, MachineSample};

use support::{Bench, MemorySink, MemorySource, Record, outcomes, partition, spec};

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

fn transient() -> StoreError {
    StoreError::new(Fault::Transient, "the store is busy")
}

fn fails_for(key: &'static str, error: fn() -> StoreError) -> impl Fn(&Partition) -> Result<(), StoreError> {
    move |partition| if partition.key == key { Err(error()) } else { Ok(()) }
}

// ---------------------------------------------------------------------------------------------- faults

#[test]
fn a_transient_fault_is_tried_again_until_it_passes() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
    let failures = AtomicUsize::new(2);
    let passes = move || {
        failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    };
    bench.source.fault = Some(Box::new(move |_| if passes() { Ok(()) } else { Err(transient()) }));
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written"]);
    let retries = [1, 2].map(|attempt| ("a 2017-01".to_owned(), attempt));
    assert_eq!(*record.retries.lock().unwrap(), retries);
    let stages: Vec<(Stage, u32)> =
        record.stages.lock().unwrap().iter().map(|(_, stage, at)| (*stage, *at)).collect();
    let (read, write, commit) = (Stage::Read, Stage::Write, Stage::Commit);
    assert_eq!(stages, [(read, 1), (read, 2), (read, 3), (write, 3), (commit, 3)]);
}

#[test]
fn a_fault_that_does_not_pass_is_reported_after_the_last_attempt() {
    for attempts in ["1", "2"] {
        let mut bench = Bench::new(&[("RUN__ATTEMPTS", attempts)], &["a"], &MONTHS[..1], 20);
        bench.sink.commit_fault = Some(Box::new(|_| Err(transient())));
        assert_eq!(outcomes(&bench.run()), ["failed: the store is busy"]);
        assert_eq!(bench.sink.claims.lock().unwrap().len(), attempts.parse::<usize>().unwrap());
        assert!(bench.sink.all().is_empty());
    }
}

#[test]
fn a_store_that_is_down_is_waited_for_once_and_not_once_a_partition() {
    let mut bench = Bench::new(&[("RUN__RETRY_FOR_S", "0")], &["a"], &MONTHS, 20);
    bench.source.fault = Some(Box::new(|_| Err(transient())));
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["failed: the store is busy"; 3]);
    assert_eq!((report.retries, record.retries.lock().unwrap().len()), (1, 1));
}

#[test]
fn what_fails_again_is_told_as_known_until_something_succeeds() {
    let mut bench = Bench::new(&[], &["a", "b"], &MONTHS[..1], 20);
    let tries = AtomicUsize::new(0);
    // The first partition fails twice, the second once.
    bench.source.fault = Some(Box::new(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        2 => Ok(()),
        0..4 => Err(transient()),
        _ => Ok(()),
    }));
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written", "written"]);
    assert_eq!(*record.known.lock().unwrap(), [false, true, false]);
    assert_eq!(report.retries, 3);
}

#[test]
fn a_fault_may_be_worth_fewer_attempts_than_others() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
    bench.sink.commit_fault = Some(Box::new(|_| Err(transient().with_attempts_max(2))));
    assert_eq!(outcomes(&bench.run()), ["failed: the store is busy"]);
    assert_eq!(bench.sink.claims.lock().unwrap().len(), 2);
}

#[test]
fn a_sink_that_takes_one_series_at_a_time_gets_the_same_features_and_checksum() {
    let together = Bench::new(&[], &["a"], &MONTHS[..1], 2000);
    let mut apart = Bench::new(&[], &["a"], &MONTHS[..1], 2000);
    apart.sink.grouping = Some(Grouping::Apart);
    for bench in [&together, &apart] {
        assert_eq!(outcomes(&bench.run()), ["written"]);
    }
    assert_eq!(together.sink.all(), apart.sink.all());
}

/// Columns that hold whole numbers below 100.
struct Whole;

impl Rounding for Whole {
    fn round(&self, _: usize, values: &mut [f64]) {
        values.iter_mut().for_each(|value| {
            *value = if value.abs() < 100.0 { value.round() + 0.0 } else { f64::NAN };
        });
    }

    fn uncertainty(&self, _: usize, _: f64) -> f64 {
        0.5
    }
}

#[test]
fn a_receipt_is_of_the_values_as_the_columns_hold_them() {
    let plain = Bench::new(&[], &["a"], &MONTHS[..1], 200);
    let mut narrow = Bench::new(&[], &["a"], &MONTHS[..1], 200);
    narrow.sink.rounding = Some(Arc::new(Whole));
    for bench in [&plain, &narrow] {
        assert_eq!(outcomes(&bench.run()), ["written"]);
    }
    let one = partition("a", MONTHS[0]);
    let (plain, narrow) = (plain.sink.stored(&one), narrow.sink.stored(&one));
    assert_eq!(plain.rows, narrow.rows, "a sink rounds by itself");
    assert_ne!(plain.receipt.stored.checksum, narrow.receipt.stored.checksum);
    let too_large = |bits: &&u64| f64::from_bits(**bits).abs().round() >= 100.0;
    let lost = plain.rows.iter().flatten().filter(too_large).count() as u64;
    assert!(lost > 0, "the series has a vertex far away");
    assert_eq!(narrow.receipt.stored.no_value.column, lost);
}

#[test]
fn a_permanent_fault_is_not_tried_again() {
    for fault in [Fault::Permanent, Fault::Unreachable] {
        let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
        bench.sink.write_fault =
            Some(Box::new(move |_| Err(StoreError::new(fault, "the column is not a number"))));
        let record = Record::default();
        let report = bench.run_with(&RunOptions::default(), &record);
        assert_eq!(outcomes(&report), ["failed: the column is not a number"]);
        assert_eq!(*record.retries.lock().unwrap(), []);
    }
}

#[test]
fn a_failed_partition_does_not_stop_the_others() {
    for workers in [1, 3] {
        let mut bench = Bench::new(&[("RUN__ATTEMPTS", "1")], &["a", "b", "c"], &MONTHS, 20);
        bench.workers = Workers::Fixed(workers);
        bench.source.fault =
            Some(Box::new(fails_for("b", || StoreError::permanent("the file is truncated"))));
        let (report, failed) = (bench.run(), "failed: the file is truncated");
        let wanted = [["written"; 3], [failed; 3], ["written"; 3]].concat();
        assert_eq!(outcomes(&report), wanted);
        assert!(!report.interrupted);
    }
}

#[test]
fn a_source_that_panics_fails_its_partition_and_no_other() {
    for workers in [1, 2] {
        let mut bench = Bench::new(&[], &["a", "b", "c"], &MONTHS[..1], 20);
        bench.workers = Workers::Fixed(workers);
        bench.source.fault = Some(Box::new(|partition| {
            assert!(partition.key != "b", "a defect in {}", partition.key);
            Ok(())
        }));
        let found = outcomes(&bench.run());
        assert_eq!((found[0].as_str(), found[2].as_str()), ("written", "written"));
        for part in ["failed: a defect of rollfit", "please report it", "a defect in b"] {
            assert!(found[1].contains(part), "{}", found[1]);
        }
    }
}

#[test]
fn a_sink_that_panics_amid_its_rows_commits_nothing_of_them() {
    let mut bench = Bench::new(&[], &["a", "b"], &MONTHS[..1], 2000);
    let tiles = AtomicUsize::new(0);
    bench.sink.write_fault = Some(Box::new(move |partition| {
        assert!(partition.key != "a" || tiles.fetch_add(1, Ordering::SeqCst) < 2, "a defect");
        Ok(())
    }));
    let found = outcomes(&bench.run());
    assert!(found[0].starts_with("failed: a defect of rollfit"), "{found:?}");
    assert_eq!(found[1], "written");
    assert_eq!(bench.sink.all().into_keys().collect::<Vec<_>>(), ["b/2017-01"]);
}

#[test]
fn a_listed_month_without_rows_fails_with_the_remedy() {
    let listed = [("PARTITIONS__KEYS", "a"), ("PARTITIONS__FROM", "2017-01"), ("PARTITIONS__TO", "2017-03")];
    let mut bench = Bench::new(&listed, &["a"], &["2017-01", "2017-03"], 20);
    let report = bench.run();
    let found = outcomes(&report);
    assert_eq!((found[0].as_str(), found[2].as_str()), ("written", "written"));
    for part in ["no rows", "`m1_a` and `bqx_a`", "import it, or leave it out"] {
        assert!(found[1].contains(part), "{}", found[1]);
    }
    bench.source.tables.remove("bqx_a");
    bench.spec = spec(&[
        ("PARTITIONS__KEYS", "[\"a\"]"),
        ("PARTITIONS__FROM", "2017-02"),
        ("PARTITIONS__TO", "2017-02"),
    ]);
    assert_eq!(outcomes(&bench.run()), ["failed: there is no table bqx_a"]);
}

#[test]
fn a_month_that_the_source_lacks_is_no_fault_where_the_source_says_which_there_are() {
    let bench = Bench::new(&[], &["a"], &["2017-01", "2017-03"], 20);
    assert_eq!(outcomes(&bench.run()), ["written"; 2]);
}

#[test]
fn a_stored_partition_whose_source_is_gone_stays_in_the_plan() {
    let mut bench = Bench::new(&[], &["a"], &["2017-01", "2017-02"], 20);
    bench.run();
    for table in ["m1_a", "bqx_a"] {
        let rows = bench.source.table(table);
        let kept = rows
            .instants_us
            .partition_point(|&instant| instant < partition("a", "2017-02").period.span_us().start);
        rows.instants_us.truncate(kept);
        rows.values.truncate(kept);
    }
    let found = outcomes(&bench.run());
    assert_eq!(found[0], "already done");
    assert!(found[1].contains("shrunk"), "{}", found[1]);
}

// ---------------------------------------------------------------------------------------- held by others

#[test]
fn what_another_runner_wrote_before_the_claim_is_not_written_again() {
    let mut bench = Bench::new(&[], &["a"], &["2017-01"], 20);
    bench.run();
    let old = bench.sink.stored(&partition("a", "2017-01"));
    bench.source.table("m1_a").values[3] += 1.0;
    assert_eq!(outcomes(&bench.run()), ["written"]);
    let new = bench.sink.stored(&partition("a", "2017-01"));
    bench.sink.stored.lock().unwrap().insert("a/2017-01".to_owned(), old);
    *bench.sink.meanwhile.lock().unwrap() = Some(new.clone());
    assert_eq!(outcomes(&bench.run()), ["already done"]);
    assert_eq!(bench.sink.stored(&partition("a", "2017-01")), new);
}

#[test]
fn a_held_partition_is_tried_again_at_the_end() {
    let bench = Bench::new(&[("RUN__LOCK_WAIT_S", "30")], &["a"], &MONTHS, 20);
    bench.sink.held.lock().unwrap().insert("a/2017-01".to_owned(), 2);
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written"; 3]);
    // Held, the others, still held, then free: found so by one claim, and taken by the next.
    let claims = ["a 2017-01", "a 2017-02", "a 2017-03", "a 2017-01", "a 2017-01", "a 2017-01"];
    assert_eq!(*bench.sink.claims.lock().unwrap(), claims);
    assert_eq!(*record.ended.lock().unwrap(), ["a 2017-01", "a 2017-02", "a 2017-03", "a 2017-01"]);
    assert_eq!(*record.waited.lock().unwrap(), ["a 2017-01", "a 2017-01"], "what is waited for is told");
}

#[test]
fn a_partition_held_for_too_long_is_reported_with_its_holder() {
    for lock_wait in ["0", "0.5"] {
        let bench = Bench::new(&[("RUN__LOCK_WAIT_S", lock_wait)], &["a"], &MONTHS, 20);
        bench.sink.held.lock().unwrap().insert("a/2017-02".to_owned(), usize::MAX);
        let started = Instant::now();
        assert_eq!(outcomes(&bench.run()), ["written", "held by another runner", "written"]);
        let waited = Duration::from_secs_f64(lock_wait.parse().unwrap());
        assert!(started.elapsed() >= waited && started.elapsed() < Duration::from_secs(20));
    }
}

// ---------------------------------------------------------------------------------------------- stopping

#[test]
fn a_finish_ends_those_in_hand_and_begins_no_more() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 2000);
    let stop = bench.stop.clone();
    let record = Record::stopping(Stage::Write, move || stop.finish());
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written"]);
    assert!(report.interrupted);
    assert_eq!(bench.sink.all().into_keys().collect::<Vec<_>>(), ["a/2017-01"]);
}

#[test]
fn an_abandoned_run_rolls_back_what_is_in_hand() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 2000);
    let stop = bench.stop.clone();
    let record = Record::stopping(Stage::Write, move || stop.abandon());
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["abandoned"]);
    assert!(report.interrupted);
    assert!(bench.sink.all().is_empty());
    assert_eq!(*record.rows.lock().unwrap(), 0);
}

#[test]
fn an_abandonment_between_tiles_keeps_the_old_features() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 2000);
    bench.run();
    let before = bench.sink.all();
    bench.source.table("m1_a").values[7] += 1.0;
    let (stop, tiles) = (bench.stop.clone(), AtomicUsize::new(0));
    bench.sink.write_fault = Some(Box::new(move |_| {
        if tiles.fetch_add(1, Ordering::SeqCst) == 1 {
            stop.abandon();
        }
        Ok(())
    }));
    assert_eq!(outcomes(&bench.run()), ["abandoned"]);
    assert_eq!(bench.sink.all(), before);
}

#[test]
fn a_stop_cuts_the_pause_before_another_attempt_short() {
    let mut bench = Bench::new(&[("RUN__ATTEMPTS", "50")], &["a"], &MONTHS[..1], 20);
    let (stop, attempts) = (bench.stop.clone(), AtomicUsize::new(0));
    bench.source.fault = Some(Box::new(move |_| {
        if attempts.fetch_add(1, Ordering::SeqCst) == 1 {
            stop.finish();
        }
        Err(transient())
    }));
    let started = Instant::now();
    assert_eq!(outcomes(&bench.run()), ["failed: the store is busy"]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn after_a_stop_the_same_run_does_the_rest() {
    let mut bench = Bench::new(&[], &["a", "b"], &MONTHS, 50);
    let whole = Bench::new(&[], &["a", "b"], &MONTHS, 50);
    whole.run();
    let stop = bench.stop.clone();
    bench.run_with(&RunOptions::default(), &Record::stopping(Stage::Commit, move || stop.finish()));
    bench.stop = Default::default();
    let found = outcomes(&bench.run());
    assert_eq!(found[0], "already done");
    assert_eq!(found[1..], ["written"; 5]);
    assert_eq!(bench.sink.all(), whole.sink.all());
    let claims = bench.sink.claims.lock().unwrap().len();
    assert_eq!(outcomes(&bench.run()), ["already done"; 6]);
    assert_eq!(bench.sink.claims.lock().unwrap().len(), claims, "where all is done nothing is claimed");
}

// ------------------------------------------------------------------------------- how many, and how fast

/// A machine of one core that gives up some of its memory, which is enough for one worker, when it is told to.
struct Shrinking {
    is_short: Arc<AtomicBool>,
}

impl Machine for Shrinking {
    fn limits(&self) -> MachineLimits {
        MachineLimits { cores: Some(1), cores_allowed: Some(1.0), ..MachineLimits::default() }
    }

    fn sample(&self) -> MachineSample {
        let free = if self.is_short.load(Ordering::SeqCst) { 1 } else { 1 << 40 };
        MachineSample { free_memory_bytes: Some(free), own_memory_bytes: Some(0), ..MachineSample::default() }
    }
}

/// Where partitions wait for a number of workers to be decided.
#[derive(Default)]
struct Gate {
    decided: Mutex<Vec<usize>>,
    changed: Condvar,
}

impl Gate {
    fn decide(&self, workers: usize) {
        self.decided.lock().unwrap().push(workers);
        self.changed.notify_all();
    }

    /// Waits until so many decisions were made.
    fn pass(&self, decisions: usize) {
        let decided = self.decided.lock().unwrap();
        drop(self.changed.wait_while(decided, |decided| decided.len() < decisions).unwrap());
    }
}

#[test]
fn workers_hired_and_dismissed_while_it_runs_lose_no_partition_and_change_no_bit() {
    let keys: Vec<String> = (0..20).map(|at| format!("k{at:02}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let alone = Bench::new(&[], &keys, &MONTHS, 50);
    alone.run();

    let mut bench = Bench::new(&[], &keys, &MONTHS, 50);
    bench.workers = Workers::Between(1, 8);
    let is_short = Arc::new(AtomicBool::new(false));
    bench.machine = Box::new(Shrinking { is_short: Arc::clone(&is_short) });
    let (gate, begun) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let at_source = Arc::clone(&gate);
    // One worker does 40; then as many as are decided, until they are back at one with partitions in hand.
    bench.source.fault = Some(Box::new(move |_| {
        match begun.fetch_add(1, Ordering::SeqCst) {
            0..40 => {}
            40..45 => at_source.pass(2),
            _ => at_source.pass(3),
        }
        Ok(())
    }));
    let record = Record {
        on_decision: Some(Box::new(move |&workers| {
            is_short.store(workers > 1, Ordering::SeqCst);
            gate.decide(workers);
        })),
        ..Record::default()
    };
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), vec!["written"; 60]);
    assert_eq!(*record.decided.lock().unwrap(), [1, 2, 1]);
    assert_eq!(report.workers_max, 2);
    assert!(bench.sink.all() == alone.sink.all());
}

#[test]
fn the_largest_partitions_are_begun_first_where_that_is_wanted() {
    let begun = |order: &str, hide: Option<&str>| {
        let mut bench = Bench::new(&[("RUN__ORDER", order)], &["a", "b", "c", "d"], &[], 0);
        for (key, rows) in [("a", 20), ("b", 40), ("c", 10), ("d", 30)] {
            bench.source.fill(&partition(key, MONTHS[0]), rows);
        }
        let partitions = bench.partitions();
        if let Some(table) = hide {
            bench.source.tables.remove(table);
        }
        let record = Record::default();
        rollfit_job::run::run(&bench.job(), &partitions, &RunOptions::default(), &bench.stop, &record);
        record.ended.lock().unwrap().iter().map(|name| name[..1].to_owned()).collect::<String>()
    };
    assert_eq!(begun("plan", None), "abcd");
    assert_eq!(begun("largest-first", None), "bdac");
    assert_eq!(begun("largest-first", Some("m1_b")), "dbac", "one that cannot be asked keeps its place");
}

#[test]
fn a_run_that_may_write_next_to_nothing_holds_itself_back_and_still_heeds_a_stop() {
    let limits = [("RUN__STORE_WRITE_MB_PER_S_MAX", "0.000001"), ("RUN__CPU_MAX", "0.000001")];
    for limit in limits {
        let bench = Bench::new(&[limit], &["a"], &MONTHS, 2000);
        let stop = bench.stop.clone();
        let record = Record {
            on_sample: Some(Box::new(move |moment| {
                if moment.lanes.iter().any(|lane| lane.activity == Activity::Braking) {
                    stop.abandon();
                }
            })),
            ..Record::default()
        };
        assert_eq!(outcomes(&bench.run_with(&RunOptions::default(), &record)), ["abandoned"]);
        assert!(bench.sink.all().is_empty());
    }
}

#[test]
fn a_store_that_panics_when_it_is_asked_again_fails_its_partition_and_ends_the_run() {
    let mut bench = Bench::new(&[("RUN__LOCK_WAIT_S", "30")], &["a"], &MONTHS[..2], 20);
    bench.sink.held.lock().unwrap().insert("a/2017-01".to_owned(), 1);
    let claims = AtomicUsize::new(0);
    bench.sink.claim_fault = Some(Box::new(move |partition| {
        let is_again = partition.to_string() == "a 2017-01" && claims.fetch_add(1, Ordering::SeqCst) > 0;
        assert!(!is_again, "a defect");
        Ok(())
    }));
    let found = outcomes(&bench.run());
    assert!(found[0].starts_with("failed: a defect of rollfit"), "{found:?}");
    assert_eq!(found[1], "written");
}

// ------------------------------------------------------------------------------------------------ states

const STATES: [(&str, State); 6] = [
    ("changed", State::InputChanged),
    ("defined", State::DefinitionChanged),
    ("done", State::Done),
    ("foreign", State::Foreign),
    ("missing", State::Missing),
    ("shrunk", State::Shrunk),
];

/// A store with one partition in each state, under a key of its name.
fn one_of_each() -> Bench {
    let mut bench = Bench::new(&[], &STATES.map(|(key, _)| key), &MONTHS[..1], 200);
    bench.run();
    bench.source.table("m1_changed").values[7] += 1.0;
    bench.source.retain("bqx_shrunk", |row| row % 10 != 0);
    let output = |key| bench.sink.output(&partition(key, MONTHS[0]));
    let mut stored = bench.sink.stored.lock().unwrap();
    stored.get_mut(&output("defined")).unwrap().receipt.definition.version = 0;
    stored.remove(&output("missing"));
    bench.sink.foreign.lock().unwrap().push(output("foreign"));
    drop(stored);
    bench
}

/// The keys that a run with these options writes.
fn written(options: &RunOptions) -> Vec<String> {
    let bench = one_of_each();
    let before = bench.sink.all();
    let report = bench.run_with(options, &Record::default());
    let is_written = |outcome: &Outcome| matches!(outcome, Outcome::Written { .. });
    for (partition, outcome) in &report.outcomes {
        let output = bench.sink.output(partition);
        let unchanged = bench.sink.all().get(&output) == before.get(&output);
        assert!(is_written(outcome) || unchanged, "{partition} was written on the side");
        if let Outcome::Written { was, .. } = outcome {
            assert_eq!(STATES.iter().find(|(_, state)| state == was).unwrap().0, partition.key);
        }
    }
    report
        .outcomes
        .iter()
        .filter(|(_, o)| is_written(o))
        .map(|(partition, _)| partition.key.clone())
        .collect()
}

#[test]
fn a_run_writes_the_missing_and_the_changed_and_leaves_the_rest_alone() {
    assert_eq!(written(&RunOptions::default()), ["changed", "missing"]);
    let bench = one_of_each();
    let wanted = [
        "written",
        "left alone: definition-changed",
        "already done",
        "left alone: foreign",
        "written",
        "left alone: shrunk",
    ];
    assert_eq!(outcomes(&bench.run()), wanted);
}

#[test]
fn a_state_is_replaced_when_it_is_named_and_no_other_with_it() {
    let replacing = |replace: &[State]| written(&RunOptions { replace: replace.to_vec(), force: false });
    assert_eq!(replacing(&[State::DefinitionChanged]), ["changed", "defined", "missing"]);
    assert_eq!(replacing(&[State::Foreign]), ["changed", "foreign", "missing"]);
    assert_eq!(replacing(&[State::Shrunk]), ["changed", "missing", "shrunk"]);
    assert_eq!(replacing(&State::LEFT_ALONE), ["changed", "defined", "foreign", "missing", "shrunk"]);
}

#[test]
fn force_writes_the_done_again_and_not_what_is_left_alone() {
    let forced = RunOptions { replace: Vec::new(), force: true };
    assert_eq!(written(&forced), ["changed", "done", "missing"]);
    let bench = one_of_each();
    let before = bench.sink.stored(&partition("done", MONTHS[0]));
    bench.run_with(&forced, &Record::default());
    assert_eq!(bench.sink.stored(&partition("done", MONTHS[0])), before);
}

#[test]
fn features_are_never_replaced_by_nothing() {
    let mut bench = one_of_each();
    bench.source.retain("m1_shrunk", |_| false);
    bench.source.retain("m1_foreign", |_| false);
    bench.spec = spec(&[
        ("PARTITIONS__KEYS", "[\"foreign\", \"shrunk\"]"),
        ("PARTITIONS__FROM", MONTHS[0]),
        ("PARTITIONS__TO", MONTHS[0]),
    ]);
    let all = RunOptions { replace: State::LEFT_ALONE.to_vec(), force: true };
    let report = bench.run_with(&all, &Record::default());
    assert_eq!(outcomes(&report), ["left alone: foreign", "left alone: shrunk"]);
}

#[test]
fn the_plan_says_what_a_run_would_do() {
    let bench = one_of_each();
    let planned = assess(&bench.job(), &bench.partitions());
    let states: Vec<Option<State>> = planned.iter().map(|line| line.state).collect();
    assert_eq!(states, STATES.map(|(_, state)| Some(state)));
    let bytes: Vec<u64> = planned.iter().map(|line| line.write_bytes).collect();
    assert_eq!(bytes, [2000, 0, 0, 0, 2000, 0]);
    assert!(planned[5].cause.contains("200 rows and has 180 now"), "{}", planned[5].cause);
    assert_eq!(estimate_missing_bytes(&bench.job(), &bench.partitions()), 2000);
}

#[test]
fn the_plan_goes_on_where_a_partition_cannot_be_read() {
    let mut bench = Bench::new(&[], &["a", "b"], &["2017-01", "2017-03"], 20);
    bench.source.fault = Some(Box::new(fails_for("b", || StoreError::permanent("the file is truncated"))));
    let planned = assess(&bench.job(), &bench.partitions());
    let unread = |line: &PlannedPartition| line.state.is_none().then(|| line.cause.clone());
    let causes: Vec<Option<String>> = planned.iter().map(unread).collect();
    assert_eq!((causes[0].as_deref(), causes[1].as_deref()), (None, None));
    assert_eq!(causes.len(), 4);
    assert!(causes[2..].iter().all(|cause| cause.as_deref() == Some("the file is truncated")));
}

// ----------------------------------------------------------------------------------- what is computed

#[test]
fn a_receipt_counts_what_was_used_lost_and_left_without_a_value() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 1000);
    bench.source.table("m1_a").values[500] = f64::NAN;
    bench.source.retain("bqx_a", |row| row >= 15 && row != 700);
    bench.source.retain("m1_a", |row| row != 800);
    let record = Record::default();
    assert_eq!(outcomes(&bench.run_with(&RunOptions::default(), &record)), ["written"]);
    let stored = bench.sink.stored(&partition("a", MONTHS[0]));
    let (input, output) = (&stored.receipt.input, &stored.receipt.stored);
    assert_eq!((input.rows, output.rows, *record.rows.lock().unwrap()), (983, 983, 983));
    assert_eq!((input.lookback_rows, &input.lost_rows[..]), (0, &[16, 1][..]));
    let span = (stored.instants_us.first().copied(), stored.instants_us.last().copied());
    assert_eq!((input.first_us, input.last_us), span);
    let metrics = 3;
    assert_eq!(output.no_value.warmup, (4 + 2) * metrics * 2);
    assert_eq!(output.no_value.input, (5 + 3) * metrics);
    let nan = |bits: &&u64| f64::from_bits(**bits).is_nan();
    assert_eq!(output.no_value.total(), stored.rows.iter().flatten().filter(nan).count() as u64);
    assert_eq!(stored.receipt.definition, Definition::of(&bench.spec));
    assert_eq!(stored.receipt.output, "a/2017-01");
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    let run = |workers| {
        let mut bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a", "b", "c"], &MONTHS, 700);
        bench.workers = Workers::Fixed(workers);
        bench.run();
        bench.sink.all()
    };
    let one = run(1);
    assert_eq!(one.len(), 9);
    for workers in [2, 3, 16] {
        assert!(run(workers) == one, "{workers} workers");
    }
}

#[test]
fn equal_rows_have_equal_digests_wherever_they_come_from() {
    let spec = spec(&[]);
    let input = |change: &dyn Fn(&mut MemorySource)| {
        let mut bench = Bench::new(&[], &["a"], &MONTHS, 100);
        change(&mut bench.source);
        Input::of(&Panel::read(&bench.source, &spec, &partition("a", MONTHS[1])).unwrap())
    };
    let same = input(&|_| ());
    assert_eq!(same, input(&|source| source.table("m1_a").values[99] = 5.0), "another month");
    assert_eq!(same, input(&|source| source.retain("m1_a", |row| row >= 100)), "no month before");
    assert_ne!(same, input(&|source| source.table("m1_a").values[100] = 5.0));
    assert_ne!(same, input(&|source| source.table("bqx_a").instants_us[100] += 1));
}

#[test]
fn under_reset_no_row_before_the_month_is_asked_for() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 20);
    bench.run();
    assert!(bench.source.announced.lock().unwrap().iter().all(|(_, rows)| *rows == 0));
    assert_eq!(*bench.source.asked_before.lock().unwrap(), [0; 0]);
    assert_eq!(bench.sink.stored(&partition("a", MONTHS[1])).receipt.stored.no_value.warmup, 6 * 3 * 2);
}

#[test]
fn under_carry_the_windows_reach_into_the_rows_before() {
    let bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &MONTHS, 20);
    bench.run();
    assert!(bench.source.announced.lock().unwrap().iter().all(|(_, rows)| *rows > 0));
    assert_eq!(
        bench.source.asked_before.lock().unwrap()[..2],
        [4, 4],
        "one row less than the longest window"
    );
    let warmup = |month| bench.sink.stored(&partition("a", month)).receipt.stored.no_value.warmup;
    assert_eq!(MONTHS.map(warmup), [6 * 3 * 2, 0, 0]);
    let receipt = bench.sink.stored(&partition("a", MONTHS[1])).receipt;
    assert_eq!((receipt.input.rows, receipt.input.lookback_rows, receipt.stored.rows), (20, 4, 20));
    assert!(receipt.input.first_us < Some(partition("a", MONTHS[1]).period.span_us().start));
}

#[test]
fn under_carry_the_features_are_those_of_one_unbroken_series() {
    let carry = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &MONTHS, 20);
    carry.run();
    let mut whole = Bench::new(&[], &["a"], &["2017-01"], 60);
    let carried = carry.source.tables["m1_a"].values.clone();
    whole.source.table("m1_a").values = carried;
    whole.source.table("bqx_a").values = carry.source.tables["bqx_a"].values.clone();
    whole.run();
    let joined: Vec<_> =
        MONTHS.iter().flat_map(|month| carry.sink.stored(&partition("a", month)).rows).collect();
    assert_eq!(joined, whole.sink.stored(&partition("a", "2017-01")).rows);
}

#[test]
fn under_carry_rows_are_found_before_the_first_month_and_across_a_gap() {
    let mut bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &["2016-11", "2017-03"], 20);
    bench.spec.from = Some(MONTHS[2].parse().unwrap());
    assert_eq!(outcomes(&bench.run()), ["written"]);
    let receipt = bench.sink.stored(&partition("a", MONTHS[2])).receipt;
    assert_eq!((receipt.input.lookback_rows, receipt.stored.no_value.warmup), (4, 0));
}

#[test]
fn under_carry_a_change_in_the_rows_before_is_a_change_of_input() {
    let mut bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &MONTHS[..2], 20);
    bench.run();
    bench.source.table("m1_a").values[19] += 1.0;
    assert_eq!(outcomes(&bench.run()), ["written", "written"]);
    bench.source.table("m1_a").values[3] += 1.0;
    assert_eq!(outcomes(&bench.run()), ["written", "already done"]);
}

// ------------------------------------------------------------------------------------------- planning

fn planned(values: &[(&str, &str)], source: &MemorySource, only: &[&str]) -> Result<Vec<String>, PlanError> {
    let only: Vec<_> = only.iter().map(|text| text.parse().unwrap()).collect();
    Ok(partitions(&spec(values), source, &MemorySink::default(), &only)?
        .iter()
        .map(ToString::to_string)
        .collect())
}

/// Key `a` has three months, `b` the second, `c` none; `d` lacks a table.
fn uneven() -> MemorySource {
    let mut source = Bench::new(&[], &["a"], &MONTHS, 5).source;
    source.fill(&partition("b", MONTHS[1]), 5);
    source.fill(&partition("c", MONTHS[0]), 0);
    source.fill(&partition("d", MONTHS[0]), 5);
    source.tables.remove("bqx_d");
    source
}

#[test]
fn all_keys_are_planned_for_the_months_they_have() {
    let source = uneven();
    assert_eq!(planned(&[], &source, &[]).unwrap(), ["a 2017-01", "a 2017-02", "a 2017-03", "b 2017-02"]);
    let from = [("PARTITIONS__FROM", "2017-02"), ("PARTITIONS__TO", "2018-01")];
    assert_eq!(planned(&from, &source, &[]).unwrap(), ["a 2017-02", "a 2017-03", "b 2017-02"]);
}

#[test]
fn listed_keys_are_planned_for_every_month_that_is_wanted() {
    let source = uneven();
    let listed = ("PARTITIONS__KEYS", "[\"b\", \"a\"]");
    let closed = [listed, ("PARTITIONS__FROM", "2017-02"), ("PARTITIONS__TO", "2017-03")];
    assert_eq!(planned(&closed, &source, &[]).unwrap(), ["b 2017-02", "b 2017-03", "a 2017-02", "a 2017-03"]);
    let latest = planned(&[listed], &source, &[]).unwrap();
    assert_eq!(latest, ["b 2017-02", "b 2017-03", "a 2017-01", "a 2017-02", "a 2017-03"], "b is behind");
    let unknown = [("PARTITIONS__KEYS", "[\"x\"]"), closed[1], closed[2]];
    assert_eq!(planned(&unknown, &source, &[]).unwrap(), ["x 2017-02", "x 2017-03"]);
}

#[test]
fn a_selection_takes_keys_and_single_months() {
    let source = uneven();
    assert_eq!(planned(&[], &source, &["b"]).unwrap(), ["b 2017-02"]);
    assert_eq!(planned(&[], &source, &["a:2017-03", "a:2017-01"]).unwrap(), ["a 2017-01", "a 2017-03"]);
    assert_eq!(planned(&[], &source, &["a:2017-03", "b"]).unwrap(), ["a 2017-03", "b 2017-02"]);
}

#[test]
fn a_selection_of_what_there_is_not_is_an_error() {
    let source = uneven();
    let error = |only: &[&str]| planned(&[], &source, only).unwrap_err().to_string();
    assert!(error(&["x"]).contains("--only x: no such key among those of this job, a, b, c"));
    assert!(error(&["a", "b:2017-03"]).contains("--only b:2017-03: this job has no such partition"));
    assert!(error(&["c"]).contains("--only c: this job has no such partition"));
}

#[test]
fn a_job_about_nothing_is_an_error_that_says_where_to_look() {
    let error = |values: &[(&str, &str)], source: &MemorySource| {
        planned(values, source, &[]).unwrap_err().to_string()
    };
    let empty = error(&[], &MemorySource::default());
    assert!(
        empty.contains("no key with tables `m1_{key}` and `bqx_{key}`: import some bars first"),
        "{empty}"
    );
    let later = error(&[("PARTITIONS__FROM", "2020-01")], &uneven());
    assert!(later.contains("no month between `from` and `to` has rows"), "{later}");
}

#[test]
fn two_partitions_with_one_output_are_refused() {
    let source = uneven();
    for (pattern, part) in [
        ("reg_{key}_{yyyy}", "a 2017-01 of series `idx` and a 2017-02 of series `idx`"),
        ("reg_{yyyy}_{mm}", "a 2017-02 of series `idx` and b 2017-02 of series `idx`"),
        ("reg_bqx_{key}_{yyyy}_{mm}", "a 2017-01 of series `idx` and a 2017-01 of series `bqx`"),
    ] {
        let error = planned(&[("SERIES__IDX__FEATURES", pattern)], &source, &[]).unwrap_err().to_string();
        assert!(error.contains("would both be written to"), "{error}");
        assert!(error.contains(part), "{part}: {error}");
    }
    let selected = planned(&[("SERIES__IDX__FEATURES", "reg_{key}_{yyyy}")], &source, &["a:2017-01"]);
    assert!(selected.is_err(), "a selection does not hide it");
}

#[test]
fn outputs_are_told_apart_also_where_patterns_run_together() {
    let spec: Spec = spec(&[("SERIES__IDX__FEATURES", "x_{key}{yyyy}_{mm}")]);
    let partitions = [partition("a", "2017-01"), partition("a2", "0170-01")];
    assert!(spec.check_outputs(partitions.iter()).is_ok());
    let partitions = [partition("a", "2017-01"), partition("a", "2017-01")];
    assert!(spec.check_outputs(partitions.iter()).is_err());
}
