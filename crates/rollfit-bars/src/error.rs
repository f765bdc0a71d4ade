//! Everything that can be wrong with an import, said as what, where and what to do.
//!
//! What the system said stands in the source of an error, for who prints the chain; all else in its message.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::epoch::{EpochUnit, NumberKind};
use crate::format::Format;
use crate::report::Cause;
use crate::zone::LocalFault;

/// What the rows of a file are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Lines of text, the header included, from 1.
    #[default]
    Line,
    /// Rows of a Parquet file, from 1.
    Row,
}

/// A line of a text file or a row of a Parquet file. Prints as `FILE:LINE` or `FILE: row ROW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub path: PathBuf,
    /// What `number` counts.
    pub unit: Unit,
    /// Line or row, from 1.
    pub number: u64,
}

impl Place {
    pub(crate) fn new(path: &Path, unit: Unit, number: u64) -> Self {
        Self { path: path.to_path_buf(), unit, number }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, number) = (self.path.display(), self.number);
        match self.unit {
            Unit::Line => write!(formatter, "{path}:{number}"),
            Unit::Row => write!(formatter, "{path}: row {number}"),
        }
    }
}

/// Why one row, taken alone, is not a bar.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// Bytes that are not UTF-8.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// More or fewer fields than a row has.
    #[error("{}", field_count_text(*found, *expected))]
    FieldCount {
        /// Fields of the line.
        found: usize,
        /// Fields of a row, as the header, the format or the first row says.
        expected: usize,
    },
    /// A quote that does not close, or characters behind a closing one.
    #[error("the quotes of the line are not balanced")]
    Quotes,
    /// The line stops right after the close although columns should follow.
    #[error("the line ends in its close, column {column}, where more columns should follow")]
    Cut {
        /// The close column, from 1.
        column: usize,
    },
    /// The time is no time.
    #[error("the time is not readable")]
    Time,
    /// A number that is no epoch.
    #[error(
        "the time is a number, but no epoch of the years 1980 to 2049 in seconds, milli-, micro- or nanoseconds: \
         {0}. Write date and time in full, e.g. 2024-01-02T00:05:00Z; if another column holds the date, name it with \
         --date-column"
    )]
    NotEpoch(NumberKind),
    /// An epoch of another unit than those before it.
    #[error("the time is an epoch in {found}, and those before it are in {expected}: give the file one unit")]
    EpochUnits {
        /// The unit of the file.
        expected: EpochUnit,
        /// The unit of the row.
        found: EpochUnit,
    },
    /// A time of day made of digits that are not `HHMM` or `HHMMSS` all through the file.
    #[error(
        "the time of day is not HHMM, or HHMMSS, with leading zeros all through the file, so that it cannot be told \
         from a count of minutes or seconds: write it as HH:MM or HH:MM:SS"
    )]
    TimeDigits,
    /// A time of day without a date.
    #[error("the time of day has no date: name the column that holds the date with --date-column")]
    NoDate,
    /// A date without a time of day where there must be one.
    #[error(
        "the time column holds dates without times of day: name the column of the time of day with --time-column and \
         that of the date with --date-column"
    )]
    DateAlone,
    /// The time lies outside the years 1 to 9998.
    #[error("the time is out of range")]
    Range,
    /// The time has digits below the microsecond.
    #[error("the time is finer than a microsecond")]
    TooFine,
    /// The local time does not name one instant.
    #[error("{0}")]
    Local(LocalFault),
    /// The close is no number.
    #[error("the close is not a number")]
    Close,
    /// The close begins with a zero and another digit.
    #[error("the close begins with a superfluous zero: is it the part behind a decimal comma?")]
    LeadingZero,
    /// A whole close, and behind it a number that begins with a zero and another digit.
    #[error(
        "the close has no decimal point, and the field behind it begins with a superfluous zero: is the comma its decimal mark?"
    )]
    SplitClose,
    /// A close at the very end of the file that is not between low and high.
    #[error("the file ends in this close, which is not between low and high: is the file cut off?")]
    HalfClose,
    /// The close is no price.
    #[error("the close {close} is not a price: it must be finite and above zero")]
    Price {
        /// The close as read.
        close: f64,
    },
}

