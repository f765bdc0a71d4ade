//! Source tables as users drop them in: whatever Parquet writer, types and files they come from, the rows are right or
//! an error says what is wrong; damaged bytes never end in a panic; a snapshot keeps what it began with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::types::{ArrowPrimitiveType, Decimal32Type, Decimal64Type, Decimal256Type};
use arrow_array::{
    Array, ArrayRef, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt8Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use rollfit_job::config::JobConfig;
use rollfit_job::error_chain;
use rollfit_job::keys::FoundKeys;
use rollfit_job::store::{Fault, SeriesRows, Sink, Snapshot, Source, StoreError};
use rollfit_parquet::{OsFileSystem, ParquetStore};
use tempfile::TempDir;

use crate::support::market::{
    MINUTE_US, MONTHS, all_bars, all_rows, bars, config, import, partition, run_undisturbed,
};
use crate::support::{assert_says, copy_tree};

// ---------------------------------------------------------------------------------------------- helpers

const CONFIG: &str = r#"
[store]
url = "parquet:."
[partitions]
keys = ["k"]
from = "first"
to = "latest"
[series.y]
table = "t_{key}"
time = "time"
value = "value"
features = "f_{key}_{yyyy}_{mm}"
[windows]
w3 = 3
"#;

/// A store with the one source table `t_k`.
struct Table {
    dir: TempDir,
    config: JobConfig,
}

impl Table {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("sources/t_k")).unwrap();
        Self { dir, config: JobConfig::parse(CONFIG, []).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("sources/t_k").join(name)
    }

    fn write(&self, name: &str, columns: &[(&str, ArrayRef)]) -> &Self {
        self.write_with(name, columns, WriterProperties::builder())
    }

    fn write_with(&self, name: &str, columns: &[(&str, ArrayRef)], how: WriterPropertiesBuilder) -> &Self {
        let batch = RecordBatch::try_from_iter(columns.to_vec()).unwrap();
        let file = File::create(self.path(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(how.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self
    }

    /// A file with these instants; the values are those of [`value_at`].
    fn with(&self, name: &str, instants_us: &[i64]) -> &Self {
        self.write(name, &[("time", micros(instants_us)), ("value", values_at(instants_us))])
    }

    fn store(&self) -> ParquetStore {
        ParquetStore::open(self.dir.path(), &self.config).unwrap()
    }

    fn snapshot(&self, month: &str) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store().snapshot(&self.config.series_of_key("k"), partition("k", month).period, 89)
    }

    fn rows_of(&self, month: &str) -> Result<SeriesRows, StoreError> {
        self.snapshot(month)?.rows(0, partition("k", month).period.span_us())
    }

    fn rows(&self) -> SeriesRows {
        self.rows_of("1970-01").unwrap()
    }

    fn before(&self, instant_us: i64, count: usize) -> Result<Vec<i64>, StoreError> {
        Ok(self.snapshot("1970-02")?.rows_before(0, instant_us, count)?.instants_us)
    }

    #[track_caller]
    fn assert_refused(&self, parts: &[&str]) {
        let error = self.rows_of("1970-01").expect_err("the table was read");
        assert_says(&error_chain(&error), parts);
    }
}

fn micros(instants_us: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(instants_us.to_vec()))
}

fn value_at(instant_us: i64) -> f64 {
    (instant_us as f64).sin()
}

fn values_at(instants_us: &[i64]) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(instants_us.iter().map(|&instant| value_at(instant))))
}

/// Rows at these instants, as [`Table::with`] writes them.
fn rows_at(instants_us: &[i64]) -> SeriesRows {
    SeriesRows {
        instants_us: instants_us.to_vec(),
        values: instants_us.iter().map(|&us| value_at(us)).collect(),
    }
}

fn minutes(range: std::ops::Range<i64>) -> Vec<i64> {
    range.map(|minute| minute * MINUTE_US).collect()
}

const DAY: i64 = 24 * 60;

// ------------------------------------------------------------------------------------------- many files

