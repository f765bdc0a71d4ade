//! Importing whole files: every raw file of the shared market data at the right instants, and every kind of
//! bad file with a message that says what, where and what to do.
//!
//! The expected instants were worked out apart from this crate, from the zone rules alone. Tests on shared
//! data skip with a printed line where it is absent.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A failed helper fails its test; skips are said.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::TimestampSecondArray;
use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_array::{TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray};
use parquet::arrow::ArrowWriter;
use rollfit_bars::{BarFile, Cause, Format, ImportError, ReadOptions, RowFault, merge, read_file};
use rollfit_job::import::series;
use tempfile::TempDir;

// ---------------------------------------------------------------------------------------------- helpers

/// A file of the shared data, or none, said aloud, where it is absent.
fn shared(relative: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("ROLLFIT_SHARED").map_or_else(beside, PathBuf::from);
    let path = root.join("data").join(relative);
    if !path.exists() {
        println!("skipped: shared data {relative} is absent");
        return None;
    }
    Some(path)
}

fn options(format: Format, key: &str, zone: &str) -> ReadOptions {
    let key = (!key.is_empty()).then(|| key.to_owned());
    let zone = (!zone.is_empty()).then(|| zone.parse().unwrap());
    ReadOptions { key, zone, ..ReadOptions::new(format) }
}

fn with_columns(mut options: ReadOptions, time: &str, close: &str) -> ReadOptions {
    options.columns.time = Some(time.to_owned());
    options.columns.close = Some(close.to_owned());
    options
}

