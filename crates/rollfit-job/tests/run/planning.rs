//! Which partitions are planned.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollfit_job::Job;
use rollfit_job::config::JobConfig;
use rollfit_job::month::Month;
use rollfit_job::period::Period;
use rollfit_job::plan::{PlanError, assess, estimate_missing_bytes, partitions};
use rollfit_job::selection::Selection;
use rollfit_job::store::{Fault, SeriesOfKey, Snapshot, Source, StoreError};
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::{MemorySink, MemorySource};

use crate::bench::{Bench, MONTHS, transient};

fn planned(values: &[(&str, &str)], source: &MemorySource, only: &[&str]) -> Result<Vec<String>, PlanError> {
    let only: Selection = only.iter().map(|text| text.parse().unwrap()).collect();
    Ok(partitions(&config(values), source, &MemorySink::default(), &only)?
        .iter()
        .map(ToString::to_string)
        .collect())
}

/// Key `a` has three months, `b` the second, `c` none; `d` lacks a table.
fn uneven() -> MemorySource {
    let mut source = Bench::new(&[], &["a"], &MONTHS, 5).source;
    source.fill(&partition("b", MONTHS[1]), 5);
    source.fill(&partition("c", MONTHS[0]), 0);
    source.fill(&partition("d", MONTHS[0]), 5);
    source.tables.remove("bqx_d");
    source
}

#[test]
fn all_keys_are_planned_for_the_months_they_have() {
    let source = uneven();
    assert_eq!(planned(&[], &source, &[]).unwrap(), ["a 2017-01", "a 2017-02", "a 2017-03", "b 2017-02"]);
    let from = [("PARTITIONS__FROM", "2017-02"), ("PARTITIONS__TO", "2018-01")];
    assert_eq!(planned(&from, &source, &[]).unwrap(), ["a 2017-02", "a 2017-03", "b 2017-02"]);
}

#[test]
fn listed_keys_are_planned_for_every_month_that_is_wanted() {
    let source = uneven();
    let listed = ("PARTITIONS__KEYS", "[\"b\", \"a\"]");
    let closed = [listed, ("PARTITIONS__FROM", "2017-02"), ("PARTITIONS__TO", "2017-03")];
    assert_eq!(planned(&closed, &source, &[]).unwrap(), ["b 2017-02", "b 2017-03", "a 2017-02", "a 2017-03"]);
    let latest = planned(&[listed], &source, &[]).unwrap();
    assert_eq!(latest, ["b 2017-02", "b 2017-03", "a 2017-01", "a 2017-02", "a 2017-03"], "b is behind");
    let unknown = [("PARTITIONS__KEYS", "[\"x\"]"), closed[1], closed[2]];
    assert_eq!(planned(&unknown, &source, &[]).unwrap(), ["x 2017-02", "x 2017-03"]);
}

#[test]
fn a_selection_takes_keys_months_ranges_and_globs() {
    let source = uneven();
    for (only, expected) in [
        (&["b"][..], &["b 2017-02"][..]),
        (&["a:2017-03", "a:2017-01"], &["a 2017-01", "a 2017-03"]),
        (&["a:2017-03", "b"], &["a 2017-03", "b 2017-02"]),
        (&["a:..2017-02"], &["a 2017-01", "a 2017-02"]),
        (&[":2017-02"], &["a 2017-02", "b 2017-02"]),
        (&["*:2017-0[23]"], &["a 2017-02", "a 2017-03", "b 2017-02"]),
        (&["?:2017-02..", "a:2017-03"], &["a 2017-02", "a 2017-03", "b 2017-02"]),
        (&["b", "b:2017-02", "a:2017-01"], &["a 2017-01", "b 2017-02"]),
        // What a selector of several does not find is only a warning.
        (&["b", "b:2017-03", "x", "x*", "c"], &["b 2017-02"]),
    ] {
        assert_eq!(planned(&[], &source, only).unwrap(), expected, "{only:?}");
    }
    let listed = [("PARTITIONS__KEYS", "[\"b\", \"a\"]")];
    assert_eq!(planned(&listed, &source, &[":2017-02"]).unwrap(), ["b 2017-02", "a 2017-02"]);
    assert_eq!(planned(&listed, &source, &["[bc]"]).unwrap(), ["b 2017-02", "b 2017-03"]);
}

