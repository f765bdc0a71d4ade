//! The last rows of one series, which the other may still get: in no state and no count of losses until it has passed them.

use rollfit_job::panel::Panel;
use rollfit_job::plan::{PlannedPartition, assess};
use rollfit_job::run::{Outcome, RunOptions, RunReport, run};
use rollfit_job::state::State;
use rollfit_testkit::market::{MINUTE_US, config, partition};

use crate::bench::{Bench, MONTHS, Record, outcomes};

/// The month that is looked at; the one before it is full.
const MONTH: &str = MONTHS[1];

/// A month in which the series have rows in these minutes, and just before it.
fn bench(values: &[(&str, &str)], m1: &[i64], bqx: &[i64]) -> Bench {
    let mut bench = Bench::new(&[], &["a"], &[MONTHS[0]], 20);
    bench.config = config(&[&[("PARTITIONS__FROM", MONTH)], values].concat());
    bench.sink.can_append = true;
    for (table, minutes) in [("m1_a", m1), ("bqx_a", bqx)] {
        add(&mut bench, table, &[-1]);
        add(&mut bench, table, minutes);
    }
    bench
}

/// Adds rows to a table.
fn add(bench: &mut Bench, table: &str, minutes: &[i64]) {
    let start_us = partition("a", MONTH).period.span_us().start;
    let table = bench.source.table(table);
    for minute in minutes {
        table.instants_us.push(start_us + minute * MINUTE_US);
        table.values.push((minute % 7) as f64);
    }
}

fn panel(bench: &Bench) -> Panel {
    Panel::read(&bench.source, &bench.config, &partition("a", MONTH)).unwrap()
}

/// The rows of each series that are pending and that are lost.
fn pending_and_lost(values: &[(&str, &str)], m1: &[i64], bqx: &[i64]) -> ([u64; 2], [u64; 2]) {
    let panel = panel(&bench(values, m1, bqx));
    let pending = panel.pending.map_or([0, 0], |pending| pending.rows.try_into().unwrap());
    (pending, panel.lost_rows.try_into().unwrap())
}

fn plan(bench: &Bench) -> PlannedPartition {
    assess(&bench.job(), &[partition("a", MONTH)]).remove(0)
}

/// Runs the month, whether or not it would be planned.
fn run_month(bench: &Bench) -> RunReport {
    let partitions = [partition("a", MONTH)];
    run(&bench.job(), &partitions, &RunOptions::default(), &bench.stop, &Record::default())
}

#[test]
fn whichever_series_is_ahead_its_last_rows_are_pending() {
    assert_eq!(pending_and_lost(&[], &[0, 1, 2, 3], &[0, 1]), ([2, 0], [0, 0]));
    assert_eq!(pending_and_lost(&[], &[0, 1], &[0, 1, 2, 3]), ([0, 2], [0, 0]));
    assert_eq!(pending_and_lost(&[], &[0, 1], &[0, 1]), ([0, 0], [0, 0]));
    assert_eq!(pending_and_lost(&[], &[], &[]), ([0, 0], [0, 0]));
}

#[test]
fn what_the_other_series_has_passed_is_lost() {
    assert_eq!(pending_and_lost(&[], &[0, 1, 2, 4], &[0, 1, 3]), ([1, 0], [1, 1]));
    // Before the last joined row, too.
    assert_eq!(pending_and_lost(&[], &[0, 1, 2, 3], &[0, 1, 3]), ([0, 0], [1, 0]));
    // They never meet: all are lost but the last.
    assert_eq!(pending_and_lost(&[], &[0, 2, 4], &[1, 3, 5]), ([0, 1], [3, 2]));
}

