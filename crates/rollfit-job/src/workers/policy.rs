//! [`Policy`]: how many workers a run has, decided at its start and while it goes on.

use crate::Job;
use crate::record::Decision;
use crate::watch::Moment;

/// Decides how many workers there are to be.
pub struct Policy {}

impl Policy {
    /// The policy of a job with so many partitions, and its first decision.
    pub fn new(job: &Job<'_>, partitions: usize) -> (Self, Decision) {
        let workers = job.workers.count(partitions);
        let reason = format!("workers = {}", job.workers);
        (Self {}, Decision { at_ms: 0, was: 0, workers, reason, rows_per_s: None })
    }

    /// What to do, now that the run is as it is.
    pub fn observe(&mut self, _moment: &Moment) -> Option<Decision> {
        None
    }
}
