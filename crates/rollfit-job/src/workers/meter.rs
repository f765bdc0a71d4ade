//! [`Meter`]: how fast a run is with a number of workers, from the partitions that ended.
//!
//! Holds true: only partitions begun and ended with that number count, each whole, so that it does not matter at which point
//! of a partition a measurement begins or ends. A repeated attempt costs its time and brings no rows.

use std::time::Duration;

use crate::watch::Moment;

/// A partition that a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// When it was begun, since the run began.
    pub begun: Duration,
    /// When it ended.
    pub ended: Duration,
    /// The rows written; 0 where none were.
    pub rows: u64,
}

/// How fast a run was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed {
    /// With how many workers.
    pub(super) workers: usize,
    /// All of them together.
    pub(super) rows_per_s: f64,
    /// By what share it may well be wrong.
    pub(super) error: f64,
    /// How long it took to find out, from the change of the number on.
    pub(super) took_s: f64,
    /// How long a partition took.
    pub(super) partition_s: f64,
    /// Whether measuring longer is not worth it.
    pub(super) is_final: bool,
}

/// Measures from one change of the number of workers to the next.
#[derive(Debug)]
pub(super) struct Meter {
    workers: usize,
    changed: Duration,
    /// Since when there are as many workers as there are to be.
    settled: Option<Duration>,
    finished: Vec<Finished>,
    /// How long partitions take, of late.
    partition_s: Option<f64>,
}

/// What is shorter tells nothing: other things happen too.
const LEAST: Duration = Duration::from_secs(2);
/// What is fewer tells nothing about partitions.
const LEAST_PARTITIONS: usize = 4;
/// How sure is sure enough, whatever it is measured for.
const ERROR_WANTED: f64 = 0.01;
/// How many partitions a worker does at most to make sure.
const ROUNDS_MAX: usize = 3;

impl Meter {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, changed: Duration::ZERO, settled: None, finished: Vec::new(), partition_s: None }
    }

    /// Measures anew, with so many workers.
    pub(super) fn restart(&mut self, workers: usize, at: Duration) {
        // Who is hired begins at once; who is dismissed ends the partition in hand first.
        let settled = (workers >= self.workers).then_some(at);
        *self = Self { workers, changed: at, settled, finished: Vec::new(), partition_s: self.partition_s };
    }

    /// Takes note of what happened since the moment before. The speed, as far as it is known.
    pub(super) fn observe(&mut self, moment: &Moment, finished: &[Finished]) -> Option<Speed> {
        for partition in finished {
            self.follow(partition);
        }
        let Some(settled) = self.settled else {
            self.settled = self.is_settled(moment).then_some(moment.at);
            return None;
        };
        self.finished.extend(finished.iter().filter(|partition| partition.begun >= settled));
        let written = self.finished.iter().filter(|partition| partition.rows > 0).count();
        let is_long = moment.at.saturating_sub(settled) >= LEAST;
        // Partitions without anything to do tell nothing about those that have.
        let is_enough = written >= self.workers.max(LEAST_PARTITIONS) && 2 * written >= self.finished.len();
        (is_long && is_enough).then(|| self.speed(moment.at))
    }

    fn follow(&mut self, partition: &Finished) {
        let took_s = seconds(partition);
        let known = self.partition_s.unwrap_or(took_s);
        self.partition_s = Some(known + 0.2 * (took_s - known));
    }

    /// Whether those that were dismissed have left. One with a giant partition in hand is not waited for.
    fn is_settled(&self, moment: &Moment) -> bool {
        let waited_s = moment.at.saturating_sub(self.changed).as_secs_f64();
        moment.lanes.len() <= self.workers || waited_s > 3.0 * self.partition_s.unwrap_or(f64::INFINITY)
    }

    fn speed(&self, at: Duration) -> Speed {
        let rows: f64 = self.finished.iter().map(|partition| partition.rows as f64).sum();
        let took_s: f64 = self.finished.iter().map(seconds).sum();
        let count = self.finished.len() as f64;
        let of_one = rows / took_s.max(1e-9);
        let off = |partition: &Finished| partition.rows as f64 - of_one * seconds(partition);
        let squares: f64 = self.finished.iter().map(|partition| off(partition).powi(2)).sum();
        let error = (squares * count / (count - 1.0).max(1.0)).sqrt() / rows.max(1.0);
        let is_final =
            error <= ERROR_WANTED || self.finished.len() >= ROUNDS_MAX * self.workers.max(LEAST_PARTITIONS);
        Speed {
            workers: self.workers,
            rows_per_s: self.workers as f64 * of_one,
            error,
            is_final,
            took_s: at.saturating_sub(self.changed).as_secs_f64(),
            partition_s: took_s / count.max(1.0),
        }
    }
}

fn seconds(partition: &Finished) -> f64 {
    partition.ended.saturating_sub(partition.begun).as_secs_f64()
}