fn write(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn write_parquet(directory: &TempDir, name: &str, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = directory.path().join(name);
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Reads `text` as one file of the key `k`.
fn read_text(text: &str, format: Format, zone: &str) -> Result<BarFile, ImportError> {
    let directory = TempDir::new().unwrap();
    read_file(&write(&directory, "bars.csv", text.as_bytes()), &options(format, "k", zone))
}

fn message(result: Result<BarFile, ImportError>) -> String {
    result.unwrap_err().to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn bars(file: &BarFile) -> Vec<(i64, f64)> {
    file.bars.iter().map(|bar| (bar.instant_us, bar.close)).collect()
}

// ------------------------------------------------------------------------------------------ raw files

/// What a raw file holds: rows read, bars kept, first and last instant (s) and close.
struct Expected {
    path: &'static str,
    key: &'static str,
    rows: (u64, usize),
    first: (i64, f64),
    last: (i64, f64),
}

#[track_caller]
fn check_raw(options: &ReadOptions, expected: Expected) {
    let Some(path) = shared(expected.path) else { return };
    let file = read_file(&path, options).unwrap();
    let ends = [file.bars[0], file.bars[file.bars.len() - 1]].map(|bar| (bar.instant_us, bar.close));
    let wanted = [expected.first, expected.last].map(|(s, close)| (s * 1_000_000, close));
    assert_eq!((file.report.rows_read, file.bars.len()), expected.rows);
    assert_eq!((file.key.as_str(), ends), (expected.key, wanted));
    assert_eq!(file.report.rows_read, file.report.rows_kept + file.report.repeats_dropped);
    assert!(file.bars.windows(2).all(|pair| pair[0].instant_us < pair[1].instant_us));
}

#[test]
fn raw_histdata_ascii_in_new_york_time() {
    let expected = Expected {
        path: "raw/histdata_ascii/DAT_ASCII_EURUSD_M1_201703.csv",
        key: "eurusd",
        rows: (32_660, 32_660),
        first: (1_488_344_400, 1.05529), // 2017-03-01T05:00Z
        last: (1_490_993_880, 1.06528),  // 2017-03-31T20:58Z, after the change of 12 March
    };
    check_raw(&options(Format::Histdata, "", ""), expected);
}

#[test]
fn raw_histdata_ascii_in_its_own_time() {
    let expected = Expected {
        path: "raw/histdata_ascii/DAT_ASCII_EURUSD_M1_202503.csv",
        key: "eurusd",
        rows: (30_526, 30_526),
        first: (1_740_952_800, 1.04031), // 2025-03-02T22:00Z
        last: (1_743_479_880, 1.08266),  // 2025-04-01T03:58Z
    };
    check_raw(&options(Format::Histdata, "", ""), expected);
}

#[test]
fn raw_histdata_spring_hole_is_one_hour_of_sunday_evening() {
    let Some(path) = shared("raw/histdata_ascii/DAT_ASCII_EURUSD_M1_202503.csv") else { return };
    let file = read_file(&path, &options(Format::Histdata, "", "")).unwrap();
    let before = 1_743_375_540_000_000; // 2025-03-30T22:59Z
    let at = file.bars.iter().position(|bar| bar.instant_us == before).unwrap();
    assert_eq!(file.bars[at + 1].instant_us, before + 61 * 60_000_000);
}

#[test]
fn raw_histdata_zip_drops_the_hour_exported_twice() {
    let expected = Expected {
        path: "raw/messy/DAT_ASCII_EURUSD_M1_202210.zip",
        key: "eurusd",
        rows: (30_620, 30_560),
        first: (1_664_744_640, 0.97937), // 2022-10-02T21:04Z
        last: (1_667_278_680, 0.9905),   // 2022-11-01T04:58Z
    };
    check_raw(&options(Format::Histdata, "", ""), expected);
}

#[test]
fn raw_histdata_metatrader_in_the_zone_histdata() {
    let january = Expected {
        path: "raw/histdata_mt/DAT_MT_GBPUSD_M1_202601.csv",
        key: "gbpusd",
        rows: (8_600, 8_600),
        first: (1_767_304_800, 1.34648), // 2026-01-01T22:00Z
        last: (1_767_995_880, 1.34015),  // 2026-01-09T21:58Z
    };
    let june = Expected {
        path: "raw/histdata_mt/DAT_MT_EURUSD_M1_202006.csv",
        key: "eurusd",
        rows: (6_771, 6_771),
        first: (1_590_984_000, 1.11344), // 2020-06-01T04:00Z
        last: (1_591_390_680, 1.12911),  // 2020-06-05T20:58Z
    };
    check_raw(&options(Format::Metatrader, "", "histdata"), january);
    check_raw(&options(Format::Metatrader, "", "histdata"), june);
}

#[test]
fn raw_metatrader_in_broker_time() {
    let comma = Expected {
        path: "raw/mt4_noheader/CADJPY1.csv",
        key: "cadjpy",
        rows: (2_048, 2_048),
        first: (1_664_448_180, 105.581), // 2022-09-29T10:43Z
        last: (1_664_571_480, 104.602),  // 2022-09-30T20:58Z
    };
    let zipped = Expected {
        path: "raw/mt4_tab_header/EURUSD_M1.csv.gz",
        key: "eurusd",
        rows: (50_000, 50_000),
        first: (1_587_951_600, 1.08412), // 2020-04-27T01:40Z
        last: (1_592_168_340, 1.12515),  // 2020-06-14T20:59Z
    };
    let tab = Expected {
        path: "raw/mt5_tab_header/EURUSD_M1_0-10k.csv",
        key: "eurusd",
        rows: (9_999, 9_999),
        first: (1_731_585_660, 1.05341), // 2024-11-14T12:01Z
        last: (1_732_531_320, 1.0485),   // 2024-11-25T10:42Z
    };
    for expected in [comma, zipped, tab] {
        check_raw(&options(Format::Metatrader, "", "America/New_York+07:00"), expected);
    }
}

#[test]
fn raw_metatrader_without_a_zone_is_refused() {
    for path in ["raw/mt4_noheader/CADJPY1.csv", "raw/histdata_mt/DAT_MT_GBPUSD_M1_202601.csv"] {
        let Some(path) = shared(path) else { return };
        let refused = message(read_file(&path, &options(Format::Metatrader, "", "")));
        assert_says(&refused, &[":1:", "--timezone", "never guessed"]);
    }
}

#[test]
fn raw_dukascopy_is_utc() {
    let expected = || Expected {
        path: "raw/dukascopy/EURUSD_1_m_BID_November_2010.csv",
        key: "eurusd",
        rows: (31_620, 31_620),
        first: (1_288_569_600, 1.3973),
        last: (1_291_161_540, 1.29953),
    };
    check_raw(&options(Format::Dukascopy, "", ""), expected());
    check_raw(&options(Format::Dukascopy, "", "UTC"), expected());
    let Some(path) = shared(expected().path) else { return };
    let refused = message(read_file(&path, &options(Format::Dukascopy, "", "Europe/Zurich")));
    assert_says(&refused, &[":2:", "+00:00", "contradicts --timezone Europe/Zurich"]);
}

#[test]
fn raw_csv_with_offsets() {
    let expected = Expected {
        path: "raw/fxcm_iso_utc/gbpusd-m1-bid-2012.csv",
        key: "gbpusd",
        rows: (30_117, 30_117),
        first: (1_328_054_400, 1.57576),
        last: (1_330_560_000, 1.59208),
    };
    check_raw(&options(Format::Csv, "", ""), expected);
}

#[test]
fn raw_csv_with_date_and_price_only() {
    let expected = Expected {
        path: "raw/close_only/gbpusd.csv",
        key: "gbpusd",
        rows: (29_698, 29_698),
        first: (1_527_825_600, 1.326255), // 2018-06-01T04:00Z
        last: (1_530_305_880, 1.3204625), // 2018-06-29T20:58Z
    };
    check_raw(&options(Format::Csv, "gbpusd", "America/New_York"), expected);
    let Some(path) = shared("raw/close_only/gbpusd.csv") else { return };
    assert_says(&message(read_file(&path, &options(Format::Csv, "", "UTC"))), &["gbpusd.csv", "--key"]);
    assert_says(&message(read_file(&path, &options(Format::Csv, "gbpusd", ""))), &[":2:", "--timezone"]);
}

#[test]
fn raw_csv_with_epochs_and_no_header() {
    let expected = Expected {
        path: "raw/crypto/kraken_BTCUSDC_1m_20230301_20230321.csv.gz",
        key: "btcusdc",
        rows: (56_717, 56_717),
        first: (1_672_531_200, 16522.66),
        last: (1_680_307_140, 28485.09),
    };
    let path = expected.path;
    check_raw(&with_columns(options(Format::Csv, "", ""), "1", "5"), expected);
    let Some(path) = shared(path) else { return };
    assert_says(
        &message(read_file(&path, &options(Format::Csv, "", ""))),
        &["--time-column", "--close-column", "1 is `1672531200`", "5 is `16522.66`"],
    );
}

#[test]
fn raw_live_data_fails_clearly() {
    let Some(path) = shared("raw/messy/live_data.csv") else { return };
    for zone in ["", "UTC"] {
        let refused = message(read_file(&path, &options(Format::Csv, "eurusd", zone)));
        assert_says(&refused, &["live_data.csv:5:", "live_data.csv:3:", "1.16349", "1.16348", "--lenient"]);
    }
    let lenient = ReadOptions { lenient: true, ..options(Format::Csv, "eurusd", "") };
    assert_says(&message(read_file(&path, &lenient)), &["live_data.csv:92:", "--timezone"]);
}

#[test]
fn raw_live_data_leniently_reports_what_it_dropped() {
    let Some(path) = shared("raw/messy/live_data.csv") else { return };
    let lenient = ReadOptions { lenient: true, ..options(Format::Csv, "eurusd", "UTC") };
    let report = read_file(&path, &lenient).unwrap().report;
    assert_eq!((report.rows_read, report.rows_good), (24_602, 10_576));
    assert_eq!((report.rows_kept, report.repeats_dropped), (7_483, 976));
    let dropped: Vec<_> = report.dropped.into_iter().collect();
    assert_eq!(dropped, [(Cause::Unparsable, 14_026), (Cause::Contradiction, 2_117)]);
    // 591 rows have the eight fields of the header; the others break off behind their close.
    assert_says(&report.warnings.concat(), &["rows that break off", "9985"]);
}

#[test]
fn raw_histdata_agrees_with_the_parquet_of_the_same_month() {
    let Some(raw) = shared("raw/histdata_ascii/DAT_ASCII_EURUSD_M1_201703.csv") else { return };
    let Some(parquet) = shared("m1/pair=eurusd/2017-03.parquet") else { return };
    let raw = read_file(&raw, &options(Format::Histdata, "", "")).unwrap();
    let parquet = read_file(&parquet, &options(Format::Parquet, "", "")).unwrap();
    assert_eq!((parquet.key.as_str(), parquet.place(2).number), ("eurusd", 3));
    let start = raw.bars[0].instant_us;
    let wanted: Vec<_> = bars(&parquet).into_iter().filter(|(instant, _)| *instant >= start).collect();
    // The vendor's file of the month lacks the last minute of Friday.
    assert_eq!((wanted.len(), wanted[32_660].0), (32_661, 1_490_993_940_000_000));
    assert_eq!(bars(&raw), wanted[..32_660]);
    let merged = merge(vec![raw, parquet], false).unwrap();
    assert_eq!(merged["eurusd"].report().repeats_dropped, 32_660);
}

#[test]
fn raw_files_given_as_another_format_end_in_an_error() {
    let files = [
        ("raw/histdata_mt/DAT_MT_GBPUSD_M1_202601.csv", Format::Histdata, "metatrader"),
        ("raw/histdata_mt/DAT_MT_GBPUSD_M1_202601.csv", Format::Dukascopy, "metatrader"),
        ("raw/histdata_mt/DAT_MT_GBPUSD_M1_202601.csv", Format::Csv, "metatrader"),
        ("raw/histdata_ascii/DAT_ASCII_EURUSD_M1_201703.csv", Format::Metatrader, "histdata"),
        ("raw/histdata_ascii/DAT_ASCII_EURUSD_M1_201703.csv", Format::Csv, "histdata"),
        ("raw/dukascopy/EURUSD_1_m_BID_November_2010.csv", Format::Histdata, "dukascopy"),
        ("raw/fxcm_iso_utc/gbpusd-m1-bid-2012.csv", Format::Histdata, "csv"),
        ("m1/pair=eurusd/2017-03.parquet", Format::Csv, "parquet"),
    ];
    for (path, format, hint) in files {
        let Some(path) = shared(path) else { return };
        assert_says(&message(read_file(&path, &options(format, "k", "UTC"))), &[&format!("--format {hint}")]);
    }
    let Some(path) = shared("raw/dukascopy/EURUSD_1_m_BID_November_2010.csv") else { return };
    assert_says(&message(read_file(&path, &options(Format::Parquet, "k", ""))), &["Parquet", "--format"]);
}

// ---------------------------------------------------------------------------------- text, as users have it

/// 2017-03-01 00:00.
const MARCH_S: i64 = 1_488_326_400;

const MINUTES: &str = "time,close\n2017-03-01T00:00Z,1.5\n2017-03-01T00:01Z,1.6\n";

/// The bars of `MINUTES`.
const MINUTE_BARS: [(i64, f64); 2] = [(1_488_326_400_000_000, 1.5), (1_488_326_460_000_000, 1.6)];

#[test]
fn marks_line_endings_and_blank_lines_mean_nothing() {
    let dressed = [
        MINUTES.to_owned(),
        format!("\u{feff}{MINUTES}"),
        MINUTES.replace('\n', "\r\n"),
        MINUTES.trim_end().to_owned(),
        format!("\n{MINUTES}\n\r\n  \n"),
        MINUTES.replace(',', ";"),
        MINUTES.replace('\n', "\r"),
        MINUTES.replacen('\n', "\r", 1),
        MINUTES.replacen('\n', "\r\n", 2),
        format!("\r\r{}", MINUTES.replace('\n', "\r")),
    ];
    for text in dressed {
        let file = read_text(&text, Format::Csv, "").unwrap();
        assert_eq!((bars(&file), file.report.rows_read), (MINUTE_BARS.to_vec(), 2), "{text:?}");
    }
}

#[test]
fn an_empty_last_column_is_a_column() {
    let text = "Time\tOpen\tHigh\tLow\tClose\tVolume\n2017-03-01 00:00\t1\t1\t1\t1.5\t\n";
    assert_eq!(bars(&read_text(text, Format::Metatrader, "UTC").unwrap()), MINUTE_BARS[..1]);
}

#[test]
fn lines_are_numbered_as_editors_number_them() {
    let text = "time,close\n\n2017-03-01T00:00Z,1.5\n\n2017-03-01T00:01Z,x\n";
    assert_says(
        &message(read_text(text, Format::Csv, "")),
        &["bars.csv:5:", "not a number", "`2017-03-01T00:01Z,x`"],
    );
    let text = "time,close\n\n2017-03-01T00:00Z,1.5\n2017-03-01T00:00Z,1.5\n2017-03-01T00:01Z,1\n";
    let file = read_text(text, Format::Csv, "").unwrap();
    assert_eq!((file.place(0).number, file.place(1).number), (3, 5));
}

#[test]
fn packed_files_are_unpacked_whatever_their_name() {
    let directory = TempDir::new().unwrap();
    let inner = MINUTES.as_bytes();
    let packed = [
        gzip(inner),
        [gzip(&inner[..20]), gzip(&inner[20..])].concat(),
        zip(&[("a.csv", inner), ("a.txt", b"x")]),
    ];
    for bytes in packed {
        let path = write(&directory, "bars.csv", &bytes);
        assert_eq!(bars(&read_file(&path, &options(Format::Csv, "k", "")).unwrap()), MINUTE_BARS);
    }
}

#[test]
fn damaged_archives_are_errors() {
    let directory = TempDir::new().unwrap();
    let noise: String = (0..5_000)
        .map(|n| format!("{},{}\n", MARCH_S + n * 60, fastrand::Rng::with_seed(n.unsigned_abs()).f64() + 1.0))
        .collect();
    let whole = [gzip(noise.as_bytes()), zip(&[("a.csv", noise.as_bytes())])];
    for bytes in whole {
        let path = write(&directory, "cut", &bytes[..bytes.len() / 2]);
        let refused = read_file(&path, &with_columns(options(Format::Csv, "k", ""), "1", "2")).unwrap_err();
        assert!(matches!(refused, ImportError::Read { .. } | ImportError::Archive { .. }), "{refused}");
    }
    let mut flipped = zip(&[("a.csv", noise.as_bytes())]);
    flipped[14] ^= 1; // the checksum beside the data; the directory's counts
    let directory_crc = flipped.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap() + 16;
    flipped[directory_crc] ^= 1;
    let path = write(&directory, "flipped.zip", &flipped);
    let refused = read_file(&path, &with_columns(options(Format::Csv, "k", ""), "1", "2")).unwrap_err();
    assert!(matches!(refused, ImportError::Read { .. }), "{refused}");
    let path = write(&directory, "two.zip", &zip(&[("a.csv", b"x"), ("b.csv", b"y")]));
    assert_says(
        &message(read_file(&path, &options(Format::Csv, "k", ""))),
        &["two.zip", "\"a.csv\", \"b.csv\""],
    );
}

#[test]
fn two_entries_of_one_name_are_an_error() {
    let directory = TempDir::new().unwrap();
    let later = MINUTES.replace("1.6", "1.7");
    let mut bytes = zip(&[("a.csv", MINUTES.as_bytes()), ("b.csv", later.as_bytes())]);
    while let Some(at) = bytes.windows(5).position(|name| name == b"b.csv") {
        bytes[at] = b'a';
    }
    let path = write(&directory, "twice.zip", &bytes);
    assert_says(
        &message(read_file(&path, &options(Format::Csv, "k", ""))),
        &["twice.zip", "two entries of one name"],
    );
    let path = write(&directory, "once.zip", &zip(&[("a.csv", MINUTES.as_bytes())]));
    assert_eq!(bars(&read_file(&path, &options(Format::Csv, "k", "")).unwrap()), MINUTE_BARS);
}

#[test]
fn bytes_after_the_last_gzip_member_are_a_warning_and_zeros_are_padding() {
    let directory = TempDir::new().unwrap();
    let member = gzip(MINUTES.as_bytes());
    for (more, warnings) in
        [(&b""[..], 0), (&[0; 1000], 0), (b"x", 1), (b"not gzip at all", 1), (b"\0\0x", 1)]
    {
        let path = write(&directory, "bars.gz", &[member.as_slice(), more].concat());
        let file = read_file(&path, &options(Format::Csv, "k", "")).unwrap();
        assert_eq!((bars(&file), file.report.warnings.len()), (MINUTE_BARS.to_vec(), warnings), "{more:?}");
        if warnings == 1 {
            assert_says(&file.report.warnings[0], &[&more.len().to_string(), "gzip"]);
        }
    }
    // A member that breaks off is none that may be passed over.
    let second = gzip(b"2017-03-01T00:02Z,1.7\n");
    let read = |bytes: &[u8]| {
        let path = write(&directory, "bars.gz", &[&member, bytes].concat());
        read_file(&path, &options(Format::Csv, "k", ""))
    };
    assert_eq!(read(&second).unwrap().bars.len(), 3);
    for cut in [2, 12, second.len() - 1] {
        assert!(matches!(read(&second[..cut]), Err(ImportError::Read { .. })), "{cut}");
    }
}

#[test]
fn files_that_are_no_bars_at_all() {
    let directory = TempDir::new().unwrap();
    let read = |path: &Path, format| read_file(path, &options(format, "k", "UTC")).unwrap_err();
    let text = [Format::Histdata, Format::Metatrader, Format::Dukascopy, Format::Csv];
    for format in Format::ALL {
        assert!(matches!(read(Path::new("/nowhere/x.csv"), format), ImportError::Open { .. }));
        assert!(matches!(read(directory.path(), format), ImportError::Directory { .. }));
        assert!(matches!(read(&write(&directory, "empty", b""), format), ImportError::Empty { .. }));
    }
    for format in text {
        assert!(matches!(read(&write(&directory, "blank", b"\r\n \n"), format), ImportError::Empty { .. }));
        assert!(matches!(
            read(&write(&directory, "empty.gz", &gzip(b"")), format),
            ImportError::Empty { .. }
        ));
        let wide = read(&write(&directory, "wide", &b"x,".repeat(100_000)), format);
        assert_says(&wide.to_string(), &["line 1", "65536"]);
    }
    let header = write(&directory, "header", b"time,close\n");
    assert!(matches!(read(&header, Format::Csv), ImportError::NoRows { .. }));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let directory = TempDir::new().unwrap();
    let wide: Vec<u8> = "\u{feff}time,close\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let path = write(&directory, "wide.csv", &wide);
    assert_says(&message(read_file(&path, &options(Format::Csv, "k", ""))), &["wide.csv", "UTF-16", "iconv"]);
    let path = write(
        &directory,
        "latin.csv",
        b"time,close,note\n2017-03-01T00:00Z,1.5,ok\n2017-03-02T00:00Z,1.5,caf\xe9\n",
    );
    assert_says(&message(read_file(&path, &options(Format::Csv, "k", ""))), &["latin.csv:3:", "not UTF-8"]);
    let lenient = ReadOptions { lenient: true, ..options(Format::Csv, "k", "") };
    assert_eq!(read_file(&path, &lenient).unwrap().report.dropped[&Cause::Unparsable], 1);
}

#[test]
fn bad_rows_name_file_and_line_and_lenient_counts_them() {
    let cases = [
        ("1488326520,0", "not a price", Cause::Price),
        ("1488326520,-1.5", "not a price", Cause::Price),
        ("1488326520,nan", "not a price", Cause::Price),
        ("1488326520,", "not a number", Cause::Unparsable),
        ("1488326520", "has 1 field where a row has 2", Cause::Unparsable),
        ("1488326520,1,5", "has 3 fields where a row has 2", Cause::Unparsable),
        ("1488326520,0952", "superfluous zero", Cause::Unparsable),
        ("1488326520,\"1.5", "quotes", Cause::Unparsable),
        ("soon,1.5", "not readable", Cause::Unparsable),
        ("1488326520.0000001,1.5", "finer than a microsecond", Cause::TooFine),
        ("1488326460,1.7", "1.7", Cause::Contradiction),
        ("1488326459,1.5", "jumps back", Cause::JumpBack),
    ];
    let directory = TempDir::new().unwrap();
    for (row, part, cause) in cases {
        let path = write(
            &directory,
            "bad.csv",
            format!("time,close\n1488326460,1.5\n{row}\n1488326580,1.5\n").as_bytes(),
        );
        let strict = options(Format::Csv, "k", "");
        assert_says(&message(read_file(&path, &strict)), &["bad.csv:3:", part]);
        let report = read_file(&path, &ReadOptions { lenient: true, ..strict }).unwrap().report;
        assert_eq!((report.rows_read, report.rows_kept, report.dropped[&cause]), (3, 2, 1), "{row}");
    }
}

#[test]
fn a_file_that_breaks_off_inside_its_last_close_is_refused() {
    let text =
        "20170301 000000;1.055220;1.055290;1.055210;1.055290;0\n20170301 000100;1.0553;1.0553;1.0553;1.05";
    let refused = read_text(text, Format::Histdata, "").unwrap_err();
    assert!(matches!(refused, ImportError::Row { fault: RowFault::Cut { column: 5 }, .. }), "{refused}");
}

#[test]
fn lenient_reading_that_keeps_nothing_is_an_error() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "mt.csv", b"2026.01.01,17:00,1,1,1,1,0\n2026.01.01,17:01,1,1,1,1,0\n");
    let lenient = ReadOptions { lenient: true, ..options(Format::Histdata, "k", "") };
    assert_says(
        &message(read_file(&path, &lenient)),
        &["none of the 2 rows", "mt.csv:1:", "--format metatrader"],
    );
}

#[test]
fn local_times_that_are_no_instant_name_their_line() {
    let row = |local: &str| format!("time,close\n{local},1.5\n");
    for (local, part) in [("2017-11-05 01:30", "exists twice"), ("2017-03-12 02:30", "does not exist")] {
        let refused = message(read_text(&row(local), Format::Csv, "America/New_York"));
        assert_says(&refused, &["bars.csv:2:", part, local]);
    }
    let refused = message(read_text("20221029 203000;1;1;1;1;0\n", Format::Histdata, ""));
    assert_says(&refused, &["bars.csv:1:", "exists twice"]);
}

#[test]
fn a_zone_may_not_contradict_the_bytes() {
    assert!(read_text(MINUTES, Format::Csv, "UTC").is_ok());
    assert_says(
        &message(read_text(MINUTES, Format::Csv, "+02:00")),
        &["bars.csv:2:", "contradicts --timezone +02:00"],
    );
    assert_says(
        &message(read_text("time,close\n1488326460,1\n", Format::Csv, "America/New_York")),
        &["+00:00"],
    );
    assert!(read_text("ts_utc,close\n2017-03-01 00:00,1\n", Format::Csv, "").is_ok());
}

#[test]
fn column_options_serve_the_formats_that_have_free_columns() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "x.csv", b"a|b\n1488326460|1.5\n");
    let mut csv = with_columns(options(Format::Csv, "k", ""), "A", "2");
    csv.columns.delimiter = Some('|');
    assert_eq!(bars(&read_file(&path, &csv).unwrap()), [(1_488_326_460_000_000, 1.5)]);
    csv.columns.delimiter = Some('é');
    assert_says(&message(read_file(&path, &csv)), &["delimiter"]);
    let histdata = with_columns(options(Format::Histdata, "k", ""), "1", "2");
    assert_says(&message(read_file(&path, &histdata)), &["histdata has fixed columns"]);
}

