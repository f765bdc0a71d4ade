//! [`TimeUse`]: what the workers of all runners spent the time of the whole on; [`WorkerTime`]: how much on each.

use serde::{Deserialize, Serialize};

use crate::demand::Demand;

/// What workers spend their time on, from the first start to the last end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUse {
    /// They had a core.
    Processor,
    /// They waited for a core.
    CoreWait,
    /// They waited for the source.
    Source,
    /// The way to the sink and back.
    RoundTrips,
    /// They waited for the sink to answer, to take bytes, or to execute statements.
    Store,
    /// They waited for commits.
    Commit,
    /// They waited for locks, partitions of others, or a session.
    Locks,
    /// They were throttled, or paused after a failed attempt.
    Throttled,
    /// Partitions that they did not write: done already, held by others, or failed.
    NotWritten,
    /// They had no partition while their runner was at work.
    Idle,
    /// Their runner had not begun.
    BeforeStart,
    /// Their runner had ended, or was killed.
    AfterEnd,
}

/// What workers spent on one thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeShare {
    /// On what.
    pub what: TimeUse,
    /// Seconds, of all workers together.
    pub wall_s: f64,
    /// The share of the time of all of them, 0 to 1.
    pub share: f64,
}

const USES: usize = 12;

/// Seconds by [`TimeUse`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct WorkerTime([f64; USES]);

impl TimeUse {
    const ALL: [TimeUse; USES] = [
        Self::Processor,
        Self::CoreWait,
        Self::Source,
        Self::RoundTrips,
        Self::Store,
        Self::Commit,
        Self::Locks,
        Self::Throttled,
        Self::NotWritten,
        Self::Idle,
        Self::BeforeStart,
        Self::AfterEnd,
    ];

    /// Whether a worker waits for something that all runners share.
    pub(super) fn is_shared_wait(self) -> bool {
        matches!(self, Self::Source | Self::Store | Self::Commit | Self::Locks)
    }
}

impl WorkerTime {
    /// That of the partitions that a runner wrote.
    pub(super) fn of_written(demand: &Demand) -> Self {
        let cores_s = (demand.stretch - 1.0) * demand.cpu_s + demand.core_wait_s;
        let each = |what: TimeUse| match what {
            TimeUse::Processor => demand.cpu_s,
            TimeUse::CoreWait => cores_s.min((demand.wall_s - demand.cpu_s).max(0.0)),
            TimeUse::Source => demand.reading_s + demand.source_latency_s,
            TimeUse::RoundTrips => demand.latency_s - demand.source_latency_s,
            TimeUse::Store => {
                demand.querying_s + demand.sending_s + demand.making_durable_s() - demand.committing_s
            }
            TimeUse::Commit => demand.committing_s,
            TimeUse::Locks => demand.waiting_s,
            TimeUse::Throttled => demand.throttled_s + demand.pausing_s,
            _ => 0.0,
        };
        let partitions = demand.partitions as f64;
        Self(TimeUse::ALL.map(|what| partitions * each(what).max(0.0)))
    }

    pub(super) fn get(&self, what: TimeUse) -> f64 {
        self.0[what as usize]
    }

    pub(super) fn add(&mut self, what: TimeUse, wall_s: f64) {
        self.0[what as usize] += wall_s.max(0.0);
    }

    pub(super) fn total_s(&self) -> f64 {
        self.0.iter().sum()
    }

    /// The time with partitions, written or not.
    pub(super) fn busy_s(&self) -> f64 {
        let idle = [TimeUse::Idle, TimeUse::BeforeStart, TimeUse::AfterEnd];
        self.total_s() - idle.into_iter().map(|what| self.get(what)).sum::<f64>()
    }

    /// What was waited for things that all runners share.
    pub(super) fn shared_wait_s(&self) -> f64 {
        TimeUse::ALL.into_iter().filter(|what| what.is_shared_wait()).map(|what| self.get(what)).sum()
    }

    pub(super) fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |mut sum, time| {
            TimeUse::ALL.into_iter().for_each(|what| sum.add(what, time.get(what)));
            sum
        })
    }

    /// The shares of all of it, the largest first, those of nothing left out.
    pub(super) fn shares(&self) -> Vec<TimeShare> {
        let total_s = self.total_s().max(1e-9);
        let share = |what| TimeShare { what, wall_s: self.get(what), share: self.get(what) / total_s };
        let mut shares: Vec<TimeShare> = TimeUse::ALL.into_iter().map(share).collect();
        shares.retain(|share| share.wall_s > 0.0);
        shares.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
        shares
    }
}
