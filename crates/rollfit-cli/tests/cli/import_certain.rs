//! Import guesses nothing: rows, numbers, times and instruments that are not certain are refused, also leniently, and their
//! corrected twins are imported bit for bit.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Float64Array, RecordBatch, StringArray, TimestampSecondArray};
use parquet::arrow::ArrowWriter;
use serde_json::json;

use crate::features::Columns;
use crate::sandbox::{Answer, Sandbox};

/// 2024-01-02 00:00.
const JANUARY_S: i64 = 1_704_153_600;
const ROWS: usize = 40;

fn close(row: usize) -> String {
    format!("1.{:05}", 9_500 + row * row % 17)
}

/// A file of [`ROWS`] one-minute rows that `row` writes, after a header.
fn text(header: &str, row: impl Fn(usize) -> String) -> String {
    let mut text = header.to_owned();
    (0..ROWS).for_each(|n| writeln!(text, "{}", row(n)).unwrap());
    text
}

fn clock(row: usize) -> String {
    format!("2024-01-02 00:{row:02}:00")
}

/// Imports a file of a format in UTC, with more options.
fn import(sandbox: &Sandbox, format: &str, bytes: impl AsRef<[u8]>, options: &[&str]) -> Answer {
    let file = sandbox.write("bars.csv", bytes);
    let file = file.to_str().unwrap();
    let always = ["import", "--json", "--into", "parquet:fx", "--key", "eurusd", "--format", format];
    sandbox.run(&[&always[..], options, &[file]].concat())
}

/// The file is refused with all of `parts`, strictly and leniently, and nothing is stored.
#[track_caller]
fn refused(format: &str, bytes: impl AsRef<[u8]>, options: &[&str], parts: &[&str]) {
    for lenient in [&[][..], &["--lenient"]] {
        let sandbox = Sandbox::new();
        let answer = import(&sandbox, format, &bytes, &[options, lenient].concat()).says(parts);
        assert!(matches!(answer.status.code(), Some(1 | 2)), "{answer}");
        assert!(!sandbox.path("fx/sources").exists(), "{answer}");
    }
}

/// The file is imported as the minutes from 2024-01-02 with the closes of [`close`], bit for bit.
#[track_caller]
fn imported(format: &str, bytes: impl AsRef<[u8]>, options: &[&str]) -> Answer {
    let sandbox = Sandbox::new();
    let answer = import(&sandbox, format, bytes, options).exits(0);
    has_all_bars(&sandbox);
    answer
}

#[track_caller]
fn has_all_bars(sandbox: &Sandbox) {
    let m1 = Columns::read(&sandbox.path("fx/sources/m1_eurusd/2024-01.parquet"));
    let instants: Vec<i64> = (0..ROWS).map(|row| (JANUARY_S + 60 * row as i64) * 1_000_000).collect();
    let closes: Vec<f64> = (0..ROWS).map(|row| close(row).parse().unwrap()).collect();
    assert_eq!((&m1.instants_us, m1.column("close")), (&instants, closes.as_slice()));
}

const UTC: [&str; 2] = ["--timezone", "UTC"];

#[test]
fn a_row_has_as_many_fields_as_the_header_or_the_format_says() {
    let with_commas = |row: usize| close(row).replace('.', ",");
    let four = |row: usize| vec![with_commas(row); 4].join(",");
    let header = "time,open,high,low,close,volume\n";
    refused(
        "csv",
        text(header, |row| format!("{},{},7", clock(row), four(row))),
        &UTC,
        &["10 fields, but a row has 6"],
    );
    refused(
        "csv",
        text("time,close\n", |row| format!("{},{}", clock(row), with_commas(row))),
        &UTC,
        &["3 fields"],
    );
    refused(
        "csv",
        text("time,close,n\n", |row| format!("{},{},7,9,9", clock(row), close(row))),
        &UTC,
        &["5 fields"],
    );
    let metatrader = |row: usize| format!("2024.01.02,00:{row:02}");
    refused(
        "metatrader",
        text("", |row| format!("{},{},7", metatrader(row), four(row))),
        &UTC,
        &["11 fields"],
    );
    let dukascopy = |row: usize| format!("02.01.2024 00:{row:02}:00.000");
    let header = "Gmt time,Open,High,Low,Close,Volume\n";
    refused(
        "dukascopy",
        text(header, |row| format!("{},{},7", dukascopy(row), four(row))),
        &[],
        &["10 fields"],
    );

    let points = |row: usize| vec![close(row); 4].join(",");
    imported("metatrader", text("", |row| format!("{},{},7", metatrader(row), points(row))), &UTC);
    imported("dukascopy", text(header, |row| format!("{},{},7", dukascopy(row), points(row))), &[]);
    imported("csv", text("time,close\n", |row| format!("{},{}", clock(row), close(row))), &UTC);
    imported("csv", text("time,close,n\n", |row| format!("{},{},7,", clock(row), close(row))), &UTC);
}