// --------------------------------------------------------------------------------------------- parquet

fn closes() -> ArrayRef {
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
        let file = read_columns(vec![("time", time.clone()), ("close", closes())], "").unwrap();
        assert_eq!(bars(&file), MINUTE_BARS);
        let file = read_columns(vec![("Close", closes()), ("when", time)], "").unwrap();
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
    assert_eq!(first(&naive, "").unwrap(), 1_488_326_400_000_000);
    assert_eq!(first(&naive, "+01:00").unwrap(), 1_488_322_800_000_000);
    assert_eq!(first(&aware, "").unwrap(), 1_488_326_400_000_000);
    assert_eq!(first(&aware, "UTC").unwrap(), 1_488_326_400_000_000);
    assert!(matches!(first(&aware, "+01:00"), Err(ImportError::ZoneContradiction { .. })));
}

#[test]
fn parquet_closes_of_other_types() {
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let close = |close: ArrayRef| read_columns(vec![("ts", time.clone()), ("close", close)], "");
    let single = close(Arc::new(Float32Array::from(vec![1.5, 2.5]))).unwrap();
    assert_eq!(bars(&single), [(MINUTE_BARS[0].0, 1.5), (MINUTE_BARS[1].0, 2.5)]);
    assert_eq!(bars(&close(Arc::new(Int64Array::from(vec![1, 2]))).unwrap())[1].1, 2.0);
    assert_says(
        &message(close(Arc::new(StringArray::from(vec!["1.5", "1.6"])))),
        &["--close-column", "`close` (Utf8)"],
    );
}

