//! Months whose rows come after those of a later month, and months that stay quiet, or don't, before they are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollfit_job::Job;
use rollfit_job::derived_source::DerivedSource;
use rollfit_job::store::{Fault, StoreError};
use rollfit_testkit::market::{MINUTE_US, partition};

use crate::bench::{Bench, FEBRUARY, JANUARY, Live, start_us, turn};

const NOTHING: [&str; 0] = [];
const BOTH: [&str; 2] = ["reset", "carry"];

/// The minutes from the start of January to that of March.
fn march() -> i64 {
    turn() + 28 * 1440
}

/// A job whose January has 310 rows, the last ones up to its last minute.
fn bench(boundary: &str, values: &[(&str, &str)]) -> Bench {
    let mut values = values.to_vec();
    values.push(("RUN__BOUNDARY", boundary));
    let bench = Bench::new(&values, &["a"], 10);
    bench.insert_both(turn() - 300..turn());
    bench.run();
    bench
}

#[test]
fn a_month_that_gets_its_first_rows_after_a_later_one_is_opened() {
    for boundary in BOTH {
        let bench = bench(boundary, &[("RUN__SETTLE_S", "100000")]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both(march()..march() + 301);
        assert_eq!(live.poll_after(1.0), ["a 2017-03 opened", "a 2017-03 was missing: 301"]);
        assert_eq!(live.poll_after(60.0), NOTHING);
        (turn()..turn() + 301).for_each(|minute| bench.insert(0, minute));
        assert_eq!(live.poll_after(60.0), NOTHING, "only one series has rows");
        (turn()..turn() + 301).for_each(|minute| bench.insert(1, minute));
        let mut told = live.poll_after(60.0);
        let is_of_march = |told: &mut String| told == "a 2017-03 was input-changed: 301";
        assert_eq!(told.extract_if(.., is_of_march).count(), usize::from(boundary == "carry"));
        assert_eq!(told, ["a 2017-02 opened", "a 2017-02 was missing: 301"]);
        bench.insert_both([turn() + 301, march() + 301]);
        let told = [live.poll_after(1.0), live.poll_after(10.0)].concat();
        assert!(told.contains(&"a 2017-02 +1".to_owned()), "{told:?}");
        bench.assert_is_batch();
    }
}

#[test]
fn a_fault_while_a_late_month_is_read_hides_nothing() {
    const OPENED: [&str; 2] = ["a 2017-02 opened", "a 2017-02 was missing: 301"];
    let busy = || StoreError::new(Fault::Transient, "busy");
    let (told, _) = told_of_late_month(busy, 1);
    assert_eq!(told, OPENED);
    let (told, later) = told_of_late_month(|| StoreError::unconnected(Fault::Transient, "no connection"), 1);
    assert_eq!(told, ["lost: no connection"]);
    assert!(OPENED.iter().all(|opened| later.contains(&(*opened).to_owned())), "{later:?}");
    let (told, later) = told_of_late_month(|| StoreError::permanent("an instant twice"), usize::MAX);
    assert_eq!(told, ["a 2017-02 opened", "a 2017-02 behind: an instant twice"]);
    assert_eq!(later, ["a 2017-03 +1"], "the others are followed");
}

/// What is told when February gets its first rows after March has 301, and what once March has another one, where so many reads of
/// February fail after it was counted.
fn told_of_late_month(
    error: impl Fn() -> StoreError + Send + Sync + 'static,
    failing: usize,
) -> (Vec<String>, Vec<String>) {
    let mut bench = bench("reset", &[("RUN__SETTLE_S", "100000")]);
    let reads = Arc::new(AtomicUsize::new(0));
    bench.source.fault = Some(Box::new({
        let reads = Arc::clone(&reads);
        move |at| {
            let is_february = *at == partition("a", FEBRUARY);
            // Counted without rows, and with some.
            let read = reads.fetch_add(usize::from(is_february), Ordering::Relaxed);
            if is_february && (2..failing.saturating_add(2)).contains(&read) { Err(error()) } else { Ok(()) }
        }
    }));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(march()..march() + 301);
    live.poll_after(1.0);
    assert_eq!(live.poll_after(60.0), NOTHING);
    assert_eq!(reads.load(Ordering::Relaxed), 1);
    bench.insert_both(turn()..turn() + 301);
    let told = live.poll_after(60.0);
    bench.insert_both([march() + 301]);
    (told, (0..3).flat_map(|_| live.poll_after(1.0)).collect())
}

#[test]
fn a_skipped_month_that_cannot_be_counted_stops_no_other() {
    let mut bench = bench("reset", &[("RUN__SETTLE_S", "100000")]);
    let is_on = Arc::new(AtomicUsize::new(1));
    bench.source.fault = Some(Box::new({
        let is_on = Arc::clone(&is_on);
        move |at| match is_on.load(Ordering::Relaxed) {
            1 if *at == partition("a", FEBRUARY) => Err(StoreError::permanent("damaged")),
            _ => Ok(()),
        }
    }));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(march()..march() + 301);
    live.poll_after(1.0);
    bench.insert_both(turn()..turn() + 301);
    bench.insert_both([march() + 301]);
    assert_eq!(live.poll_after(60.0), ["a 2017-03 +1"]);
    is_on.store(0, Ordering::Relaxed);
    assert_eq!(live.poll_after(60.0), ["a 2017-02 opened", "a 2017-02 was missing: 301"]);
}

#[test]
fn rows_that_no_instant_joins_open_no_month() {
    let bench = bench("reset", &[("RUN__SETTLE_S", "100000"), ("RUN__JOIN_LOSS_MAX", "1")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(march()..march() + 301);
    live.poll_after(1.0);
    (0..300).for_each(|minute| bench.insert((minute % 2) as usize, turn() + minute));
    for _ in 0..3 {
        assert_eq!(live.poll_after(60.0), NOTHING);
    }
    // A count looks back one row.
    let february = (partition("a", FEBRUARY).to_string(), 0);
    let reads = || bench.source.announced.lock().unwrap().iter().filter(|read| **read == february).count();
    assert_eq!(reads(), 1, "the same rows are joined once");
    bench.insert(1, turn());
    assert_eq!(live.poll_after(60.0), ["a 2017-02 opened", "a 2017-02 was missing: 1"]);
}

#[test]
fn a_month_that_had_no_rows_at_the_start_is_opened_by_its_first_ones() {
    let bench = Bench::new(&[], &["a"], 0);
    bench.insert_both(turn()..turn() + 301);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), NOTHING);
    bench.insert_both(turn() - 301..turn());
    assert_eq!(live.poll_after(60.0), ["a 2017-01 opened", "a 2017-01 was missing: 301"]);
    bench.assert_is_batch();
}

#[test]
fn months_that_are_not_to_be_followed_stay_closed() {
    let bench = Bench::new(&[("PARTITIONS__FROM", FEBRUARY)], &["a"], 0);
    bench.insert_both(turn()..turn() + 301);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(turn() - 301..turn());
    assert_eq!([live.poll_after(60.0), live.poll_after(60.0)].concat(), NOTHING);
}

#[test]
fn the_month_before_a_gap_is_open_at_the_start() {
    let bench = bench("reset", &[]);
    bench.insert_both(march()..march() + 301);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), NOTHING);
    bench.insert_both([turn() - 310]);
    assert_eq!(live.poll_after(10.0), ["a 2017-01 was input-changed: 311"]);
    bench.insert_both(turn()..turn() + 5);
    assert_eq!(live.poll_after(60.0), ["a 2017-02 opened", "a 2017-02 was missing: 5"]);
    bench.assert_is_batch();
}