#[test]
fn how_far_the_other_series_has_to_be_is_configured() {
    let (m1, bqx) = ([0, 1, 2, 8], [0, 1, 4]);
    let wait = |seconds| pending_and_lost(&[("RUN__PAIR_WAIT_S", seconds)], &m1, &bqx);
    assert_eq!(wait("0"), ([1, 0], [1, 1]));
    assert_eq!(wait("120"), ([1, 0], [1, 1]));
    assert_eq!(wait("121"), ([2, 0], [0, 1]));
    assert_eq!(wait("241"), ([2, 1], [0, 0]));
    assert_eq!(wait("1e13"), ([2, 1], [0, 0]));
}

#[test]
fn nothing_is_pending_once_every_series_has_rows_of_a_later_month() {
    const LATER: i64 = 28 * 24 * 60;
    let wait = [("RUN__PAIR_WAIT_S", "1e13")];
    let rows = |m1: &[i64], bqx: &[i64]| {
        pending_and_lost(&wait, &[&[0, 1, 2], m1].concat(), &[&[0, 1], bqx].concat())
    };
    assert_eq!(rows(&[LATER], &[LATER]), ([0, 0], [1, 0]));
    assert_eq!(rows(&[LATER], &[]), ([1, 0], [0, 0]));
    assert_eq!(rows(&[], &[LATER]), ([1, 0], [0, 0]));
    assert_eq!(rows(&[LATER - 1], &[LATER]), ([2, 0], [0, 0]));
}

#[test]
fn a_series_that_is_a_day_late_changes_no_state_and_loses_nothing() {
    let day: Vec<i64> = (0..1500).collect();
    let mut bench = bench(&[], &day, &day[..60]);
    assert_eq!(outcomes(&run_month(&bench)), ["written"]);
    let line = plan(&bench);
    assert_eq!((line.state, line.rows, line.join_loss), (Some(State::Done), 60, None));
    let pending = line.pending.unwrap();
    assert_eq!((pending.rows.as_slice(), pending.age().as_secs()), ([1440, 0].as_slice(), 1439 * 60));
    add(&mut bench, "bqx_a", &day[60..]);
    let line = plan(&bench);
    assert_eq!((line.state, line.adds_rows, line.write_bytes), (Some(State::Grown), Some(1440), 14_400));
    assert_eq!(line.pending, None);
    bench.sink.can_append = false;
    assert_eq!(plan(&bench).write_bytes, 15_000);
    bench.sink.can_append = true;
    run_month(&bench);
    assert_eq!(bench.sink.stored(&partition("a", MONTH)).receipt.input.lost_rows, [0, 0]);
}

#[test]
fn the_first_rows_of_a_month_are_added_one_by_one_whichever_series_is_first() {
    for [first, second] in [["m1_a", "bqx_a"], ["bqx_a", "m1_a"]] {
        let mut bench = bench(&[], &[], &[]);
        for minute in 0..20 {
            add(&mut bench, first, &[minute]);
            let line = plan(&bench);
            let state = if minute == 0 { State::Missing } else { State::Done };
            assert_eq!((line.state, line.rows, line.write_rows), (Some(state), minute.unsigned_abs(), 0));
            assert_eq!(line.pending.unwrap().total_rows(), 1);
            let outcome = if minute == 0 { "waiting" } else { "already done" };
            assert_eq!(outcomes(&run_month(&bench)), [outcome]);
            add(&mut bench, second, &[minute]);
            let report = run_month(&bench);
            let Outcome::Written { counts, join_loss, .. } = &report.outcomes[0].1 else {
                panic!("{report:?}")
            };
            assert_eq!((counts.written_rows(), counts.lost_rows, join_loss), (1, 0, &None));
        }
        assert_eq!(bench.sink.appends.lock().unwrap().len(), 19);
    }
}

