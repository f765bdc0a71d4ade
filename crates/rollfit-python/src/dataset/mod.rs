//! `rollfit.open`: the features of a job as tables, as a live stream, and explained.
//!
//! Invariants: rows come through the store contract alone, with their receipt, and are checked against it. What is missing, of another
//! definition, older than its source or damaged is an error, never fewer or other rows in silence. The GIL is released while stores work.

mod batches;
mod explanation;
mod failure;
mod instant;
mod live_stream;
mod open_dataset;
mod partitions;
mod request;
mod scan;
mod selection;

pub(crate) use self::explanation::FeatureExplanation;
pub(crate) use self::live_stream::LiveStream;
pub(crate) use self::open_dataset::{Dataset, open};
pub(crate) use self::scan::FeatureScan;
