//! The formats a file can be said to have, and which of them a line looks like.
//!
//! The guess serves error messages only: no file is read in a format that the user did not name.

use std::fmt;
use std::str::FromStr;

use crate::error::ImportError;
use crate::layout;

/// What the rows of a file look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// HistData "Generic ASCII": `20170301 000000;o;h;l;c;v`, in the zone `histdata`.
    Histdata,
    /// MetaTrader exports: comma or tab, with or without header, date and time in one column or two.
    Metatrader,
    /// Dukascopy exports: `Gmt time,Open,...`, day first.
    Dukascopy,
    /// Any delimited text with a time and a close column.
    Csv,
    /// A Parquet file with a timestamp column and a close column.
    Parquet,
}

impl Format {
    /// Every format, in the order in which help lists them.
    pub const ALL: [Self; 5] = [Self::Histdata, Self::Metatrader, Self::Dukascopy, Self::Csv, Self::Parquet];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Histdata => "histdata",
            Self::Metatrader => "metatrader",
            Self::Dukascopy => "dukascopy",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// One line about the format, for help.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Histdata => "HistData ASCII, `20170301 000000;o;h;l;c;v`; implies the zone histdata",
            Self::Metatrader => "MetaTrader 4 and 5, comma or tab, with or without header; needs a zone",
            Self::Dukascopy => "Dukascopy, `Gmt time,Open,...` or local time with its GMT offset",
            Self::Csv => "any delimited text: ISO 8601 or epoch times, columns named or found by header",
            Self::Parquet => "a timestamp column and `close`, found by name and type; naive means UTC",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = ImportError;

    fn from_str(name: &str) -> Result<Self, ImportError> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| ImportError::UnknownFormat { name: name.to_owned() })
    }
}

/// The format that `line`, the first of a file, looks like.
pub(crate) fn looks_like(line: &str) -> Option<Format> {
    let shape: String = line.chars().take(24).map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let lower = shape.to_ascii_lowercase();
    if shape.starts_with("PAR9") {
        Some(Format::Parquet)
    } else if shape.starts_with("99999999 999999;") {
        Some(Format::Histdata)
    } else if shape.starts_with("99.99.9999 ")
        || lower.starts_with("gmt time")
        || lower.starts_with("local time")
    {
        Some(Format::Dukascopy)
    } else if shape.starts_with("9999.99.99") || shape.starts_with("<DATE>") || is_tab_bars(&shape) {
        Some(Format::Metatrader)
    } else {
        layout::has_known_header(line).then_some(Format::Csv)
    }
}

fn is_tab_bars(shape: &str) -> bool {
    ["Time\tOpen", "Timestamp\tOpen", "Date\tTime\t"].iter().any(|start| shape.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert!(!format.help().is_empty());
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "histdat".parse::<Format>().unwrap_err().to_string();
        assert!(message.contains("histdat") && message.contains("metatrader"), "{message}");
    }

    #[test]
    fn first_lines_are_recognised() {
        let cases = [
            ("20170301 000000;1.05;1.05;1.05;1.05;0", Some(Format::Histdata)),
            ("2026.01.01,17:00,1,1,1,1,0", Some(Format::Metatrader)),
            ("<DATE>\t<TIME>\t<OPEN>", Some(Format::Metatrader)),
            ("Timestamp\tOpen\tHigh", Some(Format::Metatrader)),
            ("Gmt time,Open,High", Some(Format::Dukascopy)),
            ("01.11.2010 00:00:00.000,1", Some(Format::Dukascopy)),
            ("date,price", Some(Format::Csv)),
            ("PAR1\u{15}", Some(Format::Parquet)),
            ("hello", None),
        ];
        for (line, expected) in cases {
            assert_eq!(looks_like(line), expected, "{line}");
        }
    }
}
