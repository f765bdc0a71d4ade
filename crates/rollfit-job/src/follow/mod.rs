//! Following: the open partitions of a job kept up to date while their source grows. [`FollowObserver`] is told what happens.

use std::time::Duration;

use crate::join_loss::JoinLoss;
use crate::partition::Partition;
use crate::state::State;

/// How a source is followed.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// How often the source is asked whether there is something new.
    pub poll_interval: Duration,
    /// States that are replaced, of those usually skipped.
    pub replace: Vec<State>,
}

/// Something that changed. What stays as it is isn't told again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FollowEvent {
    /// Rows were added to a partition.
    Appended {
        /// Which.
        partition: Partition,
        /// How many.
        rows: u64,
        /// The bytes stored.
        bytes: u64,
    },
    /// A partition was written as a whole.
    Rewritten {
        /// Which.
        partition: Partition,
        /// The state it was in before.
        was: State,
        /// Why it was in that state, for people.
        cause: String,
        /// All its rows now.
        rows: u64,
        /// The bytes stored.
        bytes: u64,
        /// What the join lost, where that is more than `join_loss_max` and no receipt recorded it.
        join_loss: Option<JoinLoss>,
    },
    /// A partition is open from now on.
    Opened(Partition),
    /// A partition is over, and isn't looked at any more.
    Closed(Partition),
    /// A partition cannot be kept up to date, and why. It is tried again.
    Behind {
        /// Which.
        partition: Partition,
        /// Why, for people.
        cause: String,
    },
    /// A partition that was behind is up to date again.
    CaughtUp(Partition),
    /// A store does not answer, and why. It is asked again.
    StoreLost(String),
    /// The store answers again.
    StoreBack,
}

/// How far the features of a key are behind its source.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyLag {
    /// The key.
    pub key: String,
    /// The latest instant of any series, in microseconds since 1970.
    pub source_us: Option<i64>,
    /// The latest instant with features.
    pub features_us: Option<i64>,
    /// The first instant after the last joined one; rows from there on wait for another series.
    pub pending_us: Option<i64>,
}

impl KeyLag {
    /// From the last instant with features to the last one of the source, in seconds of data time; none where one is unknown.
    pub fn lag_s(&self) -> Option<f64> {
        let (source_us, features_us) = (self.source_us?, self.features_us?);
        Some(source_us.saturating_sub(features_us).max(0) as f64 / 1e6)
    }
}

/// Observes a follower. Methods may be called from any thread.
pub trait FollowObserver: Sync {
    /// Something changed.
    fn event(&self, event: &FollowEvent);
    /// The source was asked; how far each key is behind.
    fn looked(&self, _lags: &[KeyLag]) {}
}
