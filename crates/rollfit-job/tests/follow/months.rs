//! The turn of a month: when the next one is opened, how long the last one stays open, and what ends.

use rollfit_job::selection::Selection;
use rollfit_testkit::market::MINUTE_US;

use crate::bench::{Bench, JANUARY, Live, start_us, turn};

const NOTHING: [&str; 0] = [];
const BOTH: [&str; 2] = ["reset", "carry"];

/// A job whose January has rows up to its last minute but so many.
fn bench(boundary: &str, missing: i64, values: &[(&str, &str)]) -> Bench {
    let mut values = values.to_vec();
    values.push(("RUN__BOUNDARY", boundary));
    let bench = Bench::new(&values, &["a"], 10);
    bench.insert_both(turn() - 300..turn() - missing);
    bench.run();
    bench
}

#[test]
fn the_next_month_is_opened_by_its_first_joined_row() {
    for boundary in BOTH {
        let bench = bench(boundary, 2, &[]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both([turn() - 2]);
        assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
        bench.insert_both([turn() - 1]);
        bench.insert(0, turn());
        assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"], "only one series has it");
        bench.insert(1, turn());
        assert_eq!(live.poll_after(1.0), ["a 2017-02 opened", "a 2017-02 was missing: 1"]);
        for minute in 1..200 {
            bench.insert_both([turn() + minute]);
            assert_eq!(live.poll_after(1.0), ["a 2017-02 +1"]);
        }
        bench.assert_is_batch();
    }
}

#[test]
fn rows_of_both_months_that_come_at_once_are_added_to_both() {
    for boundary in BOTH {
        let bench = bench(boundary, 20, &[]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both(turn() - 20..turn() + 30);
        let told = ["a 2017-01 +20", "a 2017-02 opened", "a 2017-02 was missing: 30"];
        assert_eq!(live.poll_after(1.0), told);
        bench.assert_is_batch();
    }
}

#[test]
fn the_last_month_stays_open_until_it_has_settled() {
    let bench = bench("reset", 0, &[("RUN__SETTLE_S", "1000")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert(0, turn());
    live.poll_after(1.0);
    assert_eq!(live.poll_after(2000.0), NOTHING, "one series may still have rows in January");
    bench.insert(1, turn());
    assert_eq!(live.poll_after(1.0).len(), 2);
    assert_eq!(live.poll_after(998.0), NOTHING);
    bench.insert_both([turn() + 1]);
    assert_eq!(live.poll_after(1.0), ["a 2017-02 +1"]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 closed"]);
    bench.correct(0, 10);
    bench.insert_both([turn() + 2]);
    assert_eq!(live.poll_after(3500.0), ["a 2017-02 +1"], "January isn't looked at any more");
}

#[test]
fn what_changed_in_the_last_month_is_found_before_it_is_closed() {
    for boundary in BOTH {
        let bench = bench(boundary, 0, &[("RUN__SETTLE_S", "1000")]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both(turn()..turn() + 200);
        live.poll_after(1.0);
        live.poll_after(1.0);
        bench.correct(0, 200 + 250);
        let told = live.poll_after(1000.0);
        assert_eq!(told, ["a 2017-01 was input-changed: 310", "a 2017-01 closed"]);
        bench.assert_is_batch();
    }
}

#[test]
fn what_changed_in_the_last_rows_of_a_month_changes_the_next_one_where_it_reaches_them() {
    let bench = bench("carry", 0, &[("RUN__SETTLE_S", "1000")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(turn()..turn() + 200);
    live.poll_after(1.0);
    live.poll_after(1.0);
    bench.correct(0, 201);
    let told = live.poll_after(1000.0);
    let wanted = ["a 2017-01 was input-changed: 310", "a 2017-02 was input-changed: 200", "a 2017-01 closed"];
    assert_eq!(told, wanted);
    bench.assert_is_batch();
}

#[test]
fn late_rows_of_the_last_month_are_added_and_the_next_one_reaches_them() {
    // Few rows of the new month: the last ones of the old month are read again. Many: they are counted.
    for (boundary, rows, seconds) in
        [("reset", 5, 1.0), ("carry", 5, 1.0), ("reset", 300, 10.0), ("carry", 300, 10.0)]
    {
        let bench = bench(boundary, 2, &[]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert(0, turn() - 2);
        bench.insert(0, turn() - 1);
        bench.insert_both(turn()..turn() + rows);
        live.poll_after(1.0);
        live.poll_after(1.0);
        bench.insert(1, turn() - 2);
        bench.insert(1, turn() - 1);
        bench.insert_both([turn() + rows]);
        let mut told = live.poll_after(1.0);
        told.extend(live.poll_after(seconds - 1.0));
        assert!(told.contains(&"a 2017-01 +2".to_owned()), "{told:?}");
        let is_rewritten = told.iter().any(|told| told.starts_with("a 2017-02 was input-changed"));
        assert_eq!(is_rewritten, boundary == "carry", "{told:?}");
        bench.assert_is_batch();
    }
}

#[test]
fn one_series_may_turn_a_day_before_the_other() {
    for boundary in BOTH {
        let bench = bench(boundary, 60, &[]);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        (turn() - 60..turn() + 1440).for_each(|minute| bench.insert(0, minute));
        assert_eq!(live.poll_after(1.0), NOTHING);
        for minute in turn() - 60..turn() {
            bench.insert(1, minute);
            assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
        }
        bench.insert(1, turn());
        assert_eq!(live.poll_after(1.0), ["a 2017-02 opened", "a 2017-02 was missing: 1"]);
        (turn() + 1..turn() + 1440).for_each(|minute| bench.insert(1, minute));
        assert_eq!(live.poll_after(1.0), ["a 2017-02 +1439"]);
        bench.assert_is_batch();
    }
}

#[test]
fn a_start_after_the_turn_keeps_both_months_open() {
    for boundary in BOTH {
        let bench = bench(boundary, 1, &[("RUN__SETTLE_S", "100")]);
        bench.insert_both(turn()..turn() + 20);
        bench.run();
        let job = bench.job();
        let live = Live::new(&bench, &job);
        assert_eq!(live.poll(), NOTHING);
        bench.insert_both([turn() - 1]);
        let told = live.poll_after(10.0);
        assert_eq!(told[0], "a 2017-01 +1");
        assert_eq!(told.len(), if boundary == "carry" { 2 } else { 1 });
        bench.assert_is_batch();
        assert_eq!(live.poll_after(100.0), ["a 2017-01 closed"]);
        bench.assert_is_batch();
    }
}

#[test]
fn a_month_that_both_series_skip_isnt_opened_until_it_has_rows() {
    let march = turn() + 28 * 1440;
    let bench = bench("carry", 0, &[("RUN__SETTLE_S", "100000")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(march..march + 5);
    assert_eq!(live.poll_after(1.0), ["a 2017-03 opened", "a 2017-03 was missing: 5"]);
    bench.insert_both(turn() + 7..turn() + 9);
    let told = live.poll_after(10.0);
    assert!(told.contains(&"a 2017-02 opened".to_owned()), "{told:?}");
    live.poll_after(1.0);
    bench.assert_is_batch();
}

#[test]
fn the_job_ends_with_its_last_month() {
    let values = [("PARTITIONS__TO", JANUARY), ("RUN__SETTLE_S", "100")];
    let bench = bench("reset", 1, &values);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([turn() - 1, turn()]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    live.poll_after(1.0);
    assert!(!live.is_over());
    assert_eq!(live.poll_after(200.0), ["a 2017-01 closed"]);
    live.poll_after(1.0);
    assert!(live.is_over());
    bench.assert_is_batch();
}

#[test]
fn only_what_is_selected_is_followed() {
    let mut bench = bench("reset", 1, &[("RUN__SETTLE_S", "100")]);
    bench.options.only = Selection::from_iter(["a:2017-01".parse().unwrap()]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both([turn() - 1, turn()]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    live.poll_after(1.0);
    assert_eq!(live.poll_after(100.0), ["a 2017-01 closed"]);
    assert!(!live.is_over() && live.poll_after(1.0).is_empty() && live.is_over());
    assert!(!bench.sink.all().contains_key("a/2017-02"));
}

#[test]
fn what_is_not_selected_comes_and_is_left_alone() {
    let mut bench = Bench::new(&[("RUN__SETTLE_S", "100")], &["a", "b"], 10);
    bench.options.only = Selection::from_iter(["a:2017-02".parse().unwrap()]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    for _ in 0..2 {
        assert_eq!(live.poll_after(1.0), NOTHING, "neither January nor key b");
    }
    bench.insert_both([11]);
    bench.source.insert("m1_b", start_us() + turn() * MINUTE_US, 1.0);
    bench.source.insert("bqx_b", start_us() + turn() * MINUTE_US, 1.0);
    bench.insert_both(turn()..turn() + 3);
    assert_eq!(live.poll_after(1.0), ["a 2017-02 opened", "a 2017-02 was missing: 3"]);
    bench.insert_both([turn() + 28 * 1440]);
    assert_eq!(live.poll_after(1.0), NOTHING, "nor March");
    assert_eq!(live.poll_after(100.0), ["a 2017-02 closed"]);
    assert!(live.poll_after(1.0).is_empty() && live.is_over());
    assert_eq!(bench.sink.all().into_keys().collect::<Vec<_>>(), ["a/2017-02"]);
}

#[test]
fn a_settled_month_in_trouble_stays_open() {
    let bench = bench("reset", 0, &[("RUN__SETTLE_S", "100")]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both(turn()..turn() + 2);
    live.poll_after(1.0);
    live.poll_after(1.0);
    bench.sink.foreign.lock().unwrap().push("a/2017-01".to_owned());
    let told = live.poll_after(100.0);
    assert!(told.len() == 1 && told[0].starts_with("a 2017-01 behind: foreign"), "{told:?}");
    bench.insert_both([turn() + 2]);
    assert_eq!(live.poll_after(1.0), ["a 2017-02 +1"], "and keeps nothing up");
    bench.sink.foreign.lock().unwrap().clear();
    assert_eq!(live.poll_after(60.0), ["a 2017-01 caught up", "a 2017-01 closed"]);
}