#[test]
fn parquet_rows_that_are_no_bars() {
    let fine: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![MARCH_S * 1_000_000_000, MARCH_S * 1_000_000_000 + 1]));
    assert_says(
        &message(read_columns(vec![("ts", fine), ("close", closes())], "")),
        &["row 2", "microsecond"],
    );
    let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, i64::MAX]));
    assert_says(
        &message(read_columns(vec![("ts", far), ("close", closes())], "")),
        &["row 2", "out of range"],
    );
    let none: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(MARCH_S), None]));
    assert_says(
        &message(read_columns(vec![("ts", none), ("close", closes())], "")),
        &["row 2", "`NULL, 1.6`"],
    );
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let holes: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None]));
    assert_says(
        &message(read_columns(vec![("ts", time.clone()), ("close", holes)], "")),
        &["row 2", "not a number"],
    );
    let zero: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 0.0]));
    assert_says(
        &message(read_columns(vec![("ts", time.clone()), ("close", zero)], "")),
        &["row 2", "not a price"],
    );
    let no_rows = vec![("ts", time.slice(0, 0)), ("close", closes().slice(0, 0))];
    assert!(matches!(read_columns(no_rows, ""), Err(ImportError::NoRows { .. })));
}

#[test]
fn parquet_columns_that_cannot_be_told() {
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let two = vec![("opened", time.clone()), ("closed", time.clone()), ("close", closes())];
    assert_says(&message(read_columns(two, "")), &["--time-column", "`opened`", "`closed`"]);
    assert_says(&message(read_columns(vec![("ts", closes()), ("close", closes())], "")), &["timestamp"]);
    let directory = TempDir::new().unwrap();
    let path =
        write_parquet(&directory, "x.parquet", vec![("a", time.clone()), ("b", time), ("paid", closes())]);
    let named = with_columns(options(Format::Parquet, "k", ""), "b", "paid");
    assert_eq!(read_file(&path, &named).unwrap().bars.len(), 2);
    let wrong = with_columns(options(Format::Parquet, "k", ""), "paid", "a");
    assert_says(&message(read_file(&path, &wrong)), &["`paid` is not a timestamp", "Float64"]);
    let absent = with_columns(options(Format::Parquet, "k", ""), "b", "price");
    assert_says(&message(read_file(&path, &absent)), &["no column `price`", "`paid`"]);
}

