//! [`SurveyedTable`]: a table of a store as something that series could be read from, before there is a job.

/// A table that a store could read series from, or the reason why it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedTable {
    /// The name of the table.
    pub name: String,
    /// The columns, in the order of the table.
    pub columns: Vec<SurveyedColumn>,
    /// Why no series can be read from it, as a clause; none where its columns decide.
    pub problem: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedColumn {
    /// The name.
    pub name: String,
    /// What a series can use it for.
    pub kind: ColumnKind,
    /// The type as the store calls it, `timestamp with time zone`.
    pub type_name: String,
}

/// What a series can use a column for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// The time.
    Time {
        /// Whether the type says that it is UTC, or holds a zone.
        has_zone: bool,
    },
    /// The value.
    Number,
    /// The keys of a table whose rows are in a directory for each value.
    Directory,
    /// Nothing, or keys.
    Other,
}