#[test]
fn a_decimal_comma_is_no_delimiter_where_no_header_counts_the_columns() {
    let columns = ["--time-column", "1", "--close-column", "3"];
    let split = |row: usize| format!("{},{}", JANUARY_S + 60 * row as i64, close(row).replace('.', ","));
    refused("csv", text("", split).replace(",0", ",1"), &columns, &["decimal point", "header line"]);
    imported("csv", text("", |row| format!("{},7,{}", JANUARY_S + 60 * row as i64, close(row))), &columns);
}

#[test]
fn two_rows_in_one_line_are_no_row() {
    let row = |minute: &str| format!("20240102 {minute}00;1.1;1.1;1.1;1.1;0");
    refused(
        "histdata",
        row("0200") + &row("0201") + "\n",
        &[],
        &["bars.csv:1:", "11 fields, but a row has 6"],
    );
    let row = |minute: &str| format!("2024.01.02,{minute},1,1,1,1.1,0");
    refused("metatrader", row("02:00") + &row("02:01") + "\n", &UTC, &["13 fields"]);
    let two = format!("time,close\n{},1.1{},1.2\n", clock(0), clock(1));
    refused("csv", two, &UTC, &["bars.csv:2:", "3 fields"]);
}

#[test]
fn lines_end_with_lf_crlf_or_cr() {
    let lines = text("time,close,n\n", |row| format!("{},{},7", clock(row), close(row)));
    for end in ["\n", "\r\n", "\r"] {
        let answer = imported("csv", lines.replace('\n', end), &UTC).json();
        assert_eq!(answer["files"][0]["rows_read"], json!(ROWS));
        let broken = lines.replace(&close(5), "oops").replace('\n', end);
        refused_strictly(&broken, &["bars.csv:7:", "oops"]);
    }
    let mixed = lines.replacen('\n', "\r", 9).replacen('\n', "\r\n", 9);
    imported("csv", mixed, &UTC);
}

#[track_caller]
fn refused_strictly(bytes: &str, parts: &[&str]) {
    import(&Sandbox::new(), "csv", bytes, &UTC).exits(1).says(parts);
}

#[test]
fn small_numbers_are_no_epochs() {
    let column =
        |time: &dyn Fn(usize) -> String| text("time,close\n", |row| format!("{},{}", time(row), close(row)));
    let small: [(&dyn Fn(usize) -> String, &str); 8] = [
        (&|row| format!("00{row:02}"), "time of day"),
        (&|row| (60 * row).to_string(), "count of minutes or seconds"),
        (&|row| row.to_string(), "row number"),
        (&|row| format!("{:.5}", 45_293.0 + row as f64 / 1440.0), "spreadsheet"),
        (&|row| format!("{:.5}", 2_460_311.5 + row as f64 / 1440.0), "Julian"),
        (&|row| format!("{:.6}", row as f64 / 1440.0), "spreadsheet"),
        (&|row| format!("24010200{row:02}"), "as a date"),
        (&|row| (638_396_640_000_000_000 + 600_000_000 * row as i64).to_string(), "not an epoch"),
    ];
    for (time, part) in small {
        for zone in [&[][..], &UTC] {
            refused("csv", column(time), zone, &["bars.csv", part]);
        }
    }
    for unit in [1, 1_000, 1_000_000, 1_000_000_000] {
        imported("csv", column(&|row| ((JANUARY_S + 60 * row as i64) * unit).to_string()), &[]);
    }
    imported("csv", column(&|row| format!("{}.0", JANUARY_S + 60 * row as i64)), &[]);
    let seconds = JANUARY_S.to_string();
    let mixed = format!("time,close\n{seconds},1.5\n{seconds}000000,1.5\n");
    refused("csv", mixed, &[], &["bars.csv:3:", "microseconds", "seconds"]);
}

