//! Bars whose instant is wrong and far ahead, and months without rows: neither ends the month before, nor hides what comes to it.

use crate::bench::{Bench, Live, turn};

const NOTHING: [&str; 0] = [];
const BOTH: [&str; 2] = ["reset", "carry"];
/// Minutes from the start of January to a day of the next one.
const YEAR: i64 = 366 * 1440;

/// A job whose January has rows up to its last minute but 20; months are closed after 3 s.
fn bench(boundary: &str) -> Bench {
    let bench = Bench::new(&[("RUN__BOUNDARY", boundary), ("RUN__SETTLE_S", "3")], &["a"], 10);
    bench.insert_both(turn() - 300..turn() - 20);
    bench.run();
    bench
}

#[test]
fn a_bar_far_ahead_closes_no_month_and_hides_no_bar() {
    for boundary in BOTH {
        let bench = bench(boundary);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both([YEAR]);
        assert_eq!(live.poll_after(1.0), ["a 2018-01 opened", "a 2018-01 was missing: 1"]);
        (0..100).for_each(|_| assert_eq!(live.poll_after(1.0), NOTHING));
        bench.insert_both(turn() - 20..turn() - 10);
        assert_eq!(live.poll_after(10.0)[0], "a 2017-01 +10");
        live.poll_after(1.0);
        bench.insert_both(turn()..turn() + 10);
        let told = live.poll_after(10.0);
        assert_eq!(told[..2], ["a 2017-02 opened", "a 2017-02 was missing: 10"]);
        let told = [live.poll_after(1.0), live.poll_after(3.0)].concat();
        assert_eq!(told, ["a 2017-01 closed"], "the month after it has begun");
        (0..100).for_each(|_| assert_eq!(live.poll_after(1.0), NOTHING));
        bench.insert_both(turn() + 10..turn() + 20);
        assert_eq!(live.poll_after(10.0)[0], "a 2017-02 +10");
        live.poll_after(1.0);
        bench.assert_is_batch();
    }
}

#[test]
fn a_bar_far_ahead_that_is_gone_again_is_told_and_keeps_nothing_up() {
    for boundary in BOTH {
        let bench = bench(boundary);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both([YEAR]);
        live.poll_after(1.0);
        (0..2).for_each(|series| bench.remove(series, YEAR));
        let told = live.poll_after(10.0);
        assert!(told.len() == 1 && told[0].starts_with("a 2018-01 behind: shrunk"), "{told:?}");
        for minute in turn() - 20..turn() - 10 {
            bench.insert_both([minute]);
            assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
        }
        assert_eq!(bench.lag("a").features_us, bench.lag("a").source_us.map(|us| us - 60_000_000));
        bench.insert_both(turn() - 10..turn() + 10);
        let told = live.poll_after(1.0);
        assert_eq!(told, ["a 2017-01 +10", "a 2017-02 opened", "a 2017-02 was missing: 10"]);
        bench.sink.stored.lock().unwrap().remove("a/2018-01");
        let told = live.poll_after(60.0);
        assert_eq!(told, ["a 2018-01 caught up", "a 2017-01 closed"]);
        bench.assert_is_batch();
    }
}

#[test]
fn rows_of_a_month_that_was_closed_are_found_until_the_next_one_is_closed() {
    for boundary in BOTH {
        let bench = bench(boundary);
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        // One bar of February, days too early.
        bench.insert_both([turn() + 1440]);
        live.poll_after(1.0);
        assert_eq!(live.poll_after(4.0), ["a 2017-01 closed"]);
        bench.insert_both(turn() - 20..turn());
        let told = live.poll_after(60.0);
        assert_eq!(told[..2], ["a 2017-01 opened", "a 2017-01 +20"]);
        live.poll_after(1.0);
        bench.assert_is_batch();
        assert_eq!(live.poll_after(4.0), ["a 2017-01 closed"], "again");
        (0..20).for_each(|_| assert_eq!(live.poll_after(30.0), NOTHING));
        let march = turn() + 28 * 1440;
        bench.insert_both([march]);
        live.poll_after(1.0);
        assert_eq!(live.poll_after(4.0), ["a 2017-02 closed"]);
        bench.insert_both([turn() - 300 - 1]);
        assert_eq!(live.poll_after(60.0), NOTHING, "a run finds it");
        bench.insert_both([turn() + 1441]);
        assert_eq!(live.poll_after(60.0)[..2], ["a 2017-02 opened", "a 2017-02 +1"]);
    }
}

