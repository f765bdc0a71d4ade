//! Parquet files out of any bytes. A length at the front divides them into rows and footer, so that a change of either
//! leaves a file whose footer is found; on request the checksums are those that belong to the bytes.

use std::sync::Arc;

use arrow_array::types::{Decimal128Type, DecimalType, Int32Type};
use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};

const MAGIC: &[u8] = b"PAR1";
const CHECKSUMS: &[u8] = b"body_bytes=";
/// As `Checksums` prints: lengths in twenty digits, sums in eight.
const CHECKSUMS_BYTES: usize = CHECKSUMS.len() + 20 + " body=".len() + 8 + " footer=".len() + 8;

/// Makes a file: two bytes for the length of the footer, then rows and footer.
pub(crate) fn assembled(bytes: &[u8], with_checksums: bool) -> Vec<u8> {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return bytes.to_vec() };
    let footer_bytes = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (rows, footer) = rest.split_at(rest.len() - footer_bytes);
    let body = [MAGIC, rows].concat();
    let mut footer = footer.to_vec();
    if with_checksums {
        fill_in_checksums(&body, &mut footer);
    }
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [&body[..], &footer, &length, MAGIC].concat()
}

fn fill_in_checksums(body: &[u8], footer: &mut [u8]) {
    let at = footer.windows(CHECKSUMS.len()).rposition(|window| window == CHECKSUMS);
    let Some(at) = at.filter(|at| at + CHECKSUMS_BYTES <= footer.len()) else { return };
    let text = format!("body_bytes={:020} body={:08x} footer=00000000", body.len(), crc32c::crc32c(body));
    footer[at..at + CHECKSUMS_BYTES].copy_from_slice(text.as_bytes());
    let sum = format!("{:08x}", crc32c::crc32c(footer));
    footer[at + CHECKSUMS_BYTES - 8..at + CHECKSUMS_BYTES].copy_from_slice(sum.as_bytes());
}

/// Takes a file apart into what [`assembled`] puts together.
pub(crate) fn taken_apart(file: &[u8]) -> Vec<u8> {
    let trailer = file.len() - 8;
    let footer_bytes = u32::from_le_bytes(file[trailer..trailer + 4].try_into().unwrap());
    let footer_bytes = u16::try_from(footer_bytes).unwrap().to_le_bytes();
    [&footer_bytes[..], &file[4..trailer]].concat()
}

