//! [`EtaEstimator`]: how long a run will still take, from what it has done so far.
//!
//! Invariants: recent speed counts, so that a changed number of workers shows soon; partitions that turn out to be done
//! already are counted as what they are, quick; and the end, when workers have nothing left to begin, is part of it.

use std::time::Duration;

use super::estimate::Estimate;
use rollfit_job::watch::{Moment, Totals};

/// How many moments are kept; of more, every second is forgotten.
const KEPT: usize = 600;

/// What a run has done so far, moment by moment.
#[derive(Clone, Debug, Default)]
pub struct EtaEstimator {
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at_s: f64,
    workers: f64,
    partitions: f64,
    ended: f64,
    written: f64,
    rows: f64,
}

impl EtaEstimator {
    /// Notes a moment of a run.
    pub fn observe(&mut self, moment: &Moment) {
        self.add(moment.at, &moment.totals, moment.lanes.len());
    }

    /// Notes what was done at a time, and how many workers there were; later times later.
    pub fn add(&mut self, at: Duration, totals: &Totals, workers: usize) {
        if self.points.len() >= KEPT {
            let mut is_kept = false;
            self.points.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.points.push(Point {
            at_s: at.as_secs_f64(),
            workers: workers as f64,
            partitions: totals.partitions as f64,
            ended: totals.ended as f64,
            written: totals.written as f64,
            rows: totals.rows as f64,
        });
    }

    /// How long the run will still take; none before the first partition has ended.
    pub fn eta_s(&self) -> Option<Estimate> {
        let last = self.points.last()?;
        if last.ended >= last.partitions {
            return Some(Estimate { low: 0.0, expected: 0.0, high: 0.0 });
        }
        let window = self.window(last);
        let pace = Pace { rows_each: self.rows_each(window, last) };
        let rate = pace.rate(window.first()?, last).filter(|_| last.ended > 0.0)?;
        let left = (last.partitions - pace.done(last)).max(0.1);
        let partition_s = last.workers.max(1.0) / rate;
        let expected_s = left / rate + tail_s(partition_s, last.workers, left);
        let uncertainty = 2.0 * self.uncertainty(pace, window, last);
        let slowest_s = self.all_to_write_s(window, last);
        Some(Estimate {
            low: left / rate / (1.0 + uncertainty),
            expected: expected_s,
            high: (expected_s * (1.0 + uncertainty) + 0.5 * partition_s).max(slowest_s),
        })
    }

    /// What counts for the speed: the last two thirds of the run so far, or as much more as it takes to see each worker end
    /// two partitions.
    fn window(&self, last: &Point) -> &[Point] {
        let begins = |point: &Point| {
            point.at_s <= last.at_s / 3.0 && last.ended - point.ended >= 2.0 * last.workers.max(1.0)
        };
        &self.points[self.points.iter().rposition(begins).unwrap_or(0)..]
    }

    /// The rows of a partition: by how much rows rise with the partitions written. Rows of partitions in progress are among
    /// them, which the slope does not mind. None where there are none yet, and where those in progress became more or fewer
    /// and enough have ended to do without them.
    fn rows_each(&self, window: &[Point], last: &Point) -> Option<f64> {
        const ENOUGH: f64 = 4.0;
        let has_changed = window.iter().any(|point| point.workers != last.workers);
        if last.written < 1.0 || has_changed && last.written > ENOUGH * last.workers {
            return None;
        }
        let count = self.points.len() as f64;
        let mean = |of: fn(&Point) -> f64| self.points.iter().map(of).sum::<f64>() / count;
        let (written, rows) = (mean(|point| point.written), mean(|point| point.rows));
        let about = self.points.iter().map(|point| (point.written - written, point.rows - rows));
        let (covariance, variance) = about.fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + x * y, xx + x * x));
        let in_progress = last.workers.min(last.partitions - last.ended) / 2.0;
        let plain = last.rows / (last.written + in_progress);
        let is_known = last.written > 2.0 * last.workers && variance > 0.0;
        let slope = if is_known { covariance / variance } else { plain };
        // At least none and at most all of those in progress are as good as written.
        Some(slope.clamp(last.rows / (last.written + 2.0 * in_progress), last.rows / last.written))
    }

    /// How uncertain the speed is, relative: how it varied, and from how few partitions it is known.
    fn uncertainty(&self, pace: Pace, window: &[Point], last: &Point) -> f64 {
        let quarter = (window.len() / 4).max(1);
        let rates: Vec<f64> = window
            .windows(quarter + 1)
            .step_by(quarter)
            .filter_map(|part| pace.rate(part.first()?, part.last()?))
            .collect();
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        let variance = rates.iter().map(|rate| (rate / mean - 1.0).powi(2)).sum::<f64>();
        (0.0025 + variance / rates.len().max(1).pow(2) as f64 + 0.1 / (last.ended + 1.0)).sqrt()
    }

    /// How long it takes if, unlike some so far, all that are left have to be written.
    fn all_to_write_s(&self, window: &[Point], last: &Point) -> f64 {
        let written = last.written - window.first().map_or(0.0, |first| first.written);
        let quick = last.ended - last.written;
        if written < 1.0 || quick < 1.0 {
            return 0.0;
        }
        let lasted_s = last.at_s - window.first().map_or(0.0, |first| first.at_s);
        (last.partitions - last.ended) * lasted_s / written
    }
}

