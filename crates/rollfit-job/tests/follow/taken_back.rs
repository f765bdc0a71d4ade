//! What was told of trouble is taken back when it is over, of the partition or the key that it was told of, and no sooner.

use rollfit_job::store::SeriesRows;

use crate::bench::{Bench, Live, TABLES, turn};

const NOTHING: [&str; 0] = [];

/// A job of one key, done.
fn bench(rows: usize) -> Bench {
    let bench = Bench::new(&[], &["a"], rows);
    bench.run();
    bench
}

#[test]
fn a_key_that_can_be_read_again_may_still_have_a_partition_behind() {
    let bench = bench(200);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let mut rows = bench.source.remove_table("m1_a");
    assert_eq!(live.poll_after(1.0), ["a waits: there is no table m1_a"]);
    assert_eq!(live.poll_after(100.0), NOTHING);
    rows.instants_us.truncate(100);
    rows.values.truncate(100);
    bench.source.change("m1_a", |table| *table = rows.clone());
    let told = live.poll_after(60.0);
    assert!(told.len() == 2 && told[0].starts_with("a 2017-01 behind: shrunk"), "{told:?}");
    assert_eq!(told[1], "a caught up");
    assert_eq!(live.poll_after(60.0), NOTHING, "it still is");
    (100..200).for_each(|minute| bench.source.insert("m1_a", rows.instants_us[0] + minute * 60_000_000, 1.0));
    let told = live.poll_after(60.0);
    assert_eq!(told, ["a 2017-01 was input-changed: 200", "a 2017-01 caught up"]);
    bench.assert_is_batch();
}

#[test]
fn a_table_that_was_away_while_the_month_turned_leaves_nothing_behind() {
    let bench = bench(10);
    bench.insert_both(turn() - 200..turn());
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let rows = bench.source.remove_table("m1_a");
    assert_eq!(live.poll_after(1.0), ["a waits: there is no table m1_a"]);
    bench.source.change("m1_a", |table| *table = rows);
    bench.insert_both(turn()..turn() + 3);
    let told = live.poll_after(60.0);
    assert_eq!(told, ["a 2017-02 opened", "a 2017-02 was missing: 3", "a caught up"]);
    bench.assert_is_batch();
}

#[test]
fn a_table_without_rows_is_nothing_to_wait_for() {
    let bench = Bench::new(&[("PARTITIONS__KEYS", "[\"a\"]")], &[], 0);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), ["a waits: there is no table m1_a"]);
    let make = |table: &str| bench.source.change(table, |rows| *rows = SeriesRows::default());
    make("m1_a");
    assert_eq!(live.poll_after(60.0), ["a waits: there is no table bqx_a"]);
    make("bqx_a");
    assert_eq!(live.poll_after(60.0), ["a caught up"]);
    bench.insert_both(0..3);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was missing: 3"]);
    bench.assert_is_batch();
}

#[test]
fn a_partition_that_was_behind_and_has_no_rows_any_more_is_not_behind() {
    let bench = Bench::new(&[], &["a"], 10);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    bench.sink.foreign.lock().unwrap().push("a/2017-01".to_owned());
    let told = live.poll();
    assert!(told.len() == 1 && told[0].starts_with("a 2017-01 behind: foreign"), "{told:?}");
    bench.sink.foreign.lock().unwrap().clear();
    TABLES
        .iter()
        .for_each(|table| bench.source.change(&format!("{table}_a"), |rows| *rows = SeriesRows::default()));
    assert_eq!(live.poll_after(60.0), ["a 2017-01 caught up"]);
    assert_eq!(live.poll_after(60.0), NOTHING);
    bench.insert_both(0..3);
    assert_eq!(live.poll_after(10.0), ["a 2017-01 opened", "a 2017-01 was missing: 3"]);
    bench.assert_is_batch();
}

#[test]
fn a_partition_that_was_behind_before_the_start_has_caught_up_once_it_is_found_done() {
    let mut bench = bench(200);
    bench.options.behind = bench.partitions();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), ["a 2017-01 caught up"]);
    bench.source.change("m1_a", |rows| rows.values[0] += 1.0);
    bench.insert_both([200]);
    assert_eq!(live.poll_after(3600.0), ["a 2017-01 was input-changed: 201"], "it is told once");
    bench.assert_is_batch();
}

#[test]
fn a_partition_that_was_behind_and_still_is_has_not_caught_up() {
    let mut bench = bench(200);
    bench.options.behind = bench.partitions();
    bench.sink.foreign.lock().unwrap().push("a/2017-01".to_owned());
    let job = bench.job();
    let live = Live::new(&bench, &job);
    let told = live.poll();
    assert!(told.len() == 1 && told[0].starts_with("a 2017-01 behind: foreign"), "{told:?}");
    bench.sink.foreign.lock().unwrap().clear();
    assert_eq!(live.poll_after(60.0), ["a 2017-01 caught up"]);
}