#[test]
fn a_date_column_beside_the_time_is_used() {
    let row = |row: usize| format!("EURUSD,20240102,00{row:02}00,1,1,1,{},4", close(row));
    let header = "<TICKER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n";
    refused("csv", text(header, row), &[], &["bars.csv:2:", "--timezone"]);
    imported("csv", text(header, row), &UTC);
    imported("csv", text("date,time,close\n", |row| format!("2024.01.02,00:{row:02},{}", close(row))), &UTC);
    imported("csv", text("date,hhmm,close\n", |row| format!("20240102,00{row:02},{}", close(row))), &UTC);
    // A whole time stamp needs no date, and takes none.
    imported(
        "csv",
        text("date,time,close\n", |row| format!("2024-01-02,{},{}", clock(row), close(row))),
        &UTC,
    );
    let epoch = |row: usize| format!("2024-01-02,{},{}", JANUARY_S + 60 * row as i64, close(row));
    imported("csv", text("date,time,close\n", epoch), &[]);
}

#[test]
fn advice_about_times_never_leads_to_a_wrong_import() {
    let row = |row: usize| format!("20240102,00{row:02},1,1,1,{}", close(row));
    let header = "TradeDay,Time,Open,High,Low,Close\n";
    refused("csv", text(header, row), &UTC, &["bars.csv:2:", "--date-column"]);
    imported("csv", text(header, row), &[&UTC[..], &["--date-column", "TradeDay"]].concat());
    // The day alone is no time, with the same close all day neither.
    let day = [&UTC[..], &["--time-column", "TradeDay"]].concat();
    refused("csv", text(header, row), &day, &["dates without times of day"]);
    let constant = text("day,close\n", |_| "20240102,1.5".to_owned());
    refused("csv", constant, &UTC, &["bars.csv:3:", "dates without times of day"]);
    // Without a header columns have numbers, of which none is suggested.
    let columns = |time: &'static str, date: &[&'static str]| {
        [&UTC[..], &["--close-column", "6", "--time-column", time], date].concat()
    };
    import(&Sandbox::new(), "csv", text("", row), &UTC).exits(2).says(&["2 is `0000`", "6 is `1.09500`"]);
    refused("csv", text("", row), &columns("2", &[]), &["time of day", "--date-column"]);
    refused("csv", text("", row), &columns("1", &[]), &["dates without times of day"]);
    imported("csv", text("", row), &columns("2", &["--date-column", "1"]));
}

#[test]
fn digits_that_may_be_minutes_or_hours_and_minutes_are_refused() {
    let beside = |time: &dyn Fn(usize) -> String| {
        text("date,time,close\n", |row| format!("20240102,{},{}", time(row), close(row)))
    };
    let doubtful: [&dyn Fn(usize) -> String; 4] =
        [&|row| row.to_string(), &|row| (60 * row).to_string(), &|row| (100 * row).to_string(), &|row| {
            format!("{:04}", 40 + row)
        }];
    for time in doubtful {
        refused("csv", beside(time), &UTC, &["time of day", "HH:MM"]);
    }
    imported("csv", beside(&|row| format!("00{row:02}")), &UTC);
}

#[test]
fn times_without_a_date_are_no_bars_of_1970() {
    for day in ["1970-01-01", "1899-12-30", "1900-01-01", "1970-01-20"] {
        let file = text("time,close\n", |row| format!("{day} 00:{row:02},{}", close(row)));
        refused("csv", file, &UTC, &["bars.csv", "without a date"]);
    }
}

