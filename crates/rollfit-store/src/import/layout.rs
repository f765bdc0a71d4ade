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
//! more may follow.

use super::column_names::{
    CLOSE_NAMES, DATE_NAMES, INSTANT_NAMES, TIME_NAMES, first_of, names_an_instrument, normal, only,
};
use super::error::{RowFault, shown};
use super::fields::Fields;
use super::format::Format;
use super::time_fields::{TimeFields, TimeRules};
use super::{CsvColumns, ReadOptions};

const CELLS_SHOWN: usize = 20;

/// Where time and close are in each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    delimiter: u8,
    times: Times,
    close: usize,
    /// Fields of every row.
    width: usize,
    /// The first line is a header.
    pub(super) has_header: bool,
    /// The columns that say the instrument, with their names.
    pub(super) instruments: Vec<(usize, String)>,
    epochs: bool,
}

/// The time columns of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    date: Option<usize>,
    time: usize,
    in_utc: bool,
    has_time_beside: bool,
}

/// The fields of a row that make a bar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BarFields<'a> {
    pub(super) date: Option<&'a str>,
    pub(super) time: &'a str,
    pub(super) close: &'a str,
}

impl Layout {
    /// Reads the layout from the options and the first line; an error says what is missing.
    pub(super) fn of(options: &ReadOptions, line: &str) -> Result<Self, String> {
        if options.format == Format::Histdata {
            return Ok(Self::new(b';', Times::at(None, 0), 4, 6));
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

    fn new(delimiter: u8, times: Times, close: usize, width: usize) -> Self {
        Self { delimiter, times, close, width, has_header: false, instruments: Vec::new(), epochs: false }
    }

    fn with_header(options: &ReadOptions, delimiter: u8, names: &[String]) -> Result<Self, String> {
        let (times, close) = (header_times(names, &options.columns)?, header_close(names, &options.columns)?);
        let width = if names.last().is_some_and(String::is_empty) { names.len() - 1 } else { names.len() };
        let used = |at: usize| at == close || at == times.time || Some(at) == times.date;
        let named = names.iter().enumerate().filter(|(at, name)| !used(*at) && names_an_instrument(name));
        let instruments = named.map(|(at, name)| (at, name.clone())).collect();
        let epochs = options.format == Format::Csv;
        Ok(Self { has_header: true, instruments, epochs, ..Self::new(delimiter, times, close, width) })
    }

    /// The columns without a name that hold a word: what but the instrument could it be?
    fn words(&self, cells: &[&str]) -> Vec<(usize, String)> {
        let used = |at: usize| at == self.close || at == self.times.time || Some(at) == self.times.date;
        let words = cells.iter().enumerate().filter(|(at, cell)| !used(*at) && is_word(cell));
        words.map(|(at, _)| (at, (at + 1).to_string())).collect()
    }

    /// How the times of the file are read.
    pub(super) fn time_fields(&self) -> TimeFields {
        let Times { in_utc, has_time_beside, .. } = self.times;
        TimeFields::new(TimeRules { epochs: self.epochs, in_utc, has_time_beside })
    }

    /// The fields of a row that make its bar.
    pub(super) fn split<'a>(&self, line: &'a str) -> Result<BarFields<'a>, RowFault> {
        let (mut row, mut found, mut last) = (BarFields::default(), 0, "");
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
            (found, last) = (found + 1, field);
        }
        if fields.is_broken() {
            return Err(RowFault::Quotes);
        }
        let has_empty_end = found == self.width + 1 && last.trim_ascii().is_empty();
        if found == self.width || has_empty_end { Ok(row) } else { Err(self.miscount(found)) }
    }

    /// All fields of a row.
    pub(super) fn fields<'a>(&self, line: &'a str) -> Fields<'a> {
        Fields::new(line, self.delimiter)
    }

    /// Whether a decimal comma could pass for the delimiter here: where no header counts the columns.
    pub(super) fn may_split_numbers(&self) -> bool {
        self.epochs && !self.has_header && self.delimiter == b',' && self.width > 2
    }

    /// Whether a number of the row has a decimal point.
    pub(super) fn has_decimal_point(&self, line: &str) -> bool {
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

impl Times {
    fn at(date: Option<usize>, time: usize) -> Self {
        Self { date, time, in_utc: false, has_time_beside: false }
    }
}

/// Whether the line is a header with a time and a close that are found by name.
pub(super) fn has_known_header(line: &str) -> bool {
    let options = ReadOptions::new(Format::Csv);
    Layout::of(&options, line).is_ok_and(|layout| layout.has_header)
}

/// A close that is a price.
pub(super) fn price(text: &str) -> Result<f64, RowFault> {
    let text = text.trim_ascii();
    if let [b'0', b'0'..=b'9', ..] = text.as_bytes() {
        return Err(RowFault::LeadingZero);
    }
    checked_price(text.parse().map_err(|_| RowFault::Close)?)
}

/// A number that is a price.
pub(super) fn checked_price(close: f64) -> Result<f64, RowFault> {
    if close.is_finite() && close > 0.0 { Ok(close) } else { Err(RowFault::Price { close }) }
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
    best.ok_or_else(|| "the first line has no delimiter, so it has no columns".to_owned())
}

fn is_header(names: &[String]) -> bool {
    let numeric = |name: &String| name.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    !names.iter().any(numeric) && names.iter().any(|name| !name.is_empty())
}

fn header_times(names: &[String], columns: &CsvColumns) -> Result<Times, String> {
    let date = match &columns.date {
        Some(wanted) => Some(column(names, wanted)?),
        None => first_of(names, &DATE_NAMES)?,
    };
    let beside = first_of(names, &TIME_NAMES)?;
    let time = match &columns.time {
        Some(wanted) => Some(column(names, wanted)?),
        None => first_of(names, &INSTANT_NAMES)?.or(beside).or(date),
    };
    let time = time
        .ok_or_else(|| format!("no time column is known by name: give --time-column, {}", one_of(names)))?;
    let date = date.filter(|date| *date != time);
    let in_utc = says_utc(&names[time]) || date.is_some_and(|date| says_utc(&names[date]));
    Ok(Times { date, time, in_utc, has_time_beside: beside.is_some_and(|beside| beside != time) })
}

fn header_close(names: &[String], columns: &CsvColumns) -> Result<usize, String> {
    if let Some(wanted) = &columns.close {
        return column(names, wanted);
    }
    first_of(names, &CLOSE_NAMES)?
        .ok_or_else(|| format!("no close column is known by name: give --close-column, {}", one_of(names)))
}

/// A column of the header by its name, else by its number.
fn column(names: &[String], wanted: &str) -> Result<usize, String> {
    let found = only(names, &normal(wanted))?.or_else(|| column_number(wanted, names.len()));
    found.ok_or_else(|| format!("there is no column `{wanted}`: it must be {}", one_of(names)))
}

fn column_number(wanted: &str, columns: usize) -> Option<usize> {
    wanted
        .trim()
        .parse::<usize>()
        .ok()
        .filter(|number| (1..=columns).contains(number))
        .map(|number| number - 1)
}

fn one_of(names: &[String]) -> String {
    format!("one of `{}`", names.join("`, `"))
}

fn says_utc(name: &str) -> bool {
    name.split(|c: char| !c.is_alphanumeric()).any(|word| word == "utc" || word == "gmt")
}

/// The columns of a csv without header.
fn numbered(columns: &CsvColumns, cells: &[&str]) -> Result<(Times, usize), String> {
    let number = |wanted: &Option<String>| column_number(wanted.as_deref()?, cells.len());
    let date = number(&columns.date);
    match (number(&columns.time), number(&columns.close)) {
        (Some(time), Some(close)) if date.is_some() == columns.date.is_some() => {
            Ok((Times::at(date, time), close))
        }
        _ => Err(format!(
            "the first line is no header, so --time-column and --close-column (and --date-column, if the date has a \
             column of its own) take numbers: {}",
            enumerated(cells)
        )),
    }
}

fn enumerated(cells: &[&str]) -> String {
    let text = |(at, cell): (usize, &&str)| format!("{} is `{}`", at + 1, shown(cell.as_bytes()));
    cells.iter().enumerate().take(CELLS_SHOWN).map(text).collect::<Vec<_>>().join(", ")
}

/// The columns of a vendor's file without header.
fn known(format: Format, fields: &[String]) -> Result<(Times, usize), String> {
    let is_time = |at: usize| fields.get(at).is_some_and(|field| field.contains(':'));
    // Behind the prices come no volume, one, two, or two and a spread.
    let (date, time, most) = match format {
        Format::Metatrader if is_time(1) => (Some(0), 1, 9),
        Format::Metatrader if is_time(0) => (None, 0, 8),
        Format::Dukascopy if is_time(0) => (None, 0, 6),
        format => return Err(format!("the first line is neither a header nor a bar of the format {format}")),
    };
    let (close, count) = (time + 4, fields.len());
    match (close + 1..=most).contains(&count) {
        true => Ok((Times::at(date, time), close)),
        false => Err(format!(
            "the first line has {count} fields, and a bar of the format {format} has {} to {most}: is a comma its \
             decimal mark, or are two rows in one line?",
            close + 1
        )),
    }
}

#[cfg(test)]
mod tests {
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
        let BarFields { date, time, close } = layout.split(row)?;
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
