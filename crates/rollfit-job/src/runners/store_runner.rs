//! [`StoreRunner`]: a runner that is at work on a store, as the store shows it.

use super::RunnerName;
use crate::partition::Partition;

/// A runner that is at work on a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRunner {
    /// As it names itself.
    pub name: RunnerName,
    /// Where it connects from, where the store knows that.
    pub address: Option<String>,
    /// Its sessions with the store; none where a store has no sessions.
    pub sessions: Option<u32>,
    /// Since when it is at work, in microseconds since 1970 by the store's clock; none where that is not known.
    pub since_us: Option<i64>,
    /// What it has now.
    pub held: Vec<HeldPartition>,
}

/// A partition that a runner has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPartition {
    /// Which.
    pub partition: Partition,
    /// Since when, in microseconds since 1970 by the store's clock; none where that is not known.
    pub since_us: Option<i64>,
    /// The bytes that the store has taken of it so far; none where that is not known.
    pub bytes: Option<u64>,
}
