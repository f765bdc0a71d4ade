//! Which column of a text file holds the time and which the close, as the first line tells, and how many fields a row has.
//!
//! A first line is a header when none of its fields begins like a number. Header names are compared in
//! small letters, without `<>`, quotes and spaces around. The time is the first of [`INSTANT_NAMES`] that the
//! header has, else of [`TIME_NAMES`], else of [`DATE_NAMES`]; a column of the last beside it holds the date where the time
//! column holds times of day only. The close is the first of [`CLOSE_NAMES`]. A time column with the word UTC or GMT in
//! its name states its zone.
//!
//! Without a header, `metatrader` and `dukascopy` have their known columns; `csv` wants numbers.
//!
//! Every row has as many fields as the header, the format or, in a csv without a header, the first row; one empty field
//! more may follow, where it cannot come of a comma inside the close. Lenient reading takes a row that breaks off behind its
//! close, where its prices make the close certain.

use crate::ReadOptions;
use crate::certain_row::{open_column, prices_agree};
use crate::column_names::{names_an_instrument, normal};
use crate::error::RowFault;
use crate::fields::Fields;
use crate::format::Format;
use crate::price::has_leading_zero;
use crate::time_columns::{TimeColumns, header_close, header_times, is_header, known, numbered};
use crate::time_fields::{TimeFields, TimeRules};

/// Where time and close are in each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    delimiter: u8,
    times: TimeColumns,
    close: usize,
    /// Fields of every row.
    width: usize,
    /// The first line is a header.
    pub(crate) has_header: bool,
    /// The columns that say the instrument, with their names.
    pub(crate) instruments: Vec<(usize, String)>,
    epochs: bool,
    /// Open, high, low and close are side by side, from this column on.
    open: Option<usize>,
    /// The volume is right behind the close.
    has_volume_behind: bool,
}

/// The fields of a row that make a bar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BarFields<'a> {
    pub(crate) date: Option<&'a str>,
    pub(crate) time: &'a str,
    pub(crate) close: &'a str,
    pub(crate) end: RowEnd,
}

/// How a row ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RowEnd {
    /// In a last column that is not empty.
    #[default]
    Full,
    /// In a last column that is empty.
    Empty,
    /// In an empty field behind the last column.
    OneMore,
    /// Before its last column.
    Short,
}

impl Layout {
    /// Reads the layout from the options and the first line; an error says what is missing.
    pub(crate) fn of(options: &ReadOptions, line: &str) -> Result<Self, String> {
        if options.format == Format::Histdata {
            return Ok(Self::new(b';', TimeColumns::at(None, 0), 4, 6));
        }
        let delimiter = delimiter(options, line)?;
        let mut fields = Fields::new(line, delimiter);
        let cells: Vec<&str> = fields.by_ref().collect();
        if fields.is_broken() {
            return Err("the quotes of the first line are not balanced".to_owned());
        }
        let names: Vec<String> = cells.iter().map(|name| normal(name)).collect();
        if is_header(&names) {
            return Self::with_header(options, delimiter, &names);
        }
        let (times, close) = match options.format {
            Format::Csv => numbered(&options.columns, &cells)?,
            format => known(format, &names)?,
        };
        let layout = Self::new(delimiter, times, close, names.len());
        let free = options.format == Format::Csv;
        let instruments = if free { layout.words(&cells) } else { Vec::new() };
        Ok(Self { epochs: free, instruments, ..layout })
    }

    fn new(delimiter: u8, times: TimeColumns, close: usize, width: usize) -> Self {
        Self {
            delimiter,
            times,
            close,
            width,
            has_header: false,
            instruments: Vec::new(),
            epochs: false,
            open: None,
            has_volume_behind: false,
        }
    }

    fn with_header(options: &ReadOptions, delimiter: u8, names: &[String]) -> Result<Self, String> {
        let (times, close) = (header_times(names, &options.columns)?, header_close(names, &options.columns)?);
        let width = if names.last().is_some_and(String::is_empty) { names.len() - 1 } else { names.len() };
        let used = |at: usize| at == close || at == times.time || Some(at) == times.date;
        let named = names.iter().enumerate().filter(|(at, name)| !used(*at) && names_an_instrument(name));
        let instruments = named.map(|(at, name)| (at, name.clone())).collect();
        let epochs = options.format == Format::Csv;
        let open = open_column(names, close);
        let has_volume_behind = names.get(close + 1).is_some_and(|name| name.contains("vol"));
        let layout = Self::new(delimiter, times, close, width);
        Ok(Self { has_header: true, instruments, epochs, open, has_volume_behind, ..layout })
    }