#[test]
fn the_rows_of_several_files_come_in_the_order_of_time() {
    let table = Table::new();
    table.with("a.parquet", &minutes(200..300)).with("b.parquet", &minutes(0..100));
    table.with("c.parquet", &minutes(100..200)).with("far.parquet", &minutes(90 * DAY..91 * DAY));
    assert_eq!(table.rows(), rows_at(&minutes(0..300)));
    assert_eq!(table.rows_of("1970-02").unwrap(), SeriesRows::default());
    assert_eq!(table.rows_of("1970-04").unwrap().instants_us.len(), DAY as usize);
}

#[test]
fn a_month_is_cut_out_of_files_that_reach_beyond_it() {
    let table = Table::new();
    table.with("a.parquet", &minutes(30 * DAY..32 * DAY));
    assert_eq!(table.rows(), rows_at(&minutes(30 * DAY..31 * DAY)));
    assert_eq!(table.rows_of("1970-02").unwrap(), rows_at(&minutes(31 * DAY..32 * DAY)));
    let months = table.store().months(&table.config.series[0].of_key("k")).unwrap().unwrap();
    assert_eq!((months.0.to_string(), months.1.to_string()), ("1970-01".to_owned(), "1970-02".to_owned()));
}

#[test]
fn one_big_file_of_many_row_groups_reads_the_same_with_and_without_statistics() {
    let instants = minutes(29 * DAY..33 * DAY);
    for statistics in [EnabledStatistics::Page, EnabledStatistics::Chunk, EnabledStatistics::None] {
        let table = Table::new();
        let how = WriterProperties::builder()
            .set_max_row_group_row_count(Some(100))
            .set_statistics_enabled(statistics);
        table.write_with("big.parquet", &[("time", micros(&instants)), ("value", values_at(&instants))], how);
        assert_eq!(table.rows(), rows_at(&minutes(29 * DAY..31 * DAY)), "{statistics:?}");
        assert_eq!(table.rows_of("1970-02").unwrap(), rows_at(&minutes(31 * DAY..33 * DAY)));
        assert_eq!(table.before(31 * DAY * MINUTE_US, 250).unwrap(), minutes(31 * DAY - 250..31 * DAY));
        let estimate = table
            .store()
            .estimate_rows(&table.config.series[0].of_key("k"), partition("k", "1970-01").period)
            .unwrap();
        assert!(estimate.abs_diff(2 * DAY as u64) <= 1, "{estimate}");
    }
}

#[test]
fn a_damaged_row_group_of_another_month_does_not_stop_this_one() {
    let table = Table::new();
    let instants = minutes(30 * DAY..32 * DAY);
    let how = WriterProperties::builder()
        .set_max_row_group_row_count(Some(DAY as usize))
        .set_compression(Compression::SNAPPY);
    table.write_with("big.parquet", &[("time", micros(&instants)), ("value", values_at(&instants))], how);
    let mut bytes = fs::read(table.path("big.parquet")).unwrap();
    bytes[4..400].fill(0xff);
    fs::write(table.path("big.parquet"), bytes).unwrap();
    table.assert_refused(&["big.parquet", "not a readable Parquet file"]);
    assert_eq!(table.rows_of("1970-02").unwrap(), rows_at(&minutes(31 * DAY..32 * DAY)));
}

#[test]
fn hidden_files_and_those_of_other_kinds_are_no_part_of_a_table() {
    let table = Table::new();
    table.with("a.parquet", &minutes(0..9)).with(".b.parquet", &minutes(9..12));
    table.with("_c.parquet", &minutes(9..12)).with(".a.parquet.tmp", &minutes(9..12));
    fs::write(table.path("README"), "about the rows").unwrap();
    fs::write(table.path("a.parquet.crc"), "1234").unwrap();
    fs::create_dir(table.path("old")).unwrap();
    assert_eq!(table.rows(), rows_at(&minutes(0..9)));
}

