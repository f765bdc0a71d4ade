//! Keys that appear in the source of a job of all keys: which are followed, which cannot be, and a source that cannot be listed.

use std::sync::atomic::Ordering;

use crate::bench::{Bench, Live};

const NOTHING: [&str; 0] = [];

/// A bench of key `b` whose source is listed every 100 seconds, with these patterns of the features.
fn bench(patterns: [&str; 2]) -> Bench {
    let [idx, bqx] = patterns;
    let values =
        [("RUN__RECHECK_EVERY_S", "100"), ("SERIES__IDX__FEATURES", idx), ("SERIES__BQX__FEATURES", bqx)];
    let bench = Bench::new(&values, &["b"], 200);
    bench.run();
    bench
}

const APART: [&str; 2] = ["f_m1_{key}_{yyyy}_{mm}", "f_bqx_{key}_{yyyy}_{mm}"];
/// Features whose tables have the names that source tables of other keys may have.
const LIKE_SOURCES: [&str; 2] = ["m1_{key}_{yyyy}_{mm}", "bqx_{key}_{yyyy}_{mm}"];

#[test]
fn a_key_whose_tables_are_features_of_another_isnt_followed() {
    let bench = bench(LIKE_SOURCES);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    // A month that the job had not when it was planned.
    bench.insert_both_of("b_2018_05", 0..100);
    bench.insert_both_of("c", 0..100);
    bench.insert_both_of("d", 0..100);
    let told = live.poll_after(100.0);
    assert!(
        told.len() == 1
            && told[0].starts_with("b_2018_05 waits: [series.bqx] features")
            && told[0].contains("which is a source table"),
        "{told:?}"
    );
    assert_eq!(live.poll_after(1.0), ["c 2017-01 was missing: 100", "d 2017-01 was missing: 100"]);
    bench.insert_both_of("b", [200]);
    bench.insert_both_of("b_2018_05", [100]);
    assert_eq!(live.poll_after(1.0), ["b 2017-01 +1"]);
    assert_eq!(live.poll_after(200.0), NOTHING, "once");
    assert_eq!(bench.sink.all().len(), 3);
    for table in ["m1_b_2018_05", "bqx_b_2018_05"] {
        bench.source.remove_table(table);
    }
    assert_eq!(live.poll_after(100.0), ["b_2018_05 caught up"], "it is gone");
    assert_eq!(live.poll_after(200.0), NOTHING);
    bench.assert_is_batch();
}

/// The twin: the same key, where its tables are nobody's features.
#[test]
fn the_same_key_is_followed_where_its_tables_are_its_own() {
    let bench = bench(APART);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    bench.insert_both_of("b_2018_05", 0..100);
    assert_eq!(live.poll_after(100.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["b_2018_05 2017-01 was missing: 100"]);
    bench.assert_is_batch();
}

#[test]
fn a_key_that_differs_from_another_only_in_case_isnt_followed_and_the_first_of_two_is() {
    let bench = bench(APART);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    for key in ["B", "C", "c", "d"] {
        bench.insert_both_of(key, 0..100);
    }
    let refused = |key| format!("{key} waits: another key differs from {key} only in case");
    assert_eq!(live.poll_after(100.0), ["B", "c"].map(refused));
    assert_eq!(live.poll_after(1.0), ["C 2017-01 was missing: 100", "d 2017-01 was missing: 100"]);
    assert_eq!(live.poll_after(300.0), NOTHING);
}

#[test]
fn keys_are_followed_while_the_source_cannot_be_listed_and_it_is_listed_as_soon_as_it_can() {
    let bench = bench(APART);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let set_unlisted = |is_unlisted| bench.source.is_unlisted.store(is_unlisted, Ordering::Relaxed);
    set_unlisted(true);
    bench.insert_both_of("a", 0..100);
    bench.insert_both_of("b", [200]);
    assert_eq!(live.poll_after(100.0), ["b 2017-01 +1"], "no store is away");
    bench.insert_both_of("b", [201]);
    assert_eq!(live.poll_after(10.0), ["b 2017-01 +1"]);
    set_unlisted(false);
    assert_eq!(live.poll_after(3.0), NOTHING);
    assert_eq!(live.poll_after(1.0), ["a 2017-01 was missing: 100"], "long before the next listing");
    bench.assert_is_batch();
}
