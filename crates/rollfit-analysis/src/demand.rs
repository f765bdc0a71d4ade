//! [`Demand`]: what a partition costs a worker.
//!
//! Invariants: times are those of a partition of mean size. What a worker waited for a core counts with the cores, wherever
//! it waited, and not with the store that it was asking.

use rollfit_job::activity::{Activity, Times};
use rollfit_job::record::{PartitionEnd, PartitionOutcome, Record};

/// What a partition costs on average.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// How many partitions that is known from.
    pub(super) partitions: usize,
    pub(super) rows: f64,
    pub(super) bytes: f64,
    pub(super) wall_s: f64,
    /// Processor time of this process.
    pub(super) cpu_s: f64,
    /// How many times as long as its processor time computing takes.
    pub(super) stretch: f64,
    /// Times in which neither this process computes nor the worker waits for a core, by activity.
    pub(super) reading_s: f64,
    pub(super) querying_s: f64,
    pub(super) sending_s: f64,
    pub(super) committing_s: f64,
    pub(super) waiting_s: f64,
    pub(super) throttled_s: f64,
    pub(super) pausing_s: f64,
}

/// The partitions that were written.
pub(super) fn written(record: &Record) -> impl Iterator<Item = &PartitionEnd> {
    record.partitions.iter().filter(|end| end.outcome == PartitionOutcome::Written && end.rows > 0)
}

impl Demand {
    /// What these partitions cost; none where there are none.
    pub(super) fn from_ends<'a>(ends: impl IntoIterator<Item = &'a PartitionEnd>) -> Option<Self> {
        let mut sum = Sum::default();
        for end in ends {
            sum.partitions += 1;
            sum.rows += end.rows;
            sum.bytes += end.bytes;
            sum.wall_us.add_all(&end.wall_us);
            sum.cpu_us.add_all(&end.cpu_us);
        }
        (sum.partitions > 0).then(|| Self::from_sum(&sum))
    }

    fn from_sum(sum: &Sum) -> Self {
        let stretch = sum.stretch();
        let each_s = |us: u64| us as f64 / 1e6 / sum.partitions as f64;
        let blocked_s = |activity: Activity| {
            (each_s(sum.wall_us.get(activity)) - stretch * each_s(sum.cpu_us.get(activity))).max(0.0)
        };
        Self {
            partitions: sum.partitions,
            rows: sum.rows as f64 / sum.partitions as f64,
            bytes: sum.bytes as f64 / sum.partitions as f64,
            wall_s: each_s(sum.wall_us.total_us() - sum.wall_us.get(Activity::Idle)),
            cpu_s: each_s(sum.cpu_us.total_us()),
            stretch,
            reading_s: blocked_s(Activity::Reading),
            querying_s: blocked_s(Activity::Querying) + blocked_s(Activity::Connecting),
            sending_s: blocked_s(Activity::Sending),
            committing_s: blocked_s(Activity::Committing),
            waiting_s: blocked_s(Activity::Waiting),
            throttled_s: blocked_s(Activity::Throttled),
            pausing_s: blocked_s(Activity::Pausing),
        }
    }

    /// What a partition of `rows` rows would cost.
    pub(super) fn sized(&self, rows: f64) -> Self {
        let times = rows / self.rows;
        Self {
            rows,
            bytes: self.bytes * times,
            wall_s: self.wall_s * times,
            cpu_s: self.cpu_s * times,
            reading_s: self.reading_s * times,
            querying_s: self.querying_s * times,
            sending_s: self.sending_s * times,
            committing_s: self.committing_s * times,
            waiting_s: self.waiting_s * times,
            throttled_s: self.throttled_s * times,
            pausing_s: self.pausing_s * times,
            ..*self
        }
    }

    /// What it waits for the store that is written to.
    pub(super) fn store_s(&self) -> f64 {
        self.querying_s + self.sending_s + self.committing_s
    }
}

/// What partitions cost together.
#[derive(Default)]
struct Sum {
    partitions: usize,
    rows: u64,
    bytes: u64,
    wall_us: Times,
    cpu_us: Times,
}

impl Sum {
    /// How many times as long as its processor time work takes that needs nothing but a core.
    fn stretch(&self) -> f64 {
        const PURE: [Activity; 2] = [Activity::Computing, Activity::Encoding];
        let sum = |times: &Times| PURE.into_iter().map(|activity| times.get(activity)).sum::<u64>() as f64;
        let (wall_us, cpu_us) = (sum(&self.wall_us), sum(&self.cpu_us));
        if cpu_us > 0.0 { (wall_us / cpu_us).max(1.0) } else { 1.0 }
    }
}