#[test]
fn an_empty_file_adds_no_rows_and_no_trouble() {
    let table = Table::new();
    table.with("empty.parquet", &[]);
    assert_eq!(table.rows(), SeriesRows::default());
    assert_eq!(table.store().months(&table.config.series[0].of_key("k")).unwrap(), None);
    table.with("full.parquet", &minutes(0..9));
    assert_eq!(table.rows(), rows_at(&minutes(0..9)));
}

#[test]
fn a_missing_table_is_named_with_the_series_that_wants_it() {
    let table = Table::new();
    fs::remove_dir(table.path("")).unwrap();
    table.assert_refused(&["t_k", "does not exist", "series `y`"]);
}

#[test]
fn keys_are_those_that_have_a_table_of_every_series() {
    let dir = TempDir::new().unwrap();
    for table in
        ["m1_b", "bqx_b", "m1_a", "bqx_a", "m1_only", "bqx_other", "m1_", "bqx_", "m1_.x", "bqx_.x", "else"]
    {
        fs::create_dir_all(dir.path().join("sources").join(table)).unwrap();
    }
    let config = config();
    assert_eq!(
        FoundKeys::list(&ParquetStore::open(dir.path(), &config).unwrap(), &config.series).unwrap().keys,
        ["a", "b"]
    );
    let empty = TempDir::new().unwrap();
    assert_eq!(
        FoundKeys::list(&ParquetStore::open(empty.path(), &config).unwrap(), &config.series).unwrap().keys,
        [""; 0]
    );
}

// ---------------------------------------------------------------------------------------------- types

#[test]
fn instants_of_every_unit_with_and_without_a_zone_are_the_same() {
    let instants = minutes(0..5);
    let scaled = |factor: f64| instants.iter().map(|&us| (us as f64 * factor) as i64).collect::<Vec<_>>();
    let (millis, nanos) = (scaled(1e-3), scaled(1e3));
    let columns: [ArrayRef; 8] = [
        Arc::new(TimestampMillisecondArray::from(millis.clone())),
        Arc::new(TimestampMillisecondArray::from(millis).with_timezone("UTC")),
        micros(&instants),
        Arc::new(TimestampMicrosecondArray::from(instants.clone()).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(instants.clone()).with_timezone("+00:00")),
        Arc::new(TimestampMicrosecondArray::from(instants.clone()).with_timezone("America/New_York")),
        Arc::new(TimestampNanosecondArray::from(nanos.clone())),
        Arc::new(TimestampNanosecondArray::from(nanos).with_timezone("UTC")),
    ];
    for column in columns {
        let table = Table::new();
        let kind = column.data_type().clone();
        table.write("a.parquet", &[("time", column), ("value", values_at(&instants))]);
        assert_eq!(table.rows(), rows_at(&instants), "{kind}");
    }
}

#[test]
fn the_files_of_a_table_may_have_different_types() {
    let table = Table::new();
    table.with("a.parquet", &minutes(0..3));
    let nanos = minutes(3..6).iter().map(|us| us * 1000).collect::<Vec<_>>();
    let whole: ArrayRef = Arc::new(Int32Array::from(vec![7, 8, 9]));
    table.write("b.parquet", &[("value", whole), ("time", Arc::new(TimestampNanosecondArray::from(nanos)))]);
    let rows = table.rows();
    assert_eq!((&rows.instants_us, &rows.values[3..]), (&minutes(0..6), &[7.0, 8.0, 9.0][..]));
}

#[test]
fn an_instant_finer_than_a_microsecond_is_refused() {
    for nanos in [1, -1, 999, 1001] {
        let table = Table::new();
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![0, 60_000_000_000 + nanos]));
        table.write("a.parquet", &[("time", time), ("value", values_at(&[0, 1]))]);
        table.assert_refused(&["a.parquet", "row 2", "ns is not a whole"]);
    }
}

#[test]
fn an_instant_beyond_what_can_be_counted_is_refused() {
    let table = Table::new();
    let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0, i64::MAX / 10]));
    table.write("a.parquet", &[("time", time), ("value", values_at(&[0, 1]))]);
    table.assert_refused(&["a.parquet", "row 2", "ms is not a whole number of microseconds"]);
}

