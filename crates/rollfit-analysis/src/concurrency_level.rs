//! [`ConcurrencyLevel`]: what partitions cost while a number of them was in progress; the measured part of what N workers give.

use std::collections::BTreeMap;

use super::demand::{Demand, RoundTripTimes, written};
use super::step_series::StepSeries;
use rollfit_job::record::{PartitionEnd, Record};

/// What partitions cost while a number of them was in progress.
#[derive(Clone, Debug)]
pub(super) struct ConcurrencyLevel {
    /// The number.
    pub(super) workers: usize,
    /// Those of them that had a session; the others waited, and wait for nothing else.
    pub(super) active: usize,
    /// What a partition cost then; of the same size at every level.
    pub(super) demand: Demand,
    /// How far the time of a row varied from partition to partition, relative.
    pub(super) variation: f64,
    /// Cores that others kept busy then.
    pub(super) others_cores: f64,
}

impl ConcurrencyLevel {
    /// The levels of a record with enough partitions, rising. `sessions` are those there are for workers, `others`
    /// the cores that others kept busy.
    pub(super) fn all(record: &Record, sessions: Option<usize>, others: Option<&StepSeries>) -> Vec<Self> {
        let round_trip = RoundTripTimes::from_record(record);
        let Some(mean) = Demand::from_ends(written(record), round_trip) else { return Vec::new() };
        let at_work = StepSeries::at_work(record);
        let mut by_workers: BTreeMap<usize, Vec<&PartitionEnd>> = BTreeMap::new();
        for end in written(record) {
            if let Some(workers) = steady(&at_work, end) {
                by_workers.entry(workers).or_default().push(end);
            }
        }
        let known = by_workers.into_iter().filter(|(workers, ends)| ends.len() >= 2.max(*workers));
        known
            .filter_map(|(workers, ends)| {
                let demand = Demand::from_ends(ends.iter().copied(), round_trip)?.sized(mean.rows);
                Some(Self::new(workers, &ends, demand, others))
            })
            .map(|level| level.within(sessions))
            .collect()
    }

    fn new(workers: usize, ends: &[&PartitionEnd], demand: Demand, others: Option<&StepSeries>) -> Self {
        let row_us = |end: &PartitionEnd| end.wall_us.total_us() as f64 / end.rows as f64;
        let mean_us = demand.wall_s * 1e6 / demand.rows;
        let variance = ends.iter().map(|end| (row_us(end) / mean_us - 1.0).powi(2)).sum::<f64>();
        let others_cores = |course: &StepSeries| {
            ends.iter().map(|end| course.mean(begun_s(end), ended_s(end))).sum::<f64>() / ends.len() as f64
        };
        Self {
            workers,
            active: workers,
            demand,
            variation: (variance / ends.len() as f64).sqrt(),
            others_cores: others.map_or(0.0, others_cores).max(0.0),
        }
    }

    /// The same where there are no more sessions than these.
    fn within(mut self, sessions: Option<usize>) -> Self {
        if let Some(sessions) = sessions.filter(|sessions| *sessions < self.workers) {
            self.active = sessions;
            self.demand.wall_s -= self.demand.waiting_s;
            self.demand.waiting_s = 0.0;
        }
        self
    }

    /// Partitions a second, by Little's law.
    pub(super) fn rate(&self) -> f64 {
        self.active as f64 / self.demand.wall_s
    }

    /// How uncertain that is, relative: one standard deviation.
    pub(super) fn uncertainty(&self) -> f64 {
        (self.variation / (self.demand.partitions as f64).sqrt()).max(0.02)
    }
}

/// How many were in progress while a partition was; none where that changed.
fn steady(at_work: &StepSeries, end: &PartitionEnd) -> Option<usize> {
    let (from_s, to_s) = (begun_s(end), ended_s(end));
    let mean = at_work.mean(from_s, to_s);
    let allowed = (0.05 * mean).max(0.3);
    let is_steady = at_work.spread(from_s, to_s) <= allowed && (mean - mean.round()).abs() <= allowed;
    (is_steady && to_s > from_s).then_some(mean.round() as usize).filter(|workers| *workers > 0)
}

pub(super) fn begun_s(end: &PartitionEnd) -> f64 {
    end.begun_ms as f64 / 1e3
}

pub(super) fn ended_s(end: &PartitionEnd) -> f64 {
    end.at_ms as f64 / 1e3
}
