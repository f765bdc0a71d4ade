//! What stores do: errors that pass and that don't, partitions that others have, stores that are away, bugs.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rollfit_job::follow::{FollowEnd, FollowEvent, FollowObserver, KeyLag, follow};
use rollfit_job::state::State;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{Fault, StoreError};

use rollfit_testkit::market::{MINUTE_US, partition};
use rollfit_testkit::memory::PlantedFault;

use crate::bench::{Bench, FEBRUARY, JANUARY, Live, TABLES, start_us};

const NOTHING: [&str; 0] = [];

fn fails_while(is_on: &'static AtomicBool, error: fn() -> StoreError) -> PlantedFault {
    Box::new(
        move |partition| {
            if is_on.load(Ordering::Relaxed) && partition.key == "a" { Err(error()) } else { Ok(()) }
        },
    )
}

fn bench(keys: &[&str]) -> Bench {
    let bench = Bench::new(&[], keys, 200);
    bench.run();
    bench
}

#[test]
fn an_error_that_passes_at_once_isnt_told() {
    static IS_BUSY: AtomicBool = AtomicBool::new(false);
    let mut bench = bench(&["a"]);
    bench.sink.commit_fault = Some(fails_while(&IS_BUSY, || StoreError::new(Fault::Transient, "busy")));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    IS_BUSY.store(true, Ordering::Relaxed);
    bench.insert_both([200]);
    assert_eq!(live.poll_after(1.0), NOTHING);
    IS_BUSY.store(false, Ordering::Relaxed);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    IS_BUSY.store(true, Ordering::Relaxed);
    bench.insert_both([201]);
    assert_eq!(live.poll_after(1.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 behind: busy"]);
    assert_eq!(live.poll_after(1.0), NOTHING, "once");
    IS_BUSY.store(false, Ordering::Relaxed);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +1", "a 2017-01 caught up"]);
    bench.assert_is_batch();
}

#[test]
fn what_failed_is_tried_again_between_polls_and_nothing_else_is_looked_at() {
    static IS_BUSY: AtomicBool = AtomicBool::new(false);
    let mut bench = bench(&["a"]);
    bench.sink.commit_fault = Some(fails_while(&IS_BUSY, || StoreError::new(Fault::Transient, "busy")));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([200]);
    assert_eq!(live.retry_after(100.0), NOTHING);
    IS_BUSY.store(true, Ordering::Relaxed);
    assert_eq!(live.poll(), NOTHING);
    IS_BUSY.store(false, Ordering::Relaxed);
    assert_eq!(live.retry_after(0.1), NOTHING);
    assert_eq!(live.retry_after(0.1), ["a 2017-01 +1"]);
    bench.source.is_away.store(true, Ordering::Relaxed);
    assert_eq!(live.poll(), ["lost: no connection"]);
    bench.source.is_away.store(false, Ordering::Relaxed);
    assert_eq!(live.retry_after(0.9), NOTHING);
    assert_eq!(live.retry_after(0.1), ["back"]);
    bench.assert_is_batch();
}

#[test]
fn an_error_that_lasts_is_told_at_once_and_stops_no_other_key() {
    static IS_FULL: AtomicBool = AtomicBool::new(false);
    let mut bench = bench(&["a", "b"]);
    bench.sink.write_fault = Some(fails_while(&IS_FULL, || StoreError::permanent("no right to write")));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    IS_FULL.store(true, Ordering::Relaxed);
    bench.insert_both([200]);
    bench.source.insert("m1_b", start_us() + 200 * MINUTE_US, 1.0);
    bench.source.insert("bqx_b", start_us() + 200 * MINUTE_US, 1.0);
    let mut told = live.poll_after(1.0);
    told.sort();
    assert_eq!(told, ["a 2017-01 behind: no right to write", "b 2017-01 +1"]);
    assert_eq!(live.poll_after(1.0), NOTHING);
    IS_FULL.store(false, Ordering::Relaxed);
    bench.insert_both([201]);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +2", "a 2017-01 caught up"]);
    bench.assert_is_batch();
}

#[test]
fn a_source_that_is_away_is_told_once_and_everything_checked_when_it_is_back() {
    let bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "86400")], &["a", "b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let is_away = |is_away| bench.source.is_away.store(is_away, Ordering::Relaxed);
    is_away(true);
    assert_eq!(live.poll_after(1.0), ["lost: no connection"]);
    bench.correct(0, 180);
    for _ in 0..100 {
        assert_eq!(live.poll_after(1.0), NOTHING);
    }
    assert!(bench.source.refusals.load(Ordering::Relaxed) < 10, "it is asked less and less often");
    is_away(false);
    assert_eq!(live.poll_after(30.0), ["a 2017-01 was input-changed: 200", "back"]);
    live.poll_after(1.0);
    bench.insert_both([200]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.assert_is_batch();
}

#[test]
fn a_sink_that_is_away_is_asked_by_one_key_and_the_others_wait() {
    static IS_AWAY: AtomicBool = AtomicBool::new(false);
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    let mut bench = bench(&["a", "b", "c"]);
    bench.sink.claim_fault = Some(Box::new(|_| {
        if !IS_AWAY.load(Ordering::Relaxed) {
            return Ok(());
        }
        TRIES.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::unconnected(Fault::Unreachable, "no connection"))
    }));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    IS_AWAY.store(true, Ordering::Relaxed);
    let insert = |minute| {
        for key in ["a", "b", "c"] {
            for table in TABLES {
                bench.source.insert(&format!("{table}_{key}"), start_us() + minute * MINUTE_US, 1.0);
            }
        }
    };
    insert(200);
    assert_eq!(live.poll_after(1.0), ["lost: no connection"]);
    insert(201);
    for _ in 0..100 {
        assert_eq!(live.poll_after(1.0), NOTHING);
    }
    assert!(TRIES.load(Ordering::Relaxed) < 12);
    IS_AWAY.store(false, Ordering::Relaxed);
    assert_eq!(live.poll_after(30.0), ["a 2017-01 +2", "back"]);
    assert_eq!(live.poll_after(1.0), ["b 2017-01 +2", "c 2017-01 +2"]);
    bench.assert_is_batch();
}

#[test]
fn who_holds_a_partition_for_long_is_told() {
    let bench = Bench::new(&[("RUN__LOCK_WAIT_S", "30")], &["a"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([200]);
    bench.sink.held.lock().unwrap().insert("a/2017-01".to_owned(), 2);
    assert_eq!(live.poll_after(1.0), NOTHING);
    assert_eq!(live.poll_after(1.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.insert_both([201]);
    bench.sink.held.lock().unwrap().insert("a/2017-01".to_owned(), usize::MAX);
    assert_eq!(live.poll_after(1.0), NOTHING);
    assert_eq!(live.poll_after(29.0), NOTHING);
    assert_eq!(live.poll_after(5.0), ["a 2017-01 behind: held by another runner"]);
    bench.sink.held.lock().unwrap().clear();
    assert_eq!(live.poll_after(5.0), ["a 2017-01 +1", "a 2017-01 caught up"]);
}

#[test]
fn what_a_run_leaves_alone_is_left_alone_until_it_is_named() {
    let mut bench = bench(&["a"]);
    bench.source.change("m1_a", |rows| {
        rows.instants_us.truncate(100);
        rows.values.truncate(100);
    });
    let before = bench.sink.all();
    {
        let job = bench.job();
        let live = Live::new(&bench, &job);
        let told = live.poll();
        assert!(
            told.len() == 1 && told[0].starts_with("a 2017-01 behind: shrunk: the source had"),
            "{told:?}"
        );
        assert_eq!(live.poll_after(100.0), NOTHING);
    }
    assert!(bench.sink.all() == before);
    bench.options.replace = vec![State::Shrunk];
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), ["a 2017-01 was shrunk: 100"]);
    bench.assert_is_batch();
}

#[test]
fn a_bug_in_one_key_stops_no_other() {
    static IS_ON: AtomicBool = AtomicBool::new(false);
    let mut bench = bench(&["a", "b"]);
    bench.sink.write_fault = Some(Box::new(|partition| {
        assert!(!IS_ON.load(Ordering::Relaxed) || partition.key != "a", "a broken invariant");
        Ok(())
    }));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    IS_ON.store(true, Ordering::Relaxed);
    bench.insert_both([200]);
    let told = live.poll_after(1.0);
    assert!(
        told.len() == 1 && told[0].contains("a bug in rollfit") && told[0].contains("a broken invariant"),
        "{told:?}"
    );
    bench.source.insert("m1_b", start_us() + 200 * MINUTE_US, 1.0);
    bench.source.insert("bqx_b", start_us() + 200 * MINUTE_US, 1.0);
    assert!(live.poll_after(1.0).contains(&"b 2017-01 +1".to_owned()));
    IS_ON.store(false, Ordering::Relaxed);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +1", "a caught up"]);
    bench.assert_is_batch();
}

#[test]
fn a_key_that_appears_is_followed_and_one_whose_table_goes_is_told() {
    let bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "100")], &["b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(0..100);
    assert_eq!(live.poll_after(99.0), NOTHING);
    live.poll_after(1.0);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was missing: 100"]);
    bench.insert_both([100]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    let rows = bench.source.remove_table("bqx_a");
    bench.insert_both_of("b", [200]);
    let mut told = live.poll_after(1.0);
    told.sort();
    assert_eq!(told, ["a waits: there is no table bqx_a", "b 2017-01 +1"]);
    assert_eq!(live.poll_after(100.0), NOTHING, "once");
    bench.source.change("bqx_a", |table| *table = rows);
    bench.insert_both([101]);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +1", "a caught up"]);
    bench.assert_is_batch();
}

#[test]
fn a_listed_key_without_rows_is_waited_for() {
    let bench = Bench::new(&[("PARTITIONS__KEYS", "[\"a\", \"b\"]")], &["b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), ["a waits: there is no table m1_a"]);
    assert_eq!(live.poll_after(100.0), NOTHING);
    bench.insert_both(0..3);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 was missing: 3", "a caught up"]);
    bench.assert_is_batch();
}

/// Ends the followers of a test, also where it fails.
struct StopAtEnd<'a>(&'a StopSignal);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Adds rows of key `a` in four months.
fn insert_four_months(bench: &Bench) {
    for month in [JANUARY, FEBRUARY, "2017-03", "2017-04"] {
        let month_us = partition("a", month).period.span_us().start;
        bench.insert_both((0..10).map(|minute| (month_us - start_us()) / MINUTE_US + minute));
    }
}

#[test]
fn a_panic_of_whoever_is_told_ends_the_follower() {
    struct Broken;
    impl FollowObserver for Broken {
        fn event(&self, _event: &FollowEvent) {}
        fn looked(&self, _lags: &[KeyLag]) {
            panic!("a broken observer");
        }
    }
    let bench = bench(&["a"]);
    let (job, partitions) = (bench.job(), bench.partitions());
    let follower = || follow(&job, &partitions, &bench.options, &bench.stop, &Broken);
    assert!(std::panic::catch_unwind(AssertUnwindSafe(follower)).is_err());
}

#[test]
fn the_months_that_a_late_key_has_before_its_open_ones_are_told() {
    for (values, told) in [
        (vec![], vec!["a 2017-03 followed, not 2017-01"]),
        (vec![("PARTITIONS__FROM", "2017-02")], vec!["a 2017-03 followed, not 2017-02"]),
        (vec![("PARTITIONS__FROM", "2017-03")], vec![]),
    ] {
        let values = [&values[..], &[("RUN__RECHECK_EVERY_S", "100")]].concat();
        let mut bench = Bench::new(&values, &["b"], 200);
        for month in ["2017-02", "2017-03", "2017-04"] {
            bench.source.fill(&partition("b", month), 10);
        }
        bench.run();
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        insert_four_months(&bench);
        live.poll_after(100.0);
        let written = ["a 2017-03 was missing: 10", "a 2017-04 was missing: 10"];
        assert_eq!(live.poll_after(1.0), [&told[..], &written].concat());
        assert_eq!(live.poll_after(100.0), NOTHING, "told once");
        bench.run();
        bench.assert_is_batch();
    }
}

#[test]
fn a_late_key_that_a_run_has_written_has_no_such_months() {
    let bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "100")], &["b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    insert_four_months(&bench);
    bench.run();
    live.poll_after(100.0);
    assert_eq!(live.poll_after(1.0), NOTHING);
    bench.assert_is_batch();
}

#[test]
fn the_last_lag_told_is_that_after_the_last_commit() {
    let mut bench = Bench::new(&[], &["a"], 200);
    // Nobody asks again before the end.
    bench.options.poll_interval = Duration::from_secs(3600);
    bench.run();
    bench.insert_both([200]);
    let (job, partitions) = (bench.job(), bench.partitions());
    std::thread::scope(|scope| {
        scope.spawn(|| follow(&job, &partitions, &bench.options, &bench.stop, &bench));
        while bench.sink.all()["a/2017-01"].instants_us.len() <= 200 {
            std::thread::sleep(Duration::from_millis(1));
        }
        bench.stop.finish();
    });
    assert_eq!(bench.lag("a").features_us, Some(start_us() + 200 * MINUTE_US));
    assert_eq!(bench.lag("a").lag_s(), Some(0.0));
}

#[test]
fn a_follower_of_its_own_threads_ends_when_it_is_asked_to() {
    let mut bench = Bench::new(&[], &["a", "b", "c"], 200);
    bench.options.poll_interval = Duration::from_millis(1);
    bench.run();
    let (job, partitions) = (bench.job(), bench.partitions());
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&job, &partitions, &bench.options, &bench.stop, &bench));
        let _end = StopAtEnd(&bench.stop);
        let started = Instant::now();
        for minute in 200..220 {
            bench.insert_both([minute]);
            while bench.sink.all()["a/2017-01"].instants_us.len() <= minute as usize {
                assert!(started.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        bench.stop.finish();
        assert_eq!(follower.join().unwrap(), FollowEnd::Stopped);
    });
    bench.assert_is_batch();
}

#[test]
fn two_followers_of_their_own_threads_share_a_sink() {
    let keys = ["a", "b", "c"];
    let mut bench = Bench::new(&[], &keys, 200);
    bench.options.poll_interval = Duration::from_millis(1);
    bench.run();
    let (job, partitions) = (bench.job(), bench.partitions());
    let rows = |key: &str| bench.sink.all()[&format!("{key}/2017-01")].instants_us.len();
    std::thread::scope(|scope| {
        let start = || scope.spawn(|| follow(&job, &partitions, &bench.options, &bench.stop, &bench));
        let followers = [start(), start()];
        let _end = StopAtEnd(&bench.stop);
        let started = Instant::now();
        for minute in 200..260 {
            keys.iter().for_each(|key| bench.insert_both_of(key, [minute]));
            while keys.iter().any(|key| rows(key) <= minute as usize) {
                assert!(started.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        bench.stop.finish();
        for follower in followers {
            assert_eq!(follower.join().unwrap(), FollowEnd::Stopped);
        }
    });
    assert!(bench.sink.claimed.lock().unwrap().is_empty());
    let told = bench.told();
    assert!(!told.iter().any(|told| told.contains("a bug in rollfit")), "{told:?}");
    bench.assert_is_batch();
}
