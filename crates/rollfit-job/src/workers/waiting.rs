//! [`WaitingWorkers`]: whether workers mostly wait, from the processor time of their latest partitions.
//!
//! Invariants: only partitions that were written count. Workers that wait for a core don't wait in this sense.

use std::collections::VecDeque;
use std::time::Duration;

use super::competing_load::CoreUse;
use super::meter::Finished;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct WaitingWorkers {
    /// How long each took, and its processor time: two a worker.
    latest: VecDeque<(Duration, Duration)>,
}

/// Workers that keep a core busy for less than this mostly wait.
const SHARE_MAX: f64 = 0.2;
/// So much of a core is wanted at most by those, with the time that they wait for one.
const WANTED_MAX: f64 = 0.4;
const PARTITIONS_EACH: usize = 2;

impl WaitingWorkers {
    pub(super) fn observe(&mut self, finished: &[Finished], workers: usize) {
        let written = finished.iter().filter(|one| one.rows > 0);
        self.latest.extend(written.map(|one| (one.ended.saturating_sub(one.begun), one.cpu)));
        let surplus = self.latest.len().saturating_sub(PARTITIONS_EACH * workers.max(1));
        self.latest.drain(..surplus);
    }

    /// Whether they mostly wait, for anything but cores. Not before two partitions were written.
    pub(super) fn mostly(&self, used: Option<&CoreUse>) -> bool {
        let sum = |of: fn(&(Duration, Duration)) -> Duration| self.latest.iter().map(of).sum::<Duration>();
        let (took, cpu) = (sum(|one| one.0).as_secs_f64(), sum(|one| one.1).as_secs_f64());
        let wanted = used.map_or(0.0, |used| used.own_wanted_each);
        self.latest.len() >= PARTITIONS_EACH && cpu < SHARE_MAX * took && wanted < WANTED_MAX
    }
}
