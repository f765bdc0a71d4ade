//! The run over time: points for curves, lanes of the workers, the slowest partitions.

use super::concurrency_level::{begun_s, ended_s};
use rollfit_job::activity::Times;
use rollfit_job::partition::Partition;
use rollfit_job::record::PartitionOutcome;
use rollfit_job::record::{PartitionEnd, Record, Sample};
use serde::{Deserialize, Serialize};

/// The run at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Rows a second since the point before.
    pub rows_per_s: f64,
    /// Bytes a second since the point before.
    pub bytes_per_s: f64,
    /// The workers there were.
    pub workers: f64,
    /// Cores kept busy by this process; none where unavailable.
    pub own_cores: Option<f64>,
    /// Cores kept busy by others; none where unavailable.
    pub others_cores: Option<f64>,
}

/// A partition as a worker did it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneSlice {
    /// The worker.
    pub worker: usize,
    /// The partition.
    pub partition: Partition,
    /// When it was started.
    pub begun_s: f64,
    /// How long it took.
    pub took_s: f64,
    /// How it ended.
    pub outcome: PartitionOutcome,
    /// Its rows.
    pub rows: u64,
    /// How long each activity took, in microseconds.
    pub wall_us: Times,
}

/// About how many points there are.
const POINTS: usize = 300;
/// How many of the slowest partitions are kept.
const SLOWEST: usize = 10;

/// The run over time.
pub(super) fn timeline(record: &Record) -> Vec<TimelinePoint> {
    let each = record.samples.len().div_ceil(POINTS).max(1);
    let mut before = Sample::default();
    record
        .samples
        .chunks(each)
        .filter_map(|samples| {
            let last = samples.last()?;
            let point = point(&before, samples, last);
            before = last.clone();
            Some(point)
        })
        .collect()
}

fn point(before: &Sample, samples: &[Sample], last: &Sample) -> TimelinePoint {
    let lasted_s = (last.at_ms.saturating_sub(before.at_ms) as f64 / 1e3).max(1e-3);
    let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / lasted_s;
    TimelinePoint {
        at_s: last.at_ms as f64 / 1e3,
        rows_per_s: rate(last.totals.rows, before.totals.rows),
        bytes_per_s: rate(last.totals.bytes, before.totals.bytes),
        workers: workers(before, samples),
        own_cores: mean(samples, |sample| sample.machine.own_cores),
        others_cores: mean(samples, |sample| sample.machine.others_cores),
    }
}

/// The last sample of a run is taken when the workers have left; it covers the time in which they were still there.
fn workers(before: &Sample, samples: &[Sample]) -> f64 {
    let some = |sample: &Sample| (sample.workers > 0).then_some(sample.workers as f64);
    mean(samples, some).unwrap_or(before.workers as f64)
}

fn mean(samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    let known: Vec<f64> = samples.iter().filter_map(of).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// The partitions as the workers did them, in order of their beginning.
pub(super) fn lanes(record: &Record) -> Vec<LaneSlice> {
    let mut lanes: Vec<LaneSlice> = record.partitions.iter().map(slice).collect();
    lanes.sort_by(|a, b| a.begun_s.total_cmp(&b.begun_s));
    lanes
}

/// The partitions that took longest, the longest first.
pub(super) fn slowest(record: &Record) -> Vec<LaneSlice> {
    let mut slowest: Vec<LaneSlice> = record.partitions.iter().map(slice).collect();
    slowest.sort_by(|a, b| b.took_s.total_cmp(&a.took_s));
    slowest.truncate(SLOWEST);
    slowest
}

fn slice(end: &PartitionEnd) -> LaneSlice {
    LaneSlice {
        worker: end.worker,
        partition: end.partition.clone(),
        begun_s: begun_s(end),
        took_s: ended_s(end) - begun_s(end),
        outcome: end.outcome,
        rows: end.rows,
        wall_us: end.wall_us,
    }
}
