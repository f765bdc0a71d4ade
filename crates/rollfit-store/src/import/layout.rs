//! Which column of a text file holds the time and which the close, as the first line tells.
//!
//! A first line is a header when none of its fields begins like a number. Header names are compared in
//! small letters, without `<>`, quotes and spaces around. The time is the first of [`INSTANT_NAMES`] that the
//! header has, else `date` and `time` together, else either alone; the close is the first of
//! [`CLOSE_NAMES`]. A time column with the word UTC or GMT in its name states its zone.
//!
//! Without a header, `metatrader` and `dukascopy` have their known columns; `csv` wants numbers.

use super::error::RowFault;
use super::fields::Fields;
use super::format::Format;
use super::stamp::Stamp;
use super::{CsvColumns, ReadOptions};

/// Names of a column that holds a whole time stamp, the surest first.
pub(super) const INSTANT_NAMES: [&str; 24] = [
    "ts_utc",
    "timestamp_utc",
    "datetime_utc",
    "time_utc",
    "time (utc)",
    "utc time",
    "utc",
    "gmt time",
    "timestamp",
    "datetime",
    "date_time",
    "date time",
    "ts",
    "open_time",
    "open time",
    "opentime",
    "unix",
    "unix_time",
    "epoch",
    "local time",
    "time (eet)",
    "start",
    "bar_time",
    "t",
];

/// Names of a column that holds the close, the surest first.
pub(super) const CLOSE_NAMES: [&str; 12] = [
    "close",
    "close_price",
    "closeprice",
    "bid_close",
    "bid close",
    "bidclose",
    "closebid",
    "last",
    "price",
    "rate",
    "bid",
    "c",
];

/// Where time and close stand in each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    delimiter: u8,
    date: Option<usize>,
    time: usize,
    close: usize,
    /// Fields that every row must have at least.
    fields_min: usize,
    /// The first line is a header.
    pub(super) has_header: bool,
    in_utc: bool,
    epochs: bool,
}

/// The time columns of a row.
struct Times {
    date: Option<usize>,
    time: usize,
    in_utc: bool,
}

impl Layout {
    /// Reads the layout from the options and the first line; an error says what is missing.
    pub(super) fn of(options: &ReadOptions, line: &str) -> Result<Self, String> {
        if options.format == Format::Histdata {
            let times = Times { date: None, time: 0, in_utc: false };
            return Ok(Self::new(b';', times, 4, 6));
        }
        let delimiter = delimiter(options, line)?;
        let names: Vec<String> = Fields::new(line, delimiter).map(normal).collect();
        let has_header = is_header(&names);
        let (times, close) = match (has_header, options.format) {
            (true, _) => (header_times(&names, &options.columns)?, header_close(&names, &options.columns)?),
            (false, Format::Csv) => numbered(&options.columns, names.len())?,
            (false, format) => known(format, &names)?,
        };
        let layout = Self::new(delimiter, times, close, names.len());
        Ok(Self { has_header, epochs: options.format == Format::Csv, ..layout })
    }

    fn new(delimiter: u8, times: Times, close: usize, columns: usize) -> Self {
        let Times { date, time, in_utc } = times;
        // A line that breaks off inside its close still reads as a number. Where more columns follow the
        // close, demanding the next one too finds it out.
        let close_whole = if close + 1 < columns { close + 1 } else { close };
        let fields_min = 1 + close_whole.max(time).max(date.unwrap_or(0));
        Self { delimiter, date, time, close, fields_min, has_header: false, in_utc, epochs: false }
    }

    /// The time and close of one row.
    pub(super) fn read(&self, line: &str) -> Result<(Stamp, f64), RowFault> {
        let (date, time, close) = self.pick(line)?;
        let stamp = match date {
            Some(date) => Stamp::date_and_time(date, time)?,
            None if self.epochs => Stamp::any(time)?,
            None => Stamp::date_time(time)?,
        };
        Ok((if self.in_utc { stamp.in_utc() } else { stamp }, price(close)?))
    }

