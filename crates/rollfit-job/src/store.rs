//! What the job asks of a store: [`Source`], where series come from, and [`Sink`], where features go. Only plain slices
//! pass; how a store keeps its bytes is its own business.
//!
//! Holds true: whoever has a snapshot, a reader or a slot open asks the store for no second one, so that a store whose
//! sessions are few never waits for itself.

pub mod advice;

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use crate::foreign;
use crate::month::Month;
use crate::partition::Partition;
use crate::receipt::Receipt;
use crate::spec::Series;
use crate::watch::StoreProbe;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It may pass: try the partition again.
    Transient,
    /// It will not.
    Permanent,
    /// The store itself cannot be reached or opened: no partition can be done.
    Unreachable,
}

/// An error of a store: what failed, where, and what to do. Its message is safe to print, whatever names it holds.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", detail_text(detail.as_deref()))]
pub struct StoreError {
    fault: Fault,
    message: String,
    detail: Option<String>,
    is_damage: bool,
    attempts_max: Option<u32>,
    is_unconnected: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a cause beneath it.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: one_line(message),
            detail: None,
            is_damage: false,
            attempts_max: None,
            is_unconnected: false,
            source: None,
        }
    }

    /// An error that another one led to.
    pub fn caused_by(
        fault: Fault,
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { source: Some(source.into()), ..Self::new(fault, message) }
    }

    /// An error that will not pass.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Fault::Permanent, message)
    }

    /// An error because the connection to the store was lost or cannot be made.
    pub fn unconnected(fault: Fault, message: impl Into<String>) -> Self {
        Self { is_unconnected: true, ..Self::new(fault, message) }
    }

    /// An error of what rollfit wrote and what is not as it was written.
    pub fn damage(message: impl Into<String>) -> Self {
        Self { is_damage: true, ..Self::permanent(message) }
    }

    /// Whether something that rollfit wrote is damaged.
    pub fn is_damage(&self) -> bool {
        self.is_damage
    }

    /// The same error with what the store said in detail, which may be the same for many partitions.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(one_line(detail));
        self
    }

    /// The same error, for which a partition is tried so often at most.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts);
        self
    }

    /// Whether trying again can help.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What the store said in detail; [`Display`](std::fmt::Display) ends with it.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The error without its detail.
    pub fn brief(&self) -> &str {
        &self.message
    }

    /// Whether the connection to the store was lost or cannot be made.
    pub fn is_unconnected(&self) -> bool {
        self.is_unconnected
    }

    /// How often a partition is tried at most that fails like this; none for as often as others.
    pub fn attempts_max(&self) -> Option<u32> {
        self.attempts_max
    }
}

fn one_line(message: impl Into<String>) -> String {
    foreign::message(&message.into()).into_owned()
}

fn detail_text(detail: Option<&str>) -> String {
    detail.map(|detail| format!("; {detail}")).unwrap_or_default()
}

/// Some rows of one series, sorted by instant, each instant once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Microseconds since 1970, UTC.
    pub instants_us: Vec<i64>,
    /// The values; NaN where there is none.
    pub values: Vec<f64>,
}

/// Where series come from.
pub trait Source: Send + Sync {
    /// The keys that have a table of every series, sorted.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn keys(&self, series: &[Series]) -> Result<Vec<String>, StoreError>;

    /// The first and the last month in which the first series of a key has rows; none where it has none.
    ///
    /// # Errors
    /// When the table is missing or cannot be read.
    fn months(&self, series: &Series, key: &str) -> Result<Option<(Month, Month)>, StoreError>;

    /// About how many rows a series has in a partition: from what the store knows without reading them.
    ///
    /// # Errors
    /// When the table is missing or cannot be read.
    fn estimate_rows(&self, series: &Series, partition: &Partition) -> Result<u64, StoreError>;

    /// A view of a partition's series that later changes to the source do not reach. `lookback_rows` says how many
    /// joined rows before the partition will be asked for.
    ///
    /// # Errors
    /// When a table or column is missing or cannot be read.
    fn snapshot(
        &self,
        series: &[Series],
        partition: &Partition,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError>;

    /// The kind of store, as records name it: `parquet`, `postgres`, or `other`.
    fn kind(&self) -> &'static str {
        "other"
    }

