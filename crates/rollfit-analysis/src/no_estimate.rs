//! [`NoEstimate`]: why a record estimates nothing. A run that was killed, or was over in a moment, shows what it did, and not what
//! another one would do.

use rollfit_job::record::Record;
use serde::{Deserialize, Serialize};

use super::demand::written;
use super::run_facts::took_s;
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
        let workers = StepSeries::in_progress(record).mean(0.0, took_s(record));
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
