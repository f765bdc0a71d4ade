//! Series derived from closes: the bits, rows, months and features of those that an import makes of the same closes.

use std::ops::Range;
use std::sync::Arc;

use rollfit_job::Job;
use rollfit_job::config::{JobConfig, Workers};
use rollfit_job::derived_source::DerivedSource;
use rollfit_job::import::{BarsOptions, KeyUpdate, StoredBars};
use rollfit_job::month::Month;
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::run::{RunOptions, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{LatestQuery, SeriesOfKey, SeriesRows, Source};
use rollfit_job::watch::Unseen;
use rollfit_testkit::bars::TestBars;
use rollfit_testkit::market::{MINUTE_US, config, partition};
use rollfit_testkit::memory::{MemorySink, MemorySource};

use crate::bench::{Record, outcomes};

/// The values by which the series of the market are derived from closes.
const DERIVED: [(&str, &str); 6] = [
    ("SERIES__IDX__VALUE", "close"),
    ("SERIES__IDX__DERIVE", "rate_index"),
    ("SERIES__BQX__TABLE", "m1_{key}"),
    ("SERIES__BQX__TIME", "time"),
    ("SERIES__BQX__VALUE", "close"),
    ("SERIES__BQX__DERIVE", "backward_return(15)"),
];

fn derived_config(values: &[(&str, &str)]) -> JobConfig {
    config(&[&DERIVED, values].concat())
}

fn below(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % bound
}

/// Months with few rows and with many, and months without any.
fn random_bars(seed: u64) -> TestBars {
    let mut state = seed;
    let first: Month = "2016-11".parse().unwrap();
    let mut bars = TestBars::default();
    for month in first.through("2017-05".parse().unwrap()) {
        let rows = [0, 3, 9, 40, 60][below(&mut state, 5) as usize];
        // Some months are filled up to their last minute.
        let span_us = month.span_us();
        let late = span_us.end - 400 * MINUTE_US;
        let mut at_us = if below(&mut state, 2) == 0 { span_us.start } else { late };
        for _ in 0..rows {
            let close = 1.05 + below(&mut state, 20_000) as f64 * 1e-5;
            bars.bars.extend(TestBars::new(at_us, &[close]).bars);
            at_us += (1 + below(&mut state, 5) as i64) * MINUTE_US;
        }
    }
    bars
}

/// The tables that an import of `bars` makes, and one of the closes alone, with the base of the import.
fn sources(bars: &TestBars) -> (MemorySource, MemorySource) {
    let update = KeyUpdate::new("a", StoredBars::default(), bars, &BarsOptions::default()).unwrap();
    let rows = update.instants_us.len();
    let table =
        |instants_us: &[i64], values: Vec<f64>| SeriesRows { instants_us: instants_us.to_vec(), values };
    let returns = table(&update.instants_us[update.first_return()..], update.returns(0..rows));
    let mut imported = MemorySource::default();
    imported.tables.insert("m1_a".to_owned(), table(&update.instants_us, update.rate_index(0..rows)));
    imported.tables.insert("bqx_a".to_owned(), returns);
    let mut closes = MemorySource::default();
    closes.tables.insert("m1_a".to_owned(), table(&update.instants_us, update.closes.clone()));
    closes.bases.insert("m1_a".to_owned(), update.base.close);
    (imported, closes)
}

fn assert_same(derived: &SeriesRows, imported: &SeriesRows, what: &str) {
    let bits = |rows: &SeriesRows| rows.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(derived.instants_us, imported.instants_us, "{what}");
    assert_eq!(bits(derived), bits(imported), "{what}");
}

/// Every answer about one series.
fn assert_same_answers(
    (derived, of_derived): (&dyn Source, &SeriesOfKey<'_>),
    (imported, of_imported): (&dyn Source, &SeriesOfKey<'_>),
    state: &mut u64,
) {
    let (first, last): (Month, Month) = ("2016-10".parse().unwrap(), "2017-06".parse().unwrap());
    assert_eq!(derived.months(of_derived).unwrap(), imported.months(of_imported).unwrap());
    assert_eq!(
        derived.gaps(of_derived, first, last).unwrap(),
        imported.gaps(of_imported, first, last).unwrap()
    );
    for month in first.through(last) {
        let rows =
            |source: &dyn Source, of: &SeriesOfKey<'_>| source.estimate_rows(of, month.into()).unwrap();
        let (estimate, exact) = (rows(derived, of_derived), rows(imported, of_imported));
        assert_eq!(estimate == 0, exact == 0, "{month}");
        assert!(estimate.abs_diff(exact) <= 15, "{month}: {estimate} {exact}");
    }
    let all = first.span_us().start..last.span_us().end;
    let any = |state: &mut u64| {
        all.start + below(state, ((all.end - all.start) / MINUTE_US) as u64) as i64 * MINUTE_US
    };
    let mut views = [(derived, of_derived), (imported, of_imported)]
        .map(|(source, of)| source.snapshot(std::slice::from_ref(of), first.into(), 100).unwrap());
    let mut check = |what: &str, span_us: Range<i64>, count: usize| {
        let [one, other] = views.each_mut().map(|view| view.rows(0, span_us.clone()).unwrap());
        assert_same(&one, &other, what);
        let [one, other] = views.each_mut().map(|view| view.rows_before(0, span_us.end, count).unwrap());
        assert_same(&one, &other, what);
        let [one, other] = views.each_mut().map(|view| view.count(0, span_us.clone()).unwrap());
        assert_eq!(one, other, "{what}");
    };
    check("all", all.clone(), 1000);
    for month in first.through(last) {
        check(&month.to_string(), month.span_us(), 7);
    }
    for _ in 0..20 {
        let (from_us, to_us) = (any(state), any(state));
        check("any", from_us.min(to_us)..from_us.max(to_us), below(state, 40) as usize);
    }
    let [one, other] = views.each_mut().map(|view| view.last_us(0).unwrap());
    assert_eq!(one, other);
    for at in 0..20 {
        let from_us = any(state);
        let query = LatestQuery { from_us, count_from_us: (at % 3 > 0).then(|| any(state).min(from_us)) };
        let latest =
            |source: &dyn Source, of: &SeriesOfKey<'_>| source.latest(std::slice::from_ref(of), query);
        let (one, other) = (latest(derived, of_derived).unwrap(), latest(imported, of_imported).unwrap());
        assert_same(&one.rows[0], &other.rows[0], "latest");
        assert_eq!((one.counts, one.has_writers), (other.counts, other.has_writers), "{query:?}");
    }
}

#[test]
fn derived_series_answer_as_the_imported_ones_do() {
    for seed in 0..60 {
        let bars = random_bars(seed);
        if bars.bars.is_empty() {
            continue;
        }
        let (imported, closes) = sources(&bars);
        let derived = DerivedSource::new(Arc::new(closes));
        let (of_imported, of_derived) = (config(&[]), derived_config(&[]));
        let mut state = seed;
        for (of_derived, of_imported) in
            of_derived.series_of_key("a").iter().zip(&of_imported.series_of_key("a"))
        {
            assert_same_answers((&derived, of_derived), (&imported, of_imported), &mut state);
        }
    }
}

/// The partitions of a job, what becomes of them, and what is stored.
fn played(config: &JobConfig, source: &dyn Source) -> (Vec<String>, Vec<String>, String) {
    let sink = MemorySink::default();
    let job = Job { config, source, sink: &sink, workers: Workers::Fixed(1), machine: &Unseen };
    let planned = partitions(config, source, &sink, &Selection::default()).unwrap();
    let report = run(&job, &planned, &RunOptions::default(), &StopSignal::default(), &Record::default());
    let names = planned.iter().map(Partition::to_string).collect();
    // The reason names the series and their tables.
    let outcome = |outcome: &String| outcome.split(':').next().unwrap_or_default().to_owned();
    (names, outcomes(&report).iter().map(outcome).collect(), format!("{:?}", sink.all()))
}

#[test]
fn a_job_over_closes_stores_what_one_over_imported_series_stores() {
    for (seed, boundary) in (100..125).zip(["reset", "carry"].into_iter().cycle()) {
        let bars = random_bars(seed);
        if bars.bars.len() <= 15 {
            continue;
        }
        let (imported, closes) = sources(&bars);
        let derived = DerivedSource::new(Arc::new(closes));
        for months in [("first", "latest"), ("2017-02", "2017-04")] {
            let values =
                [("RUN__BOUNDARY", boundary), ("PARTITIONS__FROM", months.0), ("PARTITIONS__TO", months.1)];
            let config = config(&values);
            if partitions(&config, &imported, &MemorySink::default(), &Selection::default()).is_err() {
                continue;
            }
            let (one, other) = (played(&derived_config(&values), &derived), played(&config, &imported));
            assert_eq!((&one.0, &one.1), (&other.0, &other.1), "{seed} {boundary} {months:?}");
            assert!(one.2 == other.2, "{seed} {boundary} {months:?}");
        }
    }
}

/// 40 minutes of January and 40 of February.
fn two_months() -> TestBars {
    let start_us = |month| partition("a", month).period.span_us().start;
    let closes: Vec<f64> = (0..40).map(|row| 1.1 + f64::from(row * row % 17) * 1e-4).collect();
    let mut bars = TestBars::new(start_us("2017-01"), &closes);
    bars.bars.extend(TestBars::new(start_us("2017-02"), &closes).bars);
    bars
}

#[test]
fn closes_of_a_partition_are_read_once_and_those_before_as_far_as_needed() {
    let (_, closes) = sources(&two_months());
    let (asked, closes) = (closes.asked_before.clone(), Arc::new(closes));
    let derived = DerivedSource::new(closes.clone());
    let panel = Panel::read(&derived, &derived_config(&[]), &partition("a", "2017-02")).unwrap();
    assert_eq!((panel.rows(), panel.lookback_rows, panel.join_loss), (40, 0, None));
    assert_eq!(*asked.lock().unwrap(), [15]);
    assert_eq!(*closes.announced.lock().unwrap(), [("a 2017-02".to_owned(), 15)]);
    assert_eq!(*closes.rows_asked.lock().unwrap(), 1);
}

#[test]
fn the_last_rows_of_all_series_are_asked_for_at_once() {
    let (imported, closes) = sources(&two_months());
    let derived = DerivedSource::new(Arc::new(closes));
    let from_us = partition("a", "2017-02").period.span_us().start + 3 * MINUTE_US;
    let query = LatestQuery { from_us, count_from_us: Some(from_us - 3 * MINUTE_US) };
    let latest = derived.latest(&derived_config(&[]).series_of_key("a"), query).unwrap();
    let wanted = imported.latest(&config(&[]).series_of_key("a"), query).unwrap();
    assert_eq!((&latest.counts, latest.rows.len()), (&Some(vec![3, 3]), 2));
    assert_eq!(latest.counts, wanted.counts);
    for (found, wanted) in latest.rows.iter().zip(&wanted.rows) {
        assert_same(found, wanted, "latest");
    }
    let mut closes = sources(&two_months()).1;
    closes.bases.clear();
    let error = DerivedSource::new(Arc::new(closes)).latest(&derived_config(&[]).series_of_key("a"), query);
    assert!(error.unwrap_err().to_string().contains("no import has stored a base"));
}

#[test]
fn series_of_the_same_closes_have_one_head() {
    let (_, closes) = sources(&two_months());
    let last_us = closes.tables["m1_a"].instants_us.last().copied();
    let derived = DerivedSource::new(Arc::new(closes));
    let config = derived_config(&[]);
    let series = [config.series_of_key("a"), config.series_of_key("b")].concat();
    let heads = derived.heads(&series).unwrap();
    let found: Vec<Option<i64>> = heads.iter().flatten().map(|head| head.last_us).collect();
    assert_eq!(found, [last_us, last_us]);
    let errors: Vec<String> =
        heads.iter().filter_map(|head| Some(head.as_ref().err()?.to_string())).collect();
    assert_eq!(errors, ["there is no table m1_b"; 2]);
}

#[test]
fn a_return_over_another_number_of_rows_follows_the_same_formula() {
    let bars = two_months();
    let base = bars.bars[0].close;
    let (_, closes) = sources(&bars);
    let derived = DerivedSource::new(Arc::new(closes));
    let config = derived_config(&[("SERIES__BQX__DERIVE", "backward_return(2)")]);
    let series = config.series_of_key("a");
    let span_us = partition("a", "2017-02").period.span_us();
    let mut view = derived.snapshot(&series, partition("a", "2017-02").period, 0).unwrap();
    let rows = view.rows(1, span_us).unwrap();
    let index: Vec<f64> = bars.bars.iter().map(|bar| 100.0 * bar.close / base).collect();
    for (at, found) in (40..80).zip(&rows.values) {
        let wanted = ((index[at - 1] - index[at]) + (index[at - 2] - index[at])) / index[at];
        assert_eq!(found.to_bits(), wanted.to_bits(), "{at}");
    }
}

#[test]
fn a_close_that_no_import_takes_gives_no_value_and_keeps_its_row() {
    for close in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -1.2] {
        let (_, mut closes) = sources(&two_months());
        closes.table("m1_a").values[30] = close;
        let derived = DerivedSource::new(Arc::new(closes));
        let panel = Panel::read(&derived, &derived_config(&[]), &partition("a", "2017-01")).unwrap();
        // The join begins with the 16th row.
        let without = |column: &[f64]| {
            let rows = column.iter().enumerate().filter(|(_, value)| value.is_nan());
            rows.map(|(row, _)| row + 15).collect::<Vec<_>>()
        };
        assert_eq!(panel.rows(), 25);
        assert_eq!(without(&panel.columns[0]), [30], "{close}");
        assert_eq!(without(&panel.columns[1]), (30..40).collect::<Vec<_>>(), "{close}");
        let february = Panel::read(&derived, &derived_config(&[]), &partition("a", "2017-02")).unwrap();
        assert_eq!(without(&february.columns[1]), (15..21).collect::<Vec<_>>(), "{close}");
    }
}

#[test]
fn a_base_is_stored_or_configured_or_both_and_then_the_same() {
    let read = |stored: Option<f64>, configured: Option<&str>| {
        let (_, mut closes) = sources(&two_months());
        closes.bases.clear();
        closes.bases.extend(stored.map(|base| ("m1_a".to_owned(), base)));
        let values: Vec<(&str, &str)> = configured
            .iter()
            .flat_map(|base| [("SERIES__IDX__BASE", *base), ("SERIES__BQX__BASE", *base)])
            .collect();
        let derived = DerivedSource::new(Arc::new(closes));
        let config = derived_config(&values);
        let checked = derived.check_bases(&config, "a", partition("a", "2017-01").period);
        let panel = Panel::read(&derived, &config, &partition("a", "2017-01"));
        let panel = panel.map(|panel| panel.columns).map_err(|error| error.to_string());
        assert_eq!(checked.err().map(|error| error.to_string()), panel.as_ref().err().cloned());
        panel
    };
    let stored = read(Some(1.25), None).unwrap();
    assert_eq!(stored, read(None, Some("1.25")).unwrap());
    assert_eq!(stored, read(Some(1.25), Some("1.25")).unwrap());
    assert_ne!(stored, read(Some(1.26), None).unwrap());
    let message = read(None, None).unwrap_err();
    for part in
        ["m1_a: series `idx`", "no import has stored a base for a", "set `base` in [series.idx]", "import"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = read(Some(1.25), Some("1.5")).unwrap_err();
    for part in ["base = 1.5 in [series.idx]", "stored the base 1.25 for a", "remove `base`", "--rebase"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = read(Some(wrong), None).unwrap_err();
        assert!(message.contains("which no import writes"), "{message}");
        assert_eq!(read(Some(wrong), Some("1.5")).unwrap_err(), message);
    }
}

#[test]
fn the_first_rows_of_a_key_wait_for_those_that_its_returns_need() {
    let run_over = |rows: usize, of_february: usize, minutes_apart: i64| {
        let mut bars = two_months();
        let start_us = bars.bars[0].instant_us;
        for bar in &mut bars.bars[..rows] {
            bar.instant_us = start_us + (bar.instant_us - start_us) * minutes_apart;
        }
        let bars = TestBars { bars: [&bars.bars[..rows], &bars.bars[40..40 + of_february]].concat(), ..bars };
        let derived = DerivedSource::new(Arc::new(sources(&bars).1));
        let config = derived_config(&[]);
        let sink = MemorySink::default();
        let job = Job {
            config: &config,
            source: &derived,
            sink: &sink,
            workers: Workers::Fixed(1),
            machine: &Unseen,
        };
        let planned = partitions(&config, &derived, &sink, &Selection::default()).unwrap();
        let report = run(&job, &planned, &RunOptions::default(), &StopSignal::default(), &Record::default());
        outcomes(&report)
    };
    for rows in [1, 9, 15] {
        assert_eq!(run_over(rows, 0, 1), ["waiting"]);
        assert_eq!(run_over(rows, 0, 24 * 60), ["waiting"], "a bar a day");
    }
    assert_eq!(run_over(16, 0, 1), ["written"]);
    // Their turn is over once there are later ones.
    let said = "it has 9 rows of rate_index from `m1_a` and 0 rows of backward_return(15) from `m1_a`";
    let outcomes = run_over(9, 20, 1);
    assert!(outcomes[0].contains(said) && outcomes[1] == "written", "{outcomes:?}");
}

#[test]
fn a_store_without_the_derivation_never_takes_closes_for_the_series() {
    let (_, closes) = sources(&two_months());
    let error = Panel::read(&closes, &derived_config(&[]), &partition("a", "2017-01")).unwrap_err();
    assert!(error.to_string().contains("series `idx` is derived (rate_index)"), "{error}");
}

#[test]
fn a_changed_base_changes_the_input() {
    let (_, closes) = sources(&two_months());
    let derived = DerivedSource::new(Arc::new(closes));
    let partition = partition("a", "2017-02");
    let input =
        |config: &JobConfig, source: &dyn Source| Panel::read(source, config, &partition).unwrap().input();
    let one = input(&derived_config(&[]), &derived);
    let (_, mut closes) = sources(&two_months());
    *closes.bases.get_mut("m1_a").unwrap() *= 2.0;
    let other = input(&derived_config(&[]), &DerivedSource::new(Arc::new(closes)));
    assert_ne!(one.digest, other.digest);
    assert_eq!((one.rows, one.last_us), (other.rows, other.last_us));
}