    fn pick<'a>(&self, line: &'a str) -> Result<(Option<&'a str>, &'a str, &'a str), RowFault> {
        let (mut date, mut time, mut close, mut found) = (None, "", "", 0);
        for (index, field) in Fields::new(line, self.delimiter).take(self.fields_min).enumerate() {
            date = if self.date == Some(index) { Some(field) } else { date };
            time = if self.time == index { field } else { time };
            close = if self.close == index { field } else { close };
            found = index + 1;
        }
        if found == self.fields_min { Ok((date, time, close)) } else { Err(self.shortage(found)) }
    }

    fn shortage(&self, found: usize) -> RowFault {
        match found == self.close + 1 && self.fields_min == found + 1 {
            true => RowFault::Cut { column: found },
            false => RowFault::NoColumn { column: found + 1 },
        }
    }
}

/// Whether the line is a header with a time and a close that are found by name.
pub(super) fn has_known_header(line: &str) -> bool {
    let options = ReadOptions::new(Format::Csv);
    Layout::of(&options, line).is_ok_and(|layout| layout.has_header)
}

/// A close that is a price.
pub(super) fn price(text: &str) -> Result<f64, RowFault> {
    checked_price(text.trim_ascii().parse().map_err(|_| RowFault::Close)?)
}

/// A number that is a price.
pub(super) fn checked_price(close: f64) -> Result<f64, RowFault> {
    if close.is_finite() && close > 0.0 { Ok(close) } else { Err(RowFault::Price { close }) }
}

/// A column name as it is compared.
pub(super) fn normal(name: &str) -> String {
    name.trim().trim_start_matches('<').trim_end_matches('>').trim().to_lowercase()
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
    if let Some(wanted) = &columns.time {
        let time = column(names, wanted)?;
        return Ok(Times { date: None, time, in_utc: says_utc(&names[time]) });
    }
    let at = |wanted: &str| names.iter().position(|name| name == wanted);
    let found = INSTANT_NAMES.iter().find_map(|name| at(name));
    let (date, time) = match (found, at("date"), at("time")) {
        (None, Some(date), Some(time)) => (Some(date), time),
        (found, date, time) => {
            let missing =
                || format!("no time column is known by name: give --time-column, {}", one_of(names));
            (None, found.or(time).or(date).ok_or_else(missing)?)
        }
    };
    Ok(Times { date, time, in_utc: says_utc(&names[time]) })
}

fn header_close(names: &[String], columns: &CsvColumns) -> Result<usize, String> {
    if let Some(wanted) = &columns.close {
        return column(names, wanted);
    }
    let found = CLOSE_NAMES.iter().find_map(|close| names.iter().position(|name| name == close));
    found.ok_or_else(|| format!("no close column is known by name: give --close-column, {}", one_of(names)))
}