#[test]
fn one_file_holds_one_instrument() {
    let rows = |header: &str, symbol: &dyn Fn(usize) -> &'static str| {
        text(header, |row| format!("{},{},{}", clock(row), symbol(row), close(row)))
    };
    let two = |row: usize| if row == 7 { "GBP/USD" } else { "EUR/USD" };
    for name in ["symbol", "<TICKER>", "Instrument", "pair", "ISIN", "Name"] {
        let header = format!("time,{name},close\n");
        refused("csv", rows(&header, &two), &UTC, &["bars.csv:9:", "GBP/USD", "EUR/USD", "bars.csv:2"]);
        imported("csv", rows(&header, &|_| "EUR/USD"), &UTC);
    }
    // A row that is dropped for its close counts as well.
    let bad = rows("time,symbol,close\n", &two).replace(&format!("GBP/USD,{}", close(7)), "GBP/USD,oops");
    refused("csv", bad, &UTC, &["GBP/USD"]);
    let columns = [&UTC[..], &["--time-column", "1", "--close-column", "3"]].concat();
    refused("csv", rows("", &two), &columns, &["GBP/USD", "EUR/USD"]);
    imported("csv", rows("", &|_| "EUR/USD"), &columns);
}

#[test]
fn an_instrument_that_is_not_the_key_is_told() {
    let rows = text("time,symbol,close\n", |row| format!("{},GBP/USD,{}", clock(row), close(row)));
    imported("csv", &rows, &UTC).says(&["warning: ", "`symbol` says `GBP/USD`", "eurusd"]);
    let sandbox = Sandbox::new();
    sandbox.write("key=eurusd/bars.csv", &rows);
    let import =
        ["import", "--format", "csv", "--into", "parquet:fx", "--timezone", "UTC", "key=eurusd/bars.csv"];
    sandbox.run(&import).exits(2).says(&["key=eurusd/bars.csv", "GBP/USD", "eurusd", "--key"]);
    sandbox.run(&[&import[..], &["--key", "gbpusd"]].concat()).exits(0);
}

#[test]
fn two_files_of_a_key_hold_one_instrument() {
    let sandbox = Sandbox::new();
    for (name, hour, symbol) in [("1.csv", 0, "EUR/USD"), ("2.csv", 1, "GBP/USD"), ("3.csv", 2, "EURUSD")] {
        let row = |row| format!("2024-01-02 0{hour}:{row:02}Z,{symbol},{}", close(row));
        sandbox.write(name, text("time,symbol,close\n", row));
    }
    let import = ["import", "--format", "csv", "--key", "mine", "--into", "parquet:fx"];
    let two = [&import[..], &["--lenient", "1.csv", "2.csv"]].concat();
    sandbox.run(&two).exits(2).says(&["2.csv", "GBP/USD", "EUR/USD", "1.csv", "`mine`"]);
    assert!(!sandbox.path("fx/sources").exists());
    sandbox.run(&[&import[..], &["1.csv", "3.csv"]].concat()).exits(0).says(&["80 bars"]);
}

/// A Parquet file of all bars, with the closes and more columns as given.
fn parquet(more: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let times: Vec<i64> = (0..ROWS).map(|row| JANUARY_S + 60 * row as i64).collect();
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(times));
    let batch = RecordBatch::try_from_iter([vec![("time", time)], more].concat()).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn a_parquet_file_holds_one_instrument() {
    let closes: ArrayRef =
        Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| close(row).parse().unwrap())));
    let symbols = |other: Option<&'static str>| -> ArrayRef {
        let symbol = |row| if row == 7 { other } else { Some("EURUSD") };
        Arc::new(StringArray::from_iter((0..ROWS).map(symbol)))
    };
    for other in [Some("GBPUSD"), None] {
        let two = parquet(vec![("symbol", symbols(other)), ("close", closes.clone())]);
        refused("parquet", two, &UTC, &["row 8", "row 1", "EURUSD", "symbol"]);
    }
    imported("parquet", parquet(vec![("symbol", symbols(Some("EURUSD"))), ("close", closes.clone())]), &UTC);
    imported("parquet", parquet(vec![("close", closes), ("volume", symbols(None))]), &UTC);
}

#[test]
fn decimals_become_the_doubles_of_their_text() {
    for scale in [5_i8, 18, 30] {
        let digits = |row: usize| close(row).replace('.', "").parse::<i128>().unwrap();
        let scaled = |row| Some(digits(row) * 10_i128.pow(u32::from(scale.unsigned_abs()) - 5));
        let closes = Decimal128Array::from_iter((0..ROWS).map(scaled)).with_precision_and_scale(38, scale);
        imported("parquet", parquet(vec![("close", Arc::new(closes.unwrap()))]), &UTC);
    }
}