#[test]
fn parquet_dates_beside_times_of_day_are_no_time_stamps() {
    let days = |days: [i64; 2]| -> ArrayRef {
        Arc::new(TimestampSecondArray::from(days.map(|day| MARCH_S + day * 86_400).to_vec()))
    };
    let one_close: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 1.5]));
    let times: ArrayRef = Arc::new(StringArray::from(vec!["00:00", "00:01"]));
    let same_day = vec![("date", days([0, 0])), ("time", times), ("close", one_close.clone())];
    assert_says(&message(read_columns(same_day, "")), &["row 2", "dates without times of day"]);
    let daily = read_columns(vec![("date", days([0, 1])), ("close", one_close.clone())], "").unwrap();
    assert_eq!(daily.bars.len(), 2);
    let twice = vec![("ts", days([0, 1])), ("close", one_close.clone()), ("Close", one_close)];
    assert_says(&message(read_columns(twice, "")), &["several columns are called `close`"]);
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

// ---------------------------------------------------------------------------------- several files, series

#[test]
fn months_in_any_order_give_the_same_bits() {
    let months: Vec<_> =
        (1..=12).filter_map(|month| shared(&format!("m1/pair=eurusd/2017-{month:02}.parquet"))).collect();
    let [first, .., last] = months.as_slice() else { return };
    assert_ne!(first, last);
    let read = |paths: &[PathBuf]| -> Vec<BarFile> {
        paths.iter().map(|path| read_file(path, &options(Format::Parquet, "", "")).unwrap()).collect()
    };
    let ordered = merge(read(&months), false).unwrap();
    let mut shuffled = [months.clone(), months[3..5].to_vec()].concat();
    fastrand::Rng::with_seed(12).shuffle(&mut shuffled);
    let shuffled = merge(read(&shuffled), false).unwrap();
    assert_eq!(ordered["eurusd"].bars(), shuffled["eurusd"].bars());
    let middle = ordered["eurusd"].bars().len() / 2;
    let place = ordered["eurusd"].place(middle);
    let home = read_file(&place.path, &options(Format::Parquet, "", "")).unwrap();
    assert_eq!(home.bars[place.number as usize - 1], ordered["eurusd"].bars()[middle]);
}