/// A column of the header by its name, else by its number.
fn column(names: &[String], wanted: &str) -> Result<usize, String> {
    let by_name = names.iter().position(|name| *name == normal(wanted));
    let found = by_name.or_else(|| column_number(wanted, names.len()));
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
fn numbered(columns: &CsvColumns, count: usize) -> Result<(Times, usize), String> {
    let number = |wanted: &Option<String>| column_number(wanted.as_deref()?, count);
    match (number(&columns.time), number(&columns.close)) {
        (Some(time), Some(close)) => Ok((Times { date: None, time, in_utc: false }, close)),
        _ => Err(format!(
            "the first line is no header, so the columns must be given by number, 1 to {count}, e.g. \
             --time-column 1 --close-column 5"
        )),
    }
}

/// The columns of a vendor's file without header.
fn known(format: Format, fields: &[String]) -> Result<(Times, usize), String> {
    let is_time = |at: usize| fields.get(at).is_some_and(|field| field.contains(':'));
    let times = |date, time| Times { date, time, in_utc: false };
    match format {
        Format::Metatrader if is_time(1) => Ok((times(Some(0), 1), 5)),
        Format::Metatrader | Format::Dukascopy if is_time(0) => Ok((times(None, 0), 4)),
        format => Err(format!("the first line is neither a header nor a bar of the format {format}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(format: Format, line: &str) -> Result<Layout, String> {
        Layout::of(&ReadOptions::new(format), line)
    }

    fn csv(time: &str, close: &str, line: &str) -> Result<Layout, String> {
        let columns =
            CsvColumns { time: Some(time.to_owned()), close: Some(close.to_owned()), delimiter: None };
        Layout::of(&ReadOptions { columns, ..ReadOptions::new(Format::Csv) }, line)
    }

    /// Reads a row under a first line, to the minute of the day and the close.
    fn read(format: Format, first: &str, row: &str) -> (i64, f64) {
        let (stamp, close) = layout(format, first).unwrap().read(row).unwrap();
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
        let (stamp, close) = gmt.read("01.11.2010 00:01:00.000,1,2,0.5,1.5,29500000").unwrap();
        assert_eq!((stamp, close), (Stamp::Instant { us: 1_288_569_660_000_000, offset_s: 0 }, 1.5));
        let local = layout(Format::Dukascopy, "Local time,Open,High,Low,Close,Volume").unwrap();
        let (stamp, _) = local.read("01.11.2010 01:01:00.000 GMT+0100,1,2,0.5,1.5,3").unwrap();
        assert_eq!(stamp, Stamp::Instant { us: 1_288_569_660_000_000, offset_s: 3600 });
        let (stamp, _) = local.read("01.11.2010 01:01:00.000,1,2,0.5,1.5,3").unwrap();
        assert!(matches!(stamp, Stamp::Local { .. }));
    }

    #[test]
    fn csv_columns_by_name_number_and_header() {
        let row = "x,2017-03-01 00:05,1.5,9";
        for (first, time, close) in
            [("id,when,paid,n", "when", "PAID"), ("id,when,paid,n", "2", "3"), (row, "2", "3")]
        {
            let layout = csv(time, close, first).unwrap();
            assert_eq!(layout.read(row).unwrap().1, 1.5, "{first}");
        }
        for first in ["date,time,price", "Date;Time;Close", "time|date|last"] {
            let layout = layout(Format::Csv, first).unwrap();
            assert!(layout.date.is_some() && layout.has_header, "{first}");
        }
        assert_eq!(read(Format::Csv, "date,price", "2018-06-01 00:01,1.5"), (1, 1.5));
        assert_eq!(read(Format::Csv, "unix,date,open,close", "60,1970-01-01 00:07,1,1.5"), (1, 1.5));
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
        assert!(layout(Format::Csv, "1672531200,1.5").unwrap_err().contains("--time-column 1"));
        assert!(csv("nope", "2", "time,close").unwrap_err().contains("`nope`"));
        assert!(csv("time", "close", "0,1").unwrap_err().contains("by number"));
        assert!(layout(Format::Dukascopy, "2026.01.01,17:00,1,1,1,1").is_err());
        assert!(layout(Format::Metatrader, "20170301 000000;1;1;1;1;0").is_err());
    }

    #[test]
    fn bad_rows_have_their_fault() {
        let layout = layout(Format::Csv, "time,open,high,low,close,volume").unwrap();
        let cases = [
            ("60,1,1,1", RowFault::NoColumn { column: 5 }),
            ("60,1,1,1,1.0", RowFault::Cut { column: 5 }),
            ("60,1,1,1,x,0", RowFault::Close),
            ("x,1,1,1,1,0", RowFault::Time),
            ("60,1,1,1,0,0", RowFault::Price { close: 0.0 }),
            ("60,1,1,1,-1,0", RowFault::Price { close: -1.0 }),
            ("60,1,1,1,inf,0", RowFault::Price { close: f64::INFINITY }),
        ];
        for (row, fault) in cases {
            assert_eq!(layout.read(row), Err(fault), "{row}");
        }
        assert!(matches!(layout.read("60,1,1,1,nan,0"), Err(RowFault::Price { .. })));
        assert!(layout.read("60,1,1,1,1,\"199    13").is_ok());
    }
}
