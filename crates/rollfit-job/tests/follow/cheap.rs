//! Keys whose tables cannot be asked, or not cheaply: they are asked seldom or not at all, and keep no other key waiting.

use rollfit_testkit::market::MINUTE_US;

use crate::bench::{Bench, Live, TABLES, start_us};

const NOTHING: [&str; 0] = [];

fn heads_asked(bench: &Bench, table: &str) -> usize {
    bench.source.heads_asked.lock().unwrap().get(table).copied().unwrap_or(0)
}

fn insert_both_of_b(bench: &Bench, minute: i64) {
    TABLES.iter().for_each(|table| {
        bench.source.insert(&format!("{table}_b"), start_us() + minute * MINUTE_US, minute as f64);
    });
}

#[test]
fn a_key_that_fails_is_asked_less_and_less_often_and_the_others_as_ever() {
    let bench = Bench::new(&[], &["a", "b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let rows = bench.source.remove_table("m1_a");
    assert_eq!(live.poll_after(1.0), ["a waits: there is no table m1_a"]);
    let before = [heads_asked(&bench, "m1_a"), heads_asked(&bench, "m1_b")];
    for minute in 200..300 {
        insert_both_of_b(&bench, minute);
        assert_eq!(live.poll_after(1.0), ["b 2017-01 +1"]);
    }
    assert_eq!([heads_asked(&bench, "m1_a"), heads_asked(&bench, "m1_b")], [before[0], before[1] + 100]);
    bench.source.change("m1_a", |table| *table = rows);
    bench.insert_both([200]);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +1", "a caught up"]);
    bench.insert_both([201]);
    live.poll_after(1.0);
    bench.insert_both([202]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.assert_is_batch();
}

#[test]
fn a_store_that_comes_back_is_found_though_its_only_key_has_failed() {
    let bench = Bench::new(&[], &["a"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let rows = bench.source.remove_table("m1_a");
    live.poll_after(1.0);
    let is_away = |is_away| bench.source.is_away.store(is_away, std::sync::atomic::Ordering::Relaxed);
    is_away(true);
    assert_eq!(live.poll_after(60.0), ["lost: no connection"]);
    assert_eq!(live.poll_after(60.0), NOTHING, "it isn't back before it was asked");
    is_away(false);
    bench.source.change("m1_a", |table| *table = rows);
    let mut told: Vec<String> = (0..5).flat_map(|_| live.poll_after(60.0)).collect();
    told.sort();
    assert_eq!(told, ["a caught up", "back"]);
    bench.insert_both([200]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
}

#[test]
fn a_table_that_appears_without_an_index_is_told_and_not_asked() {
    let bench = Bench::new(&[("PARTITIONS__KEYS", "[\"a\", \"b\"]")], &["b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    assert_eq!(live.poll(), ["a waits: there is no table m1_a"]);
    bench.source.unindexed.lock().unwrap().insert("bqx_a".to_owned());
    bench.insert_both(0..5);
    assert_eq!(live.poll_after(60.0), ["a waits: bqx_a has no index"]);
    let before = heads_asked(&bench, "bqx_a");
    (0..100).for_each(|_| assert_eq!(live.poll_after(1.0), NOTHING));
    assert_eq!(heads_asked(&bench, "bqx_a"), before);
    bench.source.unindexed.lock().unwrap().clear();
    assert_eq!(live.poll_after(60.0), ["a 2017-01 was missing: 5", "a caught up"]);
    bench.insert_both([5]);
    live.poll_after(1.0);
    bench.insert_both([6]);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 +1"]);
    bench.assert_is_batch();
}

#[test]
fn an_index_that_went_is_found_when_all_is_read_again() {
    let bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "100")], &["a"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.source.unindexed.lock().unwrap().insert("m1_a".to_owned());
    assert_eq!(live.poll_after(99.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["a waits: m1_a has no index"]);
    bench.source.unindexed.lock().unwrap().clear();
    assert_eq!(live.poll_after(1.0), ["a caught up"]);
}

#[test]
fn a_key_that_appears_is_not_asked_before_it_is_known_to_be_cheap() {
    let bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "100")], &["b"], 200);
    bench.run();
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.source.unindexed.lock().unwrap().insert("m1_a".to_owned());
    bench.insert_both(0..100);
    let told = [live.poll_after(100.0), live.poll_after(1.0)].concat();
    assert_eq!(told, ["a waits: m1_a has no index"]);
    assert_eq!(heads_asked(&bench, "m1_a"), 0);
    bench.source.unindexed.lock().unwrap().clear();
    let told = [live.poll_after(60.0), live.poll_after(1.0)].concat();
    assert_eq!(told, ["a 2017-01 was missing: 100", "a caught up"]);
    bench.assert_is_batch();
}