#[test]
fn series_of_a_month_follow_their_definition() {
    let Some(path) = shared("m1/pair=usdjpy/2017-01.parquet") else { return };
    let file = read_file(&path, &options(Format::Parquet, "", "")).unwrap();
    let base = file.bars[0].close;
    let index: Vec<f64> = file.bars.iter().map(|bar| series::rate_index(bar.close, base)).collect();
    let returns = series::backward_returns(&index);
    assert_eq!((index[0], returns.len()), (100.0, index.len() - series::RETURN_ROWS));
    let t = 20_000;
    let sum = (2..=15).fold(index[t - 1] - index[t], |sum, k| sum + (index[t - k] - index[t]));
    assert_eq!(returns[t - 15].to_bits(), (sum / index[t]).to_bits());
}

// ------------------------------------------------------------------------------------ anything at all

const SEEDS: [&str; 8] = [
    "20170301 000000;1.055220;1.055290;1.055210;1.055290;0\n20170301 000100;1.1;1.1;1.1;1.1;0\n",
    "2026.01.01,17:00,1.346430,1.346480,1.346430,1.346480,0\n2026.01.01,17:04,1,1,1,1,0\n",
    "Timestamp\tOpen\tHigh\tLow\tClose\tVolume\n2024-11-14 14:01:00\t1.05302\t1.05355\t1.05299\t1.05341\t1026\n",
    "Gmt time,Open,High,Low,Close,Volume\r\n01.11.2010 00:00:00.000,1.39724,1.39730,1.39709,1.39730,44799999.2371\r\n",
    "Local time,Open,High,Low,Close,Volume\n01.11.2010 00:00:00.000 GMT+0100,1,1,1,1,1\n",
    "timestamp,open,high,low,close\n2012-02-01 00:00:00+00:00,1.57597,1.57606,1.57576,1.57576\n",
    "\u{feff}date,price\n2018-06-01 00:00,1.326255\n\"2018-06-01 00:01\",\"1.3\"\n",
    "1672531200,16535.97,16535.97,16522.66,16522.66,0.01429883,2\n1672531740,1,1,1,1,0,1\n",
];

