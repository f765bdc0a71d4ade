//! [`RowFault`]: why one row, taken alone, is not a bar.

use std::fmt;

use super::drop_cause::DropCause;

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
    /// A quote that does not close, or characters after a closing one.
    #[error("the quotes of the line are not balanced")]
    Quotes,
    /// The line stops right after the close although columns should follow.
    #[error("the line ends after the close, column {column}, but more columns should follow")]
    Cut {
        /// The close column, from 1.
        column: usize,
    },
    /// The time cannot be read.
    #[error("the time is not readable")]
    Time,
    /// A number that is not an epoch.
    #[error(
        "the time is a number, but not an epoch of the years 1980 to 2049 in seconds, milli-, micro- or nanoseconds: \
         {0}; write date and time in full, e.g. 2024-01-02T00:05:00Z, or name the column of the date with \
         --date-column"
    )]
    NotEpoch(NumberKind),
    /// An epoch of another unit than those before it.
    #[error(
        "the time is an epoch in {found}, but those before it are in {expected}; use one unit in the whole file"
    )]
    EpochUnits {
        /// The unit of the file.
        expected: EpochUnit,
        /// The unit of the row.
        found: EpochUnit,
    },
    /// A time of day made of digits that are not `HHMM` or `HHMMSS` all through the file.
    #[error(
        "the time of day is not HHMM or HHMMSS with leading zeros in the whole file, so it may be a count of minutes or \
         seconds; write it as HH:MM or HH:MM:SS"
    )]
    TimeDigits,
    /// A time of day without a date.
    #[error("the time of day has no date; name the column that holds the date with --date-column")]
    NoDate,
    /// A date without a time of day where there must be one.
    #[error(
        "the time column holds dates without times of day; name the column of the time of day with --time-column and \
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
    /// The close is not a number.
    #[error("the close is not a number")]
    Close,
    /// The close begins with a zero and another digit.
    #[error("the close begins with an extra zero; it may be the digits after a decimal comma")]
    LeadingZero,
    /// A whole close, followed by a number that begins with a zero and another digit.
    #[error(
        "the close has no decimal point, and the field after it begins with an extra zero; the comma may be its \
         decimal mark"
    )]
    SplitClose,
    /// A close at the very end of the file that is not between low and high.
    #[error("the file ends with this close, which is not between low and high; the file may be cut off")]
    HalfClose,
    /// A key at the very end of the file that may be the beginning of another one.
    #[error(
        "the file ends with this key, without a line end, and the key may be cut off; end the last line if it is whole"
    )]
    HalfKey,
    /// A further column does not hold a number.
    #[error(
        "column {column} is neither a finite number nor empty; correct it, or keep other columns with --columns"
    )]
    FurtherColumn {
        /// The column, from 1.
        column: usize,
    },
    /// The close is not a price.
    #[error("the close {close} is not a price: it must be finite and above zero")]
    Price {
        /// The close as read.
        close: f64,
    },
}

impl RowFault {
    /// What lenient reading counts the row under.
    #[must_use]
    pub fn cause(self) -> DropCause {
        match self {
            Self::TooFine => DropCause::TooFine,
            Self::Local(_) => DropCause::LocalTime,
            Self::Price { .. } => DropCause::Price,
            _ => DropCause::Unparsable,
        }
    }

    /// Whether the row makes every other row uncertain, so that lenient reading stops too.
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

/// Why a local time does not have exactly one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalFault {
    /// Clocks went back over it.
    #[error("this local time exists twice because clocks went back, so its instant is unknown")]
    Twice,
    /// Clocks went forward over it.
    #[error("this local time does not exist because clocks went forward; check the time zone")]
    Never,
}

/// What an epoch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochUnit {
    /// 1 s.
    Seconds,
    /// 1 ms.
    Milliseconds,
    /// 1 us.
    Microseconds,
    /// 1 ns.
    Nanoseconds,
}

/// What a number in a time column looks like when it is not an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// Below 100,000: hours and minutes, minutes or seconds of the day, row numbers.
    Count,
    /// 20,000 to 80,000, or a fraction of 1: days since 1900.
    SpreadsheetDay,
    /// 2,300,000 to 2,600,000.
    JulianDay,
    /// Any other.
    Other,
}

impl fmt::Display for EpochUnit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        })
    }
}

impl fmt::Display for NumberKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Count => "it looks like a time of day, a count of minutes or seconds, or a row number",
            Self::SpreadsheetDay => "it looks like a day number of a spreadsheet, or a count of seconds",
            Self::JulianDay => "it looks like a Julian day",
            Self::Other => "it is outside these years",
        })
    }
}

fn field_count_text(found: usize, expected: usize) -> String {
    let fields = if found == 1 { "field" } else { "fields" };
    let question = if found > expected {
        "; the delimiter may also be a decimal mark or thousands separator, or two rows may share one line"
    } else {
        ""
    };
    format!("the line has {found} {fields}, but a row has {expected}{question}")
}