impl RowFault {
    /// What lenient reading counts the row under.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::TooFine => Cause::TooFine,
            Self::Local(_) => Cause::LocalTime,
            Self::Price { .. } => Cause::Price,
            _ => Cause::Unparsable,
        }
    }

    /// Whether the row puts every other in doubt, so that lenient reading stops there too.
    #[must_use]
    pub fn spoils_the_file(self) -> bool {
        matches!(
            self,
            Self::NotEpoch(_)
                | Self::EpochUnits { .. }
                | Self::TimeDigits
                | Self::NoDate
                | Self::DateAlone
                | Self::SplitClose
        )
    }
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file that is missing or closed to us.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory where a file is wanted.
    #[error("{}: is a directory: name the files in it", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Bytes that cannot be read or unpacked.
    #[error("{}: cannot be read to its end, it may be incomplete", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// A file without a single character.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file with a header, or columns, but no row.
    #[error("{}: the file has columns but no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Lenient reading that kept nothing.
    #[error("none of the {rows} rows could be read. The first: {first}")]
    NothingReadable {
        /// Rows read.
        rows: u64,
        /// What was wrong with the first of them.
        first: Box<ImportError>,
    },
    /// A zip without exactly one data file.
    #[error("{}: {why}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// Bytes of another kind than the format says.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// Columns that cannot be found.
    #[error("{}: {why}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// A row that is not a bar.
    #[error("{place}: {fault}: `{shown}`{}", hint_text(*hint))]
    Row {
        /// Where.
        place: Place,
        /// What is wrong with it.
        fault: RowFault,
        /// The row, shortened.
        shown: String,
        /// The format that the row seems to have instead.
        hint: Option<Format>,
    },
    /// A local time without a zone.
    #[error(
        "{place}: the time zone is not known: neither the file nor the format says it, and it is never \
         guessed. Give --timezone, e.g. UTC, +02:00, America/New_York, America/New_York+07:00 or histdata: \
         `{shown}`"
    )]
    NoZone {
        /// Where.
        place: Place,
        /// The row, shortened.
        shown: String,
    },
    /// A zone option that the bytes deny.
    #[error(
        "{place}: the file states its own offset from UTC, {stated}, which contradicts --timezone {zone}: \
         leave --timezone out: `{shown}`"
    )]
    ZoneContradiction {
        /// Where.
        place: Place,
        /// The zone of the option.
        zone: String,
        /// The offset in the bytes.
        stated: String,
        /// The row, shortened.
        shown: String,
    },
    /// Two rows of one instant with different closes.
    #[error(
        "{place}: the bar of {} has close {close} here and {earlier_close} at {earlier}: correct the files, or \
         give --lenient to keep the earlier one",
        instant_text(*instant_us)
    )]
    Contradiction {
        /// The later row.
        place: Place,
        /// Its close.
        close: f64,
        /// The earlier row.
        earlier: Place,
        /// Its close.
        earlier_close: f64,
        /// The instant of both.
        instant_us: i64,
    },
    /// A file that is newest first up to a row.
    #[error(
        "{place}: the file is newest first up to here, and jumps forward from {} to {}: sort it by time",
        instant_text(*from_us),
        instant_text(*to_us)
    )]
    JumpForward {
        /// Where.
        place: Place,
        /// The instant of the row before.
        from_us: i64,
        /// The instant of the row.
        to_us: i64,
    },
    /// Two instruments in one file.
    #[error(
        "{place}: the column `{column}` is `{value}` here and `{earlier_value}` at {earlier}: a file holds one \
         instrument, also with --lenient; write each to a file of its own, or, where the column holds something else, \
         rename it (a file without a header needs one for that)"
    )]
    Instruments {
        /// The later row.
        place: Place,
        /// The name of the column, or its number from 1.
        column: String,
        /// Its value there, shortened.
        value: String,
        /// The first row.
        earlier: Box<Place>,
        /// Its value there, shortened.
        earlier_value: Box<str>,
    },
    /// A key from the path that a column of the file denies.
    #[error(
        "{}: the path says the key `{key}`, and the column `{column}` says `{value}`: give the right one with --key",
        path.display()
    )]
    KeyContradiction {
        /// The file.
        path: PathBuf,
        /// The key of the path.
        key: String,
        /// The name of the column.
        column: String,
        /// Its value, shortened.
        value: String,
    },
    /// Two files of one key with the symbols of two instruments.
    #[error(
        "{}: the symbol is `{symbol}` here and `{earlier_symbol}` in {}, and both files go to the key `{key}`: import \
         each instrument with a --key of its own",
        path.display(),
        earlier.display()
    )]
    TwoSymbols {
        /// The later file.
        path: PathBuf,
        /// Its symbol, shortened.
        symbol: String,
        /// The earlier file.
        earlier: PathBuf,
        /// Its symbol, shortened.
        earlier_symbol: Box<str>,
        /// The key of both.
        key: String,
    },
    /// All bars on a day that stands for none.
    #[error(
        "{}: all times lie {day}: they seem to be times of day without their date, or epochs that were read in a wrong \
         unit; write date and time in full",
        path.display()
    )]
    NoDates {
        /// The file.
        path: PathBuf,
        /// When.
        day: &'static str,
    },
    /// A row older than the one before it, and not a repetition.
    #[error(
        "{place}: jumps back in time, from {} to {}, and repeats no earlier row: sort the file by time, or give \
         --lenient to drop such rows",
        instant_text(*from_us),
        instant_text(*to_us)
    )]
    JumpBack {
        /// Where.
        place: Place,
        /// The newest instant read before.
        from_us: i64,
        /// The instant of the row.
        to_us: i64,
    },
    /// A key with characters that table names cannot have.
    #[error("the key `{key}` ({origin}) is not usable: keys are made of a-z, 0-9 and _{}", key_advice(key))]
    Key {
        /// The key.
        key: String,
        /// Where it was found.
        origin: String,
    },
    /// A path that tells no key.
    #[error(
        "{}: the key is not known: the path has no key=, pair= or symbol= directory and the file name is no \
         vendor's: give --key, e.g. --key eurusd",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A format that does not exist.
    #[error("there is no format `{name}`: choose one of {}", format_names())]
    UnknownFormat {
        /// The name given.
        name: String,
    },
    /// A zone that does not exist.
    #[error(
        "there is no time zone `{name}`: give an IANA name (America/New_York), UTC, an offset (+02:00), an IANA \
         name plus hours (America/New_York+07:00), or histdata"
    )]
    UnknownZone {
        /// The name given.
        name: String,
    },
    /// Options that do not go together.
    #[error("{why}")]
    Options {
        /// What is wrong and what to do.
        why: String,
    },
    /// A Parquet file that cannot be read.
    #[error("{}: is not a readable Parquet file: {why}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
}

