//! [`ColumnOptions`]: the columns that a user names.

/// Which columns to read, for the formats `csv` and `parquet`. What is `None` is found by name.
///
/// In `csv` a column is a name of the header, or a number counted from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnOptions {
    /// The column of the time stamp.
    pub time: Option<String>,
    /// The column of the close.
    pub close: Option<String>,
    /// The character between two fields; only in `csv`.
    pub delimiter: Option<char>,
    /// The column of the date, where the time column holds times of day only.
    pub date: Option<String>,
    /// The columns that bars keep besides.
    pub others: OtherColumns,
}

/// Which columns bars keep besides time and close.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OtherColumns {
    /// None.
    #[default]
    None,
    /// Every column of numbers.
    All,
    /// These, by their names in the header; `open`, `high`, `low` and `volume` where a vendor's format has no header.
    Named(Vec<String>),
}
