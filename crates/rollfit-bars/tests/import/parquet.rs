//! Parquet files of bars: times, zones and closes of every type, and what is refused.

use std::fs;
use std::sync::Arc;

use arrow_array::types::{Float16Type, Int32Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, Decimal128Array, DictionaryArray, Float16Array, Float32Array,
    Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt8Array, UInt64Array,
};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel};
use parquet::file::properties::WriterProperties;
use rollfit_bars::{BarFile, Format, ImportError, read_file};
use tempfile::TempDir;

use crate::support::{
    assert_says, bars, message, options, with_columns, write, write_parquet, write_parquet_as,
};
use crate::text::{MARCH_S, MINUTE_BARS};

type Half = <Float16Type as ArrowPrimitiveType>::Native;

pub(crate) fn closes() -> ArrayRef {
    Arc::new(Float64Array::from(vec![1.5, 1.6]))
}

fn read_columns(columns: Vec<(&str, ArrayRef)>, zone: &str) -> Result<BarFile, ImportError> {
    let directory = TempDir::new().unwrap();
    let path = write_parquet(&directory, "bars.parquet", columns);
    read_file(&path, &options(Format::Parquet, "k", zone))
}

#[test]
fn parquet_times_of_every_unit() {
    let second = 1_488_326_400;
    let times: [ArrayRef; 4] = [
        Arc::new(TimestampSecondArray::from(vec![second, second + 60])),
        Arc::new(TimestampMillisecondArray::from(vec![second * 1_000, (second + 60) * 1_000])),
        Arc::new(TimestampMicrosecondArray::from(vec![second * 1_000_000, (second + 60) * 1_000_000])),
        Arc::new(TimestampNanosecondArray::from(vec![second * 1_000_000_000, (second + 60) * 1_000_000_000])),
    ];
    for time in times {
        let file = read_columns(vec![("time", time.clone()), ("close", closes())], "UTC").unwrap();
        assert_eq!(bars(&file), MINUTE_BARS);
        let file = read_columns(vec![("Close", closes()), ("when", time)], "UTC").unwrap();
        assert_eq!(bars(&file), MINUTE_BARS);
    }
}

#[test]
fn parquet_zones() {
    let naive = TimestampMicrosecondArray::from(vec![1_488_326_400_000_000, 1_488_326_460_000_000]);
    let aware: ArrayRef = Arc::new(naive.clone().with_timezone("UTC"));
    let naive: ArrayRef = Arc::new(naive);
    let first = |time: &ArrayRef, zone| {
        Ok::<_, ImportError>(
            read_columns(vec![("ts", time.clone()), ("close", closes())], zone)?.bars[0].instant_us,
        )
    };
    let refused = first(&naive, "").unwrap_err();
    assert!(matches!(refused, ImportError::NoZone { .. }), "{refused}");
    assert_says(&refused.to_string(), &["row 1", "--timezone UTC", "`2017-03-01, 1.5`"]);
    assert_eq!(first(&naive, "UTC").unwrap(), 1_488_326_400_000_000);
    assert_eq!(first(&naive, "+01:00").unwrap(), 1_488_322_800_000_000);
    assert_eq!(first(&aware, "").unwrap(), 1_488_326_400_000_000);
    assert_eq!(first(&aware, "UTC").unwrap(), 1_488_326_400_000_000);
    assert!(matches!(first(&aware, "+01:00"), Err(ImportError::ZoneContradiction { .. })));
}

#[test]
fn parquet_closes_of_other_types() {
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let close = |close: ArrayRef| read_columns(vec![("ts", time.clone()), ("close", close)], "UTC");
    let single = close(Arc::new(Float32Array::from(vec![1.5, 2.5]))).unwrap();
    assert_eq!(bars(&single), [(MINUTE_BARS[0].0, 1.5), (MINUTE_BARS[1].0, 2.5)]);
    assert_eq!(bars(&close(Arc::new(Int64Array::from(vec![1, 2]))).unwrap())[1].1, 2.0);
    assert_says(
        &message(close(Arc::new(StringArray::from(vec!["1.5", "1.6"])))),
        &["--close-column", "`close` (Utf8)"],
    );
}