#[test]
fn a_newest_first_file_is_told_and_read_alike_in_both_modes() {
    let newest_first = |jump: Option<usize>| {
        text("time,close\n", |n| {
            let row = jump.filter(|jump| n == *jump).map_or(ROWS - 1 - n, |_| ROWS + 5);
            format!("{}Z,{}", clock(row), close(row))
        })
    };
    for lenient in [&[][..], &["--lenient"]] {
        let answer = imported("csv", newest_first(None), lenient).says(&["newest first"]).json();
        assert_eq!(answer["files"][0]["newest_first"], json!(true));
        let sandbox = Sandbox::new();
        let file = sandbox.write("key=eurusd/bars.csv", newest_first(None));
        let arguments = ["import", "--format", "csv", "--into", "parquet:fx", file.to_str().unwrap()];
        let answer = sandbox.run(&[&arguments[..], lenient].concat()).exits(0);
        assert!(answer.stdout.contains("newest first"), "{answer}");
    }
    refused("csv", newest_first(Some(20)), &[], &["bars.csv:22:", "newest first"]);
    let oldest_first = text("time,close\n", |row| format!("{}Z,{}", clock(row), close(row)));
    let answer = imported("csv", oldest_first, &[]).json();
    assert_eq!(answer["files"][0]["newest_first"], json!(false));
}

#[test]
fn what_lenient_drops_between_files_is_counted_in_the_text() {
    let sandbox = Sandbox::new();
    let row = |row: usize, close: &str| format!("{}Z,{close}\n", clock(row));
    sandbox.write("1.csv", format!("time,close\n{}{}", row(0, "1.1"), row(1, "1.2")));
    sandbox.write("2.csv", format!("time,close\n{}{}", row(1, "1.3"), row(2, "1.4")));
    let import = ["import", "--format", "csv", "--key", "eurusd", "--into", "parquet:fx", "1.csv", "2.csv"];
    sandbox.run(&import).exits(1).says(&["2.csv:2", "1.csv:3"]);
    let answer = sandbox.run(&[&import[..], &["--lenient"]].concat()).exits(0);
    assert!(answer.stdout.contains("eurusd: dropped 1 row that contradicts an earlier file"), "{answer}");
}

#[test]
fn a_comma_of_the_close_does_not_hide_behind_an_empty_last_column() {
    let file = |number: &dyn Fn(usize) -> String| {
        text("time,close,volume\n", |row| format!("{},{},", clock(row), number(row)))
    };
    refused("csv", file(&|row| close(row).replace('.', ",")), &UTC, &["4 fields, but a row has 3"]);
    refused("csv", file(&|row| format!("1,{}.5", 234 + row)), &UTC, &["thousands separator"]);
    let without_end = |row| format!("{},{}", clock(row), close(row).replace('.', ","));
    refused("csv", text("time,close,volume\n", without_end), &UTC, &["decimal mark"]);
    // The open alone has its thousands separated, so that the low is where the close belongs.
    let open = |row| if row == 20 { "1,000.5" } else { "999.5" };
    let bars = |row| format!("{},{},1000.9,998.5,{},", clock(row), open(row), close(row));
    refused("csv", text("time,open,high,low,close,volume\n", bars), &UTC, &["empty last column"]);
    imported("csv", file(&close), &UTC);
    imported("csv", file(&|row| format!("{},7", close(row))), &UTC);
}

#[test]
fn a_row_that_breaks_off_is_kept_leniently_where_its_prices_agree() {
    let header = "time,open,high,low,close,volume,spread\n";
    let row = |row: usize, end: &str| format!("{},1.08,1.2,1.07,{}{end}", clock(row), close(row));
    let file = |short: &str| text(header, |n| row(n, if n == 20 { short } else { ",7,0" }));
    for short in [",7", ",\"7"] {
        import(&Sandbox::new(), "csv", file(short), &UTC).exits(1).says(&["bars.csv:22:"]);
        imported("csv", file(short), &[&UTC[..], &["--lenient"]].concat())
            .says(&["rows that end after the close", "consistent: 1"]);
    }
    let shifted =
        text(header, |n| if n == 20 { format!("{},1.08,1.2,1.1,7,0", clock(n)) } else { row(n, ",7,0") });
    let sandbox = Sandbox::new();
    let answer = import(&sandbox, "csv", shifted, &[&UTC[..], &["--lenient"]].concat()).exits(0);
    assert_eq!(answer.json()["files"][0]["dropped"], json!({"unparsable": 1}));
}