#[test]
fn a_month_with_many_rows_that_one_series_lacks_is_closed() {
    let values = [("PARTITIONS__TO", JANUARY), ("RUN__SETTLE_S", "100"), ("RUN__JOIN_LOSS_MAX", "1")];
    let bench = Bench::new(&values, &["a"], 200);
    bench.run();
    (200..10_500).for_each(|minute| bench.insert(0, minute));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([turn()]);
    live.poll_after(1.0);
    assert!(!live.is_over());
    assert_eq!([live.poll_after(98.0), live.poll_after(70.0)].concat(), ["a 2017-01 closed"]);
    live.poll_after(1.0);
    assert!(live.is_over());
    bench.assert_is_batch_but_for_losses();
}

#[test]
fn a_month_is_closed_once_it_was_quiet_for_as_long() {
    for rows in [5, 300] {
        let bench = bench("reset", &[("RUN__SETTLE_S", "1000")]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both(turn()..turn() + rows);
        live.poll_after(1.0);
        live.poll_after(1.0);
        for minute in 0..3 {
            bench.insert_both([turn() - 400 - minute]);
            let told = live.poll_after(900.0);
            assert!(told.len() == 1 && told[0].starts_with("a 2017-01 was input-changed"), "{told:?}");
        }
        assert_eq!(live.poll_after(999.0), NOTHING);
        assert_eq!(live.poll_after(1.0), ["a 2017-01 closed"]);
        bench.assert_is_batch();
    }
}

#[test]
fn rows_found_by_the_last_check_keep_a_month_open() {
    let bench = bench("reset", &[("RUN__SETTLE_S", "1000")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(turn()..turn() + 300);
    live.poll_after(1.0);
    live.poll_after(1.0);
    bench.insert_both([turn() - 400]);
    assert_eq!(live.poll_after(1000.0), ["a 2017-01 was input-changed: 311"]);
    assert_eq!(live.poll_after(999.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 closed"]);
}

#[test]
fn a_row_that_another_series_has_passed_is_not_pending() {
    let bench = Bench::new(&[], &["a"], 50);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let pending_us = || bench.lag("a").pending_us;
    bench.insert(0, 50);
    live.poll_after(1.0);
    live.poll_after(1.0);
    assert_eq!(pending_us(), Some(start_us() + 50 * MINUTE_US));
    bench.insert(1, 51);
    live.poll_after(1.0);
    live.poll_after(1.0);
    assert_eq!(
        pending_us(),
        Some(start_us() + 51 * MINUTE_US),
        "minute 50 is lost, minute 51 may still come"
    );
    bench.insert(0, 52);
    live.poll_after(1.0);
    live.poll_after(1.0);
    assert_eq!(pending_us(), Some(start_us() + 52 * MINUTE_US));
    bench.insert(1, 52);
    live.poll_after(1.0);
    live.poll_after(1.0);
    assert_eq!(pending_us(), None);
}

#[test]
fn pending_rows_of_a_month_that_is_not_open_are_pending_too() {
    let bench = bench("reset", &[("PARTITIONS__TO", FEBRUARY)]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let pending_us = || bench.lag("a").pending_us;
    bench.insert(0, turn() + 5);
    live.poll_after(1.0);
    live.poll_after(1.0);
    assert_eq!(pending_us(), Some(start_us() + (turn() + 5) * MINUTE_US));
    bench.insert(1, march());
    live.poll_after(1.0);
    live.poll_after(1.0);
    assert_eq!(pending_us(), None, "the other series is a month ahead, and March isn't followed");
}

#[test]
fn a_series_that_stopped_long_ago_leaves_its_rows_pending() {
    let bench = Bench::new(&[], &["a"], 200);
    bench.run();
    (200..12_000).for_each(|minute| bench.insert(0, minute));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    live.poll_after(1.0);
    let lag = bench.lag("a");
    assert_eq!(lag.pending_us, Some(start_us() + 200 * MINUTE_US));
    assert_eq!(lag.features_us, Some(start_us() + 199 * MINUTE_US));
    assert_eq!(lag.source_us, Some(start_us() + 11_999 * MINUTE_US));
}

#[test]
fn closes_that_come_later_give_derived_series_their_first_rows_in_a_month() {
    let derived = [
        ("SERIES__IDX__VALUE", "close"),
        ("SERIES__IDX__DERIVE", "rate_index"),
        ("SERIES__IDX__BASE", "1.25"),
        ("SERIES__BQX__TABLE", "m1_{key}"),
        ("SERIES__BQX__TIME", "time"),
        ("SERIES__BQX__VALUE", "close"),
        ("SERIES__BQX__DERIVE", "backward_return(15)"),
        ("SERIES__BQX__BASE", "1.25"),
    ];
    let mut bench = Bench::new(&derived, &[], 0);
    let closes = Arc::new(std::mem::take(&mut bench.source));
    let insert = |minutes: std::ops::Range<i64>| {
        minutes.for_each(|minute| {
            closes.insert(
                "m1_a",
                start_us() + minute * MINUTE_US,
                1.0 + (minute * 7919 % 101) as f64 / 256.0,
            );
        });
    };
    // Ten closes of January have no return, nor have the first five of February.
    insert(turn() - 10..turn() + 301);
    let source = DerivedSource::new(closes.clone());
    let job = Job { source: &source, ..bench.job() };
    let live = Live::new(&bench, &job);
    live.poll();
    assert_eq!(live.poll_after(1.0), ["a 2017-02 was missing: 296"]);
    insert(turn() + 301..turn() + 302);
    assert_eq!(live.poll_after(1.0), ["a 2017-02 +1"]);
    insert(turn() - 60..turn() - 10);
    let mut told = live.poll_after(60.0);
    told.sort();
    let wanted = ["a 2017-01 opened", "a 2017-01 was missing: 45", "a 2017-02 was input-changed: 302"];
    assert_eq!(told, wanted);
    assert_eq!([live.poll_after(10.0), live.poll_after(10.0)].concat(), NOTHING);
}
