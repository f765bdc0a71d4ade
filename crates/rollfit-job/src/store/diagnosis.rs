//! [`Diagnosis`]: the findings about a store before a run. A store gives them as [`Finding`]s whose numbers are still
//! numbers ([`Quantity`]): how they are written is the command's business.

use crate::partition::Partition;
use crate::period::Period;
use crate::receipt::Definition;
use crate::selection::Selection;

/// What a store is examined for.
#[derive(Clone, Copy, Debug)]
pub struct Examination<'a> {
    /// Whether the job's series come from here.
    pub is_source: bool,
    /// Whether its features go here.
    pub is_sink: bool,
    /// What of it was asked for.
    pub only: &'a Selection,
    /// Its keys.
    pub keys: &'a [String],
    /// Its partitions.
    pub partitions: &'a [Partition],
    /// What it computes.
    pub definition: &'a Definition,
}

/// What there is to know of a store before a run.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// Where the store is, without secrets.
    pub place: String,
    /// What was found, for people, in order.
    pub findings: Vec<Finding>,
    /// The same for programs.
    pub details: serde_json::Value,
    /// The most sessions that a run opens here; none where there is no limit.
    pub sessions: Option<usize>,
    /// How fast the store takes bytes over one connection; none where there is no connection.
    pub upload_bytes_per_s: Option<f64>,
    /// The rows of source tables, as far as they were counted.
    pub source_rows: Vec<PeriodRows>,
    /// What there is of each planned partition, where the store was asked.
    pub partitions: Vec<PartitionFound>,
    /// The rows a second of the last run here, of all workers together; none where that is not known.
    pub last_run_rows_per_s: Option<f64>,
    /// Problems that prevent a run.
    pub problems: Vec<Problem>,
    /// Notes that prevent nothing.
    pub notes: Vec<String>,
}

/// Something found out about a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// One thing with its name.
    Fact(&'static str, Words),
    /// Many things of a kind.
    Table {
        /// The headings of the columns.
        headings: Vec<&'static str>,
        /// The cells, as many a row as there are headings.
        rows: Vec<Vec<Words>>,
        /// What to know of the table as a whole; may be empty.
        remark: String,
    },
}

/// Text and numbers that make up a phrase.
pub type Words = Vec<Quantity>;

/// A piece of a phrase.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// Text as it is.
    Text(String),
    /// A number of things.
    Count(u64),
    /// A number of things with their noun, in the singular.
    Counted(u64, &'static str),
    /// Bytes.
    Bytes(u64),
    /// Bytes a second.
    BytesPerS(f64),
    /// A time.
    Seconds(f64),
}

impl From<String> for Quantity {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The rows of a source table in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodRows {
    /// The key.
    pub key: String,
    /// The period.
    pub period: Period,
    /// The rows.
    pub rows: u64,
}

/// What there is of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFound {
    /// The partition.
    pub partition: Partition,
    /// What it holds.
    pub holds: Holds,
    /// What of others would be lost if its rows were replaced or removed.
    pub obstacle: Option<String>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// No rows.
    Nothing,
    /// Rows that we wrote, by the definition of this job.
    Ours,
    /// Rows that we wrote, by another definition.
    OtherDefinition,
    /// Rows without a receipt of rollfit.
    Foreign,
    /// Rows that a later version of rollfit wrote.
    Newer,
    /// Unknown.
    Unknown,
}

/// A problem that prevents a run, or some of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// What is wrong, where, and what to do.
    pub what: String,
    /// The statements that set it right, if some do.
    pub statements: Vec<String>,
}

impl Problem {
    /// A problem that no statement solves.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), statements: Vec::new() }
    }
}
