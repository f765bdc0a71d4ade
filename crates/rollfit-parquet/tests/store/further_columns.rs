//! What an import writes into source tables: instants in UTC, further columns beside the closes, and nothing of what was
//! stored lost, whichever version wrote it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rollfit_job::import::{BarsOptions, KeyReport, NewBars};
use rollfit_job::run::Outcome;
use rollfit_job::store::{BarsImport, StoreError};
use rollfit_parquet::{OsFileSystem, ParquetImport};
use rollfit_testkit::bars::TestBars;
use tempfile::TempDir;

use crate::support::market::{MONTHS, all_rows, config_with, failures, partition, run_all, run_undisturbed};
use crate::support::{assert_says, tree};

const NONE: f64 = f64::NAN;
const KEEP: BarsOptions = BarsOptions { base_from_us: None, rebase: false, replace: false };
const REPLACE: BarsOptions = BarsOptions { replace: true, ..KEEP };
const REBASE: BarsOptions = BarsOptions { rebase: true, ..KEEP };

// ---------------------------------------------------------------------------------------------- helpers

/// Imports the bars of one key.
fn import(dir: &Path, options: BarsOptions, bars: &dyn NewBars) -> Result<KeyReport, StoreError> {
    let mut import = ParquetImport::begin(dir, options, &OsFileSystem)?;
    let report = import.add("aaa", bars)?;
    Box::new(import).commit()?;
    Ok(report)
}

/// A store with these bars.
fn store_with(bars: &dyn NewBars) -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), KEEP, bars).unwrap();
    dir
}

fn start_us(month: &str) -> i64 {
    partition("aaa", month).period.span_us().start
}

/// Twenty bars of the first month and twenty of the second.
fn two_months() -> TestBars {
    let closes: Vec<f64> = (0..20).map(|row| 1.1 + f64::from(row * 7 % 20) / 1e4).collect();
    let [mut bars, second] = MONTHS.map(|month| TestBars::new(start_us(month), &closes));
    bars.bars.extend(second.bars);
    bars
}

/// Some of those bars.
fn part(rows: std::ops::Range<usize>) -> TestBars {
    TestBars { bars: two_months().bars[rows].to_vec(), ..TestBars::default() }
}

/// The values of each further column of the table, all months, in the order of the first file.
fn further(dir: &Path) -> Vec<(String, Vec<f64>)> {
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for month in MONTHS {
        let path = dir.join(format!("sources/m1_aaa/{month}.parquet"));
        let Ok(file) = File::open(path) else { continue };
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names[..3], ["time", "close", "rate_index"]);
        columns.resize_with(names.len() - 3, Default::default);
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            for (at, (name, values)) in columns.iter_mut().enumerate() {
                assert!(name.is_empty() || *name == names[at + 3]);
                name.clone_from(&names[at + 3]);
                let column = batch.column(at + 3).as_primitive::<Float64Type>();
                values.extend(column.iter().map(|value| value.unwrap_or(NONE)));
            }
        }
    }
    columns
}

#[track_caller]
fn assert_column(dir: &Path, name: &str, wanted: &[f64]) {
    let columns = further(dir);
    let (_, values) = columns.iter().find(|(known, _)| known == name).unwrap();
    let bits = |values: &[f64]| -> Vec<_> {
        values.iter().map(|value| (!value.is_nan()).then_some(value.to_bits())).collect()
    };
    assert_eq!(bits(values), bits(wanted));
}