#[test]
fn a_month_in_which_no_row_can_be_joined_any_more_is_an_error_and_not_waited_for() {
    const LATER: i64 = 28 * 24 * 60;
    let fails = |bench: &Bench, why: &str| {
        let line = plan(bench);
        assert_eq!(line.state, None);
        assert!(line.cause.contains("no instant of the month is in every series"), "{}", line.cause);
        assert!(line.cause.contains(why), "{}", line.cause);
        assert!(outcomes(&run_month(bench))[0].contains(why));
    };
    fails(&bench(&[], &[0, 2, 4], &[1, 3, 5]), "3 rows in `m1_a`");
    fails(&bench(&[], &[0, 1, LATER], &[]), "2 rows in `m1_a` and 0 rows in `bqx_a`");
    let mut long_ago = bench(&[], &[0, 1], &[]);
    long_ago.source.retain("bqx_a", |row| row < 20);
    fails(&long_ago, "2 rows in `m1_a` and 0 rows in `bqx_a`");
    let mut without = bench(&[], &[0, 1], &[]);
    without.source.retain("bqx_a", |_| false);
    fails(&without, "2 rows in `m1_a` and 0 rows in `bqx_a`");
}

#[test]
fn a_run_reports_what_waits_for_which_series_and_how_long_it_has() {
    let reported = |m1: &[i64], bqx: &[i64]| {
        let report = run_month(&bench(&[], m1, bqx));
        let pending = report.pending.into_iter().map(|(partition, pending)| {
            assert_eq!(partition.to_string(), format!("a {MONTH}"));
            (pending.rows, pending.lacking.join(" "), pending.age().as_secs() / 60)
        });
        let pending: Vec<(u64, String, u64)> = pending.collect();
        (outcomes(&RunReport { pending: Vec::new(), ..report }).remove(0), pending)
    };
    let day: Vec<i64> = (0..1500).collect();
    let bqx = |rows, minutes| vec![(rows, "bqx".to_owned(), minutes)];
    assert_eq!(reported(&day, &day[..60]), ("written".to_owned(), bqx(1440, 1439)));
    assert_eq!(reported(&day, &[]), ("waiting".to_owned(), bqx(1500, 1499)));
    assert_eq!(reported(&[], &day[..1]), ("waiting".to_owned(), vec![(1, "idx".to_owned(), 0)]));
    assert_eq!(reported(&day, &day), ("written".to_owned(), Vec::new()));
    let wait = [("RUN__PAIR_WAIT_S", "1e13")];
    let report = run_month(&bench(&wait, &[0, 1, 3], &[0, 2]));
    assert_eq!(report.pending[0].1.lacking, ["idx", "bqx"]);
}

#[test]
fn the_first_rows_of_a_month_wait_for_a_week_and_then_it_is_an_error() {
    const WEEK: i64 = 7 * 24 * 60;
    let outcome = |m1: &[i64]| outcomes(&run_month(&bench(&[], m1, &[]))).remove(0);
    assert_eq!(outcome(&[10, WEEK + 10]), "waiting");
    assert!(outcome(&[10, WEEK + 11]).contains("2 rows in `m1_a` and 0 rows in `bqx_a`"));
    assert_eq!(plan(&bench(&[], &[10, WEEK + 10], &[])).state, Some(State::Missing));
    assert_eq!(plan(&bench(&[], &[10, WEEK + 11], &[])).state, None);
    // With a row that is joined the month has features, and the others are pending for as long as it takes.
    let report = run_month(&bench(&[], &[0, 10, 3 * WEEK], &[0]));
    assert_eq!((outcomes(&report).remove(0), report.pending[0].1.rows), ("written".to_owned(), 2));
}

#[test]
fn a_row_that_stops_being_pending_changes_no_state() {
    let mut bench = bench(&[], &[0, 1, 2], &[0, 1]);
    run_month(&bench);
    add(&mut bench, "bqx_a", &[3]);
    let line = plan(&bench);
    assert_eq!((line.state, line.pending.map(|pending| pending.rows)), (Some(State::Done), Some(vec![0, 1])));
    add(&mut bench, "m1_a", &[3]);
    assert_eq!(outcomes(&run_month(&bench)), ["written"]);
    assert_eq!(bench.sink.stored(&partition("a", MONTH)).receipt.input.lost_rows, [1, 0]);
}