#[track_caller]
fn assert_values(column: impl Array + 'static, wanted: &[f64]) {
    let table = Table::new();
    let kind = column.data_type().clone();
    let time = micros(&minutes(0..column.len() as i64));
    table.write("a.parquet", &[("time", time), ("value", Arc::new(column))]);
    let values = table.rows().values;
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&values), bits(wanted), "{kind}: {values:?} for {wanted:?}");
}

#[test]
fn numbers_of_every_type_become_doubles() {
    assert_values(Int8Array::from(vec![-128, 127]), &[-128.0, 127.0]);
    assert_values(Int16Array::from(vec![-32768, 5]), &[-32768.0, 5.0]);
    assert_values(
        Int64Array::from(vec![i64::MIN, (1 << 53) + 1]),
        &[i64::MIN as f64, 9_007_199_254_740_992.0],
    );
    assert_values(UInt8Array::from(vec![0, 255]), &[0.0, 255.0]);
    assert_values(UInt64Array::from(vec![u64::MAX, 1]), &[u64::MAX as f64, 1.0]);
    assert_values(Float32Array::from(vec![0.1, f32::MAX]), &[f64::from(0.1f32), f64::from(f32::MAX)]);
    assert_values(Float64Array::from(vec![0.1, -0.0, f64::INFINITY]), &[0.1, -0.0, f64::INFINITY]);
}

#[test]
fn nulls_and_nan_are_both_no_value() {
    assert_values(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]), &[1.5, f64::NAN, f64::NAN]);
    assert_values(Int32Array::from(vec![None, Some(3)]), &[f64::NAN, 3.0]);
}

#[test]
fn a_decimal_becomes_the_nearest_double() {
    let d32: PrimitiveArray<Decimal32Type> = Decimal32Array::from(vec![112_233, -5]);
    assert_values(d32.with_precision_and_scale(9, 5).unwrap(), &[1.12233, -0.00005]);
    let d64: PrimitiveArray<Decimal64Type> = Decimal64Array::from(vec![100_000_000_000_003, 7]);
    assert_values(d64.with_precision_and_scale(18, 3).unwrap(), &[100_000_000_000.003, 0.007]);
    let d128 = Decimal128Array::from(vec![Some(10_552_900_000_000_001), None, Some(-3)]);
    assert_values(
        d128.with_precision_and_scale(38, 16).unwrap(),
        &["1.0552900000000001".parse().unwrap(), f64::NAN, -3e-16],
    );
    let large = "-12345678901234567890123456789012345678";
    let d256 = Decimal256Array::from(vec![i256(large)]);
    assert_values(
        d256.with_precision_and_scale(60, 20).unwrap(),
        &[-123_456_789_012_345_678.901_234_567_890_123_456_78],
    );
}

fn i256(digits: &str) -> <Decimal256Type as ArrowPrimitiveType>::Native {
    digits.parse().unwrap()
}

#[test]
fn other_columns_and_their_order_do_not_matter() {
    let table = Table::new();
    let instants = minutes(0..50);
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(instants.iter().map(ToString::to_string)));
    let other: ArrayRef = Arc::new(Int32Array::from_iter_values(0..50));
    table.write(
        "a.parquet",
        &[
            ("value", values_at(&instants)),
            ("note", text),
            ("time", micros(&instants)),
            ("ts_utc", micros(&minutes(5..55))),
            ("volume", other),
        ],
    );
    assert_eq!(table.rows(), rows_at(&instants));
}

// --------------------------------------------------------------------------------------- what is refused

#[test]
fn a_missing_column_is_an_error_that_lists_those_there_are() {
    let table = Table::new();
    table.write("a.parquet", &[("time", micros(&[0])), ("close", values_at(&[0]))]);
    table.assert_refused(&["a.parquet", "column `value` does not exist", "time, close"]);
    let table = Table::new();
    table.write("a.parquet", &[("Time", micros(&[0])), ("value", values_at(&[0]))]);
    table.assert_refused(&["a.parquet", "column `time` does not exist", "Time, value"]);
}

