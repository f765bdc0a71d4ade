//! Stops: what is finished, what is rolled back, and that the same run does the rest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rollfit_job::run::{RunOptions, Stage};

use crate::bench::{Bench, MONTHS, Record, outcomes, transient};

#[test]
fn a_finish_ends_those_in_progress_and_begins_no_more() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 2000);
    let stop = bench.stop.clone();
    let record = Record::stopping(Stage::Write, move || stop.finish());
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written"]);
    assert!(report.interrupted);
    assert_eq!(bench.sink.all().into_keys().collect::<Vec<_>>(), ["a/2017-01"]);
}

#[test]
fn an_abandoned_run_rolls_back_what_is_in_progress() {
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