#[test]
fn a_selection_of_months_bounds_every_key() {
    let source = uneven();
    let planned = |only: &[&str], from: Option<&str>, to: Option<&str>| {
        let month = |text: &str| text.parse().unwrap();
        let only = only.iter().map(|text| text.parse().unwrap()).collect();
        let only = Selection::new(only, from.map(month), to.map(month)).unwrap();
        partitions(&config(&[]), &source, &MemorySink::default(), &only)
            .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    assert_eq!(planned(&[], Some("2017-02"), None).unwrap(), ["a 2017-02", "a 2017-03", "b 2017-02"]);
    assert_eq!(planned(&["a"], None, Some("2017-01")).unwrap(), ["a 2017-01"]);
    let error = planned(&["a"], Some("2018-01"), Some("2018-02")).unwrap_err();
    assert_eq!(error, "nothing is selected from 2018-01 to 2018-02; there is 2017-01 to 2017-03");
}

#[test]
fn a_selection_of_what_there_is_not_is_an_error() {
    let source = uneven();
    let error = |only: &[&str]| planned(&[], &source, only).unwrap_err().to_string();
    assert_eq!(error(&["x"]), "`x` selects nothing: this job has no key x; it has a, b, c");
    assert_eq!(error(&["x*"]), "`x*` selects nothing: no key of this job matches; it has a, b, c");
    assert_eq!(error(&["b:2017-03"]), "`b:2017-03` selects nothing: this job has only 2017-02 of b");
    assert_eq!(
        error(&["*:2018-01.."]),
        "`*:2018-01..` selects nothing: this job has 2017-01 to 2017-03 of what matches"
    );
    assert!(
        error(&["c"]).starts_with(
            "`c` selects nothing: no month of c between `from` and `to` of [partitions] has rows"
        )
    );
    assert!(
        error(&["c", "x"]).contains("`c` selects nothing") && error(&["c", "x"]).contains("; `x` selects")
    );
    let many: Vec<String> = (0..1000).map(|at| format!("x{at}")).collect();
    let error = error(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(error.ends_with("; 997 more selectors select nothing") && error.len() < 1000, "{error}");
    let listed = planned(&[("PARTITIONS__KEYS", "eurusd,gbpusd")], &source, &["eurusx"]).unwrap_err();
    assert!(listed.to_string().ends_with("no key eurusx; did you mean `eurusd`?"), "{listed}");
}

#[test]
fn a_job_about_nothing_is_an_error_that_says_where_to_look() {
    let error = |values: &[(&str, &str)], source: &MemorySource| {
        planned(values, source, &[]).unwrap_err().to_string()
    };
    let empty = error(&[], &MemorySource::default());
    assert!(
        empty.contains("no key with tables `m1_{key}` and `bqx_{key}`; import some bars first"),
        "{empty}"
    );
    let later = error(&[("PARTITIONS__FROM", "2020-01")], &uneven());
    assert!(later.contains("no month between `from` and `to` has rows"), "{later}");
}

#[test]
fn two_partitions_with_one_output_are_refused() {
    let source = uneven();
    for (pattern, part) in [
        ("reg_{key}_{yyyy}", "a 2017-01 of series `idx` and a 2017-02 of series `idx`"),
        ("reg_{yyyy}_{mm}", "a 2017-02 of series `idx` and b 2017-02 of series `idx`"),
        ("reg_bqx_{key}_{yyyy}_{mm}", "a 2017-01 of series `idx` and a 2017-01 of series `bqx`"),
    ] {
        let error = planned(&[("SERIES__IDX__FEATURES", pattern)], &source, &[]).unwrap_err().to_string();
        assert!(error.contains("would both be written to"), "{error}");
        assert!(error.contains(part), "{part}: {error}");
    }
    let selected = planned(&[("SERIES__IDX__FEATURES", "reg_{key}_{yyyy}")], &source, &["a:2017-01"]);
    assert!(selected.is_err(), "a selection does not hide it");
}

#[test]
fn a_selection_hides_no_collision_with_a_key_that_is_left_out() {
    let mut source = Bench::new(&[], &["a", "b"], &MONTHS[..1], 5).source;
    source.fill(&partition("a_2017_01", MONTHS[0]), 5);
    source.fill(&partition("bqx_b", MONTHS[1]), 5);
    for (pattern, only, part) in [
        // The outputs of all keys have one name.
        ("reg_{yyyy}_{mm}", "b", "would both be written to `reg_2017_01`"),
        // The output of a key is the source of another one, whichever of them is selected.
        ("m1_{key}_{yyyy}_{mm}", "a", "a 2017-01 of series `idx` would be written to `m1_a_2017_01`"),
        ("m1_{key}_{yyyy}_{mm}", "a_2017_01", "a 2017-01 of series `idx` would be written to `m1_a_2017_01`"),
        // The outputs of two series of two keys.
        ("reg_{key}_2017_01", "bqx_b", "b 2017-01 of series `bqx` and bqx_b 2017-02 of series `idx`"),
        ("reg_{key}_2017_01", "b", "b 2017-01 of series `bqx` and bqx_b 2017-02 of series `idx`"),
    ] {
        let error = planned(&[("SERIES__IDX__FEATURES", pattern)], &source, &[only]).unwrap_err().to_string();
        assert!(error.contains(part), "{pattern} --only {only}: {error}");
    }
    // Names that could meet and do not: the other key has no such month.
    let pattern = [("SERIES__IDX__FEATURES", "reg_{key}_{yyyy}_{mm}")];
    for (month, meets) in [(MONTHS[1], false), (MONTHS[0], true)] {
        let mut source = Bench::new(&[], &["a", "b"], &MONTHS[..1], 5).source;
        source.fill(&partition("bqx_a", month), 5);
        assert_eq!(planned(&pattern, &source, &["a"]).is_err(), meets, "{month}");
    }
}

#[test]
fn a_selection_hides_no_collision_of_a_table_of_fits_with_a_view() {
    let source = Bench::new(&[], &["a", "fit_a"], &MONTHS[..1], 5).source;
    let pattern = ("SERIES__IDX__FEATURES", "{key}_{yyyy}_{mm}");
    for only in ["a", "fit_a"] {
        assert!(planned(&[pattern], &source, &[only]).is_ok());
        let error = planned(&[pattern, ("STORE__LAYOUT", "fits")], &source, &[only]).unwrap_err().to_string();
        assert!(error.contains("`fit_a_2017_01`"), "--only {only}: {error}");
    }
}

#[test]
fn outputs_are_told_apart_also_where_patterns_run_together() {
    let config: JobConfig = config(&[("SERIES__IDX__FEATURES", "x_{key}{yyyy}_{mm}")]);
    let partitions = [partition("a", "2017-01"), partition("a2", "0170-01")];
    assert!(config.check_outputs(partitions.iter()).is_ok());
    let partitions = [partition("a", "2017-01"), partition("a", "2017-01")];
    assert!(config.check_outputs(partitions.iter()).is_err());
}

/// The month of which a key has rows, or that it cannot be known.
type MonthOfKey = fn(&str) -> Result<Month, StoreError>;

/// A source with a month of rows of every key, which counts what it is asked.
#[derive(Default)]
struct CountingSource {
    keys: usize,
    listed: AtomicUsize,
    asked: AtomicUsize,
    /// Whether it cannot be reached when rows are to be estimated.
    is_away: bool,
    /// The month of a key, where it is another one.
    month_of: Option<MonthOfKey>,
}

impl CountingSource {
    fn count(&self) -> (usize, usize) {
        (self.listed.swap(0, Ordering::Relaxed), self.asked.swap(0, Ordering::Relaxed))
    }
}

impl Source for CountingSource {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        Ok((0..self.keys).flat_map(|at| [format!("m1_k{at:06}"), format!("bqx_k{at:06}")]).collect())
    }

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let month = self.month_of.map_or_else(|| Ok(MONTHS[0].parse().unwrap()), |of| of(series.key))?;
        Ok(Some((month, month)))
    }

    fn estimate_rows(&self, _series: &SeriesOfKey<'_>, _period: Period) -> Result<u64, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_away { Err(StoreError::unconnected(Fault::Transient, "no answer")) } else { Ok(5) }
    }

    fn snapshot(
        &self,
        _series: &[SeriesOfKey<'_>],
        _period: Period,
        _lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(StoreError::permanent("a plan of partitions reads no rows"))
    }
}

#[test]
fn ten_times_the_keys_ask_the_store_ten_times_as_much() {
    // A search among all keys for each of them would take minutes.
    for keys in [2_500, 25_000] {
        let source = CountingSource { keys, ..CountingSource::default() };
        let planned = |config: &JobConfig, only: &[String]| {
            let only: Selection = only.iter().map(|text| text.parse().unwrap()).collect();
            partitions(config, &source, &MemorySink::default(), &only).unwrap().len()
        };
        assert_eq!(planned(&config(&[]), &[]), keys);
        assert_eq!(source.count(), (1, keys), "all");
        assert_eq!(planned(&config(&[]), &["k000007".to_owned(), format!("k000008:{}", MONTHS[0])]), 2);
        assert_eq!(source.count(), (1, 2), "of a selection, its keys");
        let listed: Vec<String> = (0..keys).map(|at| format!("k{at:06}")).collect();
        let months = [("PARTITIONS__FROM", MONTHS[0]), ("PARTITIONS__TO", MONTHS[0])];
        let config = config(&[&[("PARTITIONS__KEYS", listed.join(",").as_str())][..], &months].concat());
        assert_eq!(planned(&config, &[]), keys);
        assert_eq!(planned(&config, &listed), keys);
        assert_eq!(planned(&config, &["k000007".to_owned(), format!("k000008:{}", MONTHS[0])]), 2);
        assert_eq!(source.count(), (0, 0), "listed");
        let only = Selection::from_iter(["nokey".parse().unwrap()]);
        let error = partitions(&config, &source, &MemorySink::default(), &only).unwrap_err().to_string();
        assert!(error.ends_with(&format!("k000009 and {} more", keys - 10)) && error.len() < 300, "{error}");
    }
}

/// The number of a key of [`CountingSource`].
fn number(key: &str) -> usize {
    key[1..].parse().unwrap()
}

/// The month of a key: another one for each of twelve, and none for every hundredth, which cannot be read.
fn month_of(key: &str) -> Result<Month, StoreError> {
    let number = number(key);
    if number % 100 == 7 {
        return Err(StoreError::permanent("damaged"));
    }
    Ok(format!("2017-{:02}", number % 12 + 1).parse().unwrap())
}

#[test]
fn many_keys_are_planned_in_order_each_for_its_own_months() {
    let source = CountingSource { keys: 500, month_of: Some(month_of), ..CountingSource::default() };
    let planned = partitions(&config(&[]), &source, &MemorySink::default(), &Selection::default()).unwrap();
    let of_key = |at: usize| {
        let key = format!("k{at:06}");
        // Of a key that cannot be read all months of the others are planned, and fail.
        let months = month_of(&key).map_or_else(|_| (1..=12).collect(), |_| vec![at % 12 + 1]);
        months.into_iter().map(move |month| format!("{key} 2017-{month:02}"))
    };
    let expected: Vec<String> = (0..500).flat_map(of_key).collect();
    assert_eq!(planned.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn where_the_store_is_lost_on_the_way_the_first_key_that_it_lacks_says_so() {
    let month_until_lost = |key: &str| match number(key) {
        0..3 => month_of(key),
        _ => Err(StoreError::unconnected(Fault::Transient, format!("no answer about {key}"))),
    };
    let source = CountingSource { keys: 500, month_of: Some(month_until_lost), ..CountingSource::default() };
    let error = partitions(&config(&[]), &source, &MemorySink::default(), &Selection::default())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "no answer about k000003");
}

/// How often the source is asked while states are looked up, where every look but the `passes`-th fails with `error`; and what
/// the last partition is reported with.
fn looks(retry_for_s: &str, passes: usize, error: fn() -> StoreError) -> (usize, String) {
    let mut bench = Bench::new(&[("RUN__RETRY_FOR_S", retry_for_s)], &["a", "b"], &MONTHS, 5);
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    bench.source.fault = Some(Box::new(move |_| {
        let look = counted.fetch_add(1, Ordering::SeqCst) + 1;
        if look == passes { Ok(()) } else { Err(error()) }
    }));
    let planned = assess(&bench.job(), &bench.partitions());
    assert_eq!(planned.len(), 6);
    (looks.load(Ordering::SeqCst), planned[5].cause.clone())
}

#[test]
fn a_store_that_is_away_is_not_waited_for_once_a_partition() {
    let away = || StoreError::unconnected(Fault::Transient, "no answer");
    let (count, cause) = looks("0", 0, away);
    assert_eq!(count, 1);
    assert_eq!(cause, "not tried, because the store has not been reached since: no answer");
    // It may still come back, it was there in between, or it is there and fails otherwise.
    assert_eq!(looks("120", 0, away), (6, "no answer".to_owned()));
    assert_eq!(looks("0", 1, away).0, 2);
    assert_eq!(looks("0", 0, transient), (6, "the store is busy".to_owned()));
}

/// How often the source is asked for rows while the sink, which is there, is asked too; and the bytes that come of it.
fn estimates(retry_for_s: &str, is_away: bool) -> (usize, u64) {
    let bench = Bench::new(&[("RUN__RETRY_FOR_S", retry_for_s)], &["a", "b"], &MONTHS, 5);
    let source = CountingSource { is_away, ..CountingSource::default() };
    let bytes = estimate_missing_bytes(&Job { source: &source, ..bench.job() }, &bench.partitions());
    (source.count().1, bytes)
}

#[test]
fn a_sink_that_is_there_says_nothing_of_a_source_that_is_away() {
    assert_eq!(estimates("0", true), (1, 0));
    // It may still come back, or it is there.
    assert_eq!(estimates("120", true), (12, 0));
    assert_eq!(estimates("0", false), (12, 300));
}
