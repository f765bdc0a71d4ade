//! Attempts that fail: what is tried again, for how long, and what is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollfit_job::config::Workers;
use rollfit_job::run::{Outcome, RunOptions, Stage};
use rollfit_job::store::{Fault, Grouping, Rounding, StoreError};
use rollfit_testkit::market::{config, partition};

use crate::bench::{Bench, MONTHS, Record, fails_for, outcomes, transient};

#[test]
fn a_transient_fault_is_tried_again_until_it_passes() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
    let failures = AtomicUsize::new(2);
    let passes = move || {
        failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    };
    bench.source.fault = Some(Box::new(move |_| if passes() { Ok(()) } else { Err(transient()) }));
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written"]);
    let retries = [1, 2].map(|attempt| ("a 2017-01".to_owned(), attempt));
    assert_eq!(*record.retries.lock().unwrap(), retries);
    let stages: Vec<(Stage, u32)> =
        record.stages.lock().unwrap().iter().map(|(_, stage, at)| (*stage, *at)).collect();
    let (read, write, commit) = (Stage::Read, Stage::Write, Stage::Commit);
    assert_eq!(stages, [(read, 1), (read, 2), (read, 3), (write, 3), (commit, 3)]);
}

#[test]
fn a_fault_that_does_not_pass_is_reported_after_the_last_attempt() {
    for attempts in ["1", "2"] {
        let mut bench = Bench::new(&[("RUN__ATTEMPTS", attempts)], &["a"], &MONTHS[..1], 20);
        bench.sink.commit_fault = Some(Box::new(|_| Err(transient())));
        assert_eq!(outcomes(&bench.run()), ["failed: the store is busy"]);
        assert_eq!(bench.sink.claims.lock().unwrap().len(), attempts.parse::<usize>().unwrap());
        assert!(bench.sink.all().is_empty());
    }
}

#[test]
fn a_store_that_is_down_is_waited_for_once_and_not_once_a_partition() {
    let mut bench = Bench::new(&[("RUN__RETRY_FOR_S", "0")], &["a"], &MONTHS, 20);
    bench.source.fault = Some(Box::new(|_| Err(transient())));
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["failed: the store is busy"; 3]);
    assert_eq!((report.retries, record.retries.lock().unwrap().len()), (1, 1));
}

#[test]
fn what_fails_again_is_told_as_known_until_something_succeeds() {
    let mut bench = Bench::new(&[], &["a", "b"], &MONTHS[..1], 20);
    let tries = AtomicUsize::new(0);
    // The first partition fails twice, the second once.
    bench.source.fault = Some(Box::new(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        2 => Ok(()),
        0..4 => Err(transient()),
        _ => Ok(()),
    }));
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written", "written"]);
    assert_eq!(*record.known.lock().unwrap(), [false, true, false]);
    assert_eq!(report.retries, 3);
}

#[test]
fn a_fault_may_be_worth_fewer_attempts_than_others() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
    bench.sink.commit_fault = Some(Box::new(|_| Err(transient().with_attempts_max(2))));
    assert_eq!(outcomes(&bench.run()), ["failed: the store is busy"]);
    assert_eq!(bench.sink.claims.lock().unwrap().len(), 2);
}

#[test]
fn a_sink_that_takes_one_series_at_a_time_gets_the_same_features_and_checksum() {
    let together = Bench::new(&[], &["a"], &MONTHS[..1], 2000);
    let mut apart = Bench::new(&[], &["a"], &MONTHS[..1], 2000);
    apart.sink.grouping = Some(Grouping::Apart);
    for bench in [&together, &apart] {
        assert_eq!(outcomes(&bench.run()), ["written"]);
    }
    assert_eq!(together.sink.all(), apart.sink.all());
}

/// Columns that hold whole numbers below 100.
struct Whole;

impl Rounding for Whole {
    fn round(&self, _: usize, values: &mut [f64]) {
        values.iter_mut().for_each(|value| {
            *value = if value.abs() < 100.0 { value.round() + 0.0 } else { f64::NAN };
        });
    }

    fn uncertainty(&self, _: usize, _: f64) -> f64 {
        0.5
    }
}

#[test]
fn a_receipt_is_of_the_values_as_the_columns_hold_them() {
    let plain = Bench::new(&[], &["a"], &MONTHS[..1], 200);
    let mut narrow = Bench::new(&[], &["a"], &MONTHS[..1], 200);
    narrow.sink.rounding = Some(Arc::new(Whole));
    for bench in [&plain, &narrow] {
        assert_eq!(outcomes(&bench.run()), ["written"]);
    }
    let one = partition("a", MONTHS[0]);
    let (plain, narrow) = (plain.sink.stored(&one), narrow.sink.stored(&one));
    assert_eq!(plain.rows, narrow.rows, "a sink rounds by itself");
    assert_ne!(plain.receipt.stored.checksum, narrow.receipt.stored.checksum);
    let too_large = |bits: &&u64| f64::from_bits(**bits).abs().round() >= 100.0;
    let lost = plain.rows.iter().flatten().filter(too_large).count() as u64;
    assert!(lost > 0, "the series has a vertex far away");
    assert_eq!(narrow.receipt.stored.no_value.column, lost);
}