/// Writes a file of a table anew, with other columns, as another program does that keeps the footer's metadata.
fn rewrite(path: &Path, change: impl Fn(Vec<(String, ArrayRef)>) -> Vec<(String, ArrayRef)>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let entries = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let base: Vec<KeyValue> = entries.into_iter().filter(|entry| entry.key == "rollfit.base").collect();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let names = batch.schema();
    let columns =
        names.fields().iter().map(|field| field.name().clone()).zip(batch.columns().iter().cloned());
    let batch = RecordBatch::try_from_iter(change(columns.collect())).unwrap();
    let properties = WriterProperties::builder().set_key_value_metadata(Some(base)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Makes the times of a month naive, as versions before wrote them.
fn make_naive(dir: &Path, month: &str) {
    rewrite(&dir.join(format!("sources/m1_aaa/{month}.parquet")), |mut columns| {
        let times = columns[0].1.as_primitive::<TimestampMicrosecondType>().clone();
        columns[0].1 = Arc::new(times.with_timezone_opt(None::<&str>));
        columns
    });
}

/// How each month's time column says that it is UTC, if it does.
fn zones(dir: &Path) -> Vec<String> {
    let zone = |month: &str| {
        let file = File::open(dir.join(format!("sources/m1_aaa/{month}.parquet"))).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        reader.schema().field(0).data_type().to_string()
    };
    MONTHS.iter().map(|month| zone(month)).collect()
}

// ------------------------------------------------------------------------------------------------- instants

#[test]
fn the_times_of_both_tables_say_that_they_are_utc() {
    let dir = store_with(&two_months());
    assert_eq!(zones(dir.path()), ["Timestamp(µs, \"UTC\")"; 2]);
}

#[test]
fn a_store_with_naive_times_is_read_as_utc_and_written_anew_once() {
    let bars = two_months();
    let fresh = store_with(&bars);
    run_undisturbed(fresh.path());
    for naive in [&MONTHS[..], &MONTHS[..1], &MONTHS[1..]] {
        let dir = store_with(&bars);
        naive.iter().for_each(|month| make_naive(dir.path(), month));
        assert!(zones(dir.path()).contains(&"Timestamp(µs)".to_owned()));
        assert!(all_rows(dir.path()) == all_rows(fresh.path()));
        run_undisturbed(dir.path());
        let again = import(dir.path(), KEEP, &bars).unwrap();
        assert_eq!((again.unchanged, again.files_written), (40, naive.len()));
        assert_eq!(import(dir.path(), KEEP, &bars).unwrap().files_written, 0);
        // The features that were made of naive times have the receipts of those made of UTC.
        assert!(tree(dir.path()) == tree(fresh.path()));
        let report = run_all(dir.path(), &config_with(&[]), Box::new(OsFileSystem));
        assert!(report.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::AlreadyDone)));
    }
}

#[test]
fn a_store_with_naive_times_is_added_to() {
    let dir = store_with(&part(0..20));
    make_naive(dir.path(), MONTHS[0]);
    let report = import(dir.path(), KEEP, &part(20..40)).unwrap();
    assert_eq!((report.added, report.total), (20, 40));
    assert!(tree(dir.path()) == tree(store_with(&two_months()).path()));
}

// -------------------------------------------------------------------------------------------------- columns

#[test]
fn columns_come_with_the_bars_and_may_be_without_values() {
    let volume: Vec<f64> = (0..40).map(|row| if row < 20 { NONE } else { f64::from(row) }).collect();
    let bars = two_months().with("volume", &volume).with("open", &[NONE; 40]);
    let dir = store_with(&bars);
    let names: Vec<String> = further(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["open", "volume"]);
    assert_column(dir.path(), "volume", &volume);
    assert_column(dir.path(), "open", &[NONE; 40]);
    assert_eq!(import(dir.path(), KEEP, &bars).unwrap().files_written, 0);
    let plain = store_with(&two_months());
    assert!(all_rows(dir.path()) == all_rows(plain.path()));
}

#[test]
fn a_column_that_comes_later_fills_stored_bars_and_changes_no_features() {
    let dir = store_with(&two_months());
    run_undisturbed(dir.path());
    let late = part(30..40).with("volume", &[7.0; 10]);
    let report = import(dir.path(), KEEP, &late).unwrap();
    assert_eq!((report.added, report.unchanged, report.filled, report.replaced), (0, 0, 10, 0));
    assert_eq!(report.files_written, 2);
    assert_column(dir.path(), "volume", &[[NONE; 30].as_slice(), &[7.0; 10]].concat());
    let again = import(dir.path(), KEEP, &late).unwrap();
    assert_eq!((again.unchanged, again.filled, again.files_written), (10, 0, 0));
    let run = run_all(dir.path(), &config_with(&[]), Box::new(OsFileSystem));
    assert!(run.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::AlreadyDone)));
}

#[test]
fn no_import_without_columns_loses_them() {
    let volume: Vec<f64> = (0..40).map(f64::from).collect();
    let all = two_months();
    let whole = store_with(&all.clone().with("volume", &volume));
    assert_eq!(import(whole.path(), KEEP, &all).unwrap().files_written, 0);
    assert_eq!(import(whole.path(), REPLACE, &all).unwrap().files_written, 0);
    // Months before the stored ones, with another base.
    let dir = store_with(&part(20..40).with("volume", &volume[20..]));
    import(dir.path(), REBASE, &part(0..20)).unwrap();
    assert_column(dir.path(), "volume", &[[NONE; 20].as_slice(), &volume[20..]].concat());
    // The order in which things come does not matter.
    import(dir.path(), KEEP, &all.clone().with("volume", &volume)).unwrap();
    assert!(tree(dir.path()) == tree(whole.path()));
}

