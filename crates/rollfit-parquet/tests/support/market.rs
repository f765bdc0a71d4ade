//! A small market: bars of two keys, imported into a store, and the job that fits them.

use std::path::Path;

use rollfit_bars::{BarFile, FileReport, KeyBars, Lines, merge};
use rollfit_job::Job;
use rollfit_job::config::{JobConfig, Workers};
use rollfit_job::import::{Bar, BarsOptions, KeyReport};
use rollfit_job::plan::partitions;
use rollfit_job::run::{Outcome, RunOptions, RunReport, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{BarsImport, SeriesRows, Source, StoreError};
use rollfit_job::watch::Unseen;
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetImport, ParquetStore};
use rollfit_testkit::market;

use super::script::Unsynced;

pub(crate) use rollfit_testkit::market::{MINUTE_US, Silent, partition};

pub(crate) const KEYS: [&str; 2] = ["aaa", "bbb"];
pub(crate) const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

/// The job, with a single worker's order of operations.
pub(crate) fn config() -> JobConfig {
    config_with(&[])
}

/// The job with other values, such as `("STORE__COMPRESSION", "zstd")`.
pub(crate) fn config_with(values: &[(&str, &str)]) -> JobConfig {
    market::config(&[&[("STORE__URL", "parquet:."), ("RUN__JOIN_LOSS_MAX", "1")], values].concat())
}

/// `rows` bars from the start of each of the months on, in prices that depend on `version`.
pub(crate) fn bars(key: &str, months: &[&str], rows: usize, version: u32) -> KeyBars {
    let month = |month: &&str| {
        let start_us = partition(key, month).period.span_us().start;
        (0..rows).map(move |row| bar(start_us + row as i64 * MINUTE_US, row, version))
    };
    let bars: Vec<Bar> = months.iter().flat_map(month).collect();
    key_bars(key, bars)
}

fn bar(instant_us: i64, row: usize, version: u32) -> Bar {
    let step = (row * 7919 % 101) as f64;
    Bar { instant_us, close: 1.05 + step * 1e-5 + f64::from(version) / 3e7 }
}

pub(crate) fn key_bars(key: &str, bars: Vec<Bar>) -> KeyBars {
    let file = BarFile {
        path: format!("{key}.csv").into(),
        key: key.to_owned(),
        bars,
        columns: Vec::new(),
        lines: Lines::default(),
        report: FileReport::default(),
        symbol: None,
    };
    merge(vec![file], false).unwrap().remove(key).unwrap()
}

/// Imports bars, replacing what is there.
pub(crate) fn import(
    dir: &Path,
    keys: &[KeyBars],
    files: &dyn FileSystem,
) -> Result<Vec<KeyReport>, StoreError> {
    let options = BarsOptions { base_from_us: None, rebase: true, replace: true };
    let mut import = ParquetImport::begin(dir, options, files)?;
    let reports = KEYS.iter().zip(keys).map(|(key, bars)| import.add(key, bars)).collect::<Result<_, _>>()?;
    Box::new(import).commit()?;
    Ok(reports)
}

/// The bars of both keys.
pub(crate) fn all_bars(rows: usize, version: u32) -> Vec<KeyBars> {
    KEYS.iter().map(|key| bars(key, &MONTHS, rows, version)).collect()
}

/// Every row of every source table, as a reader of the store finds them; `None` where a table does not exist.
pub(crate) fn all_rows(dir: &Path) -> Vec<Option<SeriesRows>> {
    all_rows_with(dir, Box::new(OsFileSystem))
}

/// As [`all_rows`], through `files`.
pub(crate) fn all_rows_with(dir: &Path, files: Box<dyn FileSystem>) -> Vec<Option<SeriesRows>> {
    let config = config();
    let store = ParquetStore::open_with(dir, &config, files).unwrap();
    let mut found = Vec::new();
    for key in KEYS {
        for month in MONTHS {
            let partition = partition(key, month);
            let mut snapshot =
                store.snapshot(&config.series_of_key(&partition.key), partition.period, 0).ok();
            let span_us = partition.period.span_us();
            for series in 0..config.series.len() {
                let rows = snapshot.as_mut().map(|snapshot| snapshot.rows(series, span_us.clone()).unwrap());
                found.push(rows.filter(|rows| !rows.instants_us.is_empty()));
            }
        }
    }
    found
}

/// Runs the job on one worker.
pub(crate) fn run_all(dir: &Path, config: &JobConfig, files: Box<dyn FileSystem>) -> RunReport {
    let store = ParquetStore::open_with(dir, config, files).unwrap();
    let planned = partitions(config, &store, &store, &Selection::default()).unwrap();
    let job = Job { config, source: &store, sink: &store, workers: Workers::Fixed(1), machine: &Unseen };
    run(&job, &planned, &RunOptions::default(), &StopSignal::default(), &Silent)
}

/// Runs the job undisturbed and checks that nothing failed.
pub(crate) fn run_undisturbed(dir: &Path) -> RunReport {
    let report = run_all(dir, &config(), Box::new(Unsynced));
    for (partition, outcome) in &report.outcomes {
        assert!(
            matches!(outcome, Outcome::Written { .. } | Outcome::AlreadyDone),
            "{partition}: {outcome:?}"
        );
    }
    report
}

/// The errors of a run.
pub(crate) fn failures(report: &RunReport) -> Vec<String> {
    let failure = |outcome: &Outcome| match outcome {
        Outcome::Failed(error) => Some(rollfit_job::error_chain(error)),
        _ => None,
    };
    report.outcomes.iter().filter_map(|(_, outcome)| failure(outcome)).collect()
}
