//! [`WorkerLine`]: what one worker did in a run.

use std::collections::BTreeMap;

use rollfit_job::activity::{Activity, Times};
use rollfit_job::record::{PartitionEnd, PartitionOutcome, Record};
use serde::{Deserialize, Serialize};

use super::run_facts::took_s;
use super::step_series::unfinished;

/// What one worker did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerLine {
    /// The worker, from 0.
    pub worker: usize,
    /// The partitions that it wrote.
    pub partitions: u64,
    /// Their rows.
    pub rows: u64,
    /// The share of the run in which it had a partition, 0 to 1.
    pub busy: f64,
    /// The share of its time with partitions that ended in which it had a core, 0 to 1; none where none ended.
    pub cpu: Option<f64>,
    /// What most of that time went into.
    pub mostly: Option<Activity>,
    /// The share of that.
    pub mostly_share: f64,
    /// For how long it has had a partition that has not ended, in seconds; none where it has none, and of a run with an end.
    pub in_progress_s: Option<f64>,
}

#[derive(Default)]
struct Sum {
    partitions: u64,
    rows: u64,
    lasted_ms: u64,
    wall_us: Times,
    cpu_us: Times,
    open_ms: Option<u64>,
}

impl Sum {
    fn add(&mut self, end: &PartitionEnd) {
        self.partitions += u64::from(end.outcome == PartitionOutcome::Written);
        self.rows += end.rows;
        self.lasted_ms += end.at_ms.saturating_sub(end.begun_ms);
        self.wall_us.add_all(&end.wall_us);
        self.cpu_us.add_all(&end.cpu_us);
    }

    fn line(&self, worker: usize, took_ms: f64) -> WorkerLine {
        let wall_us = |activity: &Activity| self.wall_us.get(*activity);
        let total_us = self.wall_us.total_us() - self.wall_us.get(Activity::Idle);
        let share = |us: u64| us as f64 / total_us.max(1) as f64;
        let busy = Activity::ALL.into_iter().filter(|activity| *activity != Activity::Idle);
        let mostly = busy.max_by_key(wall_us).filter(|activity| wall_us(activity) > 0);
        let worked_ms = (self.lasted_ms + self.open_ms.unwrap_or(0)) as f64;
        WorkerLine {
            worker,
            partitions: self.partitions,
            rows: self.rows,
            busy: (worked_ms / took_ms.max(1.0)).min(1.0),
            cpu: (total_us > 0).then(|| share(self.cpu_us.total_us()).min(1.0)),
            mostly,
            mostly_share: mostly.map_or(0.0, |activity| share(wall_us(&activity))),
            in_progress_s: self.open_ms.map(|ms| ms as f64 / 1e3),
        }
    }
}

/// A line for each worker, in their order.
pub(super) fn worker_lines(record: &Record) -> Vec<WorkerLine> {
    let took_ms = 1e3 * took_s(record);
    let mut sums: BTreeMap<usize, Sum> = BTreeMap::new();
    for end in &record.partitions {
        sums.entry(end.worker).or_default().add(end);
    }
    for (worker, begun_ms) in unfinished(record) {
        sums.entry(worker).or_default().open_ms = Some((took_ms as u64).saturating_sub(begun_ms));
    }
    sums.into_iter().map(|(worker, sum)| sum.line(worker, took_ms)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::{far_partition, made};

    /// Two workers: one wrote two partitions, the other one and a half.
    fn record() -> Record {
        let mut record = made(3, 2);
        record.partitions = vec![far_partition(0, 0), far_partition(1, 1), far_partition(2, 0)];
        (record.partitions[2].begun_ms, record.partitions[2].at_ms) = (621, 1242);
        record.samples.truncate(1);
        record.samples[0].at_ms = 1242;
        record
    }

    #[test]
    fn a_line_says_what_a_worker_wrote_and_what_its_time_went_into() {
        let mut record = record();
        record.end.as_mut().unwrap().at_ms = 1242;
        let lines = worker_lines(&record);
        let known = lines.iter().map(|line| (line.worker, line.partitions, line.rows));
        assert_eq!(known.collect::<Vec<_>>(), [(0, 2, 2000), (1, 1, 1000)]);
        assert_eq!((lines[0].busy, lines[1].busy), (1.0, 0.5));
        assert_eq!((lines[0].mostly, lines[0].in_progress_s), (Some(Activity::Computing), None));
        assert!((lines[1].cpu.unwrap() - 200.0 / 621.0).abs() < 1e-9, "{lines:?}");
    }

    #[test]
    fn a_run_that_goes_on_says_for_how_long_each_has_had_its_partition() {
        let mut record = Record { end: None, ..record() };
        record.partitions.pop();
        let open: Vec<_> = worker_lines(&record).iter().map(|line| line.in_progress_s).collect();
        assert_eq!(open, [Some(0.621), Some(0.621)]);
        record.partitions.clear();
        let first = worker_lines(&record)[0];
        assert_eq!(
            (first.partitions, first.in_progress_s, first.cpu, first.mostly),
            (0, Some(1.242), None, None)
        );
    }
}
