//! Files of many keys: `--key-column`.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, TimestampSecondArray};
use rollfit_bars::{BarFile, Format, ImportError, OtherColumns, ReadOptions, merge, read_file, read_files};
use tempfile::TempDir;

use crate::support::{assert_says, options, write, write_parquet};
use crate::text::MARCH_S;

fn keyed(format: Format, column: &str) -> ReadOptions {
    ReadOptions { key_column: Some(column.to_owned()), ..options(format, "", "UTC") }
}

fn read(text: &str, options: &ReadOptions) -> Result<Vec<BarFile>, ImportError> {
    let directory = TempDir::new().unwrap();
    read_files(&[write(&directory, "x.csv", text.as_bytes())], options, |_| {})
}

fn message(text: &str, options: &ReadOptions) -> String {
    read(text, options).unwrap_err().to_string()
}

fn shown(files: &[BarFile]) -> Vec<String> {
    let shown = |file: &BarFile| {
        let lines: Vec<u64> = (0..file.bars.len()).map(|index| file.file_line(index).number).collect();
        format!("{} {lines:?}", file.key)
    };
    files.iter().map(shown).collect()
}

const BY_TIME: &str = "symbol,time,close,volume\n\
                       EURUSD,2017-03-01 00:00,1.1,1\n\
                       BTC-USD,2017-03-01 00:00,900,2\n\
                       EURUSD,2017-03-01 00:01,1.2,3\n\
                       BTC-USD,2017-03-01 00:01,901,4\n";

#[test]
fn each_key_has_its_bars_and_lines() {
    let files = read(BY_TIME, &keyed(Format::Csv, "Symbol")).unwrap();
    assert_eq!(shown(&files), ["EURUSD [2, 4]", "BTC-USD [3, 5]"]);
    let mut lines: Vec<&str> = BY_TIME.lines().skip(1).collect();
    lines.sort_unstable();
    let by_key = format!("symbol,time,close,volume\n{}\n", lines.join("\n"));
    let mut options = keyed(Format::Csv, "symbol");
    options.columns.others = OtherColumns::All;
    let files = read(&by_key, &options).unwrap();
    assert_eq!(shown(&files), ["BTC-USD [2, 3]", "EURUSD [4, 5]"]);
    assert_eq!(files[1].columns[0].values, [1.0, 3.0]);
    let one = keyed(Format::Csv, "symbol");
    let without = ReadOptions { key_column: None, key: Some("k".to_owned()), ..one };
    assert_says(&message(BY_TIME, &without), &["x.csv:3", "one instrument"]);
}

#[test]
fn order_repeats_and_contradictions_are_those_of_a_key() {
    let row = |row: &str| message(&format!("{BY_TIME}{row}\n"), &keyed(Format::Csv, "symbol"));
    assert_says(&row("EURUSD,2017-03-01 00:00,1.5,1"), &["x.csv:6", "1.5 here and 1.1 at", "x.csv:2"]);
    assert_says(&row("EURUSD,2017-02-01 00:00,1.5,1"), &["x.csv:6", "jumps back"]);
    let repeated = format!("{BY_TIME}EURUSD,2017-03-01 00:00,1.1,1\nGBPUSD,2016-01-01 00:00,1.3,1\n");
    let files = read(&repeated, &keyed(Format::Csv, "symbol")).unwrap();
    assert_eq!(shown(&files), ["EURUSD [2, 4]", "BTC-USD [3, 5]", "GBPUSD [7]"]);
    assert_eq!(files.iter().map(|file| file.report.repeats_dropped).collect::<Vec<_>>(), [1, 0, 0]);
    let days = "s,date,close\na,2017-03-01,1\nb,2017-03-01,2\na,2017-03-02,1\nb,2017-03-02,2\n";
    assert_eq!(shown(&read(days, &keyed(Format::Csv, "s")).unwrap()), ["a [2, 4]", "b [3, 5]"]);
    assert_says(&message(days, &options(Format::Csv, "k", "UTC")), &["x.csv:3", "times of day"]);
}

