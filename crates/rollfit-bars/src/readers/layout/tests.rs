//! Layouts of first lines, and the rows under them.

use super::*;
use crate::formats::RowRules;
use crate::rows::price::price;
use crate::time::stamp::Stamp;
use crate::time::stamp_reader::DatesAlone;

fn from_first_line(options: &ReadOptions, line: &str) -> Result<Layout, String> {
    let RowRules::Text(rules) = &options.format.rules().rows else { panic!("{} is no text", options.format) };
    Layout::from_first_line(options, rules, line)
}

fn layout(format: Format, line: &str) -> Result<Layout, String> {
    from_first_line(&ReadOptions::new(format), line)
}

fn csv(time: &str, close: &str, line: &str) -> Result<Layout, String> {
    let columns = ColumnOptions {
        time: Some(time.to_owned()),
        close: Some(close.to_owned()),
        ..ColumnOptions::default()
    };
    from_first_line(&ReadOptions { columns, ..ReadOptions::new(Format::Csv) }, line)
}

fn bar(layout: &Layout, row: &str) -> Result<(Stamp, f64), RowFault> {
    let BarFields { date, time, close, .. } = layout.split(row)?;
    Ok((layout.stamp_reader().read(&mut DatesAlone::default(), date, time)?, price(close)?))
}

/// Reads a row under a first line, to the minute of the day and the close.
fn read(format: Format, first: &str, row: &str) -> (i64, f64) {
    let (stamp, close) = bar(&layout(format, first).unwrap(), row).unwrap();
    let (Stamp::Local { us } | Stamp::Instant { us, .. }) = stamp;
    (us.rem_euclid(86_400_000_000) / 60_000_000, close)
}

#[test]
fn histdata_rows() {
    let row = "20170301 000100;1.055300;1.055310;1.055300;1.055320;0";
    assert_eq!(read(Format::Histdata, row, row), (1, 1.05532));
}

#[test]
fn metatrader_rows_in_every_dress() {
    let rows = [
        ("2026.01.01,17:04,1,2,0.5,1.5,0", "2026.01.01,17:04,1,2,0.5,1.5,0"),
        ("2026.01.01\t17:04\t1\t2\t0.5\t1.5\t0", "2026.01.01\t17:04\t1\t2\t0.5\t1.5\t0"),
        ("Timestamp\tOpen\tHigh\tLow\tClose\tVolume", "2024-11-14 17:04:00\t1\t2\t0.5\t1.5\t1026"),
        ("Time\tOpen\tHigh\tLow\tClose\tVolume", "2020-04-27 17:04:00\t1\t2\t0.5\t1.5\t154"),
        (
            "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            "2020.04.27\t17:04:00\t1\t2\t0.5\t1.5\t154\t0\t3",
        ),
        ("2024.11.14 17:04,1,2,0.5,1.5,9", "2024.11.14 17:04,1,2,0.5,1.5,9"),
    ];
    for (first, row) in rows {
        assert_eq!(read(Format::Metatrader, first, row), (17 * 60 + 4, 1.5), "{first}");
    }
}

#[test]
fn dukascopy_states_its_zone_in_the_header_or_the_row() {
    let gmt = layout(Format::Dukascopy, "Gmt time,Open,High,Low,Close,Volume").unwrap();
    let (stamp, close) = bar(&gmt, "01.11.2010 00:01:00.000,1,2,0.5,1.5,29500000").unwrap();
    assert_eq!((stamp, close), (Stamp::Instant { us: 1_288_569_660_000_000, offset_s: 0 }, 1.5));
    let local = layout(Format::Dukascopy, "Local time,Open,High,Low,Close,Volume").unwrap();
    let (stamp, _) = bar(&local, "01.11.2010 01:01:00.000 GMT+0100,1,2,0.5,1.5,3").unwrap();
    assert_eq!(stamp, Stamp::Instant { us: 1_288_569_660_000_000, offset_s: 3600 });
    let (stamp, _) = bar(&local, "01.11.2010 01:01:00.000,1,2,0.5,1.5,3").unwrap();
    assert!(matches!(stamp, Stamp::Local { .. }));
}

