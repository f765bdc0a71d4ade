//! What workers did over time, for examples.

use rollfit_analysis::{ActivityShare, LaneSlice, TimelinePoint};
use rollfit_job::activity::{Activity, Times};
use rollfit_job::record::PartitionOutcome;
use rollfit_testkit::record;

const ROWS: u64 = 30_000;

/// Partitions one after the other on each worker; the third is oversized, one of them failed.
pub(super) fn lanes(partitions: u64, workers: usize) -> Vec<LaneSlice> {
    let mut free_s = vec![0.0; workers];
    (0..partitions)
        .map(|number| {
            let worker = number as usize % workers;
            let size = if number == 2 { 9.0 } else { 1.0 + (number % 7) as f64 / 10.0 };
            let slice = slice(number, worker, free_s[worker], size);
            free_s[worker] += slice.took_s + 0.05;
            slice
        })
        .collect()
}

fn slice(number: u64, worker: usize, begun_s: f64, size: f64) -> LaneSlice {
    let mut wall_us = Times::default();
    let shares = [
        (Activity::Waiting, 0.02),
        (Activity::Connecting, 0.01),
        (Activity::Querying, 0.04),
        (Activity::Reading, 0.12),
        (Activity::Computing, 0.09),
        (Activity::Encoding, 0.13),
        (Activity::Sending, 0.48),
        (Activity::Committing, 0.11),
    ];
    for (activity, share) in shares {
        wall_us.add(activity, (share * size * 5e6) as u64);
    }
    LaneSlice {
        worker,
        partition: record::partition(number),
        begun_s,
        took_s: wall_us.total_us() as f64 / 1e6,
        outcome: if number == 8 { PartitionOutcome::Failed } else { PartitionOutcome::Written },
        rows: if number == 8 { 0 } else { (ROWS as f64 * size) as u64 },
        wall_us,
    }
}

pub(super) fn activities(lanes: &[LaneSlice]) -> Vec<ActivityShare> {
    let mut total = Times::default();
    lanes.iter().for_each(|slice| total.add_all(&slice.wall_us));
    let line = |activity| ActivityShare {
        activity,
        wall_s: total.get(activity) as f64 / 1e6,
        cpu_s: total.get(activity) as f64 / 3e6,
        share: total.get(activity) as f64 / total.total_us() as f64,
    };
    let mut lines: Vec<ActivityShare> = Activity::ALL.into_iter().map(line).collect();
    lines.retain(|line| line.wall_s > 0.0);
    lines.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
    lines
}

pub(super) fn timeline(took_s: f64, workers: usize) -> Vec<TimelinePoint> {
    (1..=200u32)
        .map(|number| {
            let at_s = took_s * f64::from(number) / 200.0;
            let workers = if at_s < 61.0 {
                1.0
            } else if at_s < 140.5 {
                2.0
            } else {
                workers as f64
            };
            let rows_per_s = 38_000.0 * workers * (1.0 + 0.1 * f64::from(number).sin());
            TimelinePoint {
                at_s,
                rows_per_s,
                bytes_per_s: rows_per_s * 1440.0,
                workers,
                own_cores: Some(0.7 * workers),
                server_cores: None,
                others_cores: Some(0.3 + 0.2 * (f64::from(number) / 9.0).cos()),
            }
        })
        .collect()
}