#[test]
fn a_replaced_close_takes_the_further_values_of_its_bar_along() {
    let volume: Vec<f64> = (0..40).map(f64::from).collect();
    let dir = store_with(&two_months().with("volume", &volume));
    let mut changed = two_months();
    changed.bars[3].close = 1.5;
    import(dir.path(), KEEP, &changed).unwrap_err();
    assert_column(dir.path(), "volume", &volume);
    let report = import(dir.path(), REPLACE, &changed).unwrap();
    assert_eq!((report.replaced, report.unchanged), (1, 39));
    let mut wanted = volume.clone();
    wanted[3] = NONE;
    assert_column(dir.path(), "volume", &wanted);
    // And comes back with the file that has it.
    import(dir.path(), KEEP, &changed.with("volume", &volume)).unwrap();
    assert_column(dir.path(), "volume", &volume);
}

#[test]
fn another_value_stops_the_import_and_changes_nothing() {
    let volume: Vec<f64> = (0..40).map(f64::from).collect();
    let dir = store_with(&two_months().with("volume", &volume));
    let before = tree(dir.path());
    let mut other = volume.clone();
    other[25] = 0.5;
    let bars = two_months().with("volume", &other);
    let error = import(dir.path(), KEEP, &bars).unwrap_err().to_string();
    assert_says(&error, &["line 26", "column `volume` of aaa", "0.5 there and 25 in the store", "--replace"]);
    assert!(tree(dir.path()) == before);
    assert_eq!(import(dir.path(), REPLACE, &bars).unwrap().replaced, 1);
    assert_column(dir.path(), "volume", &other);
    // A file that has no value there says nothing.
    other[25] = NONE;
    assert_eq!(import(dir.path(), KEEP, &two_months().with("volume", &other)).unwrap().files_written, 0);
}

#[test]
fn names_are_only_names() {
    let strange = ["Ask Volume", "a.b", "close.x", "größe", "\"", "ts_utc", "-"];
    let bars = strange.iter().fold(two_months(), |bars, name| bars.with(name, &[1.5; 40]));
    let dir = store_with(&bars);
    assert_eq!(import(dir.path(), KEEP, &two_months()).unwrap().files_written, 0);
    strange.iter().for_each(|name| assert_column(dir.path(), name, &[1.5; 40]));
    assert_eq!(failures(&run_all(dir.path(), &config_with(&[]), Box::new(OsFileSystem))), [""; 0]);
    for name in ["close", "TIME", "", "a\0"] {
        let empty = TempDir::new().unwrap();
        let error = import(empty.path(), KEEP, &two_months().with(name, &[1.0; 40])).unwrap_err();
        assert_says(&error.to_string(), &["cannot be imported"]);
        assert!(tree(empty.path()).keys().all(|path| !path.ends_with(".parquet")));
    }
}

#[test]
fn a_column_that_an_import_would_lose_stops_it() {
    let dir = store_with(&two_months());
    let path = dir.path().join("sources/m1_aaa/2017-01.parquet");
    rewrite(&path, |mut columns| {
        let ids: ArrayRef = Arc::new((0..20).map(|row| (1 << 60) + row).collect::<Int64Array>());
        columns.push(("id".to_owned(), ids));
        columns
    });
    let before = tree(dir.path());
    let error = import(dir.path(), KEEP, &two_months()).unwrap_err().to_string();
    assert_says(&error, &["2017-01.parquet", "`id` is Int64", "doubles only"]);
    assert!(tree(dir.path()) == before);
    // One of doubles is a further column, of whichever program.
    rewrite(&path, |mut columns| {
        columns[3] = ("score".to_owned(), columns[1].1.clone());
        columns
    });
    import(dir.path(), KEEP, &two_months()).unwrap();
    let closes: Vec<f64> = two_months().bars[..20].iter().map(|bar| bar.close).collect();
    assert_column(dir.path(), "score", &[closes.as_slice(), &[NONE; 20]].concat());
}

#[test]
fn a_job_can_fit_a_further_column() {
    let volume: Vec<f64> = (0..40).map(|row| if row % 10 == 4 { NONE } else { f64::from(row) }).collect();
    let dir = store_with(&two_months().with("volume", &volume));
    let config = config_with(&[("SERIES__IDX__VALUE", "volume")]);
    let report = run_all(dir.path(), &config, Box::new(OsFileSystem));
    assert_eq!(failures(&report), [""; 0]);
    let file = File::open(dir.path().join("features/key=aaa/month=2017-02/part.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let valued: usize = batches
        .map(|batch| {
            let batch = batch.unwrap();
            let column = batch.column_by_name("a2_idx_w3").unwrap();
            column.len() - column.null_count()
        })
        .sum();
    // 18 windows of three rows, less those over a bar without volume: rows 4 and 14, three windows each.
    assert_eq!(valued, 12);
}
