//! [`Durations`]: how long written partitions took, as percentiles.

use rollfit_job::record::Record;
use serde::{Deserialize, Serialize};

use super::concurrency_level::{begun_s, ended_s};
use super::demand::written;

/// How long written partitions took, each from its beginning to its end, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// How many were written.
    pub partitions: usize,
    /// Half of them took no longer.
    pub p50_s: f64,
    /// Nine of ten took no longer.
    pub p90_s: f64,
    /// 99 of 100 took no longer.
    pub p99_s: f64,
    /// The longest.
    pub max_s: f64,
}

impl Durations {
    /// Those of a record; none where no partition was written.
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        let mut took_s: Vec<f64> = written(record).map(|end| ended_s(end) - begun_s(end)).collect();
        took_s.sort_by(f64::total_cmp);
        let most = took_s.len().checked_sub(1)?;
        // The least that so large a share is no greater than.
        let percentile = |share: f64| {
            let rank = (share * took_s.len() as f64).ceil() as usize;
            took_s[rank.saturating_sub(1).min(most)]
        };
        Some(Self {
            partitions: took_s.len(),
            p50_s: percentile(0.5),
            p90_s: percentile(0.9),
            p99_s: percentile(0.99),
            max_s: took_s[most],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::PartitionOutcome;
    use rollfit_testkit::record::made;

    /// Partitions that took 1 s, 2 s, 3 s and so on.
    fn lasting(count: u64) -> Record {
        let mut record = made(count, 1);
        for (end, number) in record.partitions.iter_mut().zip(1..) {
            (end.outcome, end.rows) = (PartitionOutcome::Written, 10);
            (end.begun_ms, end.at_ms) = (500, 500 + 1000 * number);
        }
        record
    }

    #[test]
    fn percentiles_are_times_that_partitions_took() {
        let durations = Durations::from_record(&lasting(200)).unwrap();
        let told = Durations { partitions: 200, p50_s: 100.0, p90_s: 180.0, p99_s: 198.0, max_s: 200.0 };
        assert_eq!(durations, told);
        let one = Durations { partitions: 1, p50_s: 1.0, p90_s: 1.0, p99_s: 1.0, max_s: 1.0 };
        assert_eq!(Durations::from_record(&lasting(1)), Some(one));
    }

    #[test]
    fn only_written_partitions_count() {
        let mut record = lasting(3);
        record.partitions[2].outcome = PartitionOutcome::Failed;
        assert_eq!(Durations::from_record(&record).unwrap().max_s, 2.0);
        record.partitions.iter_mut().for_each(|end| end.outcome = PartitionOutcome::Done);
        assert_eq!(Durations::from_record(&record), None);
    }
}
