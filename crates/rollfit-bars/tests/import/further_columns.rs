//! Further columns of bars: which are kept, what they hold, and when two rows are the same bar.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int32Array, StringArray, TimestampSecondArray};
use rollfit_bars::{
    BarFile, DropCause, Format, ImportError, KeyBars, OtherColumns, ReadOptions, merge, read_file,
};
use rollfit_job::import::NewBars;
use tempfile::TempDir;

use crate::parquet::closes;
use crate::support::{assert_says, options, write, write_parquet};
use crate::text::MARCH_S;

fn all(format: Format) -> ReadOptions {
    let mut options = options(format, "k", "UTC");
    options.columns.others = OtherColumns::All;
    options
}

fn named(format: Format, names: &[&str]) -> ReadOptions {
    let mut options = all(format);
    options.columns.others = OtherColumns::Named(names.iter().map(|name| (*name).to_owned()).collect());
    options
}

fn read(text: &str, options: &ReadOptions) -> Result<BarFile, ImportError> {
    let directory = TempDir::new().unwrap();
    read_file(&write(&directory, "x.csv", text.as_bytes()), options)
}

fn message(text: &str, options: &ReadOptions) -> String {
    read(text, options).unwrap_err().to_string()
}

/// Names and values; NaN is written as it is.
fn columns(file: &BarFile) -> Vec<String> {
    file.columns.iter().map(|column| format!("{} {:?}", column.name, column.values)).collect()
}

const BARS: &str = "time,1. open,High,symbol,close,Tick Volume,note\n\
                    2017-03-01 00:00,1.1,1.3,EURUSD,1.2,7,x\n\
                    2017-03-01 00:01,1.2,,EURUSD,1.3,8,y\n";

#[test]
fn columns_of_numbers_are_kept_under_plain_names() {
    let file = read(BARS, &all(Format::Csv)).unwrap();
    assert_eq!(columns(&file), ["open [1.1, 1.2]", "high [1.3, NaN]", "tick_volume [7.0, 8.0]"]);
    assert_says(&file.report.warnings.join("\n"), &["left out", "`symbol`", "`note`"]);
    let file = read(BARS, &named(Format::Csv, &["TICK VOLUME", "1. open"])).unwrap();
    assert_eq!(columns(&file), ["open [1.1, 1.2]", "tick_volume [7.0, 8.0]"]);
    assert!(!file.report.warnings.join("").contains("left out"));
    assert!(read(BARS, &options(Format::Csv, "k", "UTC")).unwrap().columns.is_empty());
}

#[test]
fn vendors_without_a_header_have_their_own_names() {
    let histdata = "20170301 000000;1.1;1.3;1.0;1.2;5\n20170301 000100;1.2;1.2;1.2;1.2;6\n";
    let file = read(histdata, &all(Format::Histdata)).unwrap();
    assert_eq!(columns(&file), ["open [1.1, 1.2]", "high [1.3, 1.2]", "low [1.0, 1.2]", "volume [5.0, 6.0]"]);
    assert!(file.report.warnings.is_empty());
    let file = read("2017.03.01,00:00,1.1,1.3,1.0,1.2,5\n", &named(Format::Metatrader, &["volume"])).unwrap();
    assert_eq!(columns(&file), ["volume [5.0]"]);
    let mut free = all(Format::Csv);
    (free.columns.time, free.columns.close) = (Some("1".to_owned()), Some("2".to_owned()));
    assert_says(&message("1488326400,1.5,7\n", &free), &["--columns", "add a header"]);
}

#[test]
fn names_that_do_not_exist_or_clash_are_refused() {
    assert_says(&message(BARS, &named(Format::Csv, &["low"])), &["`low`", "does not exist", "`open`"]);
    assert_says(&message(BARS, &named(Format::Csv, &["close"])), &["`close`", "already"]);
    for header in ["time,close,a b,a-b", "time,close,rate_index,b"] {
        let text = format!("{header}\n2017-03-01 00:00,1.5,2,3\n");
        assert_says(&message(&text, &all(Format::Csv)), &["stored as"]);
        assert!(read(&text, &options(Format::Csv, "k", "UTC")).is_ok());
    }
}

#[test]
fn what_is_not_a_finite_number_is_a_fault_of_its_row() {
    for value in ["x", "nan", "inf", "1e999"] {
        let text = format!("{BARS}2017-03-01 00:02,{value},1.3,EURUSD,1.4,9,z\n");
        assert_says(&message(&text, &all(Format::Csv)), &["x.csv:4", "column 2", "--columns"]);
        let lenient = ReadOptions { lenient: true, ..all(Format::Csv) };
        let file = read(&text, &lenient).unwrap();
        assert_eq!((file.bars.len(), file.report.dropped[&DropCause::Unparsable]), (2, 1));
        assert!(file.columns.iter().all(|column| column.values.len() == 2));
        assert_eq!(read(&text, &options(Format::Csv, "k", "UTC")).unwrap().bars.len(), 3);
    }
    // A user who names a column wants no other one.
    assert_says(&message(BARS, &named(Format::Csv, &["note"])), &["x.csv:2", "column 7"]);
}