/// Changes a few bytes: noise, repetition, loss.
fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..bytes.len().max(1)).min(bytes.len());
        match random.u8(0..5) {
            0 => bytes.insert(at, random.u8(..)),
            1 => bytes.insert(at, b"0123456789,;\t.:-+ \"\n\rZTe"[random.usize(0..24)]),
            2 => bytes.truncate(at.max(1)),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] = random.u8(..),
            _ => (),
        }
    }
}

fn read_every_way(path: &Path, random: &mut fastrand::Rng) {
    let zones = ["", "UTC", "histdata", "America/New_York+07:00"];
    for format in Format::ALL {
        let zone = zones[random.usize(0..zones.len())];
        let lenient = ReadOptions { lenient: random.bool(), ..options(format, "k", zone) };
        let numbered = with_columns(lenient.clone(), "1", "5");
        for options in [lenient, numbered] {
            match read_file(path, &options) {
                Ok(file) => assert!(file.bars.iter().all(|bar| bar.close > 0.0) && !file.bars.is_empty()),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn no_text_makes_it_panic() {
    let directory = TempDir::new().unwrap();
    let mut random = fastrand::Rng::with_seed(20_170_301);
    for round in 0..4_000 {
        let mut bytes = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        mutate(&mut bytes, &mut random);
        read_every_way(&write(&directory, "any", &bytes), &mut random);
    }
}

#[test]
fn no_packed_or_binary_file_makes_it_panic() {
    let directory = TempDir::new().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let parquet = fs::read(write_parquet(&directory, "x", vec![("ts", time), ("close", closes())])).unwrap();
    let seeds = [gzip(SEEDS[0].as_bytes()), zip(&[("a.csv", SEEDS[1].as_bytes()), ("a.txt", b"x")]), parquet];
    for round in 0..3_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut bytes, &mut random);
        read_every_way(&write(&directory, "any", &bytes), &mut random);
    }
}
