//! [`FormatRules`]: all that the rest of the crate needs of a format. Each format fills in one in a file of its own.

use std::ops::RangeInclusive;

use crate::table::column_indexes::ColumnIndexes;

/// How the names of text files end, also packed ones.
pub(crate) const TEXT_ENDINGS: [&str; 6] = ["csv", "tsv", "txt", "prn", "gz", "zip"];
/// How the names of Parquet files end.
pub(crate) const PARQUET_ENDINGS: [&str; 4] = ["parquet", "parq", "pqt", "pq"];

/// One format.
pub(crate) struct FormatRules {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// Whether the first line of a file looks like this format. Serves advice only: no file is read in a format that the
    /// user did not name.
    pub(crate) looks_like: fn(&str) -> bool,
    /// How its rows are read.
    pub(crate) rows: RowRules,
    /// The zone of times that state none, where the format implies one.
    pub(crate) zone: Option<&'static str>,
    /// What to say of a file that begins with this line, if the line is one of the vendor's ticks, which are no bars.
    pub(crate) ticks: fn(&str) -> Option<&'static str>,
    /// Finds the symbol in a file name of the vendor, given as the words between `_` and `-`.
    pub(crate) symbol: for<'a> fn(&[&'a str]) -> Option<&'a str>,
}

/// How the rows of a format are read.
pub(crate) enum RowRules {
    /// As delimited text.
    Text(TextRules),
    /// As Parquet.
    Parquet,
}

/// Delimited text.
pub(crate) struct TextRules {
    /// The possible delimiters; the most frequent in the first line is used.
    pub(crate) delimiters: &'static [u8],
    pub(crate) columns: ColumnRules,
    /// Whether times may be epochs: seconds, milli-, micro- or nanoseconds since 1970.
    pub(crate) epochs: bool,
    /// Whether the header may name the zone in place of the first column, the time.
    pub(crate) zone_in_header: bool,
}

/// Where the columns of a text are.
pub(crate) enum ColumnRules {
    /// Always the same; the first line is a row.
    Fixed(RowShape),
    /// Found by name if the first line is a header; else the row has one of these shapes, the first whose time column holds
    /// a colon.
    Known(&'static [RowShape]),
    /// Found by name, or named by the user.
    Free,
}

/// The columns of a row without a header, counted from 0.
pub(crate) struct RowShape {
    pub(crate) date: Option<usize>,
    pub(crate) time: usize,
    pub(crate) close: usize,
    /// How many fields a row may have; all rows of a file have the same number.
    pub(crate) fields: RangeInclusive<usize>,
}

impl RowShape {
    /// The columns that make a bar.
    pub(crate) fn columns(&self) -> ColumnIndexes {
        ColumnIndexes::new(self.date, self.time, self.close)
    }
}

/// Which columns a user may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedColumns {
    None,
    /// All, but not the delimiter.
    Columns,
    /// All, and the delimiter.
    All,
}

impl FormatRules {
    /// Which columns a user may name.
    pub(crate) fn named_columns(&self) -> NamedColumns {
        match &self.rows {
            RowRules::Parquet => NamedColumns::Columns,
            RowRules::Text(TextRules { columns: ColumnRules::Free, .. }) => NamedColumns::All,
            RowRules::Text(_) => NamedColumns::None,
        }
    }
}
