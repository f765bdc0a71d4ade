//! Rows that change, go, or come where others have been for long: what is found when, and that it is made good.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rollfit_job::store::Sink;
use rollfit_testkit::market::partition;

use crate::bench::{Bench, JANUARY, Live};

const NOTHING: [&str; 0] = [];

/// A job of 1,000 rows, done.
fn bench(values: &[(&str, &str)]) -> Bench {
    let bench = Bench::new(values, &["a"], 1000);
    bench.run();
    bench
}

#[test]
fn a_value_that_was_corrected_among_the_last_rows_is_found_at_the_next_look() {
    for (series, rows_back) in [(0, 0), (1, 0), (0, 50), (1, 119)] {
        let bench = bench(&[]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.correct(series, rows_back);
        bench.insert_both([1000]);
        assert_eq!(live.poll_after(1.0), ["a 2017-01 was input-changed: 1001"], "{rows_back} rows back");
        bench.assert_is_batch();
    }
}

#[test]
fn a_value_that_was_corrected_further_back_is_found_when_all_is_read_again() {
    let bench = bench(&[("RUN__RECHECK_EVERY_S", "600")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.correct(0, 500);
    for minute in 1000..1059 {
        bench.insert_both([minute]);
        assert_eq!(live.poll_after(10.0), ["a 2017-01 +1"]);
    }
    assert_eq!(live.poll_after(10.0), ["a 2017-01 was input-changed: 1059"]);
    bench.assert_is_batch();
    assert_eq!(live.poll_after(599.0), NOTHING);
    bench.correct(0, 500);
    assert_eq!(live.poll_after(0.5), NOTHING);
    assert_eq!(live.poll_after(0.5), ["a 2017-01 was input-changed: 1059"], "and so on");
}

#[test]
fn a_row_that_comes_late_is_found_at_the_next_look_or_by_the_next_count() {
    // The last row is of minute 999, so that the last 120 begin with minute 880.
    for (minute, seconds) in [(995, 1.0), (881, 1.0), (879, 10.0), (500, 10.0)] {
        let mut bench = Bench::new(&[], &["a"], 1000);
        bench.source.retain("m1_a", |row| row != minute as usize);
        bench.run();
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        live.poll_after(1.0);
        bench.insert(0, minute);
        if seconds > 1.0 {
            bench.insert_both([1000]);
            assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"], "minute {minute}");
            assert_eq!(live.poll_after(seconds - 1.0), ["a 2017-01 was input-changed: 1001"]);
        } else {
            bench.insert_both([1000]);
            assert_eq!(live.poll_after(seconds), ["a 2017-01 was input-changed: 1001"], "minute {minute}");
        }
        bench.assert_is_batch();
    }
}

#[test]
fn a_row_that_comes_late_is_found_even_if_no_other_comes() {
    let mut bench = Bench::new(&[], &["a"], 1000);
    bench.source.retain("m1_a", |row| row != 500 && row != 990);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert(0, 500);
    assert_eq!(live.poll_after(9.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was input-changed: 999"]);
    bench.insert(0, 990);
    assert_eq!(live.poll_after(10.0), ["a 2017-01 was input-changed: 1000"]);
    bench.assert_is_batch();
}

#[test]
fn a_late_row_that_no_other_series_has_changes_nothing() {
    let mut bench = Bench::new(&[], &["a"], 1000);
    bench.source.retain("m1_a", |row| row != 500 && row != 990);
    bench.source.retain("bqx_a", |row| row != 500 && row != 990);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert(0, 500);
    bench.insert(0, 990);
    assert_eq!(live.poll_after(10.0), NOTHING);
    bench.insert_both([1000]);
    assert_eq!(live.poll_after(10.0), ["a 2017-01 +1"]);
    bench.assert_is_batch();
}

#[test]
fn while_somebody_writes_rows_are_counted_at_each_look() {
    let mut bench = Bench::new(&[], &["a"], 1000);
    bench.source.retain("m1_a", |row| row != 500);
    bench.run();
    bench.source.has_writers = Arc::new(true.into());
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    live.poll_after(1.0);
    bench.insert(0, 500);
    bench.source.has_writers.store(false, Ordering::Relaxed);
    bench.insert_both([1000]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was input-changed: 1001"]);
    bench.assert_is_batch();
}

#[test]
fn rows_that_go_are_found() {
    for (minute, seconds) in [(999, 1.0), (950, 10.0), (500, 10.0)] {
        let bench = bench(&[]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.remove(1, minute);
        assert_eq!(live.poll_after(seconds), ["a 2017-01 was input-changed: 999"], "minute {minute}");
        bench.assert_is_batch();
    }
}

#[test]
fn a_row_that_went_and_one_that_came_are_found() {
    let mut bench = Bench::new(&[], &["a"], 1000);
    bench.source.retain("m1_a", |row| row != 950);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.remove(0, 940);
    bench.insert(0, 950);
    assert_eq!(live.poll_after(10.0), ["a 2017-01 was input-changed: 999"]);
    bench.assert_is_batch();
}

#[test]
fn two_followers_do_everything_once() {
    let bench = bench(&[]);
    let job = bench.job();
    let (first, second) = (Live::new(&bench, &job), Live::new(&bench, &job));
    first.poll();
    second.poll();
    let checks = bench.source.announced.lock().unwrap().len();
    for minute in 1000..1040 {
        bench.insert_both([minute]);
        let (one, other) = if minute % 3 == 0 { (&first, &second) } else { (&second, &first) };
        assert_eq!(one.poll_after(1.0), ["a 2017-01 +1"]);
        assert_eq!(other.poll_after(1.0), NOTHING);
    }
    assert_eq!(bench.appends(), 40);
    assert_eq!(
        bench.source.announced.lock().unwrap().len(),
        checks,
        "what the other one did isn't read again"
    );
    bench.assert_is_batch();
}

#[test]
fn a_run_beside_a_follower_is_no_harm() {
    let bench = bench(&[]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([1000]);
    bench.run();
    assert_eq!(live.poll_after(1.0), NOTHING);
    bench.correct(0, 700);
    bench.run();
    bench.insert_both([1001]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"], "after a receipt that it didn't write");
    bench.assert_is_batch();
}

#[test]
fn another_commit_just_before_the_claim_is_looked_at_again() {
    let bench = bench(&[]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([1000]);
    let before = bench.sink.stored(&partition("a", JANUARY));
    bench.run();
    let after = bench.sink.stored(&partition("a", JANUARY));
    bench.sink.stored.lock().unwrap().insert("a/2017-01".to_owned(), before);
    *bench.sink.meanwhile.lock().unwrap() = Some(after);
    assert_eq!(live.poll_after(1.0), NOTHING, "it was done meanwhile");
    bench.assert_is_batch();
}

#[test]
fn features_that_were_dropped_are_computed_again() {
    let bench = bench(&[]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.sink.stored.lock().unwrap().clear();
    bench.insert_both([1000]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was missing: 1001"]);
    bench.assert_is_batch();
}

#[test]
fn a_store_that_cannot_add_is_written_again() {
    let mut bench = bench(&[]);
    bench.sink.can_append = false;
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([1000]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was grown: 1001"]);
    assert_eq!(live.poll_after(10.0), NOTHING);
    bench.assert_is_batch();
}

#[test]
fn why_rows_cannot_be_added_is_told_with_what_was_written() {
    for (can_append, is_told) in [(true, true), (false, false)] {
        let mut bench = bench(&[]);
        bench.sink.can_append = can_append;
        bench.sink.rewrite_cause = Some("a trigger is on m".to_owned());
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both([1000]);
        let cause = live.cause_after(1.0);
        let why = "; all rows are written, since none can be added: a trigger is on m";
        assert_eq!(cause.ends_with(why), is_told, "a store that never adds any needs no cause: {cause}");
        bench.assert_is_batch();
    }
}

#[test]
fn an_adopted_partition_is_written_as_a_whole_once() {
    let bench = bench(&[]);
    let output = bench.sink.output(&partition("a", JANUARY));
    bench.sink.stored.lock().unwrap().get_mut(&output).unwrap().receipt.stored.adopted = true;
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([1000]);
    assert_eq!(live.poll_after(1.0).len(), 1);
    assert_eq!(bench.appends(), 0);
    bench.insert_both([1001]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.assert_is_batch();
}

#[test]
fn nothing_is_rewritten_where_nothing_has_changed() {
    let bench = bench(&[("RUN__RECHECK_EVERY_S", "600")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let stored = bench.sink.all();
    for _ in 0..200 {
        assert_eq!(live.poll_after(10.0), NOTHING);
    }
    assert!(bench.sink.all() == stored && bench.sink.claims.lock().unwrap().len() == 1);
}

#[test]
fn rows_that_the_join_loses_meanwhile_are_told_when_all_is_read_again() {
    let bench = bench(&[("RUN__RECHECK_EVERY_S", "600")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    // 20 of 1,090 rows are too many.
    (1000..1020).for_each(|minute| bench.insert(0, minute));
    bench.insert_both(1020..1090);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +70"]);
    assert_eq!(live.poll_after(599.0), ["a 2017-01 loses 20"]);
    assert_eq!(live.poll_after(600.0), NOTHING, "told once");
    // Where rows are added by the check itself, it is told with them.
    (1090..1100).for_each(|minute| bench.insert(1, minute));
    bench.insert_both(1100..1110);
    assert_eq!(live.poll_after(600.0), ["a 2017-01 +10", "a 2017-01 loses 20"]);
    assert_eq!(live.poll_after(600.0), NOTHING);
    bench.assert_is_batch();
}

#[test]
fn so_few_that_nobody_minds_are_not_told_nor_what_was_lost_before() {
    let mut bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "600")], &["a"], 1000);
    bench.source.retain("m1_a", |row| row % 50 != 7);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([1000]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    assert_eq!(live.poll_after(600.0), NOTHING);
    let few = self::bench(&[("RUN__RECHECK_EVERY_S", "600")]);
    let job = few.job();
    let live = Live::new(&few, &job);
    live.poll();
    (1000..1010).for_each(|minute| few.insert(0, minute));
    few.insert_both(1010..1020);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +10"]);
    assert_eq!(live.poll_after(600.0), NOTHING);
}
