//! [`Pace`]: how long partitions take, from two or more moments of a run.
//!
//! Invariant: each partition counts when it has ended, with all that workers spent on it.

use super::remaining::Large;

/// How much longer the first partition of each worker takes: all begin with the same, what is used for the first time takes longer, and
/// tables are made. 0 to 25 % in most runs of docs/notes/analysis-accuracy.md.
const FIRSTS_SLOWER: f64 = 0.1;
/// After this share of the run so far what a partition took counts by a factor of e less.
const RECENT: f64 = 0.5;

/// A moment of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    pub(super) at_s: f64,
    pub(super) workers: usize,
    /// Partitions in progress.
    pub(super) in_progress: usize,
    /// For how long they have been, all of them together.
    pub(super) age_s: f64,
    pub(super) partitions: f64,
    pub(super) ended: f64,
    pub(super) written: f64,
    /// How long workers have had partitions, all of them together, since the run began.
    pub(super) worked_s: f64,
    /// The share of the time that processors, a quota or the disk were waited for; none where that is unknown.
    pub(super) contention: Option<f64>,
    /// The rows of a partition, on average, so far.
    pub(super) mean_rows: f64,
    /// The rows of the largest one in progress, as far as rows are known, and for how long it has been.
    pub(super) largest_rows: f64,
    pub(super) largest_age_s: f64,
}

/// How long partitions took that ended in some time; recent ones count more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// How many there were.
    pub(super) count: f64,
    pub(super) ended: f64,
    pub(super) written: f64,
    /// All of them together.
    pub(super) took_s: f64,
    /// How many workers there were meanwhile, on average, times `ended`.
    pub(super) workers: f64,
}

impl Point {
    pub(super) fn mean_age_s(&self) -> f64 {
        self.age_s / self.in_progress.max(1) as f64
    }

    /// The same without a partition and its worker.
    pub(super) fn without(self, large: Large) -> Self {
        Self {
            workers: self.workers.saturating_sub(1),
            in_progress: self.in_progress.saturating_sub(1),
            age_s: (self.age_s - large.age_s).max(0.0),
            partitions: self.partitions - 1.0,
            ..self
        }
    }
}

impl Pace {
    /// None where no partition ended.
    pub(super) fn from_window(window: &[Point]) -> Option<Self> {
        let last = window.last()?;
        let (mut sum, mut begin) = (Self::default(), window.first()?);
        for point in window {
            if let Some(pace) = Self::between(begin, point) {
                let weight = (-(last.at_s - point.at_s) / (RECENT * last.at_s.max(1e-3))).exp();
                sum.count += pace.count;
                sum.ended += weight * pace.ended;
                sum.written += weight * pace.written;
                sum.took_s += weight * pace.took_s;
                sum.workers += weight * pace.workers;
                begin = point;
            }
        }
        (sum.count > 0.0).then_some(sum)
    }

    /// None where no partition ended. What workers did in that time is what those that ended took, but for what those in progress
    /// at its beginning had taken already, and with what those in progress at its end have.
    pub(super) fn between(first: &Point, last: &Point) -> Option<Self> {
        let count = last.ended - first.ended;
        let took_s = (last.worked_s - first.worked_s) - (last.age_s - first.age_s);
        let written = last.written - first.written;
        let workers = (last.worked_s - first.worked_s) / (last.at_s - first.at_s).max(1e-3);
        let of_firsts = (last.workers as f64 - first.ended).clamp(0.0, count) / count.max(1.0);
        let took_s = took_s.max(1e-6) / (1.0 + FIRSTS_SLOWER * of_firsts);
        (count > 0.0).then_some(Self { count, ended: count, written, took_s, workers: count * workers })
    }

    pub(super) fn mean_s(self) -> f64 {
        self.took_s / self.ended
    }

    /// How many workers there were meanwhile, on average.
    pub(super) fn workers_mean(self) -> f64 {
        self.workers / self.ended
    }

    /// How long those took that were written, if the others took no time; none where none were.
    pub(super) fn written_s(self) -> Option<f64> {
        (self.written > 0.0).then(|| self.took_s / self.written)
    }
}
