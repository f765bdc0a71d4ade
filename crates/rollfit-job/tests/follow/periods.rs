//! Partitions longer than a month: later months are rows of the same one, its turn is that of the year, and the one of all rows never
//! ends.

use crate::bench::{Bench, Live, turn};

const NOTHING: [&str; 0] = [];
const DAY: i64 = 1440;

fn bench(by: &str, boundary: &str) -> Bench {
    let period = match by {
        "quarter" => "_{yyyy}_q{q}",
        "year" => "_{yyyy}",
        _ => "",
    };
    let [rate, bqx] = ["rate", "bqx"].map(|series| format!("reg_{series}_{{key}}{period}"));
    let values = [
        ("PARTITIONS__BY", by),
        ("RUN__BOUNDARY", boundary),
        ("SERIES__IDX__FEATURES", rate.as_str()),
        ("SERIES__BQX__FEATURES", bqx.as_str()),
    ];
    let bench = Bench::new(&values, &["a"], 50);
    bench.run();
    bench
}

#[test]
fn rows_of_later_months_are_added_to_the_same_partition() {
    for (by, name) in [("quarter", "2017-Q1"), ("year", "2017"), ("all", "all")] {
        for boundary in ["reset", "carry"] {
            let bench = bench(by, boundary);
            let job = bench.job();
            let live = Live::new(&bench, &job);
            assert_eq!(live.poll(), NOTHING);
            for minute in [50, turn() - 1, turn(), turn() + 1, 50 * DAY] {
                bench.insert_both([minute]);
                assert_eq!(live.poll_after(1.0), [format!("a {name} +1")], "{by} {boundary} {minute}");
            }
            bench.insert(0, 51 * DAY);
            assert_eq!(live.poll_after(1.0), NOTHING, "it waits for the other series");
            bench.insert(1, 51 * DAY);
            assert_eq!(live.poll_after(1.0), [format!("a {name} +1")]);
            assert_eq!(live.poll_after(4000.0), NOTHING, "what is read again is as it should be");
            bench.assert_is_batch();
        }
    }
}

#[test]
fn a_period_is_over_when_the_next_one_has_rows() {
    for (by, last, next, turn) in
        [("quarter", "2017-Q1", "2017-Q2", 90 * DAY), ("year", "2017", "2018", 365 * DAY)]
    {
        let bench = bench(by, "carry");
        let job = bench.job();
        let live = Live::new(&bench, &job);
        live.poll();
        bench.insert_both([turn - 1, turn]);
        let told = [format!("a {last} +1"), format!("a {next} opened"), format!("a {next} was missing: 1")];
        assert_eq!(live.poll_after(1.0), told);
        bench.insert_both([turn + 1]);
        assert_eq!(live.poll_after(1.0), [format!("a {next} +1")]);
        assert_eq!(live.poll_after(3601.0), [format!("a {last} closed")]);
        // A late row of the closed one.
        bench.insert_both([turn - 5]);
        let told = live.poll_after(100.0);
        assert!(told.contains(&format!("a {last} opened")), "{told:?}");
        bench.assert_is_batch();
    }
}

#[test]
fn the_partition_of_all_rows_never_ends() {
    let bench = bench("all", "carry");
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    for year in 1..30 {
        bench.insert_both([year * 366 * DAY]);
        assert_eq!(live.poll_after(5000.0), ["a all +1"]);
    }
    assert!(!live.is_over());
    bench.correct(0, 3);
    let cause = live.cause_after(5000.0);
    assert!(!cause.is_empty());
    bench.assert_is_batch();
}
