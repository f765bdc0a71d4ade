//! [`WaitingWorkers`]: whether workers mostly wait, from the processor time of their latest partitions.
//!
//! Invariants: only partitions that were written count. Workers that wait for a core don't wait in this sense.

use std::collections::VecDeque;
use std::time::Duration;

use super::competing_load::CoreUse;
use super::meter::Finished;
use super::mostly_waits;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct WaitingWorkers {
    /// How long each took, and its processor time: two a worker.
    latest: VecDeque<(Duration, Duration)>,
    they_wait: bool,
}

/// So much of a core is wanted at most by those, with the time that they wait for one.
const WANTED_MAX: f64 = 0.4;
/// How much more they may use of a core, and want of it, before they do so no longer: at the limit the number would go up and down.
const STILL: f64 = 1.5;
const PARTITIONS_EACH: usize = 2;

impl WaitingWorkers {
    pub(super) fn observe(&mut self, finished: &[Finished], workers: usize) {
        let written = finished.iter().filter(|one| one.rows > 0);
        self.latest.extend(written.map(|one| (one.ended.saturating_sub(one.begun), one.cpu)));
        let surplus = self.latest.len().saturating_sub(PARTITIONS_EACH * workers.max(1));
        self.latest.drain(..surplus);
    }

    /// Whether they mostly wait, for anything but cores. Not before two partitions were written.
    pub(super) fn mostly(&mut self, used: Option<&CoreUse>) -> bool {
        let sum = |of: fn(&(Duration, Duration)) -> Duration| self.latest.iter().map(of).sum::<Duration>();
        let (took, cpu) = (sum(|one| one.0).as_secs_f64(), sum(|one| one.1).as_secs_f64());
        let wanted = used.map_or(0.0, |used| used.own_wanted_each);
        let factor = if self.they_wait { STILL } else { 1.0 };
        self.they_wait = self.latest.len() >= PARTITIONS_EACH
            && mostly_waits(cpu / factor / took.max(1e-9))
            && wanted < factor * WANTED_MAX;
        self.they_wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_two_partitions_a_worker_tell_whether_workers_wait() {
        let one = |cpu_ms: u64, rows: u64| Finished {
            begun: Duration::ZERO,
            ended: Duration::from_secs(1),
            rows,
            cpu: Duration::from_millis(cpu_ms),
        };
        let waits = |finished: &[Finished]| {
            let mut waiting = WaitingWorkers::default();
            waiting.observe(finished, 1);
            waiting.mostly(None)
        };
        assert!(!waits(&[]) && !waits(&[one(100, 5)]));
        assert!(waits(&[one(100, 5), one(199, 5)]) && !waits(&[one(200, 5), one(200, 5)]));
        assert!(waits(&[one(900, 5), one(100, 5), one(100, 5)]), "what was before them is over");
        assert!(!waits(&[one(100, 0), one(100, 5)]), "one with nothing to do says nothing");
        let mut waiting = WaitingWorkers::default();
        for (cpu_ms, they_wait) in [(190, true), (290, true), (310, false), (290, false)] {
            waiting.observe(&[one(cpu_ms, 5), one(cpu_ms, 5)], 1);
            assert_eq!(waiting.mostly(None), they_wait, "{cpu_ms} ms");
        }
    }
}
