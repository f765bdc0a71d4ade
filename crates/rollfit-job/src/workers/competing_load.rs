//! [`CompetingLoad`]: what others want of this machine's cores, and for how many workers that leaves room.
//!
//! Invariants: only a load that lasted for half a minute counts, never a moment's noise. The store's own server, where
//! it works on this machine, is not one of them: it works for this run.

use std::collections::VecDeque;
use std::time::Duration;

use super::Situation;
use super::ceiling::Ceiling;
use super::workers_beside;
use crate::record::WorkerCeiling;
use crate::watch::Moment;

/// See the module.
#[derive(Debug)]
pub(super) struct CompetingLoad {
    /// The machine's cores; none where unknown.
    cores: Option<f64>,
    /// Those that this process may use at most.
    allowed: f64,
    store_is_local: bool,
    seen: VecDeque<CoresAt>,
}

/// The cores at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct CoresAt {
    at: Duration,
    workers: f64,
    own: f64,
    /// The store's server too, where it works here.
    others: f64,
    competing: f64,
    /// What this process wanted and did not get.
    waiting: f64,
}

/// How the cores were used lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CoreUse {
    /// The share of the cores that this process may use, or of all of them, that is busy: the larger of both.
    pub(super) busy_share: f64,
    /// The cores that one worker keeps busy.
    pub(super) each: f64,
}

/// How long other processes must be busy before workers make room.
const WINDOW: Duration = Duration::from_secs(30);
/// From here on somebody waits for a core.
pub(super) const BUSY: f64 = 0.95;

impl CompetingLoad {
    pub(super) fn new(situation: &Situation) -> Self {
        let limits = &situation.limits;
        let all = limits.cores.map(|cores| cores as f64);
        let allowed = [all, limits.cores_allowed, situation.cpu_max].into_iter().flatten();
        Self {
            cores: all,
            allowed: allowed.fold(f64::INFINITY, f64::min),
            store_is_local: situation.store_is_local.unwrap_or(true),
            seen: VecDeque::new(),
        }
    }

    pub(super) fn observe(&mut self, moment: &Moment) {
        let machine = &moment.machine;
        let (Some(own), Some(others)) = (machine.own_cores, machine.others_cores) else { return };
        let server = moment.store.as_ref().map_or(0.0, |store| f64::from(store.working));
        let server = if self.store_is_local { server } else { 0.0 };
        let workers = moment.lanes.len().max(1) as f64;
        self.seen.push_back(CoresAt {
            at: moment.at,
            workers,
            own,
            others,
            competing: (others - server).max(0.0),
            waiting: machine.waiting_threads.unwrap_or((workers - own).max(0.0)),
        });
        while self.seen.front().is_some_and(|seen| moment.at.saturating_sub(seen.at) > WINDOW) {
            self.seen.pop_front();
        }
    }

    /// How the cores were used since then; none where unknown.
    pub(super) fn used_since(&self, since: Duration) -> Option<CoreUse> {
        let seen = self.seen.iter().filter(|seen| seen.at > since);
        let count = seen.clone().count() as f64;
        let mean = |of: fn(&CoresAt) -> f64| seen.clone().map(of).sum::<f64>() / count;
        let own = mean(|seen| seen.own);
        let all = self.cores.map_or(0.0, |cores| (own + mean(|seen| seen.others)) / cores);
        let used = CoreUse { busy_share: all.max(own / self.allowed), each: own / mean(|seen| seen.workers) };
        (count > 0.0).then_some(used)
    }

    /// The most workers that leave others the cores they want; none where nobody wants any, or where it was not seen for long
    /// enough.
    pub(super) fn ceiling(&self) -> Option<Ceiling> {
        let cores = self.cores?;
        let watched = self.seen.back()?.at.saturating_sub(self.seen.front()?.at);
        if watched + Duration::from_secs(2) < WINDOW {
            return None;
        }
        // What two thirds of the time had no room for more than.
        let mut room: Vec<(usize, f64)> =
            self.seen.iter().map(|seen| (seen.room(cores), seen.competing)).collect();
        room.sort_by_key(|(workers, _)| *workers);
        let (workers, busy) = room[2 * (room.len() - 1) / 3];
        let why = format!("other processes use {busy:.1} of {cores} cores");
        (workers < usize::MAX).then_some(Ceiling { kind: WorkerCeiling::CompetingLoad, workers, why })
    }
}

impl CoresAt {
    /// How many workers find a core beside the others.
    fn room(&self, cores: f64) -> usize {
        let each = (self.own + self.waiting) / self.workers;
        workers_beside(self.competing, cores - self.others, each).unwrap_or(usize::MAX)
    }
}