    /// The columns without a name that hold a word: what but the instrument could it be?
    fn words(&self, cells: &[&str]) -> Vec<(usize, String)> {
        let used = |at: usize| at == self.close || at == self.times.time || Some(at) == self.times.date;
        let words = cells.iter().enumerate().filter(|(at, cell)| !used(*at) && is_word(cell));
        words.map(|(at, _)| (at, (at + 1).to_string())).collect()
    }

    /// How the times of the file are read.
    pub(crate) fn time_fields(&self) -> TimeFields {
        let TimeColumns { in_utc, has_time_beside, .. } = self.times;
        TimeFields::new(TimeRules { epochs: self.epochs, in_utc, has_time_beside })
    }

    /// The fields of a row that make its bar.
    pub(crate) fn split<'a>(&self, line: &'a str) -> Result<BarFields<'a>, RowFault> {
        let (mut row, mut found, mut last, mut behind) = (BarFields::default(), 0, "", "");
        let mut fields = self.fields(line);
        for field in fields.by_ref() {
            if self.times.date == Some(found) {
                row.date = Some(field);
            }
            if self.times.time == found {
                row.time = field;
            }
            if self.close == found {
                row.close = field;
            }
            if self.close + 1 == found {
                behind = field;
            }
            (found, last) = (found + 1, field);
        }
        if fields.is_broken() {
            return Err(RowFault::Quotes);
        }
        row.end = match last.trim_ascii().is_empty() {
            true if found == self.width => RowEnd::Empty,
            true if found == self.width + 1 && !self.may_be_split(row.close, line) => RowEnd::OneMore,
            false if found == self.width => RowEnd::Full,
            _ => return Err(self.miscount(found)),
        };
        let is_split = self.has_volume_behind && self.has_whole_close(row.close) && has_leading_zero(behind);
        if is_split { Err(RowFault::SplitClose) } else { Ok(row) }
    }

    /// The fields of a row that breaks off behind its close, or whose quotes do not close there, if the close is certain.
    pub(crate) fn split_short<'a>(&self, line: &'a str) -> Option<BarFields<'a>> {
        let (mut whole, mut found, mut fields) = (Vec::new(), 0, self.fields(line));
        while let Some(field) = fields.next() {
            let delimiters = field.bytes().filter(|byte| *byte == self.delimiter).count();
            found += 1 + if fields.is_broken() { delimiters } else { 0 };
            if !fields.is_broken() {
                whole.push(field);
            }
        }
        let at = |column: usize| whole.get(column).copied();
        let (time, date) = (at(self.times.time)?, self.times.date.and_then(at));
        let prices = whole.get(self.open?..=self.close)?;
        let close = at(self.close)?;
        let is_certain = (self.close + 2..=self.width).contains(&found)
            && self.times.time.max(self.times.date.unwrap_or(0)) < self.open?
            && time.bytes().any(|byte| b"-./:".contains(&byte))
            && close.contains('.')
            && prices_agree(prices);
        is_certain.then_some(BarFields { date, time, close, end: RowEnd::Short })
    }

    /// Whether a comma of the close may have passed for the delimiter, in a row with one field too many.
    fn may_be_split(&self, close: &str, line: &str) -> bool {
        self.close + 1 < self.width && self.has_whole_close(close) && self.prices_agree(line) != Some(true)
    }

    /// Whether the close is last in the row and does not agree with the other prices.
    pub(crate) fn may_end_in_half_a_close(&self, line: &str) -> bool {
        self.close + 1 == self.width && self.prices_agree(line) == Some(false)
    }

    /// Whether open, high, low and close agree, where they are side by side.
    fn prices_agree(&self, line: &str) -> Option<bool> {
        let open = self.open?;
        Some(prices_agree(&self.fields(line).take(self.close + 1).skip(open).collect::<Vec<_>>()))
    }

    /// Whether the close has no decimal point, where a comma delimits the fields.
    fn has_whole_close(&self, close: &str) -> bool {
        self.delimiter == b',' && !close.contains('.')
    }

    /// Whether rows that end so cannot be in one file: an empty last column hides a comma inside a number.
    pub(crate) fn ends_differ(&self, empty: bool, one_more: bool) -> bool {
        self.delimiter == b',' && empty && one_more
    }

    /// All fields of a row.
    pub(crate) fn fields<'a>(&self, line: &'a str) -> Fields<'a> {
        Fields::new(line, self.delimiter)
    }

    /// Whether a decimal comma could pass for the delimiter here: where no header counts the columns.
    pub(crate) fn may_split_numbers(&self) -> bool {
        self.epochs && !self.has_header && self.delimiter == b',' && self.width > 2
    }

    /// Whether a number of the row has a decimal point.
    pub(crate) fn has_decimal_point(&self, line: &str) -> bool {
        let is_time = |at: usize| at == self.times.time || Some(at) == self.times.date;
        self.fields(line).enumerate().any(|(at, field)| !is_time(at) && field.contains('.'))
    }

    fn miscount(&self, found: usize) -> RowFault {
        match found == self.close + 1 && found < self.width {
            true => RowFault::Cut { column: found },
            false => RowFault::FieldCount { found, expected: self.width },
        }
    }
}

