//! [`ColumnIndexes`]: which columns hold the time and the close, by the names of a header or by number.
//!
//! The time is the first of [`INSTANT_NAMES`] that the header has, else of [`TIME_NAMES`], else of [`DATE_NAMES`]. A column
//! of [`DATE_NAMES`] beside it holds the date where the time column holds times of day only. The close is the first of
//! [`CLOSE_NAMES`]. A time column with the word UTC or GMT in its name states its zone.

use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;

use super::column_names::{CLOSE_NAMES, DATE_NAMES, INSTANT_NAMES, TIME_NAMES, first_of, normal, only};
use super::column_options::ColumnOptions;
use crate::error::shown;

const CELLS_SHOWN: usize = 20;

/// The columns of a row that make a bar, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnIndexes {
    pub(crate) date: Option<usize>,
    pub(crate) time: usize,
    pub(crate) close: usize,
    /// The header says that local times are UTC.
    pub(crate) in_utc: bool,
    /// A column beside the time column seems to hold times of day.
    pub(crate) has_time_beside: bool,
}

impl ColumnIndexes {
    /// Columns of which no header says anything.
    pub(crate) fn new(date: Option<usize>, time: usize, close: usize) -> Self {
        Self { date, time, close, in_utc: false, has_time_beside: false }
    }

    /// Finds the columns of a header; an error says what is missing.
    pub(crate) fn from_header(names: &[String], options: &ColumnOptions) -> Result<Self, String> {
        let date = match &options.date {
            Some(wanted) => Some(column(names, wanted)?),
            None => first_of(names, &DATE_NAMES)?,
        };
        let beside = first_of(names, &TIME_NAMES)?;
        let time = match &options.time {
            Some(wanted) => Some(column(names, wanted)?),
            None => first_of(names, &INSTANT_NAMES)?.or(beside).or(date),
        };
        let time = time.ok_or_else(|| {
            format!("no time column is recognized by name; give --time-column, {}", one_of(names))
        })?;
        let date = date.filter(|date| *date != time);
        let in_utc = says_utc(&names[time]) || date.is_some_and(|date| says_utc(&names[date]));
        let has_time_beside = beside.is_some_and(|beside| beside != time);
        Ok(Self { date, time, close: header_close(names, options)?, in_utc, has_time_beside })
    }

    /// Takes the columns by number, from options for a file without a header that begins with `cells`.
    pub(crate) fn from_numbers(options: &ColumnOptions, cells: &[&str]) -> Result<Self, String> {
        let number = |wanted: &Option<String>| column_number(wanted.as_deref()?, cells.len());
        let date = number(&options.date);
        match (number(&options.time), number(&options.close)) {
            (Some(time), Some(close)) if date.is_some() == options.date.is_some() => {
                Ok(Self::new(date, time, close))
            }
            _ => Err(format!(
                "the first line is not a header, so --time-column and --close-column (and --date-column, if the date \
                 has its own column) take numbers: {}",
                enumerated(cells)
            )),
        }
    }

    /// Whether the column is one of these.
    pub(crate) fn contains(&self, column: usize) -> bool {
        column == self.close || self.is_time(column)
    }

    /// Whether the column holds the time or the date.
    pub(crate) fn is_time(&self, column: usize) -> bool {
        column == self.time || Some(column) == self.date
    }
}

/// Whether the first line is a header: none of its fields begins like a number, but for names such as `24h volume`.
pub(crate) fn is_header(names: &[String]) -> bool {
    let numeric = |name: &String| name.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    !names.iter().any(|name| numeric(name) && !is_numbered(name)) && names.iter().any(|name| !name.is_empty())
}

/// Whether a name that begins with digits has a word next: `24h volume`, `1a. open (usd)`, `4. close`. A close that can be read
/// never does, so that no row of bars passes for a header.
fn is_numbered(name: &str) -> bool {
    let behind = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let word = behind.trim_start_matches(['.', '_', ' ', ')', '-']);
    (1..=3).contains(&(name.len() - behind.len()))
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.parse::<f64>().is_err()
}

fn header_close(names: &[String], options: &ColumnOptions) -> Result<usize, String> {
    if let Some(wanted) = &options.close {
        return column(names, wanted);
    }
    first_of(names, &CLOSE_NAMES)?.ok_or_else(|| {
        format!("no close column is recognized by name; give --close-column, {}", one_of(names))
    })
}

/// A column of the header by its name, else by its number.
pub(crate) fn column(names: &[String], wanted: &str) -> Result<usize, String> {
    let found = only(names, &normal(wanted))?.or_else(|| column_number(wanted, names.len()));
    found.ok_or_else(|| {
        let hint = did_you_mean(wanted, names.iter().map(String::as_str));
        format!("column `{wanted}` does not exist; {hint}use {}", one_of(names))
    })
}

/// A column by its number, from 1; none if there is no such column.
pub(crate) fn column_number(wanted: &str, columns: usize) -> Option<usize> {
    wanted
        .trim()
        .parse::<usize>()
        .ok()
        .filter(|number| (1..=columns).contains(number))
        .map(|number| number - 1)
}

fn one_of(names: &[String]) -> String {
    format!("one of {}", few(names.iter().map(|name| format!("`{name}`"))))
}

/// Whether the name of a time column states that its times are UTC.
pub(crate) fn says_utc(name: &str) -> bool {
    name.split(|c: char| !c.is_alphanumeric()).any(|word| word == "utc" || word == "gmt")
}

/// The cells of a row with their numbers.
pub(crate) fn enumerated(cells: &[&str]) -> String {
    let text = |(at, cell): (usize, &&str)| format!("{} is `{}`", at + 1, shown(cell.as_bytes()));
    cells.iter().enumerate().take(CELLS_SHOWN).map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::column_names::normal;
    use super::*;

    fn seen_as_header(line: &str) -> bool {
        is_header(&line.split(',').map(normal).collect::<Vec<_>>())
    }

    #[test]
    fn names_that_begin_with_digits_make_a_header() {
        for line in [
            "timestamp,1. open,2. high,3. low,4. close,5. volume",
            "date,1a. open (USD),4a. close (USD)",
            "time,close,24h volume",
            "time,close,24h_volume,52w_high",
            "time,close,7d-change",
        ] {
            assert!(seen_as_header(line), "{line}");
        }
    }

    #[test]
    fn a_row_is_no_header() {
        for line in [
            "2017-03-01T00:00Z,1.5",
            "1 Jan 2024,1.5",
            "x,1.5",
            "EURUSD,1e5",
            "1d,1.5E-3",
            "1488326400,4.5",
            "a,+1.5",
            "a,-1",
            "a,.5",
            "a,5m,.5",
            "1. Jan 2024,1.5",
            ",,",
        ] {
            assert!(!seen_as_header(line), "{line}");
        }
    }

    #[test]
    fn numbered_names_are_found_by_their_word() {
        let names: Vec<String> = "date,1. open,4. close".split(',').map(normal).collect();
        let columns = ColumnIndexes::from_header(&names, &ColumnOptions::default()).unwrap();
        assert_eq!((columns.time, columns.close), (0, 2));
        let by_name = ColumnOptions { close: Some("1. open".to_owned()), ..ColumnOptions::default() };
        assert_eq!(ColumnIndexes::from_header(&names, &by_name).unwrap().close, 1);
    }
}