#[test]
fn what_is_no_key_is_refused_with_its_line() {
    for key in ["EUR/USD", "", ".x", "eurusd", "é"] {
        let text = format!("{BY_TIME}{key},2017-03-01 00:02,1.5,1\n");
        for lenient in [false, true] {
            let options = ReadOptions { lenient, ..keyed(Format::Csv, "symbol") };
            assert_says(&message(&text, &options), &["x.csv:6", key]);
        }
    }
    let both = ReadOptions { key: Some("k".to_owned()), ..keyed(Format::Csv, "symbol") };
    assert_says(&message(BY_TIME, &both), &["--key-column"]);
    assert_says(&message(BY_TIME, &keyed(Format::Csv, "ticker")), &["`ticker`", "does not exist"]);
    assert_says(&message(BY_TIME, &keyed(Format::Csv, "close")), &["close", "already"]);
    let histdata = "20170301 000000;1.1;1.3;1.0;1.2;5\n";
    assert_says(&message(histdata, &keyed(Format::Histdata, "6")), &["--key-column", "csv"]);
}

#[test]
fn rows_that_cannot_be_read_are_counted_with_their_key_or_the_row_before() {
    let text = "symbol,time,close\nbroken\na,2017-03-01 00:00,x\na,2017-03-01 00:01,1\nb,2017-03-01 00:01,1\nbroken\n\
                c,2017-03-01 00:01,x\n";
    let options = ReadOptions { lenient: true, ..keyed(Format::Csv, "symbol") };
    let files = read(text, &options).unwrap();
    assert_eq!(shown(&files), ["a [4]", "b [5]"]);
    for (file, read, dropped) in [(&files[0], 3, 2), (&files[1], 2, 1)] {
        assert_eq!(
            (file.report.rows_read, file.report.dropped_total(), file.report.rows_kept),
            (read, dropped, 1)
        );
    }
    assert_says(&files[0].report.warnings.join(""), &["key c"]);
    assert_says(&message("symbol,time,close\nbroken\n", &options), &["none of the 1 rows", "x.csv:2"]);
}

/// A row that breaks off before its key is of no key, whatever the row before says.
#[test]
fn a_row_that_breaks_off_before_its_key_is_dropped() {
    let text = "time,open,high,low,close,volume,symbol\n\
                2024-01-02 09:30:00,1.0,1.2,0.9,1.1,5,AAA\n\
                2024-01-02 09:31:00,2.0,2.2,1.9,2.1,\n\
                2024-01-02 09:31:00,2.0,2.2,1.9,2.1,7\n\
                2024-01-02 09:31:00,1.1,1.2,1.0,1.2,5,AAA\n";
    let lenient = ReadOptions { lenient: true, ..keyed(Format::Csv, "symbol") };
    let files = read(text, &lenient).unwrap();
    assert_eq!(shown(&files), ["AAA [2, 5]"]);
    assert_eq!((files[0].bars[1].close, files[0].report.dropped_total()), (1.2, 2));
    assert_says(&message(text, &keyed(Format::Csv, "symbol")), &["x.csv:3"]);
    // Behind the close, before the end: half a key, or a whole one?
    let behind = "time,open,high,low,close,symbol,volume\n2024-01-02 09:30:00,1.0,1.2,0.9,1.1,AAA,5\n\
                  2024-01-02 09:31:00,2.0,2.2,1.9,2.1,AA\n";
    assert_eq!(shown(&read(behind, &lenient).unwrap()), ["AAA [2]"]);
    // The twin: a key in front of the prices is whole.
    let front = "symbol,time,open,high,low,close,volume\nAAA,2024-01-02 09:30:00,1.0,1.2,0.9,1.1,5\n\
                 BBB,2024-01-02 09:31:00,2.0,2.2,1.9,2.1,\nBBB,2024-01-02 09:32:00,2.0,2.2,1.9,2.1\n";
    assert_eq!(shown(&read(front, &lenient).unwrap()), ["AAA [2]", "BBB [3]"]);
}

#[test]
fn without_a_header_the_key_column_is_a_number_whatever_the_first_row_holds() {
    let text = "2024-01-02T00:00Z,AAPL,187.15,2\n2024-01-02T00:01Z,AAPL,187.20,5\n";
    let with = |column: &str| {
        let mut options = keyed(Format::Csv, column);
        options.columns.time = Some("1".to_owned());
        options.columns.close = Some("3".to_owned());
        options
    };
    assert_eq!(shown(&read(text, &with("2")).unwrap()), ["AAPL [1, 2]"]);
    assert_says(&message(text, &with("aapl")), &["--key-column", "a number from 1 to 4"]);
    assert_says(&message(text, &with("5")), &["--key-column", "a number from 1 to 4"]);
}

