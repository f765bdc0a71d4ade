//! [`PlanEstimate`]: how long a plan takes at the rate of an earlier run of the same job.

use std::collections::HashSet;

use rollfit_job::record::Record;
use serde::Serialize;

use super::demand::written;
use super::no_estimate::NoEstimate;
use super::run_facts::took_s;

/// How long a plan takes, and the run whose rate says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanEstimate {
    /// How long it takes to write the rows of the plan.
    pub seconds: f64,
    /// The rows that the run wrote a second.
    pub rows_per_s: f64,
    /// The workers that wrote them.
    pub workers: usize,
    /// The name of the run.
    pub run: String,
    /// When it began, RFC 3339.
    pub started: String,
}

impl PlanEstimate {
    /// Returns the time for `rows` at the rate of a run; none if there is nothing to write, or the run says nothing of another: it wrote
    /// nothing, was over in a moment, or was killed.
    ///
    /// The rate counts the whole time of the run, also what it spent on partitions that it only checked: the next run
    /// checks them again.
    pub fn from_record(record: &Record, rows: u64) -> Option<Self> {
        let rows_written: u64 = written(record).map(|end| end.rows).sum();
        if rows == 0 || NoEstimate::from_record(record).is_some() {
            return None;
        }
        let rows_per_s = rows_written as f64 / took_s(record).max(1e-3);
        let workers: HashSet<usize> = written(record).map(|end| end.worker).collect();
        Some(Self {
            seconds: rows as f64 / rows_per_s,
            rows_per_s,
            workers: workers.len(),
            run: record.header.run.clone(),
            started: record.header.started.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::PartitionOutcome;
    use rollfit_testkit::record::made;

    #[test]
    fn the_rate_is_that_of_all_rows_written_in_the_whole_time() {
        let record = made(40, 4);
        let rows: u64 = record.partitions.iter().map(|end| end.rows).sum();
        let estimate = PlanEstimate::from_record(&record, 2 * rows).unwrap();
        let took_s = record.end.as_ref().unwrap().at_ms as f64 / 1e3;
        assert!((estimate.seconds / took_s - 2.0).abs() < 1e-9, "{estimate:?}");
        assert_eq!((estimate.workers, &estimate.run), (4, &record.header.run));
        assert!((estimate.rows_per_s * took_s / rows as f64 - 1.0).abs() < 1e-9, "{estimate:?}");
    }

    #[test]
    fn a_run_that_says_nothing_of_another_and_a_plan_without_rows_have_no_estimate() {
        let mut failed = made(40, 4);
        failed.partitions.iter_mut().for_each(|end| end.outcome = PartitionOutcome::Failed);
        let killed = Record { end: None, was_killed: true, ..made(40, 4) };
        for record in [failed, killed, made(3, 4)] {
            assert_eq!(PlanEstimate::from_record(&record, 1_000), None);
        }
        assert_eq!(PlanEstimate::from_record(&made(40, 4), 0), None);
    }

    #[test]
    fn a_run_that_took_no_time_still_has_a_finite_rate() {
        let mut record = made(40, 4);
        record.end.as_mut().unwrap().at_ms = 0;
        let estimate = PlanEstimate::from_record(&record, 1).unwrap();
        assert!(estimate.seconds > 0.0 && estimate.rows_per_s.is_finite(), "{estimate:?}");
    }
}