/// What makes moments comparable: partitions done, those in progress by their rows.
#[derive(Clone, Copy)]
struct Pace {
    rows_each: Option<f64>,
}

impl Pace {
    fn done(self, point: &Point) -> f64 {
        let written = self.rows_each.map_or(point.written, |rows_each| point.rows / rows_each);
        written + (point.ended - point.written)
    }

    /// Partitions a second; none where there were none.
    fn rate(self, first: &Point, last: &Point) -> Option<f64> {
        let rate = (self.done(last) - self.done(first)) / (last.at_s - first.at_s);
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }
}

/// How much longer it takes because at the end some workers have nothing left: of n workers the last needs n/(n+1) of a
/// partition's time more, on average, where half of one would do if the rest could be shared.
fn tail_s(partition_s: f64, workers: f64, left: f64) -> f64 {
    let workers = workers.max(1.0);
    let share = (2.0 * left / workers).min(1.0);
    partition_s * (workers / (workers + 1.0) - 0.5) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of `partitions`, the first `quick` of them done already, by workers that write a partition of 1000 rows in 10 s.
    fn run(partitions: u64, quick: u64, workers: impl Fn(u64) -> u64, until_s: u64) -> EtaEstimator {
        let (mut estimator, mut rows) = (EtaEstimator::default(), 0);
        for at_s in 0..=until_s {
            let written = rows / 1000;
            let totals = Totals { partitions, ended: quick + written, written, rows, ..Totals::default() };
            estimator.add(Duration::from_secs(at_s), &totals, workers(at_s) as usize);
            rows += 100 * workers(at_s);
        }
        estimator
    }

    fn assert_estimates(estimator: &EtaEstimator, left_s: f64) {
        let eta = estimator.eta_s().unwrap();
        assert!(eta.low <= left_s && left_s <= eta.high, "{left_s}: {eta:?}");
        assert!((eta.expected / left_s - 1.0).abs() < 0.15, "{left_s}: {eta:?}");
    }

    #[test]
    fn after_a_quarter_of_a_steady_run_the_eta_is_right() {
        assert_estimates(&run(100, 0, |_| 4, 62), 250.0 - 62.0);
        assert_estimates(&run(40, 0, |_| 1, 100), 300.0);
    }

    #[test]
    fn workers_that_were_started_on_the_way_count_soon() {
        let hired = |at_s| if at_s < 20 { 1 } else { 4 };
        assert_estimates(&run(200, 0, hired, 120), (200.0 - 42.0) / 0.4);
    }

    #[test]
    fn partitions_that_were_done_already_do_not_promise_that_the_rest_is_quick() {
        assert_estimates(&run(200, 100, |_| 2, 125), 375.0);
    }

    #[test]
    fn there_is_no_eta_before_a_partition_has_ended_and_nothing_is_left_after_the_last() {
        assert_eq!(run(10, 0, |_| 1, 9).eta_s(), None);
        assert_eq!(run(10, 0, |_| 1, 100).eta_s().unwrap().expected, 0.0);
    }

    #[test]
    fn the_memory_of_a_long_run_is_bounded() {
        let estimator = run(100_000, 0, |_| 1, 10_000);
        assert!(estimator.points.len() <= KEPT);
        assert_estimates(&estimator, 990_000.0);
    }
}