#[test]
fn a_permanent_fault_is_not_tried_again() {
    for fault in [Fault::Permanent, Fault::Unreachable] {
        let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
        bench.sink.write_fault =
            Some(Box::new(move |_| Err(StoreError::new(fault, "the column is not a number"))));
        let record = Record::default();
        let report = bench.run_with(&RunOptions::default(), &record);
        assert_eq!(outcomes(&report), ["failed: the column is not a number"]);
        assert_eq!(*record.retries.lock().unwrap(), []);
    }
}

#[test]
fn a_failed_partition_does_not_stop_the_others() {
    for workers in [1, 3] {
        let mut bench = Bench::new(&[("RUN__ATTEMPTS", "1")], &["a", "b", "c"], &MONTHS, 20);
        bench.workers = Workers::Fixed(workers);
        bench.source.fault =
            Some(Box::new(fails_for("b", || StoreError::permanent("the file is truncated"))));
        let (report, failed) = (bench.run(), "failed: the file is truncated");
        let wanted = [["written"; 3], [failed; 3], ["written"; 3]].concat();
        assert_eq!(outcomes(&report), wanted);
        assert!(!report.interrupted);
    }
}

#[test]
fn a_source_that_panics_fails_its_partition_and_no_other() {
    for workers in [1, 2] {
        let mut bench = Bench::new(&[], &["a", "b", "c"], &MONTHS[..1], 20);
        bench.workers = Workers::Fixed(workers);
        bench.source.fault = Some(Box::new(|partition| {
            assert!(partition.key != "b", "a defect in {}", partition.key);
            Ok(())
        }));
        let found = outcomes(&bench.run());
        assert_eq!((found[0].as_str(), found[2].as_str()), ("written", "written"));
        for part in ["failed: a bug in rollfit", "please report it", "a defect in b"] {
            assert!(found[1].contains(part), "{}", found[1]);
        }
    }
}

#[test]
fn a_sink_that_panics_amid_its_rows_commits_nothing_of_them() {
    let mut bench = Bench::new(&[], &["a", "b"], &MONTHS[..1], 2000);
    let tiles = AtomicUsize::new(0);
    bench.sink.write_fault = Some(Box::new(move |partition| {
        assert!(partition.key != "a" || tiles.fetch_add(1, Ordering::SeqCst) < 2, "a defect");
        Ok(())
    }));
    let found = outcomes(&bench.run());
    assert!(found[0].starts_with("failed: a bug in rollfit"), "{found:?}");
    assert_eq!(found[1], "written");
    assert_eq!(bench.sink.all().into_keys().collect::<Vec<_>>(), ["b/2017-01"]);
}

#[test]
fn a_listed_month_without_rows_is_empty_and_fails_with_the_remedy_where_rows_are_required() {
    let listed = [("PARTITIONS__KEYS", "a"), ("PARTITIONS__FROM", "2017-01"), ("PARTITIONS__TO", "2017-03")];
    let bench = Bench::new(&listed, &["a"], &["2017-01", "2017-03"], 20);
    let report = bench.run();
    assert!(matches!(report.outcomes[1].1, Outcome::Empty), "{report:?}");
    let required = [&listed[..], &[("RUN__REQUIRE_ROWS", "true")]].concat();
    let mut bench = Bench::new(&required, &["a"], &["2017-01", "2017-03"], 20);
    let report = bench.run();
    let found = outcomes(&report);
    assert_eq!((found[0].as_str(), found[2].as_str()), ("written", "written"));
    for part in ["no rows", "`m1_a` and `bqx_a`", "import it, or leave it out"] {
        assert!(found[1].contains(part), "{}", found[1]);
    }
    bench.source.tables.remove("bqx_a");
    bench.config = config(&[
        ("PARTITIONS__KEYS", "[\"a\"]"),
        ("PARTITIONS__FROM", "2017-02"),
        ("PARTITIONS__TO", "2017-02"),
    ]);
    assert_eq!(outcomes(&bench.run()), ["failed: there is no table bqx_a"]);
}

#[test]
fn a_month_without_rows_between_others_is_empty_with_all_keys_too_and_fails_where_rows_are_required() {
    let bench = Bench::new(&[], &["a"], &["2017-01", "2017-03"], 20);
    let report = bench.run();
    assert!(matches!(report.outcomes[1].1, Outcome::Empty), "{report:?}");
    assert_eq!(report.outcomes.len(), 3);
    let bench = Bench::new(&[("RUN__REQUIRE_ROWS", "true")], &["a"], &["2017-01", "2017-03"], 20);
    let found = outcomes(&bench.run());
    assert_eq!((found[0].as_str(), found[2].as_str()), ("written", "written"));
    assert!(found[1].contains("no rows"), "{}", found[1]);
}

#[test]
fn a_stored_partition_whose_source_is_gone_stays_in_the_plan() {
    let mut bench = Bench::new(&[], &["a"], &["2017-01", "2017-02"], 20);
    bench.run();
    for table in ["m1_a", "bqx_a"] {
        let rows = bench.source.table(table);
        let kept = rows
            .instants_us
            .partition_point(|&instant| instant < partition("a", "2017-02").period.span_us().start);
        rows.instants_us.truncate(kept);
        rows.values.truncate(kept);
    }
    let found = outcomes(&bench.run());
    assert_eq!(found[0], "already done");
    assert!(found[1].contains("shrunk"), "{}", found[1]);
}