#[test]
fn daily_bars_are_read_though_the_last_day_comes_twice_or_all_lie_in_january_1970() {
    let day = |row: usize| format!("2024-{:02}-{:02}", 1 + row / 28, 1 + row % 28);
    let twice =
        text("Date,Close\n", |row| format!("{},{}", day(row.min(ROWS - 2)), close(row.min(ROWS - 2))));
    let answer = import(&Sandbox::new(), "csv", twice, &UTC).exits(0);
    assert_eq!(answer.json()["files"][0]["repeats_dropped"], 1);
    let january: String = (1..25).map(|day| format!("1970-01-{day:02},35.{day}\n")).collect();
    import(&Sandbox::new(), "csv", format!("Date,Close\n{january}"), &UTC).exits(0);
}

#[test]
fn a_file_that_is_cut_off_in_its_last_close_is_refused() {
    let bars = |row: usize| format!("{},1.08,1.2,1.07,{}", clock(row), close(row));
    let whole = text("time,open,high,low,close\n", bars);
    let cut = |bytes: usize| &whole[..whole.len() - bytes];
    import(&Sandbox::new(), "csv", cut(6), &UTC).exits(1).says(&["bars.csv:41:", "cut off"]);
    imported("csv", cut(1), &UTC);
    imported("csv", cut(0), &UTC);
}

#[test]
fn naive_parquet_times_need_a_zone_but_for_those_of_a_store() {
    let closes: ArrayRef =
        Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| close(row).parse().unwrap())));
    let naive = parquet(vec![("close", closes)]);
    let sandbox = Sandbox::new();
    import(&sandbox, "parquet", &naive, &[]).exits(2).says(&["row 1", "--timezone UTC"]);
    assert!(!sandbox.path("fx/sources").exists());
    import(&sandbox, "parquet", &naive, &UTC).exits(0);
    has_all_bars(&sandbox);
    let month = sandbox.path("fx/sources/m1_eurusd/2024-01.parquet");
    let arguments = ["import", "--format", "parquet", "--key", "eurusd", "--into", "parquet:copy"];
    sandbox.run(&[&arguments[..], &[month.to_str().unwrap()]].concat()).exits(0);
    let [first, copy] = ["fx", "copy"].map(|store| {
        Columns::read(&sandbox.path(format!("{store}/sources/m1_eurusd/2024-01.parquet"))).instants_us
    });
    assert_eq!(first, copy);
}

#[test]
fn lines_above_the_table_are_skipped_where_the_message_says_so() {
    let table = text("time,close\n", |row| format!("{}Z,{}", clock(row), close(row)));
    let file = format!("EURUSD, one minute\nfrom somebody\n\n{table}");
    let advice = "the table seems to begin at line 4 (`time,close`): try --skip-lines 3";
    refused("csv", &file, &[], &[advice]);
    imported("csv", &file, &["--skip-lines", "3"]);
    imported("csv", &table, &["--skip-lines", "0"]);
    refused("csv", &file, &["--skip-lines", "4"], &["not a header"]);
    refused("parquet", b"PAR1", &["--skip-lines", "1"], &["omit --skip-lines"]);
    let bad = file.replace(&close(7), "x");
    refused("csv", &bad, &["--skip-lines", "3", "--date-column", "nope"], &["`nope`"]);
    import(&Sandbox::new(), "csv", bad, &["--skip-lines", "3"]).exits(1).says(&["bars.csv:12:"]);
}

#[test]
fn utf16_is_imported_bit_for_bit() {
    let row = |row: usize| format!("2024.01.02;00:{row:02};1;1;1;{};7\r", close(row));
    let header = "<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<TICKVOL>\r\n";
    for mark in ["", "\u{feff}"] {
        let units: Vec<u16> = format!("{mark}{}", text(header, row)).encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        imported("metatrader", &little, &UTC);
        imported("metatrader", &big, &UTC);
        let cut = &little[..little.len() - 1];
        refused("metatrader", cut, &UTC, &["bars.csv: line 42 is not text", "cut off"]);
    }
}
