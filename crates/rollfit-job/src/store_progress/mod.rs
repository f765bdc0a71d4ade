//! How far a job is, wherever and by whomever it is done, as its store shows it: [`StoreWatcher`] looks, [`StoreProgress`] is what it saw.
//!
//! Invariants: no source is read, but asked which months have no rows; nothing is written and no claim is taken. A receipt is read once, and again only where its mark has changed.

mod commit_pace;
mod store_watcher;

use std::time::Duration;

pub use self::commit_pace::{CommitPace, RemainingTime};
pub use self::store_watcher::StoreWatcher;
use crate::runners::{HeldPartition, StoreRunner};

/// For how long after a commit somebody is at work, if no runner has a partition: it may be reading the source of its next one.
const AT_WORK: Duration = Duration::from_secs(60);
/// A partition that a runner has had for less than this is nothing to worry about.
const HELD_LONG: Duration = Duration::from_secs(10 * 60);
/// Nor is one that it has had for less than so many times as long as others take.
const HELD_LONG_TIMES: f64 = 5.0;
/// Clocks that differ by less than this agree.
const CLOCK_ERROR: Duration = Duration::from_secs(5);

/// How many partitions there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HoldingCounts {
    /// All of them.
    pub partitions: u64,
    /// With a receipt of this definition.
    pub done: u64,
    /// With a receipt of another definition.
    pub definition_changed: u64,
    /// Of which there is nothing.
    pub missing: u64,
    /// Of which there is nothing, and no series has a row.
    pub empty: u64,
    /// With features that rollfit did not write.
    pub foreign: u64,
    /// With features that a later version of rollfit wrote.
    pub newer: u64,
    /// That cannot be read now.
    pub unreadable: u64,
    /// Not looked at yet: there was no time.
    pub unread: u64,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreProgress {
    /// What there is of its partitions.
    pub counts: HoldingCounts,
    /// The source rows of those that are done.
    pub rows: u64,
    /// When it was looked at, in microseconds since 1970: by the store's clock, or by this machine's where the store has none.
    pub now_us: i64,
    /// The last commit, in microseconds since 1970; none where there is none, or where the store does not know when it was.
    pub last_commit_us: Option<i64>,
    /// How fast partitions were committed lately; none where none was.
    pub pace: Option<CommitPace>,
    /// The time until nothing is missing, at this pace; none where that cannot be told, as where [`StoreProgress::is_stalled`].
    pub remaining: Option<RemainingTime>,
    /// Whether somebody has all that is missing, and for so long that it may never be committed.
    pub is_stalled: bool,
    /// Who works on it now.
    pub runners: Vec<StoreRunner>,
}

impl StoreProgress {
    /// Whether somebody works on it: a runner has a partition, or one was committed within the last minute.
    pub fn is_at_work(&self) -> bool {
        let since_us = self.last_commit_us.map(|last| self.now_us.saturating_sub(last));
        !self.runners.is_empty() || since_us.is_some_and(|us| us <= micros(AT_WORK))
    }

    /// Whether there may be something to write: a partition is missing, or was not looked at.
    pub fn has_missing(&self) -> bool {
        self.counts.missing > 0 || self.counts.unread > 0
    }

    /// For how long a runner has had a partition, in seconds; none where that is not known.
    pub fn held_s(&self, held: &HeldPartition) -> Option<f64> {
        Some(self.now_us.saturating_sub(held.since_us?).max(0) as f64 / 1e6)
    }

    /// Whether a runner has had a partition for so long that it may never commit it: 10 minutes, and five times as long as partitions are held
    /// at the pace of late.
    pub fn is_held_long(&self, held: &HeldPartition) -> bool {
        let all = self.runners.iter().map(|runner| runner.held.len()).sum::<usize>() as f64;
        // Of those at work at any time each takes as long as they are many, over how many end in that time (Little's law).
        let usual_s = self.pace.map_or(0.0, |pace| all / pace.partitions_per_s);
        self.held_s(held).is_some_and(|s| s >= HELD_LONG.as_secs_f64() && s >= HELD_LONG_TIMES * usual_s)
    }

    /// By how many seconds the last commit is in the future: the clocks of two machines differ. None where they agree, as far as can be told.
    pub fn clock_ahead_s(&self) -> Option<f64> {
        let ahead_us = self.last_commit_us?.saturating_sub(self.now_us);
        (ahead_us > micros(CLOCK_ERROR)).then_some(ahead_us as f64 / 1e6)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