#[test]
fn rows_of_one_instant_agree_in_every_kept_column() {
    let row = |volume: &str| format!("{BARS}2017-03-01 00:01,1.2,,EURUSD,1.3,{volume},z\n");
    assert_eq!(read(&row("8"), &all(Format::Csv)).unwrap().report.repeats_dropped, 1);
    assert_eq!(read(&row(""), &all(Format::Csv)).unwrap().report.repeats_dropped, 1);
    assert_says(
        &message(&row("9"), &all(Format::Csv)),
        &["x.csv:4", "x.csv:3", "`tick_volume` 9 here and 8"],
    );
    let lenient = read(&row("9"), &ReadOptions { lenient: true, ..all(Format::Csv) }).unwrap();
    assert_eq!(lenient.report.dropped[&DropCause::Contradiction], 1);
    assert_eq!(read(&row("9"), &options(Format::Csv, "k", "UTC")).unwrap().report.repeats_dropped, 1);
    let filled = format!("{BARS}2017-03-01 00:01,,1.5,EURUSD,1.3,8,z\n");
    assert_eq!(columns(&read(&filled, &all(Format::Csv)).unwrap())[1], "high [1.3, 1.5]");
}

#[test]
fn a_file_that_is_newest_first_turns_its_columns_round() {
    let text = "time,close,volume\n2017-03-01 00:02,1.3,3\n2017-03-01 00:01,1.2,2\n2017-03-01 00:00,1.1,1\n";
    let file = read(text, &all(Format::Csv)).unwrap();
    assert_eq!((columns(&file), file.report.newest_first), (vec!["volume [1.0, 2.0, 3.0]".to_owned()], true));
    let jumps = "time,close,volume\n2017-03-01 00:02,1.3,3\n2017-03-01 00:01,1.2,2\n2017-03-01 00:03,1.1,4\n";
    let file = read(jumps, &ReadOptions { lenient: true, ..all(Format::Csv) }).unwrap();
    assert_eq!(columns(&file), ["volume [3.0, 4.0]"]);
}

fn merged(texts: &[&str], lenient: bool) -> Result<KeyBars, ImportError> {
    let read = |text: &&str| read(text, &all(Format::Csv)).unwrap();
    Ok(merge(texts.iter().map(read).collect(), lenient)?.remove("k").unwrap())
}

#[test]
fn files_with_other_columns_are_joined() {
    let a = "time,close,volume\n2017-03-01 00:00,1.1,1\n2017-03-01 00:01,1.2,2\n";
    let b = "time,close,open\n2017-03-01 00:01,1.2,1.0\n2017-03-01 00:02,1.3,1.5\n";
    for (files, names) in [([a, b], ["volume", "open"]), ([b, a], ["open", "volume"])] {
        let bars = merged(&files, false).unwrap();
        let found: Vec<String> =
            bars.columns().iter().map(|column| format!("{} {:?}", column.name, column.values)).collect();
        let expected = |name: &str| match name {
            "volume" => "volume [1.0, 2.0, NaN]".to_owned(),
            _ => "open [NaN, 1.0, 1.5]".to_owned(),
        };
        assert_eq!(found, names.map(expected));
    }
    let c = "time,close,volume\n2017-03-01 00:01,1.2,9\n";
    let error = merged(&[a, c], false).unwrap_err().to_string();
    assert_says(&error, &["x.csv:2", "x.csv:3", "`volume` 9 here and 2"]);
    let kept = merged(&[a, c], true).unwrap();
    assert_eq!((kept.columns()[0].values[1], kept.report().contradictions_dropped), (2.0, 1));
}

#[test]
fn parquet_columns_of_every_number_are_kept() {
    let directory = TempDir::new().unwrap();
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let decimals = Decimal128Array::from(vec![Some(125), None]).with_precision_and_scale(9, 2).unwrap();
    let file = |extra: Vec<(&str, ArrayRef)>| {
        let first = vec![("ts", Arc::clone(&time)), ("close", closes())];
        write_parquet(&directory, "x.parquet", first.into_iter().chain(extra).collect())
    };
    let path = file(vec![
        ("Volume", Arc::new(Int32Array::from(vec![3, 4]))),
        ("vwap", Arc::new(decimals)),
        ("note", Arc::new(StringArray::from(vec!["1", "2"]))),
    ]);
    let kept = read_file(&path, &all(Format::Parquet)).unwrap();
    assert_eq!(columns(&kept), ["volume [3.0, 4.0]", "vwap [1.25, NaN]"]);
    assert_says(&kept.report.warnings.join(""), &["`note`"]);
    let error = read_file(&path, &named(Format::Parquet, &["note"])).unwrap_err().to_string();
    assert_says(&error, &["`note`", "Utf8"]);
    let path = file(vec![("x", Arc::new(Float64Array::from(vec![1.0, f64::INFINITY])))]);
    let error = read_file(&path, &all(Format::Parquet)).unwrap_err().to_string();
    assert_says(&error, &["row 2", "column 3"]);
}

/// What stands behind the close of a row that breaks off may be half a number.
#[test]
fn a_row_that_breaks_off_has_no_values_behind_its_close() {
    let text = "time,open,high,low,close,volume,trades\n2024-01-02 09:30:00,1.0,1.2,0.9,1.1,12345,7\n\
                2024-01-02 09:31:00,2.0,2.2,1.9,2.1,12\n";
    let file = read(text, &ReadOptions { lenient: true, ..all(Format::Csv) }).unwrap();
    assert_eq!(
        columns(&file),
        [
            "open [1.0, 2.0]",
            "high [1.2, 2.2]",
            "low [0.9, 1.9]",
            "volume [12345.0, NaN]",
            "trades [7.0, NaN]"
        ]
    );
}