/// Writes columns as a file.
pub(crate) fn written(columns: &[(&str, ArrayRef)], how: WriterPropertiesBuilder) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.to_vec()).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(how.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// The first instant of January 2017, in seconds.
const START_S: i64 = 1_483_228_800;
const ROWS: i64 = 12;

fn ticks(per_second: i64) -> Vec<i64> {
    (0..ROWS).map(|row| (START_S + 60 * row) * per_second).collect()
}

fn closes() -> Vec<f64> {
    (0..ROWS).map(|row| 1.05 + row as f64 * 1e-4).collect()
}

/// Ways in which writers encode a file.
fn writers() -> Vec<(&'static str, WriterPropertiesBuilder)> {
    let how = WriterProperties::builder;
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let split = Encoding::BYTE_STREAM_SPLIT;
    vec![
        ("snappy", how().set_compression(Compression::SNAPPY)),
        ("plain", how().set_dictionary_enabled(false).set_statistics_enabled(EnabledStatistics::None)),
        (
            "gzip",
            how()
                .set_compression(Compression::GZIP(GzipLevel::default()))
                .set_max_row_group_row_count(Some(5)),
        ),
        (
            "lz4",
            how()
                .set_compression(Compression::LZ4_RAW)
                .set_data_page_row_count_limit(4)
                .set_write_batch_size(4),
        ),
        (
            "v2",
            how()
                .set_writer_version(WriterVersion::PARQUET_2_0)
                .set_compression(zstd)
                .set_dictionary_enabled(false),
        ),
        ("split", how().set_dictionary_enabled(false).set_column_encoding("close".into(), split)),
    ]
}

/// A file for each type that a time or a close can have, and for each way to encode it.
pub(crate) fn kinds() -> Vec<(String, Vec<u8>)> {
    let us: ArrayRef = Arc::new(TimestampMicrosecondArray::from(ticks(1_000_000)).with_timezone("UTC"));
    let doubles: ArrayRef = Arc::new(Float64Array::from(closes()));
    let mut files: Vec<(String, Vec<u8>)> = writers()
        .into_iter()
        .map(|(name, how)| {
            (name.to_owned(), written(&[("time", us.clone()), ("close", doubles.clone())], how))
        })
        .collect();
    let mut add = |name: &str, columns: &[(&str, ArrayRef)]| {
        files.push((name.to_owned(), written(columns, WriterProperties::builder())));
    };
    for (name, time) in times() {
        add(name, &[("time", time), ("close", doubles.clone())]);
    }
    for (name, close) in numbers() {
        add(name, &[("time", us.clone()), ("close", close)]);
    }
    let symbols: ArrayRef = Arc::new(StringArray::from(vec!["A/B"; ROWS as usize]));
    add(
        "symbol",
        &[("symbol", symbols), ("time", us.clone()), ("close", doubles.clone()), ("volume", doubles)],
    );
    files
}

/// A file for each type that a key can have, its rows by time or by key, in one row group or several.
pub(crate) fn keyed_kinds() -> Vec<(String, Vec<u8>)> {
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(ticks(1_000_000)).with_timezone("UTC"));
    let close: ArrayRef = Arc::new(Float64Array::from(closes()));
    let by_time: Vec<&str> = ["k", "b", "A/B"].into_iter().cycle().take(ROWS as usize).collect();
    let by_key: Vec<&str> = by_time.iter().enumerate().map(|(row, _)| ["b", "k"][row / 6]).collect();
    let words: DictionaryArray<Int32Type> = by_time.iter().copied().collect();
    let gaps = by_time.iter().map(|key| Some(*key).filter(|key| *key != "b"));
    let keys: [(&str, ArrayRef); 5] = [
        ("by_time", Arc::new(StringArray::from(by_time.clone()))),
        ("by_key", Arc::new(StringArray::from(by_key))),
        ("words", Arc::new(words)),
        ("gaps", Arc::new(gaps.collect::<StringArray>())),
        ("numbers", Arc::new(Int32Array::from_iter_values((0..ROWS as i32).map(|row| row % 3)))),
    ];
    let mut files = Vec::new();
    for (name, symbol) in keys {
        let columns = [("symbol", symbol), ("time", time.clone()), ("close", close.clone())];
        let in_groups = WriterProperties::builder().set_max_row_group_row_count(Some(5));
        files.push((name.to_owned(), written(&columns, WriterProperties::builder())));
        files.push((format!("{name}_in_groups"), written(&columns, in_groups)));
    }
    files
}

fn times() -> Vec<(&'static str, ArrayRef)> {
    let text: Vec<String> = (0..ROWS).map(|row| format!("2017-01-01 00:{row:02}:00")).collect();
    let words: DictionaryArray<Int32Type> = text.iter().map(String::as_str).collect();
    vec![
        ("seconds", Arc::new(TimestampSecondArray::from(ticks(1)))),
        (
            "milliseconds",
            Arc::new(TimestampMillisecondArray::from(ticks(1000)).with_timezone("Europe/Zurich")),
        ),
        ("nanoseconds", Arc::new(TimestampNanosecondArray::from(ticks(1_000_000_000)))),
        ("epochs", Arc::new(Int64Array::from(ticks(1)))),
        ("texts", Arc::new(StringArray::from(text))),
        ("words", Arc::new(words)),
        ("days", Arc::new(Date32Array::from_iter_values(17_167..17_167 + ROWS as i32))),
    ]
}

fn numbers() -> Vec<(&'static str, ArrayRef)> {
    let unscaled = closes().iter().map(|close| (close * 1e10) as i128).collect::<Vec<_>>();
    let decimals =
        Decimal128Array::from(unscaled).with_precision_and_scale(Decimal128Type::MAX_PRECISION, 10);
    let gaps: Vec<Option<f64>> =
        closes().into_iter().map(|close| Some(close).filter(|close| *close > 1.0505)).collect();
    vec![
        ("decimals", Arc::new(decimals.unwrap())),
        ("floats", Arc::new(closes().into_iter().map(|close| Some(close as f32)).collect::<Float32Array>())),
        ("integers", Arc::new(Int32Array::from_iter_values(1..=ROWS as i32))),
        ("gaps", Arc::new(Float64Array::from(gaps))),
    ]
}
