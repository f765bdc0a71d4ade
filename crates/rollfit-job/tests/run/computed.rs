//! What is computed: receipts, digests, and windows that reach into the rows before.

use rollfit_job::config::Workers;
use rollfit_job::panel::Panel;
use rollfit_job::receipt::Definition;
use rollfit_job::run::RunOptions;
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::MemorySource;

use crate::bench::{Bench, MONTHS, Record, outcomes};

#[test]
fn a_receipt_counts_what_was_used_lost_and_left_without_a_value() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 1000);
    bench.source.table("m1_a").values[500] = f64::NAN;
    bench.source.retain("bqx_a", |row| row >= 15 && row != 700);
    bench.source.retain("m1_a", |row| row != 800);
    let record = Record::default();
    assert_eq!(outcomes(&bench.run_with(&RunOptions::default(), &record)), ["written"]);
    let stored = bench.sink.stored(&partition("a", MONTHS[0]));
    let (input, output) = (&stored.receipt.input, &stored.receipt.stored);
    assert_eq!((input.rows, output.rows, *record.rows.lock().unwrap()), (983, 983, 983));
    assert_eq!((input.lookback_rows, &input.lost_rows[..]), (0, &[16, 1][..]));
    let span = (stored.instants_us.first().copied(), stored.instants_us.last().copied());
    assert_eq!((input.first_us, input.last_us), span);
    let metrics = 3;
    assert_eq!(output.no_value.warmup, (4 + 2) * metrics * 2);
    assert_eq!(output.no_value.input, (5 + 3) * metrics);
    let nan = |bits: &&u64| f64::from_bits(**bits).is_nan();
    assert_eq!(output.no_value.total(), stored.rows.iter().flatten().filter(nan).count() as u64);
    assert_eq!(*stored.receipt.definition, Definition::from_config(&bench.config));
    assert_eq!(stored.receipt.output, "a/2017-01");
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    let run = |workers| {
        let mut bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a", "b", "c"], &MONTHS, 700);
        bench.workers = Workers::Fixed(workers);
        bench.run();
        bench.sink.all()
    };
    let one = run(1);
    assert_eq!(one.len(), 9);
    for workers in [2, 3, 16] {
        assert!(run(workers) == one, "{workers} workers");
    }
}

#[test]
fn equal_rows_have_equal_digests_wherever_they_come_from() {
    let config = config(&[]);
    let input = |change: &dyn Fn(&mut MemorySource)| {
        let mut bench = Bench::new(&[], &["a"], &MONTHS, 100);
        change(&mut bench.source);
        Panel::read(&bench.source, &config, &partition("a", MONTHS[1])).unwrap().input()
    };
    let same = input(&|_| ());
    assert_eq!(same, input(&|source| source.table("m1_a").values[99] = 5.0), "another month");
    assert_eq!(same, input(&|source| source.retain("m1_a", |row| row >= 100)), "no month before");
    assert_ne!(same, input(&|source| source.table("m1_a").values[100] = 5.0));
    assert_ne!(same, input(&|source| source.table("bqx_a").instants_us[100] += 1));
}

#[test]
fn under_reset_no_row_before_the_month_is_asked_for() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 20);
    bench.run();
    assert!(bench.source.announced.lock().unwrap().iter().all(|(_, rows)| *rows == 0));
    assert_eq!(*bench.source.asked_before.lock().unwrap(), [0; 0]);
    assert_eq!(bench.sink.stored(&partition("a", MONTHS[1])).receipt.stored.no_value.warmup, 6 * 3 * 2);
}

#[test]
fn under_carry_the_windows_reach_into_the_rows_before() {
    let bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &MONTHS, 20);
    bench.run();
    assert!(bench.source.announced.lock().unwrap().iter().all(|(_, rows)| *rows > 0));
    assert_eq!(
        bench.source.asked_before.lock().unwrap()[..2],
        [4, 4],
        "one row less than the longest window"
    );
    let warmup = |month| bench.sink.stored(&partition("a", month)).receipt.stored.no_value.warmup;
    assert_eq!(MONTHS.map(warmup), [6 * 3 * 2, 0, 0]);
    let receipt = bench.sink.stored(&partition("a", MONTHS[1])).receipt;
    assert_eq!((receipt.input.rows, receipt.input.lookback_rows, receipt.stored.rows), (20, 4, 20));
    assert!(receipt.input.first_us < Some(partition("a", MONTHS[1]).period.span_us().start));
}

#[test]
fn under_carry_the_features_are_those_of_one_unbroken_series() {
    let carry = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &MONTHS, 20);
    carry.run();
    let mut whole = Bench::new(&[], &["a"], &["2017-01"], 60);
    let carried = carry.source.tables["m1_a"].values.clone();
    whole.source.table("m1_a").values = carried;
    whole.source.table("bqx_a").values = carry.source.tables["bqx_a"].values.clone();
    whole.run();
    let joined: Vec<_> =
        MONTHS.iter().flat_map(|month| carry.sink.stored(&partition("a", month)).rows).collect();
    assert_eq!(joined, whole.sink.stored(&partition("a", "2017-01")).rows);
}

#[test]
fn under_carry_rows_are_found_before_the_first_month_and_across_a_gap() {
    let mut bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &["2016-11", "2017-03"], 20);
    bench.config.from = Some(MONTHS[2].parse().unwrap());
    assert_eq!(outcomes(&bench.run()), ["written"]);
    let receipt = bench.sink.stored(&partition("a", MONTHS[2])).receipt;
    assert_eq!((receipt.input.lookback_rows, receipt.stored.no_value.warmup), (4, 0));
}

#[test]
fn under_carry_a_change_in_the_rows_before_is_a_change_of_input() {
    let mut bench = Bench::new(&[("RUN__BOUNDARY", "carry")], &["a"], &MONTHS[..2], 20);
    bench.run();
    bench.source.table("m1_a").values[19] += 1.0;
    assert_eq!(outcomes(&bench.run()), ["written", "written"]);
    bench.source.table("m1_a").values[3] += 1.0;
    assert_eq!(outcomes(&bench.run()), ["written", "already done"]);
}