    /// Where series come from, for people, without secrets.
    fn place(&self) -> String {
        self.kind().to_owned()
    }
}

/// One consistent view of the series of a partition.
pub trait Snapshot {
    /// The rows of the series at `series`, in the order given to [`Source::snapshot`], within `span_us`.
    ///
    /// # Errors
    /// When they cannot be read, are not sorted, or hold an instant twice.
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<Rows, StoreError>;

    /// The last rows before `instant_us`: `count` of them, or all there are.
    ///
    /// # Errors
    /// As [`Snapshot::rows`].
    fn rows_before(&mut self, series: usize, instant_us: i64, count: usize) -> Result<Rows, StoreError>;
}

/// What a sink holds of a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Features that we wrote.
    Ours(Box<Receipt>),
    /// Something without a receipt of ours, and what it is.
    Foreign(String),
}

/// Feature columns of consecutive rows of one partition.
#[derive(Clone, Copy, Debug)]
pub struct FeatureTile<'a> {
    /// Microseconds since 1970, UTC, one a row.
    pub instants_us: &'a [i64],
    /// The first of these columns among the features of every series in order.
    pub first_column: usize,
    /// The columns, of `instants_us.len()` values each; NaN where there is none.
    pub values: &'a [f64],
}

/// Which features a sink takes, and gives back, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Those of every series: a tile has them all.
    Together,
    /// Every row of one series before the first of the next, for stores with a table a series.
    Apart,
}

impl Grouping {
    /// The series of each group, of `count` series.
    pub fn groups(self, count: usize) -> Vec<Range<usize>> {
        match self {
            Grouping::Together => std::iter::once(0..count).collect(),
            Grouping::Apart => (0..count).map(|series| series..series + 1).collect(),
        }
    }
}

/// What columns narrower than a double make of values.
pub trait Rounding: Send + Sync {
    /// Turns values into those that a feature column gives back; NaN where it cannot hold one.
    fn round(&self, column: usize, values: &mut [f64]);

    /// By how much a value that a column gives back may differ from the one that was stored there.
    fn uncertainty(&self, column: usize, value: f64) -> f64;
}

impl<'a> FeatureTile<'a> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.instants_us.len()
    }

    /// The feature columns in order.
    pub fn columns(&self) -> impl Iterator<Item = &'a [f64]> {
        self.values.chunks_exact(self.rows().max(1))
    }
}

/// Where features go.
pub trait Sink: Send + Sync {
    /// What there is of a partition.
    ///
    /// # Errors
    /// When the store cannot be read; [`StoreError::is_damage`] where it holds features that rollfit wrote and that are not
    /// as they were written.
    fn found(&self, partition: &Partition) -> Result<Found, StoreError>;

    /// What of others would be lost if the rows of a partition were replaced or removed, with the ways out, as a clause
    /// that follows "but"; none where nothing would.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn obstacle(&self, _partition: &Partition) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// The partitions that have features, ours or not, in no order.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn partitions(&self) -> Result<Vec<Partition>, StoreError>;

    /// Takes a partition for this runner alone, until the slot is dropped. Does not wait.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn claim(&self, partition: &Partition) -> Result<Claim<'_>, StoreError>;

    /// Removes what a killed run left of a partition that there is nothing to do about. Failing to is no fault.
    fn tidy(&self, _partition: &Partition) {}

    /// The features of a partition, as stored, whoever wrote them.
    ///
    /// # Errors
    /// When they are missing or cannot be read.
    fn read(&self, partition: &Partition) -> Result<Box<dyn FeatureReader + '_>, StoreError>;

    /// Which features are written, and read back, at once.
    fn grouping(&self) -> Grouping {
        Grouping::Together
    }

    /// Checks that the outputs of `partitions` can have the names that the patterns give them.
    ///
    /// # Errors
    /// Naming the first that cannot.
    fn check_outputs(&self, _partitions: &[Partition]) -> Result<(), StoreError> {
        Ok(())
    }

