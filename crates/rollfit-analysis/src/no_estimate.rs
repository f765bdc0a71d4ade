//! [`NoEstimate`]: why a record estimates nothing. A run that was killed, or was over in a moment, shows what it did, and not what
//! another one would do.

use rollfit_job::record::Record;
use serde::{Deserialize, Serialize};

use super::demand::written;
use super::step_series::StepSeries;

/// Work that was over sooner says more about the beginning of a run than about the run.
const WORK_LEAST_S: f64 = 3.0;
/// So many partitions has each worker to have written.
const PARTITIONS_EACH: f64 = 2.0;

/// Why nothing is estimated from a record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NoEstimate {
    /// No partition was written.
    NothingWritten,
    /// The run was killed.
    Killed,
    /// Workers wrote fewer than two partitions each.
    FewPartitions {
        /// Those that were written.
        partitions: usize,
        /// The workers, on average.
        workers: f64,
    },
    /// All written partitions together took a few seconds.
    Short {
        /// The time of the workers.
        work_s: f64,
    },
}

impl NoEstimate {
    /// Why a record estimates nothing; none where it does.
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        let partitions = written(record).count();
        let work_s = written(record).map(|end| end.wall_us.total_us()).sum::<u64>() as f64 / 1e6;
        let workers = workers(record);
        if partitions == 0 {
            Some(Self::NothingWritten)
        } else if record.was_killed {
            Some(Self::Killed)
        } else if (partitions as f64) < PARTITIONS_EACH * (workers - 0.5).max(1.0) {
            Some(Self::FewPartitions { partitions, workers })
        } else if work_s < WORK_LEAST_S {
            Some(Self::Short { work_s })
        } else {
            None
        }
    }
}

/// The workers on average while there was work for all: until the last partition was begun.
fn workers(record: &Record) -> f64 {
    let begun_ms = record.partitions.iter().map(|end| end.begun_ms).max().unwrap_or(0);
    // Where all were begun at once, that is when they were.
    StepSeries::in_progress(record).mean(0.0, begun_ms.max(1) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::PartitionOutcome;
    use rollfit_testkit::record::made;

    #[test]
    fn a_run_of_some_seconds_with_two_partitions_a_worker_estimates() {
        assert_eq!(NoEstimate::from_record(&made(40, 4)), None);
    }

    #[test]
    fn killed_and_tiny_runs_estimate_nothing() {
        let killed = Record { end: None, was_killed: true, ..made(40, 4) };
        assert_eq!(NoEstimate::from_record(&killed), Some(NoEstimate::Killed));
        assert_eq!(NoEstimate::from_record(&Record { was_killed: false, ..killed }), None, "it is running");
        let few = NoEstimate::from_record(&made(5, 4));
        assert!(matches!(few, Some(NoEstimate::FewPartitions { partitions: 4, .. })), "{few:?}");
        let mut short = made(40, 4);
        for end in &mut short.partitions {
            end.wall_us = Default::default();
        }
        assert_eq!(NoEstimate::from_record(&short), Some(NoEstimate::Short { work_s: 0.0 }));
        let mut none = made(40, 4);
        none.partitions.iter_mut().for_each(|end| end.outcome = PartitionOutcome::Failed);
        assert_eq!(NoEstimate::from_record(&none), Some(NoEstimate::NothingWritten));
    }
}
