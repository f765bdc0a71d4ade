//! Partitions that another runner holds or has just written.

use std::time::{Duration, Instant};

use rollfit_job::run::RunOptions;
use rollfit_testkit::market::partition;

use crate::bench::{Bench, MONTHS, Record, outcomes};

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
