//! [`ColumnIndexes`]: which columns hold the time and the close, by the names of a header or by number.
//!
//! The time is the first of [`INSTANT_NAMES`] that the header has, else of [`TIME_NAMES`], else of [`DATE_NAMES`]. A column
//! of [`DATE_NAMES`] beside it holds the date where the time column holds times of day only. The close is the first of
//! [`CLOSE_NAMES`]. A time column with the word UTC or GMT in its name states its zone.

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

/// Whether the first line is a header: none of its fields begins like a number.
pub(crate) fn is_header(names: &[String]) -> bool {
    let numeric = |name: &String| name.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    !names.iter().any(numeric) && names.iter().any(|name| !name.is_empty())
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
fn column(names: &[String], wanted: &str) -> Result<usize, String> {
    let found = only(names, &normal(wanted))?.or_else(|| column_number(wanted, names.len()));
    found.ok_or_else(|| format!("column `{wanted}` does not exist; use {}", one_of(names)))
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

fn enumerated(cells: &[&str]) -> String {
    let text = |(at, cell): (usize, &&str)| format!("{} is `{}`", at + 1, shown(cell.as_bytes()));
    cells.iter().enumerate().take(CELLS_SHOWN).map(text).collect::<Vec<_>>().join(", ")
}