#[test]
fn a_file_that_ends_inside_its_last_key_is_refused() {
    let text = "time,close,symbol\n2024-01-02 09:30,1.1,BRK.B\n2024-01-02 09:30,1.2,BRK\n\
                2024-01-02 09:31,1.1,BRK.B\n";
    let options = keyed(Format::Csv, "symbol");
    assert_eq!(shown(&read(text, &options).unwrap()), ["BRK.B [2, 4]", "BRK [3]"]);
    for cut in [1, 2, 3, 4, 5] {
        let found = read(&text[..text.len() - 1 - cut], &options);
        assert!(found.is_err(), "{cut}: {:?}", found.map(|files| shown(&files)));
    }
    // A whole key that no other begins with may end the file without a line end.
    assert_eq!(shown(&read(&text[..text.len() - 1], &options).unwrap()), ["BRK.B [2, 4]", "BRK [3]"]);
    assert_says(&message(&text[..text.len() - 3], &options), &["x.csv:4", "cut off"]);
}

#[test]
fn thousands_of_keys_in_one_file() {
    let mut text = String::new();
    for minute in 0..5 {
        for key in 0..3_000 {
            writeln!(text, "key{key},{},1.5", 1_488_326_400 + minute * 60).unwrap();
        }
    }
    let mut options = keyed(Format::Csv, "1");
    (options.columns.time, options.columns.close) = (Some("2".to_owned()), Some("3".to_owned()));
    let files = read(&text, &options).unwrap();
    assert_eq!((files.len(), files[2_999].bars.len()), (3_000, 5));
    assert_eq!(files[2_999].file_line(4).number, 15_000);
    assert_eq!(merge(files, false).unwrap().len(), 3_000);
}

#[test]
fn parquet_files_are_split_too() {
    let directory = TempDir::new().unwrap();
    let times: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S, MARCH_S + 60, MARCH_S + 60]));
    let closes: ArrayRef = Arc::new(Float64Array::from(vec![1.1, 900.0, 1.2, 901.0]));
    let file = |symbols: Vec<Option<&str>>| {
        let symbols: ArrayRef = Arc::new(StringArray::from(symbols));
        let columns = vec![("symbol", symbols), ("ts", Arc::clone(&times)), ("close", Arc::clone(&closes))];
        write_parquet(&directory, "x.parquet", columns)
    };
    let read = |path: PathBuf, options: &ReadOptions| read_files(&[path], options, |_| {});
    let path = file(vec![Some("a"), Some("b"), Some("a"), Some("b")]);
    let options = keyed(Format::Parquet, "symbol");
    assert_eq!(shown(&read(path.clone(), &options).unwrap()), ["a [1, 3]", "b [2, 4]"]);
    assert_says(&read_file(&path, &options).unwrap_err().to_string(), &["--key-column"]);
    let path = file(vec![Some("a"), None, Some("a"), Some("b")]);
    assert_says(&read(path, &options).unwrap_err().to_string(), &["row 2", "not a key"]);
}

#[test]
fn files_are_read_side_by_side_and_told_in_their_order() {
    let directory = TempDir::new().unwrap();
    let file = |at: usize, close: &str| {
        let rows: String = (0..200)
            .map(|minute| format!("{},{close}\n", 1_488_326_400 + (at * 200 + minute) * 60))
            .collect();
        write(&directory, &format!("{at}.csv"), format!("time,close\n{rows}").as_bytes())
    };
    let mut paths: Vec<PathBuf> = (0..40).map(|at| file(at, "1.5")).collect();
    let mut told = Vec::new();
    let files = read_files(&paths, &options(Format::Csv, "k", ""), |files| told.push(files[0].path.clone()));
    assert_eq!((files.unwrap().len(), &told), (40, &paths));
    paths[20] = file(20, "x");
    paths[31] = directory.path().join("none.csv");
    told.clear();
    let error = read_files(&paths, &options(Format::Csv, "k", ""), |files| told.push(files[0].path.clone()));
    assert_says(&error.unwrap_err().to_string(), &["20.csv:2"]);
    assert_eq!(told, paths[..20]);
}
