//! Every raw file of the shared market data at the right instants.
//!
//! The expected instants were worked out apart from this crate, from the zone rules alone. The tests skip with a printed
//! line where the data is absent.

use rollfit_bars::{DropCause, Format, ReadOptions, merge, read_file};

use crate::support::{assert_says, bars, message, options, shared, with_columns};

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
        assert_says(&refused, &[":1:", "--timezone", "does not guess"]);
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
        assert_says(&refused, &["live_data.csv:5:", "live_data.csv:3;", "1.16349", "1.16348", "--lenient"]);
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
    assert_eq!(dropped, [(DropCause::Unparsable, 14_026), (DropCause::Contradiction, 2_117)]);
    // 591 rows have the eight fields of the header; the others break off behind their close.
    assert_says(&report.warnings.concat(), &["rows that end after the close", "9985"]);
}

#[test]
fn raw_histdata_agrees_with_the_parquet_of_the_same_month() {
    let Some(raw) = shared("raw/histdata_ascii/DAT_ASCII_EURUSD_M1_201703.csv") else { return };
    let Some(parquet) = shared("m1/pair=eurusd/2017-03.parquet") else { return };
    let raw = read_file(&raw, &options(Format::Histdata, "", "")).unwrap();
    let parquet = read_file(&parquet, &options(Format::Parquet, "", "")).unwrap();
    assert_eq!((parquet.key.as_str(), parquet.file_line(2).number), ("eurusd", 3));
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