#[test]
fn parquet_closes_are_the_nearest_doubles() {
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    // 2^53 + 1 lies half way between two doubles.
    let large = (1 << 53) + 1;
    let half = Float16Array::from_iter([Some(1.5), Some(0.1)].map(|value| value.map(Half::from_f32)));
    let decimal = Decimal128Array::from(vec![1_500_000, 1_000_001]).with_precision_and_scale(20, 6).unwrap();
    let columns: [(ArrayRef, [f64; 2]); 5] = [
        (Arc::new(Float32Array::from(vec![1.5, 0.1])), [1.5, f64::from(0.1_f32)]),
        (Arc::new(half), [1.5, 0.099_975_585_937_5]),
        (Arc::new(UInt8Array::from(vec![1, 255])), [1.0, 255.0]),
        (Arc::new(UInt64Array::from(vec![large, u64::MAX])), [9_007_199_254_740_992.0, 2.0_f64.powi(64)]),
        (Arc::new(decimal), [1.5, 1.000_001]),
    ];
    for (close, expected) in columns {
        let kind = close.data_type().clone();
        let file = read_columns(vec![("ts", time.clone()), ("close", close)], "UTC").unwrap();
        let found: Vec<f64> = file.bars.iter().map(|bar| bar.close).collect();
        assert_eq!(found, expected, "{kind}");
    }
}

#[test]
fn parquet_instruments_of_every_type_must_not_change() {
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let read = |symbol: &ArrayRef| {
        let columns = vec![("symbol", symbol.clone()), ("ts", time.clone()), ("close", closes())];
        let directory = TempDir::new().unwrap();
        let path = write_parquet(&directory, "bars.parquet", columns);
        read_file(&path, &options(Format::Parquet, "eurusd", "UTC"))
    };
    let dictionary = |values: [&str; 2]| values.into_iter().collect::<DictionaryArray<Int32Type>>();
    let pairs: [[ArrayRef; 2]; 6] = [
        [["EURUSD", "EURUSD"], ["EURUSD", "GBPUSD"]].map(|text| Arc::new(dictionary(text)) as ArrayRef),
        [["EURUSD"; 2], ["EURUSD", "GBPUSD"]].map(|text| Arc::new(StringArray::from(text.to_vec())) as _),
        [["EURUSD"; 2], ["EURUSD", "GBPUSD"]]
            .map(|text| Arc::new(LargeStringArray::from(text.to_vec())) as _),
        [["EURUSD"; 2], ["EURUSD", "GBPUSD"]].map(|text| Arc::new(StringViewArray::from(text.to_vec())) as _),
        [[b"EURUSD".as_slice(); 2], [b"EURUSD", b"GBPUSD"]]
            .map(|text| Arc::new(BinaryArray::from(text.to_vec())) as _),
        [[7, 7], [7, 8]].map(|number| Arc::new(Int64Array::from(number.to_vec())) as _),
    ];
    for [same, other] in pairs {
        let kind = same.data_type().clone();
        assert_eq!(read(&same).unwrap().symbol.unwrap().0, "symbol", "{kind}");
        assert_says(&message(read(&other)), &["row 2", "`symbol`", "a file holds one instrument"]);
    }
    let field = Arc::new(Field::new("a", DataType::Float64, true));
    let structure: ArrayRef = Arc::new(StructArray::from(vec![(field, closes())]));
    assert_eq!(read(&structure).unwrap().symbol, None);
}

#[test]
fn parquet_rows_that_are_no_bars() {
    let fine: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![MARCH_S * 1_000_000_000, MARCH_S * 1_000_000_000 + 1]));
    assert_says(
        &message(read_columns(vec![("ts", fine), ("close", closes())], "UTC")),
        &["row 2", "microsecond"],
    );
    let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, i64::MAX]));
    assert_says(
        &message(read_columns(vec![("ts", far), ("close", closes())], "UTC")),
        &["row 2", "out of range"],
    );
    let none: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(MARCH_S), None]));
    assert_says(
        &message(read_columns(vec![("ts", none), ("close", closes())], "UTC")),
        &["row 2", "`NULL, 1.6`"],
    );
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let holes: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None]));
    assert_says(
        &message(read_columns(vec![("ts", time.clone()), ("close", holes)], "UTC")),
        &["row 2", "not a number"],
    );
    let zero: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 0.0]));
    assert_says(
        &message(read_columns(vec![("ts", time.clone()), ("close", zero)], "UTC")),
        &["row 2", "not a price"],
    );
    let no_rows = vec![("ts", time.slice(0, 0)), ("close", closes().slice(0, 0))];
    assert!(matches!(read_columns(no_rows, "UTC"), Err(ImportError::NoRows { .. })));
}