/// Whether the line is a header with a time and a close that are found by name.
pub(crate) fn has_known_header(line: &str) -> bool {
    let options = ReadOptions::new(Format::Csv);
    Layout::of(&options, line).is_ok_and(|layout| layout.has_header)
}

fn is_word(cell: &str) -> bool {
    let cell = cell.trim();
    let empty = ["null", "none", "na", "n/a", "true", "false"];
    cell.starts_with(char::is_alphabetic)
        && cell.parse::<f64>().is_err()
        && !empty.contains(&cell.to_lowercase().as_str())
}

fn delimiter(options: &ReadOptions, line: &str) -> Result<u8, String> {
    if let Some(given) = options.columns.delimiter {
        let byte = u8::try_from(given).ok().filter(u8::is_ascii).filter(|byte| !b"\"\r\n".contains(byte));
        return byte.ok_or_else(|| format!("{given:?} cannot be a delimiter: give an ASCII character"));
    }
    let usual: &[u8] = if options.format == Format::Metatrader { b"\t," } else { b"\t;,|" };
    let count = |byte: u8| line.bytes().filter(|found| *found == byte).count();
    let best = usual.iter().copied().rev().max_by_key(|byte| count(*byte)).filter(|byte| count(*byte) > 0);
    best.ok_or_else(|| {
        let (known, other) = match options.format {
            Format::Metatrader => ("tab or comma", "use --format csv"),
            Format::Csv => ("tab, semicolon, comma or |", "name another one with --delimiter"),
            _ => ("tab, semicolon, comma or |", "use --format csv with --delimiter"),
        };
        format!("the first line has no delimiter ({known}): remove what is above the table, or {other}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::CsvColumns;
    use super::super::price::price;
    use super::super::stamp::Stamp;
    use super::*;

    fn layout(format: Format, line: &str) -> Result<Layout, String> {
        Layout::of(&ReadOptions::new(format), line)
    }

    fn csv(time: &str, close: &str, line: &str) -> Result<Layout, String> {
        let columns = CsvColumns {
            time: Some(time.to_owned()),
            close: Some(close.to_owned()),
            ..CsvColumns::default()
        };
        Layout::of(&ReadOptions { columns, ..ReadOptions::new(Format::Csv) }, line)
    }

    fn bar(layout: &Layout, row: &str) -> Result<(Stamp, f64), RowFault> {
        let BarFields { date, time, close, .. } = layout.split(row)?;
        Ok((layout.time_fields().read(date, time)?, price(close)?))
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
            assert!(layout.times.date.is_some() && layout.has_header, "{first}");
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
        for (first, more) in
            [("time,close", ""), ("time,close", ","), ("time,close,", ","), ("time,close,", "")]
        {
            let layout = layout(Format::Csv, first).unwrap();
            assert_eq!(bar(&layout, &format!("{row}{more}")).unwrap().1, 1.5, "{first} {more}");
        }
        for (first, more) in
            [("time,close", ",,"), ("time,close", ",7"), ("time,close,", ",7"), ("time,close,n", "")]
        {
            let refused = bar(&layout(Format::Csv, first).unwrap(), &format!("{row}{more}"));
            assert!(
                matches!(refused, Err(RowFault::FieldCount { .. } | RowFault::Cut { .. })),
                "{first} {more}"
            );
        }
    }

    #[test]
    fn an_empty_field_more_hides_no_comma_of_the_close() {
        let split =
            |header: &str, row: &str| layout(Format::Csv, header).unwrap().split(row).map(|row| row.end);
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
}
