//! The store contract: all that the job and the command ask of a store, whatever kind it is. Only plain slices pass; how a
//! store keeps its bytes is its own business.
//!
//! A [`StoreKind`] opens stores of its kind; a [`Store`] is the [`Source`] and the [`Sink`] of a job and answers for itself:
//! the problems that prevent a run ([`Diagnosis`]), the statements that make its tables, its monitor, its advice.
//!
//! Invariants: code that has a snapshot, a reader or a slot open asks the store for no second one, so that a store whose
//! sessions are few never waits for itself.

mod advice;
mod diagnosis;
mod features;
mod kind;
mod monitor;
mod sink;
mod source;
mod survey;
mod switch;

pub use advice::{Advice, AppliesWhen, Bottleneck};
pub use diagnosis::{
    Diagnosis, Examination, Finding, Holds, PartitionFound, PeriodRows, Problem, Quantity, Words,
};
pub use features::{FeatureReader, FeatureTile, Grouping, Rounding, number_as_stored};
pub use kind::{BarsImport, Purpose, Store, StoreKind};
pub use monitor::{ServerProcess, StoreMonitor, StoreSample, StoreWait, WaitKind};
pub use sink::{
    Claim, Found, Holding, HoldingMark, Look, ReaderView, Sink, Slot, Stranger, TableRows, Write,
};
pub(crate) use source::starts_in;
pub use source::{
    ClosesBefore, LATEST_ROWS_MAX, LatestQuery, LatestRows, SeriesHead, SeriesKind, SeriesOfKey, SeriesRows,
    Snapshot, Source,
};
pub use survey::{ColumnKind, SurveyedColumn, SurveyedTable};
pub use switch::{JobExchange, Switch};

pub use crate::store_error::{Fault, StoreError};
