//! [`Policy`]: how many workers a run has, decided at its start and while it goes on.

use super::Situation;
use crate::record::Decision;
use crate::watch::Moment;

/// Decides how many workers there are to be.
#[derive(Debug)]
pub struct Policy {}

impl Policy {
    /// The policy of a run, and its first decision.
    pub fn new(situation: Situation) -> (Self, Decision) {
        let workers = situation.setting.count(situation.partitions);
        let reason = format!("workers = {}", situation.setting);
        (Self {}, Decision { at_ms: 0, was: 0, workers, reason, rows_per_s: None })
    }

    /// What to do, now that the run is as it is.
    pub fn observe(&mut self, _moment: &Moment) -> Option<Decision> {
        None
    }
}
