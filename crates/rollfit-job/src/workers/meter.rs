//! [`Meter`]: how fast a run is with a number of workers, from the partitions that ended.
//!
//! Invariants: only partitions that started and ended with that number count, each whole, so that it does not matter at which point
//! of a partition a measurement starts or ends. A failed attempt costs its time and adds no rows.

use std::time::Duration;

use crate::watch::Moment;

/// A partition that a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// When it started, since the start of the run.
    pub begun: Duration,
    /// When it ended.
    pub ended: Duration,
    /// The rows written; 0 where none were.
    pub rows: u64,
    /// The worker's processor time.
    pub cpu: Duration,
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
    /// How long the latest partitions took.
    partition_s: Option<f64>,
}

/// Shorter times are noise.
const LEAST: Duration = Duration::from_secs(2);
/// Fewer partitions are noise.
const LEAST_PARTITIONS: usize = 4;
/// The same for workers that mostly wait: where more of them pay, that is more than noise, and every second with few of them is lost.
const LEAST_OF_WAITING: Duration = Duration::from_millis(500);
const LEAST_PARTITIONS_OF_WAITING: usize = 2;
/// How sure is sure enough, whatever it is measured for.
const ERROR_WANTED: f64 = 0.01;
/// How many partitions a worker does at most to make sure.
const ROUNDS_MAX: usize = 3;

impl Meter {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, changed: Duration::ZERO, settled: None, finished: Vec::new(), partition_s: None }
    }

    /// Starts a new measurement with this many workers.
    pub(super) fn restart(&mut self, workers: usize, at: Duration) {
        // A new worker starts at once; a retired one finishes its partition first.
        let settled = (workers >= self.workers).then_some(at);
        *self = Self { workers, changed: at, settled, finished: Vec::new(), partition_s: self.partition_s };
    }

    /// Takes note of what happened since the moment before. The speed, as far as it is known. Of workers that mostly wait, those
    /// that have ended a partition speak for the others.
    pub(super) fn observe(
        &mut self,
        moment: &Moment,
        finished: &[Finished],
        they_wait: bool,
    ) -> Option<Speed> {
        for partition in finished {
            self.follow(partition);
        }
        let Some(settled) = self.settled else {
            self.settled = self.is_settled(moment).then_some(moment.at);
            return None;
        };
        self.finished.extend(finished.iter().filter(|partition| partition.begun >= settled));
        let written = self.finished.iter().filter(|partition| partition.rows > 0).count();
        // Partitions with nothing to do say nothing about the others.
        let (long, least) = if they_wait {
            (LEAST_OF_WAITING, self.workers.div_ceil(2).max(LEAST_PARTITIONS_OF_WAITING))
        } else {
            (LEAST, self.workers.max(LEAST_PARTITIONS))
        };
        let is_long = moment.at.saturating_sub(settled) >= long;
        let is_enough = written >= least && 2 * written >= self.finished.len();
        (is_long && is_enough).then(|| self.speed(moment, settled))
    }

    fn follow(&mut self, partition: &Finished) {
        let took_s = seconds(partition);
        let known = self.partition_s.unwrap_or(took_s);
        self.partition_s = Some(known + 0.2 * (took_s - known));
    }

    /// Whether those that were retired have left. One with an oversized partition in progress is not waited for.
    fn is_settled(&self, moment: &Moment) -> bool {
        let waited_s = moment.at.saturating_sub(self.changed).as_secs_f64();
        moment.lanes.len() <= self.workers || waited_s > 3.0 * self.partition_s.unwrap_or(f64::INFINITY)
    }

    fn speed(&self, moment: &Moment, settled: Duration) -> Speed {
        let mut seen: Vec<(f64, f64)> =
            self.finished.iter().map(|one| (one.rows as f64, seconds(one))).collect();
        let count = seen.len();
        let mean = |of: fn(&(f64, f64)) -> f64| seen.iter().map(of).sum::<f64>() / count as f64;
        let (mean_rows, partition_s) = (mean(|(rows, _)| *rows), mean(|(_, took_s)| *took_s));
        seen.extend(overdue(moment, settled, 1.5 * partition_s).map(|took_s| (mean_rows, took_s)));
        let rows: f64 = seen.iter().map(|(rows, _)| rows).sum();
        let of_one = rows / seen.iter().map(|(_, took_s)| took_s).sum::<f64>().max(1e-9);
        let squares: f64 = seen.iter().map(|(rows, took_s)| (rows - of_one * took_s).powi(2)).sum();
        let error = (squares * seen.len() as f64 / (seen.len() as f64 - 1.0).max(1.0)).sqrt() / rows.max(1.0);
        let is_final = error <= ERROR_WANTED || count >= ROUNDS_MAX * self.workers.max(LEAST_PARTITIONS);
        Speed {
            workers: self.workers,
            rows_per_s: self.workers as f64 * of_one,
            error,
            is_final,
            took_s: moment.at.saturating_sub(self.changed).as_secs_f64(),
            partition_s,
        }
    }
}

/// Yields the time in progress of each partition that started since then and takes longer than this. They end some time:
/// counting only those that ended would take a run for one without slow partitions.
fn overdue(moment: &Moment, since: Duration, usual_s: f64) -> impl Iterator<Item = f64> {
    let in_progress = moment.lanes.iter().filter(|lane| lane.partition.is_some());
    let measured_s = moment.at.saturating_sub(since).as_secs_f64();
    in_progress
        .map(|lane| lane.since_ms as f64 / 1e3)
        .filter(move |held_s| (usual_s..=measured_s).contains(held_s))
}

fn seconds(partition: &Finished) -> f64 {
    partition.ended.saturating_sub(partition.begun).as_secs_f64()
}