#[test]
fn a_column_of_the_wrong_type_is_an_error_that_names_the_type() {
    let table = Table::new();
    table.write("a.parquet", &[("time", micros(&[0])), ("value", Arc::new(StringArray::from(vec!["1.5"])))]);
    table.assert_refused(&["a.parquet", "column `value` is Utf8", "not a number"]);
    let table = Table::new();
    table.write("a.parquet", &[("time", values_at(&[0])), ("value", values_at(&[0]))]);
    table.assert_refused(&["a.parquet", "column `time` is Float64", "not a timestamp"]);
}

#[test]
fn a_row_without_an_instant_is_refused() {
    let table = Table::new();
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]));
    table.write("a.parquet", &[("time", time), ("value", values_at(&[0, 1]))]);
    table.assert_refused(&["a.parquet", "column `time` has NULLs"]);
}

#[test]
fn unsorted_rows_are_refused_with_the_two_instants() {
    let table = Table::new();
    table.with("a.parquet", &[0, 2 * MINUTE_US, MINUTE_US]);
    table.assert_refused(&[
        "a.parquet",
        "1970-01-01T00:01:00Z comes after 1970-01-01T00:02:00Z",
        "sort the source table by time",
    ]);
}

#[test]
fn an_instant_that_stands_twice_is_refused_within_and_across_files() {
    let table = Table::new();
    table.with("a.parquet", &[0, MINUTE_US, MINUTE_US]);
    table.assert_refused(&["a.parquet", "1970-01-01T00:01:00Z occurs twice"]);
    let table = Table::new();
    table.with("a.parquet", &minutes(0..5)).with("b.parquet", &minutes(4..9));
    table.assert_refused(&["b.parquet", "1970-01-01T00:04:00Z occurs twice", "over all its files"]);
    let table = Table::new();
    table.with("a.parquet", &minutes(0..5)).with("copy.parquet", &minutes(0..5));
    table.assert_refused(&["copy.parquet", "over all its files"]);
}

#[test]
fn files_that_interleave_are_refused_also_where_only_rows_before_are_wanted() {
    let table = Table::new();
    table.with("wide.parquet", &[0, 100 * MINUTE_US]).with("within.parquet", &minutes(50..60));
    table.assert_refused(&["within.parquet", "comes after", "over all its files"]);
    assert!(table.before(101 * MINUTE_US, 2).is_err());
    assert!(table.before(101 * MINUTE_US, 20).is_err());
    let table = Table::new();
    table.with("long.parquet", &[0, 95 * MINUTE_US + 1]).with("late.parquet", &minutes(90..101));
    assert!(table.before(101 * MINUTE_US, 7).is_err(), "a row of the other file is among the last seven");
}

// ----------------------------------------------------------------------------------------- rows before

#[test]
fn rows_before_an_instant_are_found_across_files_and_gaps() {
    let table = Table::new();
    table.with("a.parquet", &minutes(0..10)).with("b.parquet", &minutes(1000..1003));
    table
        .with("c.parquet", &minutes(20 * DAY..20 * DAY + 4))
        .with("later.parquet", &minutes(40 * DAY..41 * DAY));
    let all: Vec<i64> = [minutes(0..10), minutes(1000..1003), minutes(20 * DAY..20 * DAY + 4)].concat();
    let until = 40 * DAY * MINUTE_US;
    for count in 1..=20 {
        let wanted = &all[all.len().saturating_sub(count)..];
        assert_eq!(table.before(until, count).unwrap(), wanted, "{count}");
    }
    assert_eq!(table.before(1001 * MINUTE_US, 3).unwrap(), [8, 9, 1000].map(|minute| minute * MINUTE_US));
    assert_eq!(table.before(0, 3).unwrap(), [0; 0]);
}

#[test]
fn a_month_without_rows_still_has_rows_before_it() {
    let table = Table::new();
    table.with("a.parquet", &minutes(0..10));
    assert_eq!(table.rows_of("1970-02").unwrap(), SeriesRows::default());
    assert_eq!(table.before(31 * DAY * MINUTE_US, 4).unwrap(), minutes(6..10));
}