#[test]
fn a_month_without_rows_is_passed_over_once_the_one_after_it_has_many() {
    let bench = bench("carry");
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let march = turn() + 28 * 1440;
    bench.insert_both(march..march + 119);
    assert_eq!(live.poll_after(1.0), ["a 2017-03 opened", "a 2017-03 was missing: 119"]);
    (0..10).for_each(|_| assert_eq!(live.poll_after(10.0), NOTHING));
    bench.insert_both([march + 119]);
    assert_eq!(live.poll_after(1.0), ["a 2017-03 +1"]);
    live.poll_after(1.0);
    assert_eq!(live.poll_after(4.0), ["a 2017-01 closed"]);
    bench.insert_both(march + 120..march + 400);
    assert_eq!(live.poll_after(1.0), ["a 2017-03 +280"]);
    bench.insert_both(turn() + 7..turn() + 300);
    let told = live.poll_after(60.0);
    assert_eq!(told[..2], ["a 2017-02 opened", "a 2017-02 was missing: 293"]);
    live.poll_after(1.0);
    bench.assert_is_batch();
}

#[test]
fn a_bar_far_ahead_of_the_last_month_does_not_end_the_job() {
    let values = [("PARTITIONS__TO", "2017-01"), ("RUN__SETTLE_S", "3")];
    let bench = Bench::new(&values, &["a"], 0);
    bench.insert(0, 0);
    bench.insert(1, 1);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), NOTHING);
    bench.insert_both([YEAR]);
    (0..10).for_each(|_| assert_eq!(live.poll_after(10.0), NOTHING));
    assert!(!live.is_over());
    bench.insert_both(2..5);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 opened", "a 2017-01 was missing: 3"]);
    (0..10).for_each(|_| assert_eq!(live.poll_after(10.0), NOTHING));
    bench.insert_both([turn()]);
    live.poll_after(10.0);
    assert_eq!(live.poll_after(10.0), ["a 2017-01 closed"]);
    live.poll_after(1.0);
    assert!(live.is_over());
}

#[test]
fn more_rows_than_a_look_gives_that_nobody_may_use_are_read_now_and_then() {
    let bench = bench("reset");
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.sink.foreign.lock().unwrap().push("a/2017-02".to_owned());
    bench.insert_both(turn()..turn() + 21_000);
    let told = live.poll_after(1.0);
    assert!(told[1].starts_with("a 2017-02 behind: foreign"), "{told:?}");
    assert_eq!(live.poll_after(4.0), ["a 2017-01 closed"]);
    let checks = || bench.source.announced.lock().unwrap().len();
    let before = checks();
    for minute in 0..60 {
        bench.insert_both([turn() + 21_000 + minute]);
        assert_eq!(live.poll_after(1.0), NOTHING);
    }
    assert!(checks() - before < 10, "{}", checks() - before);
    bench.insert_both([turn() - 1]);
    assert_eq!(live.poll_after(60.0)[..2], ["a 2017-01 opened", "a 2017-01 +1"]);
    bench.sink.foreign.lock().unwrap().clear();
    let told = [live.poll_after(60.0), live.poll_after(60.0)].concat();
    assert!(told.contains(&"a 2017-02 was missing: 21060".to_owned()), "{told:?}");
    bench.assert_is_batch();
}