    /// The kind of store, as records name it: `parquet`, `postgres`, or `other`.
    fn kind(&self) -> &'static str {
        "other"
    }

    /// Where features go, for people, without secrets.
    fn place(&self) -> String;

    /// Whether the store works on this machine, beside the workers; none where that cannot be known.
    fn is_local(&self) -> Option<bool> {
        None
    }

    /// About how many bytes so many rows of a partition will be written with. Most exact after [`Sink::found`].
    fn estimate_bytes(&self, partition: &Partition, rows: u64) -> u64;

    /// The bytes that can still be written, where that is known.
    fn free_bytes(&self) -> Option<u64>;

    /// The name of a partition's output in this store: what its receipt belongs to.
    fn output(&self, partition: &Partition) -> String;

    /// The most sessions that this process may have with the store at once, and why; none where there is no limit.
    fn sessions(&self) -> Option<(usize, String)> {
        None
    }

    /// What tells how the store is while a run goes on, within [`Sink::sessions`]; none where the store is no server, or has
    /// no session to spare.
    fn probe(&self) -> Option<Box<dyn StoreProbe>> {
        None
    }
}

/// The answer to [`Sink::claim`].
pub enum Claim<'a> {
    /// The partition is this runner's.
    Taken(Box<dyn Slot + 'a>),
    /// Another runner has it; what is known of that one.
    Held(String),
}

/// A partition that is this runner's alone. Dropped without a commit it leaves everything as it was.
pub trait Slot {
    /// What there is of the partition, now that nobody else can change it.
    ///
    /// # Errors
    /// As [`Sink::found`].
    fn found(&mut self) -> Result<Found, StoreError>;

    /// As [`Sink::obstacle`], now that nobody can add to it. Where there is one, [`Slot::commit`] and [`Slot::remove`] fail.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn obstacle(&mut self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// What the columns make of values; none where they hold every double. Known from [`Slot::found`] on.
    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        None
    }

    /// Adds rows, group by group as [`Sink::grouping`] says, within a group in order of their instants. They are not
    /// rounded yet.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), StoreError>;

    /// The bytes handed to the store so far.
    fn bytes_written(&self) -> u64;

    /// What is kept in memory of the rows that are not handed over yet.
    fn memory_bytes(&self) -> u64;

    /// The rows that are there, whoever wrote them, while nobody else can change them.
    ///
    /// # Errors
    /// When the store cannot vouch for rows that it did not write, or they cannot be read.
    fn read(&mut self) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        Err(StoreError::permanent("this store has no receipt beside the rows: have them computed again"))
    }

    /// Makes this the receipt of the rows that are there.
    ///
    /// # Errors
    /// As [`Slot::read`]; when the commit fails, and then nothing has changed.
    fn adopt(self: Box<Self>, _receipt: &Receipt) -> Result<(), StoreError> {
        Err(StoreError::permanent("this store has no receipt beside the rows: have them computed again"))
    }

    /// Makes the rows written since the claim, and this receipt, all there is of the partition. Returns the bytes
    /// stored.
    ///
    /// # Errors
    /// When the commit fails; then nothing has changed, or, where the fault came after the change itself, everything.
    fn commit(self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError>;

    /// Removes the partition's features and receipt in one commit.
    ///
    /// # Errors
    /// When the commit fails; then nothing has changed.
    fn remove(self: Box<Self>) -> Result<(), StoreError>;
}

/// A number that a feature column holds. Nobody should store a NaN; where one is, it must not pass for no value, and so
/// comes as an infinity, which is no feature's value either.
pub fn number_as_stored(number: f64) -> f64 {
    if number.is_nan() { f64::INFINITY } else { number }
}

/// Stored features, read back group by group, in order of their instants.
pub trait FeatureReader {
    /// The receipt they were committed with; none where somebody else wrote them.
    fn receipt(&self) -> Option<&Receipt>;

    /// What the columns made of the values; none where they hold every double.
    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        None
    }

    /// The next rows of this group or the first of the next, or none at the end. What is NaN has no value; a NaN that is
    /// stored comes as an infinity, see [`number_as_stored`].
    ///
    /// # Errors
    /// When they cannot be read.
    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError>;
}
