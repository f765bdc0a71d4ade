//! Rows that come: in the order of time, one side first, late, and the first of a month.

use rollfit_job::store::LATEST_ROWS_MAX;
use rollfit_testkit::market::MINUTE_US;

use crate::bench::{Bench, Live, start_us};

const NOTHING: [&str; 0] = [];

#[test]
fn each_bar_is_added_and_the_receipt_is_that_of_one_run() {
    let bench = Bench::new(&[], &["a", "b"], 50);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), NOTHING);
    for minute in 50..300 {
        bench.insert_both([minute]);
        assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    }
    assert_eq!(live.poll_after(1.0), NOTHING, "what is done isn't done again");
    assert_eq!((bench.appends(), bench.lag("a").lag_s()), (250, Some(0.0)));
    bench.assert_is_batch();
}

#[test]
fn several_bars_at_once_are_one_addition() {
    let bench = Bench::new(&[], &["a"], 50);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(50..1400);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1350"]);
    bench.assert_is_batch();
}

#[test]
fn what_came_since_the_run_is_added_at_the_start() {
    let bench = Bench::new(&[], &["a"], 50);
    bench.run();
    bench.insert_both(50..53);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), ["a 2017-01 +3"]);
    bench.assert_is_batch();
}

#[test]
fn a_bar_that_one_series_has_first_waits_for_the_other() {
    for first in [0, 1] {
        let bench = Bench::new(&[], &["a"], 50);
        bench.run();
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        for minute in 50..55 {
            bench.insert(first, minute);
            assert_eq!(live.poll_after(1.0), NOTHING);
            live.poll_after(1.0);
            assert_eq!(bench.lag("a").pending_us, Some(start_us() + minute * MINUTE_US));
            bench.insert(1 - first, minute);
            assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
        }
        bench.assert_is_batch();
    }
}

#[test]
fn series_that_take_turns_lose_what_the_other_has_passed() {
    let bench = Bench::new(&[("RUN__PAIR_WAIT_S", "120")], &["a"], 50);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    for minute in 50..90 {
        bench.insert((minute % 2) as usize, minute);
        assert_eq!(live.poll_after(1.0), NOTHING);
    }
    bench.insert_both([90]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.insert(0, 91);
    bench.insert_both([92]);
    bench.insert(0, 93);
    bench.insert(1, 97);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.assert_is_batch();
    let lost = bench.sink.all()["a/2017-01"].receipt.input.lost_rows.clone();
    assert_eq!(lost, [22, 20], "of the last ones, minute 97 may still come, and minute 93 may not");
}

#[test]
fn a_series_that_is_a_day_late_is_waited_for() {
    let bench = Bench::new(&[], &["a"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    (200..1640).for_each(|minute| bench.insert(0, minute));
    assert_eq!(live.poll_after(1.0), NOTHING);
    for minute in 200..260 {
        bench.insert(1, minute);
        bench.insert(0, minute + 1440);
        assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    }
    bench.correct(0, 1439);
    bench.insert(1, 260);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"], "a row that waits may change");
    bench.assert_is_batch();
}

#[test]
fn a_series_that_stopped_long_ago_costs_a_look_now_and_then_and_no_memory() {
    let bench = Bench::new(&[], &["a"], 200);
    bench.run();
    (200..12_000).for_each(|minute| bench.insert(0, minute));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert(1, 200);
    assert_eq!(live.poll_after(1.0), NOTHING);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +1"]);
    (201..12_000).for_each(|minute| bench.insert(1, minute));
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +11799"]);
    bench.insert_both([12_000]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"], "from then on as before");
    bench.assert_is_batch();
}

#[test]
fn more_rows_than_one_look_gives_are_read_with_the_whole_month() {
    let bench = Bench::new(&[], &["a"], 50);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let until = 50 + LATEST_ROWS_MAX as i64;
    (50..=until).for_each(|minute| bench.insert(0, minute));
    (50..=until).for_each(|minute| bench.insert(1, minute));
    let snapshot_reads = || *bench.source.rows_asked.lock().unwrap();
    let before = snapshot_reads();
    assert_eq!(live.poll_after(1.0), [format!("a 2017-01 +{}", LATEST_ROWS_MAX + 1)]);
    assert!(snapshot_reads() > before, "by the last rows alone");
    let before = snapshot_reads();
    bench.insert_both([until + 1]);
    assert_eq!((live.poll_after(60.0), snapshot_reads()), (vec!["a 2017-01 +1".to_owned()], before));
    bench.assert_is_batch();
}

#[test]
fn a_month_that_begins_behind_more_rows_than_one_look_gives_is_opened() {
    const MONTH: i64 = 31 * 24 * 60;
    let bench = Bench::new(&[], &["a"], 50);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    (0..2).for_each(|series| {
        (50..12_000).chain(30_000..MONTH + 9).for_each(|minute| bench.insert(series, minute));
    });
    let told = ["a 2017-01 +26590", "a 2017-02 opened", "a 2017-02 was missing: 9"];
    assert_eq!(live.poll_after(1.0), told);
    bench.assert_is_batch();
}

#[test]
fn the_first_rows_of_a_month_are_followed_like_others() {
    let bench = Bench::new(&[], &["a"], 0);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), NOTHING);
    assert_eq!(live.poll_after(1.0), NOTHING);
    bench.insert(0, 0);
    assert_eq!(live.poll_after(1.0), NOTHING);
    bench.insert(1, 0);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was missing: 1"]);
    bench.assert_is_batch();
    for minute in 1..20 {
        bench.insert_both([minute]);
        assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
        bench.assert_is_batch();
    }
}

#[test]
fn values_that_are_none_are_followed_like_others() {
    let bench = Bench::new(&[], &["a"], 10);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    for minute in 10..30 {
        bench.insert_both([minute]);
        if minute % 6 == 0 {
            bench.source.change("m1_a", |rows| *rows.values.last_mut().unwrap() = f64::NAN);
        }
        assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    }
    bench.assert_is_batch();
}
