//! Partitions that another runner holds or has just written.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rollfit_job::Job;
use rollfit_job::month::Month;
use rollfit_job::period::Period;
use rollfit_job::plan::assess;
use rollfit_job::run::{RunOptions, run};
use rollfit_job::state::State;
use rollfit_job::store::{SeriesOfKey, Snapshot, Source, StoreError};
use rollfit_testkit::market::{MINUTE_US, partition};
use rollfit_testkit::memory::StoredPartition;

use crate::bench::{Bench, MONTHS, Record, outcomes};

#[test]
fn what_another_runner_wrote_before_the_claim_is_not_written_again() {
    let mut bench = Bench::new(&[], &["a"], &["2017-01"], 20);
    bench.run();
    let old = bench.sink.stored(&partition("a", "2017-01"));
    bench.source.table("m1_a").values[3] += 1.0;
    assert_eq!(outcomes(&bench.run()), ["written"]);
    let new = bench.sink.stored(&partition("a", "2017-01"));
    bench.sink.stored.lock().unwrap().insert("a/2017-01".to_owned(), old);
    *bench.sink.meanwhile.lock().unwrap() = Some(new.clone());
    let report = bench.run();
    assert_eq!(outcomes(&report), ["written by another"]);
    assert_eq!((report.source_reads, report.seen_held), (1, 1), "it is not read again");
    assert_eq!(bench.sink.stored(&partition("a", "2017-01")), new);
}

#[test]
fn a_held_partition_is_tried_again_at_the_end() {
    let bench = Bench::new(&[("RUN__LOCK_WAIT_S", "30")], &["a"], &MONTHS, 20);
    bench.sink.held.lock().unwrap().insert("a/2017-01".to_owned(), 2);
    let record = Record::default();
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), ["written"; 3]);
    // Held, the others, still held, then free. No claim is taken to look.
    assert_eq!(*bench.sink.claims.lock().unwrap(), ["a 2017-02", "a 2017-03", "a 2017-01"]);
    assert_eq!(*record.ended.lock().unwrap(), ["a 2017-01", "a 2017-02", "a 2017-03", "a 2017-01"]);
    assert_eq!(
        *record.waited.lock().unwrap(),
        ["a 2017-01"],
        "what is waited for is told, once there is nothing else to do"
    );
    assert_eq!(
        (report.source_reads, report.seen_held),
        (3, 1),
        "what is held is not read, and is counted once"
    );
}

#[test]
fn a_partition_held_for_too_long_is_reported_with_its_holder() {
    for lock_wait in ["0", "0.5"] {
        let bench = Bench::new(&[("RUN__LOCK_WAIT_S", lock_wait)], &["a"], &MONTHS, 20);
        bench.sink.held.lock().unwrap().insert("a/2017-02".to_owned(), usize::MAX);
        let started = Instant::now();
        assert_eq!(outcomes(&bench.run()), ["written", "held by another runner", "written"]);
        let waited = Duration::from_secs_f64(lock_wait.parse().unwrap());
        assert!(started.elapsed() >= waited && started.elapsed() < Duration::from_secs(20));
    }
}

/// A source that gets a row once it is read; another runner commits the features of all rows at that moment.
struct Overtaken<'a> {
    bench: &'a Bench,
    /// What that one commits, and the row.
    overtaking: Mutex<Option<(StoredPartition, Option<i64>)>>,
}

impl Source for Overtaken<'_> {
    fn kind(&self) -> &'static str {
        self.bench.source.kind()
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        self.bench.source.tables()
    }

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        self.bench.source.months(series)
    }

    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        self.bench.source.estimate_rows(series, period)
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        let before = self.bench.source.snapshot(series, period, lookback_rows)?;
        if let Some((newer, instant_us)) = self.overtaking.lock().unwrap().take() {
            if let Some(instant_us) = instant_us {
                ["m1_a", "bqx_a"].iter().for_each(|table| self.bench.source.insert(table, instant_us, 100.5));
            }
            self.bench.sink.stored.lock().unwrap().insert("a/2017-01".to_owned(), newer);
        }
        Ok(before)
    }
}

/// A month of 200 rows that is done, and then `new_rows` more.
fn grown(new_rows: i64) -> Bench {
    let mut bench = Bench::new(&[("PARTITIONS__TO", "2017-01")], &["a"], &["2017-01"], 200);
    bench.sink.can_append = true;
    bench.run();
    for row in 1..=new_rows {
        let instant_us = last_us() + row;
        ["m1_a", "bqx_a"].iter().for_each(|table| bench.source.insert(table, instant_us, 100.5));
    }
    bench
}

fn last_us() -> i64 {
    partition("a", "2017-01").period.span_us().start + 199 * MINUTE_US
}

#[test]
fn what_another_runner_made_of_a_newer_source_is_not_taken_for_a_change() {
    let month = [partition("a", "2017-01")];
    let other = grown(2);
    other.run();
    let newer = other.sink.stored(&month[0]);
    for new_rows in [0, 1] {
        let overtaken = |bench: &Bench, act: &dyn Fn(&Job<'_>)| {
            let overtaking = if new_rows == 0 { None } else { Some(last_us() + 2) };
            let source = Overtaken { bench, overtaking: Mutex::new(Some((newer.clone(), overtaking))) };
            act(&Job { source: &source, ..bench.job() });
        };
        let bench = grown(new_rows);
        overtaken(&bench, &|job| {
            let report = run(job, &month, &RunOptions::default(), &bench.stop, &Record::default());
            let wanted = if new_rows == 0 { "already done" } else { "written by another" };
            assert_eq!(outcomes(&report), [wanted], "{new_rows}");
        });
        assert_eq!(bench.sink.stored(&month[0]), newer, "{new_rows}");

        let bench = grown(new_rows);
        overtaken(&bench, &|job| {
            let wanted = if new_rows == 0 { State::Done } else { State::Grown };
            assert_eq!(assess(job, &month)[0].state, Some(wanted));
        });
    }
}
