//! The run over time: points for curves, lanes of the workers, the slowest partitions.

use super::concurrency_level::{begun_s, ended_s};
use super::demand::written;
use super::server_cpu::ServerCpu;
use super::step_series::{StepSeries, unfinished, unfinished_count};
use rollfit_job::activity::Times;
use rollfit_job::partition::Partition;
use rollfit_job::record::PartitionOutcome;
use rollfit_job::record::{PartitionEnd, Record, Sample};
use rollfit_job::watch::Totals;
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
    /// Cores kept busy by the sink's server, which is on this machine; none elsewhere, and where unavailable.
    pub server_cores: Option<f64>,
    /// Cores kept busy by others, the server apart where it is known; none where unavailable.
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
    let written = [
        spread(record, |end| end.rows, |totals| totals.rows),
        spread(record, |end| end.bytes, |totals| totals.bytes),
    ];
    let server = ServerCpu::new(record);
    let each = record.samples.len().div_ceil(POINTS).max(1);
    let mut before = Sample::default();
    record
        .samples
        .chunks(each)
        .filter_map(|samples| {
            let last = samples.last()?;
            let point = point(&before, samples, last, &written, &server);
            before = last.clone();
            Some(point)
        })
        .collect()
}

fn point(
    before: &Sample,
    samples: &[Sample],
    last: &Sample,
    written: &[StepSeries; 2],
    server: &ServerCpu,
) -> TimelinePoint {
    let (from_s, at_s) = (before.at_ms as f64 / 1e3, last.at_ms as f64 / 1e3);
    let [rows_per_s, bytes_per_s] = written.each_ref().map(|course| course.mean(from_s, at_s).max(0.0));
    let others = |sample: &Sample| {
        if server.is_seen_here() { server.competing(sample) } else { sample.machine.others_cores }
    };
    TimelinePoint {
        at_s,
        rows_per_s,
        bytes_per_s,
        workers: workers(before, samples),
        own_cores: mean(samples, |sample| sample.machine.own_cores),
        server_cores: mean(samples, |sample| server.busy(sample).filter(|_| server.is_seen_here())),
        others_cores: mean(samples, others).map(|cores| cores.max(0.0)),
    }
}

/// How much was written a second of what partitions have so much of, each spread evenly over its time: they end one by one, and are
/// worked on all the time. What was handed over of partitions in progress is spread over theirs.
fn spread(record: &Record, of: fn(&PartitionEnd) -> u64, handed_over: fn(&Totals) -> u64) -> StepSeries {
    let ended = written(record).map(|end| (end.begun_ms, end.at_ms, of(end) as f64));
    let last = record.samples.last();
    let last_ms = last.map_or(0, |last| last.at_ms);
    let written_so_far: u64 = written(record).filter(|end| end.at_ms <= last_ms).map(of).sum();
    let open = last.map_or(0, |last| handed_over(&last.totals)).saturating_sub(written_so_far);
    let each = open as f64 / unfinished_count(record).max(1) as f64;
    let unfinished = unfinished(record).map(|(_, begun_ms)| (begun_ms, last_ms, each));
    let mut changes: Vec<(f64, f64)> = Vec::new();
    for (begun_ms, ended_ms, amount) in ended.chain(unfinished) {
        let (from_s, to_s) = (begun_ms as f64 / 1e3, ended_ms.max(begun_ms + 1) as f64 / 1e3);
        let rate = amount / (to_s - from_s);
        changes.extend([(from_s, rate), (to_s, -rate)]);
    }
    StepSeries::from_changes(changes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::store::StoreSample;
    use rollfit_testkit::record::{far_partition, made};

    /// One partition of 1000 rows from 0 to 4 s, a sample a second.
    fn record() -> Record {
        let mut record = made(1, 1);
        record.partitions = vec![PartitionEnd { at_ms: 4000, ..far_partition(0, 0) }];
        let sample = record.samples[0].clone();
        record.samples = (1..=4).map(|second| Sample { at_ms: 1000 * second, ..sample.clone() }).collect();
        record
    }

    fn rows_per_s(record: &Record) -> Vec<f64> {
        timeline(record).iter().map(|point| point.rows_per_s.round()).collect()
    }

    #[test]
    fn rows_are_spread_over_the_time_of_their_partition() {
        let mut record = record();
        assert_eq!(rows_per_s(&record), [250.0; 4]);
        record.partitions[0].begun_ms = 2000;
        assert_eq!(rows_per_s(&record), [0.0, 0.0, 500.0, 500.0]);
        record.partitions[0].outcome = PartitionOutcome::Failed;
        assert_eq!(rows_per_s(&record), [0.0; 4]);
    }

    #[test]
    fn rows_handed_over_of_partitions_in_progress_are_spread_over_theirs() {
        let mut record = Record { end: None, partitions: Vec::new(), ..record() };
        record.samples.last_mut().unwrap().totals.rows = 800;
        assert_eq!(rows_per_s(&record), [200.0; 4]);
        record.samples.iter_mut().for_each(|sample| sample.activities.clear());
        assert_eq!(rows_per_s(&record), [0.0; 4], "of a partition that nobody has");
    }

    #[test]
    fn the_server_on_this_machine_is_told_apart_from_others() {
        let mut record = record();
        let cores = |record: &Record| timeline(record)[0];
        assert_eq!((cores(&record).server_cores, cores(&record).others_cores), (None, Some(0.4)));
        record.header.sessions_max = Some(9);
        for sample in &mut record.samples {
            sample.store = Some(StoreSample { working: 1, ..StoreSample::default() });
        }
        assert_eq!((cores(&record).server_cores, cores(&record).others_cores), (None, Some(0.4)), "a guess");
        for sample in &mut record.samples {
            (sample.machine.others_cores, sample.machine.server_cores) = (Some(2.0), Some(1.5));
        }
        assert_eq!((cores(&record).server_cores, cores(&record).others_cores), (Some(1.5), Some(0.5)));
    }
}