// -------------------------------------------------------------------------------------- damaged files

#[test]
fn a_file_that_is_truncated_or_something_else_is_named() {
    let whole = Table::new();
    whole.with("a.parquet", &minutes(0..500));
    let bytes = fs::read(whole.path("a.parquet")).unwrap();
    for damaged in [&bytes[..bytes.len() - 5], &bytes[..bytes.len() / 2], &bytes[..6], b"", b"time,close\n"] {
        let table = Table::new();
        fs::write(table.path("bad.parquet"), damaged).unwrap();
        table.assert_refused(&["bad.parquet", "not a readable Parquet file", "restore it from a backup"]);
    }
    let table = Table::new();
    fs::create_dir(table.path("dir.parquet")).unwrap();
    table.assert_refused(&["dir.parquet"]);
}

/// Gives `read` the file at `path` with random damage, many times: it may fail, not panic.
fn damage(path: &Path, rounds: usize, mut read: impl FnMut(usize)) {
    let whole = fs::read(path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let footer = 8 + u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
    for round in 0..rounds {
        let mut bytes = whole.clone();
        // The footer is where most of the meaning is.
        let first = if round % 2 == 0 { whole.len() - footer } else { 0 };
        for _ in 0..random.usize(1..4) {
            let at = random.usize(first..whole.len());
            bytes[at] = if random.bool() { random.u8(..) } else { bytes[at] ^ (1 << random.u8(..8)) };
        }
        if round % 50 == 49 {
            bytes.truncate(random.usize(..whole.len()));
        }
        fs::write(path, bytes).unwrap();
        read(round);
    }
}

#[test]
fn damaged_sources_end_in_an_error_or_in_rows_and_never_in_a_panic() {
    let instants = minutes(0..300);
    let ours = TempDir::new().unwrap();
    import(ours.path(), &[bars("aaa", &MONTHS[..1], 100, 0)], &OsFileSystem).unwrap();
    let dictionary = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let plain =
        WriterProperties::builder().set_dictionary_enabled(false).set_max_row_group_row_count(Some(64));
    let zstd = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None);
    let mut errors = 0;
    for how in [dictionary, plain, zstd] {
        let table = Table::new();
        let text: ArrayRef =
            Arc::new(StringArray::from_iter_values(instants.iter().map(ToString::to_string)));
        let columns = [("note", text), ("time", micros(&instants)), ("value", values_at(&instants))];
        table.write_with("a.parquet", &columns, how);
        damage(&table.path("a.parquet"), 600, |_| {
            let (rows, before) = (table.rows_of("1970-01"), table.before(i64::MAX, 90));
            let _ = table
                .store()
                .estimate_rows(&table.config.series[0].of_key("k"), partition("k", "1970-01").period);
            errors += u32::from(rows.is_err() || before.is_err());
        });
    }
    assert!(errors > 500, "the damage did no harm: {errors}");
    damage(&ours.path().join("sources/m1_aaa/2017-01.parquet"), 600, |_| {
        let config = config();
        let store = ParquetStore::open(ours.path(), &config).unwrap();
        let _ = store.months(&config.series[0].of_key("aaa"));
        let _ = import(ours.path(), &[bars("aaa", &MONTHS[..1], 100, 0)], &OsFileSystem);
    });
}

#[test]
fn damaged_features_end_in_an_error_or_in_rows_and_never_in_a_panic() {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &MONTHS[..1], 100, 0)], &OsFileSystem).unwrap();
    run_undisturbed(dir.path());
    let store = ParquetStore::open(dir.path(), &config()).unwrap();
    let one = partition("aaa", "2017-01");
    damage(&dir.path().join("features/key=aaa/month=2017-01/part.parquet"), 1000, |round| {
        if let Err(error) = store.found(&one) {
            assert!(error.is_damage(), "round {round}: {error}");
        }
        if let Ok(mut reader) = store.read(&one) {
            while let Ok(Some(_)) = reader.next_tile() {}
        }
    });
}

// ------------------------------------------------------------------------------------------- snapshots

