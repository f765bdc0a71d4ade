//! Rows added to partitions that have grown: the receipt and the bits are those of a single run over all rows.

use std::sync::Arc;

use rollfit_job::config::JobConfig;
use rollfit_job::plan::assess;
use rollfit_job::receipt::{NoValue, Stored};
use rollfit_job::run::{Outcome, RunOptions, RunReport, WrittenCounts};
use rollfit_job::state::State;
use rollfit_job::store::{Grouping, Rounding, SeriesRows, StoreError};
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::{MemorySource, StoredPartition};

use crate::bench::{Bench, MONTHS, Record, outcomes};

/// The months of the tests: one before, which `carry` reaches into, and the one that grows.
const FROM: (&str, &str) = ("PARTITIONS__FROM", MONTHS[1]);

/// Columns that hold quarters, and no large numbers.
struct Quarters;

impl Rounding for Quarters {
    fn round(&self, _: usize, values: &mut [f64]) {
        for value in values {
            let quarters = (*value * 4.0).round() / 4.0;
            *value = if quarters.abs() > 50.0 { f64::NAN } else { quarters };
        }
    }

    fn uncertainty(&self, _: usize, _: f64) -> f64 {
        0.125
    }
}

/// A source of two months, the second of `rows` rows, some of them without a value.
fn source(rows: usize) -> MemorySource {
    let mut source = MemorySource::default();
    source.fill(&partition("a", MONTHS[0]), 200);
    source.fill(&partition("a", MONTHS[1]), rows);
    for (table, row) in [("m1_a", 205), ("bqx_a", 290), ("m1_a", 300)] {
        if let Some(value) = source.table(table).values.get_mut(row) {
            *value = f64::NAN;
        }
    }
    source
}

/// Cuts a table so that `rows` of the second month are left.
fn cut(table: &mut SeriesRows, rows: usize) {
    table.instants_us.truncate(200 + rows);
    table.values.truncate(200 + rows);
}

/// A store that can add rows, over `all` rows of the month.
fn bench(values: &[(&str, &str)], all: usize) -> Bench {
    let mut bench = Bench::new(&[], &[], &[], 0);
    bench.config = growing_config(values);
    bench.source = source(all);
    bench.sink.can_append = true;
    bench
}

fn growing_config(values: &[(&str, &str)]) -> JobConfig {
    config(&[&[FROM], values].concat())
}

/// What a single run stores, and the store that grows: a run after each of `steps` rows.
fn grown(bench: &mut Bench, steps: &[usize]) -> (StoredPartition, StoredPartition) {
    let all = source(*steps.last().unwrap());
    bench.source = source(*steps.last().unwrap());
    bench.run();
    let wanted = bench.sink.stored(&partition("a", MONTHS[1]));
    bench.sink.stored.lock().unwrap().clear();
    for &rows in steps {
        bench.source.tables = all.tables.clone();
        for table in bench.source.tables.values_mut() {
            cut(table, rows);
        }
        assert_eq!(outcomes(&bench.run()), ["written"], "{rows} rows");
    }
    (wanted, bench.sink.stored(&partition("a", MONTHS[1])))
}

#[test]
fn after_any_number_of_additions_rows_and_receipt_are_those_of_one_run() {
    const STEPS: [usize; 8] = [1, 2, 14, 16, 89, 91, 130, 131];
    for boundary in ["reset", "carry"] {
        for grouping in [Grouping::Together, Grouping::Apart] {
            for rounding in [None, Some(Arc::new(Quarters) as Arc<dyn Rounding>)] {
                let mut bench =
                    bench(&[("WINDOWS", "{ w3 = 3, w15 = 15, w90 = 90 }"), ("RUN__BOUNDARY", boundary)], 0);
                bench.sink.grouping = Some(grouping);
                bench.sink.rounding = rounding;
                bench.sink.types = Some(vec![vec![("timestamptz".to_owned(), 1)]; 2]);
                let (wanted, stored) = grown(&mut bench, &STEPS);
                assert_eq!(wanted, stored, "{boundary}");
                assert!(wanted.receipt.stored.types.is_some());
                assert_eq!(bench.sink.appends.lock().unwrap().len(), STEPS.len() - 1, "{boundary}");
                assert_eq!(outcomes(&bench.run()), ["already done"]);
            }
        }
    }
}

#[test]
fn a_window_that_is_longer_than_what_is_there_warms_up_exactly() {
    for boundary in ["reset", "carry"] {
        let mut bench = bench(&[("WINDOWS", "{ short = 3, long = 5000 }"), ("RUN__BOUNDARY", boundary)], 0);
        let (wanted, stored) = grown(&mut bench, &[2, 3, 40, 41]);
        assert_eq!(wanted, stored, "{boundary}");
        assert!(stored.receipt.stored.no_value.warmup > 0);
    }
}

/// A month of 100 rows that is done, and five more rows since.
fn with_new_rows(values: &[(&str, &str)]) -> Bench {
    let mut bench = bench(values, 100);
    assert_eq!(outcomes(&bench.run()), ["written"]);
    bench.source = source(105);
    bench
}

