//! [`PlanEstimate`]: how long a plan takes at the rate of an earlier run of the same job.

use std::collections::HashSet;

use rollfit_job::record::Record;
use serde::Serialize;

use super::demand::written;
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
    /// Returns the time for `rows` at the rate of a run; none if there is nothing to write, or the run wrote nothing.
    ///
    /// The rate counts the whole time of the run, also what it spent on partitions that it only checked: the next run
    /// checks them again.
    pub fn from_record(record: &Record, rows: u64) -> Option<Self> {
        let rows_written: u64 = written(record).map(|end| end.rows).sum();
        if rows == 0 || rows_written == 0 {
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
    use rollfit_job::activity::Times;
    use rollfit_job::partition::Partition;
    use rollfit_job::record::PartitionOutcome::{Done, Failed, Written};
    use rollfit_job::record::{Header, PartitionEnd, PartitionOutcome, RunEnd};
    use rollfit_job::watch::Totals;

    /// A run of 10 s, whose workers ended partitions like this: worker, outcome, rows.
    fn record(ends: &[(usize, PartitionOutcome, u64)]) -> Record {
        let end = |&(worker, outcome, rows): &(usize, PartitionOutcome, u64)| PartitionEnd {
            at_ms: 9_000,
            begun_ms: 0,
            partition: Partition::new("eurusd".to_owned(), "2017-01".parse().unwrap()),
            worker,
            attempt: 1,
            outcome,
            cause: None,
            rows,
            bytes: 8 * rows,
            wall_us: Times::default(),
            cpu_us: Times::default(),
            trips: Default::default(),
            locked_by: None,
            source_reads: None,
            seen_held: false,
        };
        Record {
            header: Header { run: "r".to_owned(), started: "s".to_owned(), ..Header::default() },
            partitions: ends.iter().map(end).collect(),
            end: Some(RunEnd { at_ms: 10_000, totals: Totals::default(), interrupted: true }),
            ..Record::default()
        }
    }

    #[test]
    fn the_rate_is_that_of_all_rows_written_in_the_whole_time() {
        let record = record(&[(0, Written, 300), (3, Written, 200), (1, Done, 0), (0, Failed, 0)]);
        let estimate = PlanEstimate::from_record(&record, 1_000).unwrap();
        assert_eq!((estimate.seconds, estimate.rows_per_s, estimate.workers), (20.0, 50.0, 2));
        assert_eq!((estimate.run.as_str(), estimate.started.as_str()), ("r", "s"));
    }

    #[test]
    fn a_run_that_wrote_nothing_and_a_plan_without_rows_have_no_estimate() {
        assert_eq!(PlanEstimate::from_record(&record(&[(0, Done, 0), (1, Failed, 0)]), 1_000), None);
        assert_eq!(PlanEstimate::from_record(&record(&[(0, Written, 300)]), 0), None);
    }

    #[test]
    fn a_run_that_took_no_time_still_has_a_finite_rate() {
        let end = RunEnd { at_ms: 0, totals: Totals::default(), interrupted: false };
        let record = Record { end: Some(end), ..record(&[(0, Written, 1_000)]) };
        let estimate = PlanEstimate::from_record(&record, 1).unwrap();
        assert!(estimate.seconds > 0.0 && estimate.rows_per_s.is_finite(), "{estimate:?}");
    }
}