#[test]
fn a_snapshot_taken_before_an_import_still_reads_the_old_rows() {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &all_bars(60, 0), &OsFileSystem).unwrap();
    let old = all_rows(dir.path());
    let config = config();
    let store = ParquetStore::open(dir.path(), &config).unwrap();
    let february = partition("aaa", MONTHS[1]);
    let mut snapshot = store.snapshot(&config.series_of_key(&february.key), february.period, 89).unwrap();
    import(dir.path(), &all_bars(80, 1), &OsFileSystem).unwrap();
    let span_us = february.period.span_us();
    for series in 0..2 {
        let rows = snapshot.rows(series, span_us.clone()).unwrap();
        assert_eq!(Some(&rows), old[2 + series].as_ref());
        let before = snapshot.rows_before(series, span_us.start, 10).unwrap();
        let january = old[series].as_ref().unwrap();
        assert_eq!(before.instants_us, january.instants_us[january.instants_us.len() - 10..]);
        assert_eq!(before.values, january.values[january.values.len() - 10..]);
    }
    let mut renewed = store.snapshot(&config.series_of_key(&february.key), february.period, 89).unwrap();
    assert_eq!(renewed.rows(0, span_us).unwrap().instants_us.len(), 80);
}

#[test]
fn a_file_that_is_rewritten_in_place_is_read_anew() {
    let table = Table::new();
    table.with("part.parquet", &minutes(0..10));
    // As in a directory that has long been at rest, which is listed once.
    let dir = File::open(table.dir.path().join("sources/t_k")).unwrap();
    dir.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let store = table.store();
    let rows = |month: &str| {
        let period = partition("k", month).period;
        store.snapshot(&table.config.series_of_key("k"), period, 89)?.rows(0, period.span_us())
    };
    assert_eq!(rows("1970-01").unwrap(), rows_at(&minutes(0..10)));
    assert_eq!(rows("1970-02").unwrap(), rows_at(&[]));

    let february_us = partition("k", "1970-02").period.span_us().start;
    let later: Vec<i64> = minutes(0..20).into_iter().chain([february_us]).collect();
    let modified = dir.metadata().unwrap().modified().unwrap();
    table.with("part.parquet", &later);
    assert_eq!(dir.metadata().unwrap().modified().unwrap(), modified);
    assert_eq!(rows("1970-02").unwrap(), rows_at(&[february_us]));
    assert_eq!(rows("1970-01").unwrap(), rows_at(&minutes(0..20)));
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_gives_no_rows_of_both_contents() {
    let table = Table::new();
    table.with("part.parquet", &minutes(0..10_000));
    let mut snapshot = table.snapshot("1970-01").unwrap();
    let path = table.path("part.parquet");
    let other = Table::new();
    other.with("part.parquet", &minutes(5..10_005));
    let written = fs::read(other.path("part.parquet")).unwrap();
    for bytes in [&written[..written.len() / 2], &written] {
        fs::write(&path, bytes).unwrap();
        let error = snapshot.rows(0, partition("k", "1970-01").period.span_us()).unwrap_err();
        assert_eq!(error.fault(), Fault::Transient, "{error}");
        assert_says(&error_chain(&error), &["part.parquet was written to while it was being read"]);
    }
    assert_eq!(table.rows(), rows_at(&minutes(5..10_005)));
}

#[test]
fn a_store_that_cannot_be_written_is_read() {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &all_bars(60, 0), &OsFileSystem).unwrap();
    let copy = TempDir::new().unwrap();
    copy_tree(dir.path(), copy.path());
    fs::remove_file(copy.path().join("sources/.lock")).unwrap();
    let sources = copy.path().join("sources");
    let writable = fs::metadata(&sources).unwrap().permissions();
    let mut read_only = writable.clone();
    read_only.set_readonly(true);
    fs::set_permissions(&sources, read_only).unwrap();
    let found = all_rows(copy.path());
    fs::set_permissions(&sources, writable).unwrap();
    assert_eq!(found, all_rows(dir.path()));
}