#[test]
fn parquet_columns_that_cannot_be_told() {
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let two = vec![("opened", time.clone()), ("closed", time.clone()), ("close", closes())];
    assert_says(&message(read_columns(two, "UTC")), &["--time-column", "`opened`", "`closed`"]);
    assert_says(&message(read_columns(vec![("ts", closes()), ("close", closes())], "UTC")), &["timestamp"]);
    let directory = TempDir::new().unwrap();
    let path =
        write_parquet(&directory, "x.parquet", vec![("a", time.clone()), ("b", time), ("paid", closes())]);
    let named = with_columns(options(Format::Parquet, "k", "UTC"), "b", "paid");
    assert_eq!(read_file(&path, &named).unwrap().bars.len(), 2);
    let wrong = with_columns(options(Format::Parquet, "k", "UTC"), "paid", "a");
    assert_says(&message(read_file(&path, &wrong)), &["`paid` is not a timestamp", "Float64"]);
    let absent = with_columns(options(Format::Parquet, "k", "UTC"), "b", "price");
    assert_says(&message(read_file(&path, &absent)), &["column `price` does not exist", "`paid`"]);
}

#[test]
fn parquet_dates_beside_times_of_day_are_no_time_stamps() {
    let days = |days: [i64; 2]| -> ArrayRef {
        Arc::new(TimestampSecondArray::from(days.map(|day| MARCH_S + day * 86_400).to_vec()))
    };
    let one_close: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 1.5]));
    let times: ArrayRef = Arc::new(StringArray::from(vec!["00:00", "00:01"]));
    let same_day = vec![("date", days([0, 0])), ("time", times), ("close", one_close.clone())];
    assert_says(&message(read_columns(same_day, "UTC")), &["row 2", "dates without times of day"]);
    let daily = read_columns(vec![("date", days([0, 1])), ("close", one_close.clone())], "UTC").unwrap();
    assert_eq!(daily.bars.len(), 2);
    let twice = vec![("ts", days([0, 1])), ("close", one_close.clone()), ("Close", one_close)];
    assert_says(&message(read_columns(twice, "UTC")), &["several columns are called `close`"]);
}

#[test]
fn naive_times_that_rollfit_wrote_are_utc() {
    let directory = TempDir::new().unwrap();
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let path = directory.path().join("2017-03.parquet");
    for (writer, is_read) in [("rollfit", true), ("parquet-rs", false)] {
        write_parquet_as(writer, &path, vec![("time", time.clone()), ("close", closes())]);
        let read = read_file(&path, &options(Format::Parquet, "k", ""));
        assert_eq!(read.is_ok(), is_read, "{writer}");
        assert_eq!(bars(&read_file(&path, &options(Format::Parquet, "k", "UTC")).unwrap()), MINUTE_BARS);
    }
}

#[test]
fn a_truncated_parquet_file_is_an_error() {
    let directory = TempDir::new().unwrap();
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let path = write_parquet(&directory, "x.parquet", vec![("ts", time), ("close", closes())]);
    let bytes = fs::read(&path).unwrap();
    let cut = write(&directory, "cut.parquet", &bytes[..bytes.len() - 9]);
    assert_says(&message(read_file(&cut, &options(Format::Parquet, "k", ""))), &["cut.parquet", "Parquet"]);
}

/// The first page of the file says that it has 64 bytes, and unpacks to 80,000.
#[test]
fn a_page_that_unpacks_to_more_than_it_claims_is_refused() {
    const ROWS: i64 = 10_000;
    let times: ArrayRef =
        Arc::new(TimestampSecondArray::from_iter_values((0..ROWS).map(|row| MARCH_S + row)));
    let closes: ArrayRef = Arc::new(Float64Array::from(vec![1.5; ROWS as usize]));
    let batch = RecordBatch::try_from_iter([("time", times), ("close", closes)]).unwrap();
    let how = WriterProperties::builder().set_dictionary_enabled(false);
    let how = how.set_compression(Compression::GZIP(GzipLevel::default())).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(how)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let directory = TempDir::new().unwrap();
    let honest = write(&directory, "honest.parquet", &bytes);
    let utc = options(Format::Parquet, "k", "UTC");
    assert_eq!(read_file(&honest, &utc).unwrap().bars.len() as i64, ROWS);
    // The magic number, the kind of page 0, and its length, whose bytes but for the last one have their highest bit set.
    assert_eq!(bytes[4..7], [0x15, 0, 0x15]);
    let last = 7 + bytes[7..].iter().position(|byte| *byte < 0x80).unwrap();
    assert!(last > 8);
    bytes[7..last].fill(0x80);
    (bytes[8], bytes[last]) = (0x81, 0);
    let grown = write(&directory, "grown.parquet", &bytes);
    let why = message(read_file(&grown, &utc));
    assert_says(&why, &["grown.parquet", "`time`", "unpacks to more than the 64 bytes that it claims"]);
}
