//! [`FollowState`]: how a follower is now, for its terminal and, through the live file, for `rollfit status`.

use rollfit_job::follow::KeyLag;
use rollfit_job::month::display_instant;
use serde::{Deserialize, Serialize};

/// The most keys, and partitions that are behind, in a live file.
pub(crate) const ENTRIES_MAX: usize = 1000;

/// How a follower is now. Counts are since it began to follow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FollowState {
    /// For how long it has followed.
    pub(crate) seconds: f64,
    /// How long ago the source answered last; none if it has not answered yet.
    pub(crate) asked_s: Option<f64>,
    /// Why a store does not answer, where one does not.
    pub(crate) store_lost: Option<String>,
    /// How often rows were added to a partition.
    pub(crate) appends: u64,
    pub(crate) appended_rows: u64,
    /// The partitions that were written as a whole.
    pub(crate) rewritten: u64,
    pub(crate) bytes: u64,
    /// All keys, of which `keys` has those furthest behind.
    pub(crate) keys_followed: u64,
    pub(crate) keys: Vec<KeyNow>,
    /// All partitions that are behind, and keys that cannot be looked at, of which `behind` has the first.
    pub(crate) partitions_behind: u64,
    pub(crate) behind: Vec<BehindNow>,
}

/// How far the features of a key are behind its source. Instants are texts: years before 1970 have negative numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyNow {
    pub(crate) key: String,
    /// The last instant with features.
    pub(crate) features: Option<String>,
    /// The last instant of the source.
    pub(crate) source: Option<String>,
    /// From the one to the other, in data time.
    pub(crate) lag_s: Option<f64>,
    /// The first instant that waits for another series.
    pub(crate) pending: Option<String>,
    /// From there to the last instant of the source, in data time.
    pub(crate) pending_s: Option<f64>,
}

/// A partition that cannot be kept up to date, or a key that cannot be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BehindNow {
    pub(crate) what: String,
    pub(crate) cause: String,
}

impl KeyNow {
    pub(crate) fn from_lag(lag: &KeyLag) -> Self {
        Self {
            key: lag.key.clone(),
            features: lag.features_us.map(display_instant),
            source: lag.source_us.map(display_instant),
            lag_s: lag.lag_s(),
            pending: lag.pending_us.map(display_instant),
            pending_s: pending_s(lag),
        }
    }
}

/// The age of the oldest row that waits for another series, in seconds of data time.
pub(super) fn pending_s(lag: &KeyLag) -> Option<f64> {
    let (source_us, pending_us) = (lag.source_us?, lag.pending_us?);
    Some(source_us.saturating_sub(pending_us).max(0) as f64 / 1e6)
}
