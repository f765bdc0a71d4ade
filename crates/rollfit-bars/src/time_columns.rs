//! Finding the columns of time and close: by the names of a header, by number, or by what a vendor's rows have.

use crate::CsvColumns;
use crate::column_names::{CLOSE_NAMES, DATE_NAMES, INSTANT_NAMES, TIME_NAMES, first_of, normal, only};
use crate::format::Format;
use crate::shown::shown;

const CELLS_SHOWN: usize = 20;

/// The time columns of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeColumns {
    pub(crate) date: Option<usize>,
    pub(crate) time: usize,
    pub(crate) in_utc: bool,
    pub(crate) has_time_beside: bool,
}

impl TimeColumns {
    pub(crate) fn at(date: Option<usize>, time: usize) -> Self {
        Self { date, time, in_utc: false, has_time_beside: false }
    }
}

pub(crate) fn is_header(names: &[String]) -> bool {
    let numeric = |name: &String| name.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    !names.iter().any(numeric) && names.iter().any(|name| !name.is_empty())
}

pub(crate) fn header_times(names: &[String], columns: &CsvColumns) -> Result<TimeColumns, String> {
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
    Ok(TimeColumns { date, time, in_utc, has_time_beside: beside.is_some_and(|beside| beside != time) })
}

pub(crate) fn header_close(names: &[String], columns: &CsvColumns) -> Result<usize, String> {
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
pub(crate) fn numbered(columns: &CsvColumns, cells: &[&str]) -> Result<(TimeColumns, usize), String> {
    let number = |wanted: &Option<String>| column_number(wanted.as_deref()?, cells.len());
    let date = number(&columns.date);
    match (number(&columns.time), number(&columns.close)) {
        (Some(time), Some(close)) if date.is_some() == columns.date.is_some() => {
            Ok((TimeColumns::at(date, time), close))
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
pub(crate) fn known(format: Format, fields: &[String]) -> Result<(TimeColumns, usize), String> {
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
        true => Ok((TimeColumns::at(date, time), close)),
        false => Err(format!(
            "the first line has {count} fields, and a bar of the format {format} has {} to {most}: is a comma its \
             decimal mark, or are two rows in one line?",
            close + 1
        )),
    }
}