fn counts(report: &RunReport) -> (State, WrittenCounts) {
    match &report.outcomes[0].1 {
        Outcome::Written { was, counts, .. } => (*was, *counts),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_new_rows_count_as_written() {
    let bench = with_new_rows(&[]);
    let line = assess(&bench.job(), &bench.partitions()).remove(0);
    assert_eq!((line.state, line.rows), (Some(State::Grown), 105));
    assert_eq!(line.cause, "5 new rows after 2017-02-01T01:39:00Z");
    let (was, written) = counts(&bench.run());
    assert_eq!(
        (was, written.rows, written.added_rows, written.written_rows()),
        (State::Grown, 105, Some(5), 5)
    );
    assert_eq!(written.no_value, NoValue { input: written.no_value.input, ..NoValue::default() });
}

#[test]
fn a_store_that_cannot_add_rows_writes_all_of_them() {
    for is_forced in [false, true] {
        let mut bench = with_new_rows(&[]);
        bench.sink.can_append = is_forced;
        let options = RunOptions { force: is_forced, ..RunOptions::default() };
        let (was, written) = counts(&bench.run_with(&options, &Record::default()));
        assert_eq!((was, written.rows, written.added_rows), (State::Grown, 105, None));
        assert_eq!(*bench.sink.appends.lock().unwrap(), [""; 0]);
        assert_eq!(outcomes(&bench.run()), ["already done"]);
    }
}

#[test]
fn a_change_before_the_last_stored_row_is_no_growth() {
    let changes: [fn(&mut Bench); 4] = [
        |bench| bench.source.table("m1_a").values[220] += 1.0,
        |bench| bench.source.table("bqx_a").instants_us[299] += 1_000_000,
        |bench| {
            ["m1_a", "bqx_a"].iter().for_each(|table| bench.source.retain(table, |row| row != 250));
        },
        |bench| {
            for table in ["m1_a", "bqx_a"] {
                let table = bench.source.table(table);
                table.instants_us.insert(201, table.instants_us[200] + 1);
                table.values.insert(201, 1.0);
            }
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut bench = with_new_rows(&[("RUN__JOIN_LOSS_MAX", "1.0")]);
        change(&mut bench);
        let (was, written) = counts(&bench.run());
        assert_eq!((was, written.added_rows), (State::InputChanged, None), "{at}");
        assert_eq!(*bench.sink.appends.lock().unwrap(), [""; 0]);
    }
}

#[test]
fn under_carry_a_change_before_the_partition_is_no_growth_either() {
    let mut bench = with_new_rows(&[("RUN__BOUNDARY", "carry")]);
    bench.source.table("m1_a").values[199] += 1.0;
    assert_eq!(counts(&bench.run()).0, State::InputChanged);
    let mut reset = with_new_rows(&[]);
    reset.source.table("m1_a").values[199] += 1.0;
    assert_eq!(counts(&reset.run()).0, State::Grown);
}

/// Changes what is stored of the growing month.
fn change(bench: &Bench, change: impl FnOnce(&mut Stored)) {
    let mut stored = bench.sink.stored.lock().unwrap();
    change(&mut stored.values_mut().next().unwrap().receipt.stored);
}

#[test]
fn nothing_is_added_after_a_receipt_that_is_adopted_or_makes_no_sense() {
    let adopted = with_new_rows(&[]);
    change(&adopted, |stored| stored.adopted = true);
    assert_eq!(counts(&adopted.run()).0, State::InputChanged);

    let changes: [fn(&mut Stored); 7] = [
        |stored| stored.no_value.input = u64::MAX,
        |stored| stored.no_value.undefined = 100 * 12,
        |stored| stored.checksum = "+00000000000000f".to_owned(),
        |stored| stored.checksum = "00".to_owned(),
        |stored| stored.checksum.clear(),
        |stored| stored.rows = u64::MAX,
        |stored| stored.rows = 99,
    ];
    for make_senseless in changes {
        let bench = with_new_rows(&[]);
        change(&bench, make_senseless);
        let (was, written) = counts(&bench.run());
        assert_eq!((was, written.rows, written.added_rows), (State::Grown, 105, None));
        assert_eq!(outcomes(&bench.run()), ["already done"]);
    }
}

#[test]
fn another_runner_that_adds_the_rows_first_leaves_nothing_to_do() {
    let bench = with_new_rows(&[]);
    let other = with_new_rows(&[]);
    other.run();
    let done = other.sink.stored(&partition("a", MONTHS[1]));
    *bench.sink.meanwhile.lock().unwrap() = Some(done.clone());
    assert_eq!(outcomes(&bench.run()), ["written by another"]);
    assert_eq!(bench.sink.stored(&partition("a", MONTHS[1])), done);
    assert_eq!(*bench.sink.appends.lock().unwrap(), [""; 0]);
}

#[test]
fn an_addition_that_fails_changes_nothing_and_is_tried_again() {
    let mut bench = with_new_rows(&[("RUN__ATTEMPTS", "2")]);
    let before = bench.sink.all();
    bench.sink.commit_fault = Some(Box::new(|_| Err(StoreError::permanent("the disk is full"))));
    assert_eq!(outcomes(&bench.run()), ["failed: the disk is full"]);
    assert_eq!(bench.sink.all(), before);
    bench.sink.commit_fault = None;
    assert_eq!(counts(&bench.run()).1.added_rows, Some(5));
}

#[test]
fn the_loss_of_a_join_is_told_where_it_is_new() {
    let loss = |report: &RunReport| match &report.outcomes[0].1 {
        Outcome::Written { join_loss, .. } => join_loss.as_ref().map(|loss| loss.lost_rows),
        other => panic!("{other:?}"),
    };
    let mut bench = with_new_rows(&[]);
    bench.source.retain("bqx_a", |row| row != 301 && row != 302);
    assert_eq!(loss(&bench.run()), Some(2));
    bench.source = source(106);
    bench.source.retain("bqx_a", |row| row != 301 && row != 302);
    assert_eq!(loss(&bench.run()), None, "the receipt has it");
}