#[test]
fn csv_columns_by_name_number_and_header() {
    let row = "x,2017-03-01 00:05,1.5,9";
    for (first, time, close) in
        [("id,when,paid,n", "when", "PAID"), ("id,when,paid,n", "2", "3"), (row, "2", "3")]
    {
        let layout = csv(time, close, first).unwrap();
        assert_eq!(bar(&layout, row).unwrap().1, 1.5, "{first}");
    }
    for first in ["date,time,price", "Date;Time;Close", "time|date|last"] {
        let layout = layout(Format::Csv, first).unwrap();
        assert!(layout.columns.date.is_some() && layout.has_header, "{first}");
    }
    assert_eq!(read(Format::Csv, "date,price", "2018-06-01 00:01,1.5"), (1, 1.5));
    assert_eq!(read(Format::Csv, "unix,date,open,close", "1488326460,1970-01-01 00:07,1,1.5"), (1, 1.5));
    assert_eq!(read(Format::Csv, "ts_utc,rate", "\"1970-01-01 00:07\",\"1.5\""), (7, 1.5));
}

#[test]
fn missing_columns_say_what_there_is() {
    for (line, part) in
        [("a,b", "--time-column, one of `a`, `b`"), ("time,b", "--close-column"), ("word", "delimiter")]
    {
        let why = layout(Format::Csv, line).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
    let numbers = layout(Format::Csv, "1672531200,1.5").unwrap_err();
    assert!(
        numbers.contains("--time-column") && numbers.contains("1 is `1672531200`, 2 is `1.5`"),
        "{numbers}"
    );
    assert!(csv("nope", "2", "time,close").unwrap_err().contains("`nope`"));
    assert!(csv("time", "close", "0,1").unwrap_err().contains("take numbers"));
    assert!(layout(Format::Dukascopy, "2026.01.01,17:00,1,1,1,1").is_err());
    assert!(layout(Format::Metatrader, "20170301 000000;1;1;1;1;0").is_err());
}

#[test]
fn bad_rows_have_their_fault() {
    let layout = layout(Format::Csv, "time,open,high,low,close,volume").unwrap();
    let cases = [
        ("2017-03-01,1,1,1", RowFault::FieldCount { found: 4, expected: 6 }),
        ("2017-03-01,1,1,1,1.0", RowFault::Cut { column: 5 }),
        ("2017-03-01,1,1,1,x,0", RowFault::Close),
        ("2017-03-01,1,1,1,0952,0", RowFault::LeadingZero),
        ("2017-03-01,1,1,1,\"1,234.5\",0", RowFault::Close),
        ("x,1,1,1,1,0", RowFault::Time),
        ("2017-03-01,1,1,1,0,0", RowFault::Price { close: 0.0 }),
        ("2017-03-01,1,1,1,-1,0", RowFault::Price { close: -1.0 }),
        ("2017-03-01,1,1,1,inf,0", RowFault::Price { close: f64::INFINITY }),
        ("2017-03-01,1,1,1,1,\"199    13", RowFault::Quotes),
        ("2017-03-01,1,1,1,\"1\"234.5,0", RowFault::Quotes),
    ];
    for (row, fault) in cases {
        assert_eq!(bar(&layout, row), Err(fault), "{row}");
    }
    assert!(matches!(bar(&layout, "2017-03-01,1,1,1,nan,0"), Err(RowFault::Price { .. })));
}

#[test]
fn rows_are_as_wide_as_the_header() {
    let row = "2017-03-01 00:05,1.5";
    for (first, more) in [("time,close", ""), ("time,close", ","), ("time,close,", ","), ("time,close,", "")]
    {
        let layout = layout(Format::Csv, first).unwrap();
        assert_eq!(bar(&layout, &format!("{row}{more}")).unwrap().1, 1.5, "{first} {more}");
    }
    for (first, more) in
        [("time,close", ",,"), ("time,close", ",7"), ("time,close,", ",7"), ("time,close,n", "")]
    {
        let refused = bar(&layout(Format::Csv, first).unwrap(), &format!("{row}{more}"));
        assert!(matches!(refused, Err(RowFault::FieldCount { .. } | RowFault::Cut { .. })), "{first} {more}");
    }
}

#[test]
fn an_empty_field_more_hides_no_comma_of_the_close() {
    let split = |header: &str, row: &str| layout(Format::Csv, header).unwrap().split(row).map(|row| row.end);
    let refused = Err(RowFault::FieldCount { found: 4, expected: 3 });
    for number in ["1,0952", "1,234.5"] {
        assert_eq!(split("time,close,volume", &format!("2017-03-01,{number},")), refused, "{number}");
    }
    assert_eq!(split("time,close,volume", "2017-03-01,1,0952"), Err(RowFault::SplitClose));
    assert_eq!(split("time,close,hhmm", "2017-03-01,43000,0930"), Ok(RowEnd::Full));
    assert_eq!(split("time,close,volume", "2017-03-01,1.5,7,"), Ok(RowEnd::OneMore));
    assert_eq!(split("time,close,volume", "2017-03-01,43000,"), Ok(RowEnd::Empty));
    assert_eq!(split("time;close;volume", "2017-03-01;43000;7;"), Ok(RowEnd::OneMore));
    let bars = "time,open,high,low,close,volume";
    assert_eq!(split(bars, "2017-03-01,43000,43010,42990,43005,7,"), Ok(RowEnd::OneMore));
    assert!(split(bars, "2017-03-01,999,1,000,998,999,").is_err());
}

#[test]
fn a_row_that_breaks_off_has_a_close_where_it_is_certain() {
    let wide = "time,open,high,low,close,volume,spread,real_volume";
    let short = |header: &str, row: &str| {
        layout(Format::Csv, header).unwrap().split_short(row).map(|row| row.close.to_owned())
    };
    let at = "2017-03-01 00:05";
    for end in ["7", "7,0", "\"199    13", "7,\"199, 13"] {
        let row = format!("{at},1.2,1.3,1.1,1.15,{end}");
        assert_eq!(short(wide, &row).as_deref(), Some("1.15"), "{end}");
    }
    for row in [
        "1.2,1.3,1.1,1.15",
        "1.2,1.3,1.1,1.15,7,0,0,0",
        "1.2,1.3,1.1,1.15,\"199,0,0,0",
        "1.2,1.3,1.15,7,0,0",
        "1.2,1.3,1.1,\"1.15,7",
        "1.2,1.3,1.1,1.152017-03-01 00:06,1.2",
        "1,2,1,1,7",
    ] {
        assert_eq!(short(wide, &format!("{at},{row}")), None, "{row}");
    }
    assert_eq!(short(wide, "1488326700,1.2,1.3,1.1,1.15,7"), None);
    assert_eq!(short("time,close,volume,spread", &format!("{at},1.15,7")), None);
}

#[test]
fn vendors_rows_without_a_header_have_a_known_width() {
    let metatrader = "2024.01.02,00:00,1,1,1,1";
    for more in ["", ",7", ",7,0,3"] {
        assert!(layout(Format::Metatrader, &format!("{metatrader}{more}")).is_ok(), "{more}");
    }
    for line in ["2024.01.02,00:00,1,0952,1,0952,1,0952,1,0952,7", "2024.01.02,00:00,1,1,1"] {
        assert!(layout(Format::Metatrader, line).unwrap_err().contains("decimal mark"), "{line}");
    }
    let dukascopy = "01.11.2010 00:00:00.000,1,0952,1,0952,1,0952,1,0952,7";
    assert!(layout(Format::Dukascopy, dukascopy).unwrap_err().contains("10 fields"));
}

#[test]
fn a_name_that_two_columns_have_is_no_name() {
    let twice = layout(Format::Csv, "time,close,close").unwrap_err();
    assert!(twice.contains("columns 2 and 3 are both called `close`"), "{twice}");
    assert!(csv("time", "3", "time,close,close").is_ok());
}

#[test]
fn columns_that_say_the_instrument_are_found() {
    let columns = |line: &str| layout(Format::Csv, line).unwrap().instruments;
    assert_eq!(columns("<TICKER>,date,time,close"), [(0, "ticker".to_owned())]);
    assert_eq!(columns("time,close,Symbol,ISIN").len(), 2);
    assert_eq!(columns("time,close,volume"), []);
    let unnamed = csv("2", "3", "EURUSD,2017-03-01 00:05,1.5,nan,7").unwrap();
    assert_eq!(unnamed.instruments, [(0, "1".to_owned())]);
}
