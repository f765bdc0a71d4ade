//! [`Format`]: the formats that files can be said to have, a file each.
//!
//! # Adding a format
//!
//! 1. `formats/NEW.rs`: its [`FormatRules`], with name, how the first line of a file looks, columns, zone, and the symbol in
//!    its file names; at its end, a test of rows as the vendor writes them. Copy the file of the vendor that is most like it.
//! 2. Here: `mod new;`, a variant of [`Format`], its place in [`Format::ALL`] and a line in `rules`.
//! 3. A row in the table of `docs/import.md`.
//! 4. The snapshot of `rollfit import --help`, which the tidy test writes.
//!
//! Nothing else names a format: the help of the command, the sniffing, advice such as "this looks like the format csv", layout, zone and key all
//! ask its rules.

mod csv;
mod dukascopy;
mod file_name;
mod first_line;
mod histdata;
mod metatrader;
mod parquet;
mod rules;

use std::fmt;
use std::str::FromStr;

pub(crate) use self::rules::{
    ColumnRules, FormatRules, NamedColumns, PARQUET_ENDINGS, RowRules, RowShape, TEXT_ENDINGS, TextRules,
};
use crate::error::ImportError;
use rollfit_job::nearest::did_you_mean;

/// What the rows of a file look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// HistData "Generic ASCII": `20170301 000000;o;h;l;c;v`, in the zone `histdata`.
    Histdata,
    /// MetaTrader exports: tab, semicolon or comma, with or without header, date and time in one column or two.
    Metatrader,
    /// Dukascopy exports: `Gmt time,Open,...`, day first, or `Etc/UTC,Open,...` in ISO 8601.
    Dukascopy,
    /// Any delimited text with a time and a close column.
    Csv,
    /// A Parquet file with a time column and a close column.
    Parquet,
}

impl Format {
    /// Every format, in the order in which help lists them. A line that looks like several is said to be the first of them:
    /// `csv`, which is any table, comes after those of vendors.
    pub const ALL: [Self; 5] = [Self::Histdata, Self::Metatrader, Self::Dukascopy, Self::Csv, Self::Parquet];

    /// The rules of the format.
    pub(crate) fn rules(self) -> &'static FormatRules {
        match self {
            Self::Histdata => &histdata::RULES,
            Self::Metatrader => &metatrader::RULES,
            Self::Dukascopy => &dukascopy::RULES,
            Self::Csv => &csv::RULES,
            Self::Parquet => &parquet::RULES,
        }
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.rules().name
    }

    /// How the names of its files end, for those that are found in a directory.
    pub fn endings(self) -> &'static [&'static str] {
        match self.rules().rows {
            RowRules::Text(_) => &TEXT_ENDINGS,
            RowRules::Parquet => &PARQUET_ENDINGS,
        }
    }

    /// Returns the format that `line`, the first of a file, looks like.
    pub(crate) fn from_first_line(line: &str) -> Option<Self> {
        if Self::ticks(line).is_some() {
            return None;
        }
        Self::ALL.into_iter().find(|format| (format.rules().looks_like)(line))
    }

    /// Returns what to say of a file that begins with `line`, if that is one of a vendor's ticks.
    pub(crate) fn ticks(line: &str) -> Option<&'static str> {
        Self::ALL.into_iter().find_map(|format| (format.rules().ticks)(line))
    }

    /// Returns the symbol in a file name of any vendor, given as the words between `_` and `-`.
    pub(crate) fn symbol<'a>(words: &[&'a str]) -> Option<&'a str> {
        Self::ALL.into_iter().find_map(|format| (format.rules().symbol)(words))
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
        found.ok_or_else(|| ImportError::UnknownFormat {
            name: name.to_owned(),
            hint: did_you_mean(name, Self::ALL.map(Self::name)),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BarFile, ReadOptions, read_file};

    /// Reads a file of this name and text.
    pub(super) fn read(format: Format, name: &str, text: &str) -> Result<BarFile, ImportError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_file(&path, &ReadOptions::new(format))
    }

    #[test]
    fn every_name_reads_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
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
            ("Etc/UTC,Open,High,Low,Close", Some(Format::Dukascopy)),
            ("Close,Open", None),
            ("Gmt time,Ask,Bid,AskVolume,BidVolume", None),
            ("2026.01.01;17:00;1;1;1;1;0", Some(Format::Metatrader)),
            ("date,1. open,4. close", Some(Format::Csv)),
            ("01.11.2010 00:00:00.000,1", Some(Format::Dukascopy)),
            ("date,price", Some(Format::Csv)),
            ("PAR1\u{15}", Some(Format::Parquet)),
            ("hello", None),
        ];
        for (line, expected) in cases {
            assert_eq!(Format::from_first_line(line), expected, "{line}");
        }
    }
}