fn field_count_text(found: usize, expected: usize) -> String {
    let fields = if found == 1 { "field" } else { "fields" };
    let question = if found > expected {
        ": is the delimiter also a decimal mark or thousands separator, or are two rows in one line?"
    } else {
        ""
    };
    format!("the line has {found} {fields} where a row has {expected}{question}")
}

fn hint_text(hint: Option<Format>) -> String {
    hint.map_or_else(String::new, |format| {
        format!(". This looks like the format {format}: try --format {format}")
    })
}

fn format_names() -> String {
    Format::ALL.map(Format::name).join(", ")
}

fn key_advice(key: &str) -> String {
    let lower = key.to_lowercase();
    match super::key::is_valid(&lower) {
        true => format!(": use {lower}"),
        false => ": give another with --key".to_owned(),
    }
}

/// The instant as users read it.
fn instant_text(instant_us: i64) -> String {
    Timestamp::from_microsecond(instant_us)
        .map_or_else(|_| format!("{instant_us} us"), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_print_as_editors_read_them() {
        assert_eq!(Place::new(Path::new("a/b.csv"), Unit::Line, 7).to_string(), "a/b.csv:7");
        assert_eq!(Place::new(Path::new("b.parquet"), Unit::Row, 7).to_string(), "b.parquet: row 7");
    }

    #[test]
    fn a_key_in_capitals_is_told_its_lower_case() {
        let error = |key: &str| ImportError::Key { key: key.to_owned(), origin: "--key".to_owned() };
        assert!(error("EURUSD").to_string().ends_with("use eurusd"));
        assert!(error("eur/usd").to_string().ends_with("--key"));
    }
}
