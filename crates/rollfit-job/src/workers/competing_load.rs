//! [`CompetingLoad`]: what this run and others want of this machine's cores, and for how many workers that leaves room.
//!
//! Invariants: only a load that lasted for half a minute makes workers leave, never a moment's noise. The store's own server, where
//! it works on this machine, is not one of the others: it works for this run.

use std::collections::VecDeque;
use std::time::Duration;

use super::Situation;
use super::ceiling::Ceiling;
use super::limits::TRIFLE;
use super::{is_crowded, workers_beside, workers_in_a_crowd};
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
    /// Whether the store is a server, and not files.
    has_server: bool,
    /// The sessions that the server worked for when it last answered.
    working: f64,
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
    /// The store's server, where it works here.
    server: f64,
    /// Whether that is an estimate, from sessions.
    server_is_estimated: bool,
    /// What this process wanted and did not get; none where unknown.
    waiting: Option<f64>,
    /// The share of the time in which a quota was used up.
    quota_reached: f64,
}

/// How the cores were used lately, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CoreUse {
    /// The cores that this process keeps busy.
    pub(super) own: f64,
    /// Those that the store's server keeps busy, where it works here.
    pub(super) server: f64,
    /// Whether that is an estimate.
    pub(super) server_is_estimated: bool,
    /// The share of the cores that this process may use, or of all of them, that is busy: the larger of both.
    pub(super) busy_share: f64,
    /// The same for what this process and the store's server keep busy.
    pub(super) ours_share: f64,
    /// The share of the time in which a quota was used up.
    pub(super) quota_reached: f64,
    /// The cores that one worker keeps busy.
    pub(super) each: f64,
    /// The cores that one worker wants: with the time that it waits for one.
    pub(super) own_wanted_each: f64,
    /// The same, with what the store's server does for it where it works here.
    wanted_each: f64,
    ours_each: f64,
    /// The cores that this process may use, and those that others leave it and the server.
    allowed: f64,
    left: f64,
    /// The cores that others want.
    pub(super) competing: f64,
    /// Whether others want so much that cores left to them would hardly shorten their wait.
    pub(super) is_crowded: bool,
}

/// How long other processes must be busy before workers make room.
const WINDOW: Duration = Duration::from_secs(30);
/// From here on somebody waits for a core.
pub(super) const BUSY: f64 = 0.95;
/// Fewer cores wanted say nothing about how long others wait for one.
const WANTED_MIN: f64 = 0.5;

impl CompetingLoad {
    pub(super) fn new(situation: &Situation) -> Self {
        let limits = &situation.limits;
        let all = limits.cores.map(|cores| cores as f64);
        let allowed = [all, limits.cores_allowed, situation.cpu_max].into_iter().flatten();
        Self {
            cores: all,
            allowed: allowed.fold(f64::INFINITY, f64::min),
            store_is_local: situation.store_is_local.unwrap_or(true),
            has_server: situation.sessions.is_some(),
            working: 0.0,
            seen: VecDeque::new(),
        }
    }

    pub(super) fn observe(&mut self, moment: &Moment) {
        let machine = &moment.machine;
        if let Some(store) = &moment.store {
            (self.has_server, self.working) = (true, f64::from(store.working));
        }
        let (Some(own), Some(others)) = (machine.own_cores, machine.others_cores) else { return };
        let is_here = self.store_is_local && self.has_server;
        let known = if is_here { machine.server_cores } else { Some(0.0) };
        self.seen.push_back(CoresAt {
            at: moment.at,
            workers: moment.lanes.len().max(1) as f64,
            own,
            others,
            server: known.unwrap_or(self.working).min(others),
            server_is_estimated: known.is_none(),
            waiting: machine.waiting_threads,
            quota_reached: machine.quota_reached.unwrap_or(0.0),
        });
        while self.seen.front().is_some_and(|seen| moment.at.saturating_sub(seen.at) > WINDOW) {
            self.seen.pop_front();
        }
    }

    /// How the cores were used since then; none where unknown.
    pub(super) fn used_since(&self, since: Duration) -> Option<CoreUse> {
        let seen = self.seen.iter().filter(|seen| seen.at > since);
        CoresAt::mean(seen).map(|seen| seen.used(self.cores, self.allowed))
    }

    /// The most workers beside others that want nearly all cores.
    pub(super) fn workers_in_a_crowd(&self) -> usize {
        workers_in_a_crowd(self.allowed.min(self.cores.unwrap_or(f64::INFINITY)))
    }

    /// The most workers that leave others the cores they want; none where nobody wants any, or where it was not seen for long
    /// enough.
    pub(super) fn ceiling(&self) -> Option<Ceiling> {
        let cores = self.cores?;
        let watched = self.seen.back()?.at.saturating_sub(self.seen.front()?.at);
        if watched + Duration::from_secs(2) < WINDOW {
            return None;
        }
        let (workers, busy) = self.room(cores);
        let why = self.others_use(busy);
        (workers < usize::MAX).then_some(Ceiling { kind: WorkerCeiling::CompetingLoad, workers, why })
    }

    /// What others use, as a reason.
    pub(super) fn others_use(&self, competing: f64) -> String {
        format!("other processes use {competing:.1} of {} cores", self.cores.unwrap_or(self.allowed))
    }

    /// The cores that there are for what this run and its server keep busy.
    pub(super) fn cores_for_us(&self, used: &CoreUse) -> f64 {
        match self.cores {
            Some(cores) if used.own + used.server > cores * used.own / self.allowed => cores,
            _ => self.allowed,
        }
    }

    /// What two thirds of the time had no room for more than, and the cores that others used then.
    fn room(&self, cores: f64) -> (usize, f64) {
        let room = |seen: &CoresAt| {
            let used = seen.used(self.cores, self.allowed);
            (if used.is_crowded { self.workers_in_a_crowd() } else { seen.room(cores) }, used.competing)
        };
        let mut room: Vec<(usize, f64)> = self.seen.iter().map(room).collect();
        room.sort_by_key(|(workers, _)| *workers);
        room[2 * (room.len() - 1) / 3]
    }
}

impl CoreUse {
    /// How many workers would keep the cores busy that others leave, if each did as much as now. Workers that mostly wait want cores at
    /// the same moments; in between there is room for more.
    pub(super) fn workers_to_fill(&self, they_wait: bool) -> f64 {
        let (own, ours) =
            if they_wait { (self.each, self.ours_each) } else { (self.own_wanted_each, self.wanted_each) };
        (self.allowed / own.max(1e-3)).min(self.left / ours.max(1e-3))
    }
}

impl CoresAt {
    fn mean<'a>(seen: impl Iterator<Item = &'a CoresAt> + Clone) -> Option<Self> {
        let count = seen.clone().count() as f64;
        let mean = |of: fn(&CoresAt) -> f64| seen.clone().map(of).sum::<f64>() / count;
        let is_known = seen.clone().all(|seen| seen.waiting.is_some());
        let mean = Self {
            at: Duration::ZERO,
            workers: mean(|seen| seen.workers),
            own: mean(|seen| seen.own),
            others: mean(|seen| seen.others),
            server: mean(|seen| seen.server),
            server_is_estimated: seen.clone().any(|seen| seen.server_is_estimated),
            waiting: is_known.then(|| mean(|seen| seen.waiting.unwrap_or(0.0))),
            quota_reached: mean(|seen| seen.quota_reached),
        };
        (count > 0.0).then_some(mean)
    }

    fn used(&self, cores: Option<f64>, allowed: f64) -> CoreUse {
        let share_of_all = |busy: f64| cores.map_or(0.0, |cores| busy / cores);
        let own_share = self.own / allowed;
        let all = cores.unwrap_or(allowed);
        let competing = self.competing_wanted().min(all);
        let is_crowded = !self.server_is_estimated && is_crowded(competing, all);
        let own_wanted_each = (self.own + self.waiting.unwrap_or(0.0)) / self.workers;
        let server_each = self.server / self.workers;
        CoreUse {
            own: self.own,
            server: self.server,
            server_is_estimated: self.server_is_estimated,
            busy_share: share_of_all(self.own + self.others).max(own_share),
            ours_share: share_of_all(self.own + self.server).max(own_share),
            quota_reached: self.quota_reached,
            each: self.own / self.workers,
            own_wanted_each,
            wanted_each: own_wanted_each + server_each,
            ours_each: self.own / self.workers + server_each,
            allowed,
            left: (all - competing).max(1.0),
            competing,
            is_crowded,
        }
    }

    /// The cores that others keep busy.
    fn competing(&self) -> f64 {
        (self.others - self.server).max(0.0)
    }

    /// The cores that others want: where this process waits for a core for a share of the time, so do they.
    fn competing_wanted(&self) -> f64 {
        let seen = self.competing();
        let wanted = self.own + self.waiting.unwrap_or(0.0);
        let is_told = !self.server_is_estimated && self.quota_reached == 0.0 && wanted >= WANTED_MIN;
        if is_told && seen >= TRIFLE { seen * wanted / self.own.max(0.05) } else { seen }
    }

    /// How many workers find a core beside the others.
    fn room(&self, cores: f64) -> usize {
        let waiting = self.waiting.unwrap_or((self.workers - self.own).max(0.0));
        let each = (self.own + waiting + self.server) / self.workers;
        let competing = self.competing_wanted().min(cores);
        workers_beside(competing, cores - competing, each).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::LaneState;
    use crate::config::Workers;
    use crate::store::StoreSample;
    use crate::watch::{MachineLimits, MachineSample};
    use crate::workers::OtherRunners;

    fn lane(worker: usize) -> LaneState {
        LaneState {
            worker,
            activity: crate::activity::Activity::Computing,
            partition: None,
            since_ms: 0,
            rows: 0,
            cpu_us: 0,
            memory_bytes: 0,
            thread: 0,
        }
    }

    /// Two workers on two cores for a minute, and a server on this machine.
    fn watched(machine: MachineSample, working: Option<u32>) -> CompetingLoad {
        let mut load = CompetingLoad::new(&Situation {
            setting: Workers::Auto,
            partitions: 100,
            limits: MachineLimits { cores: Some(2), ..MachineLimits::default() },
            machine: MachineSample::default(),
            sessions: None,
            store_is_local: Some(true),
            cpu_max: None,
            worker_memory_bytes: 1,
            others: OtherRunners::default(),
        });
        for second in 1..60 {
            load.observe(&Moment {
                at: Duration::from_secs(second),
                lanes: vec![lane(0), lane(1)],
                machine: machine.clone(),
                store: working.map(|working| StoreSample { working, ..StoreSample::default() }),
                ..Moment::default()
            });
        }
        load
    }

    fn sample(own: f64, others: f64, server: Option<f64>) -> MachineSample {
        MachineSample {
            own_cores: Some(own),
            others_cores: Some(others),
            server_cores: server,
            waiting_threads: Some(2.0 - own),
            ..MachineSample::default()
        }
    }

    #[test]
    fn what_the_store_s_server_uses_is_ours_where_that_is_measured_and_only_an_estimate_where_not() {
        let used = |load: CompetingLoad| load.used_since(Duration::ZERO).unwrap();
        let measured = watched(sample(0.8, 1.2, Some(1.2)), Some(0));
        assert_eq!(measured.ceiling(), None);
        let measured = used(measured);
        assert!(
            measured.ours_share > 0.99 && measured.competing == 0.0 && !measured.is_crowded,
            "{measured:?}"
        );
        let estimated = used(watched(sample(0.8, 1.2, None), Some(0)));
        assert!(estimated.server_is_estimated && !estimated.is_crowded, "{estimated:?}");
        assert!(estimated.ours_share < 0.5 && estimated.busy_share > 0.99, "{estimated:?}");
        // Files have no server: all others are others.
        let files = used(watched(sample(0.8, 1.2, None), None));
        assert!(!files.server_is_estimated && files.is_crowded, "{files:?}");
    }

    #[test]
    fn others_want_more_than_they_get_where_this_process_waits_too() {
        // Two processes beside two workers on two cores: each gets half of one.
        let crowd = watched(sample(1.0, 1.0, None), None);
        let used = crowd.used_since(Duration::ZERO).unwrap();
        assert!((used.competing - 2.0).abs() < 1e-9 && used.is_crowded, "{used:?}");
        assert_eq!(crowd.ceiling().map(|ceiling| ceiling.workers), Some(6));
        // One: there is a core to leave to it.
        let one = watched(sample(4.0 / 3.0, 2.0 / 3.0, None), None);
        let used = one.used_since(Duration::ZERO).unwrap();
        assert!((used.competing - 1.0).abs() < 1e-9 && !used.is_crowded, "{used:?}");
        assert_eq!(one.ceiling().map(|ceiling| ceiling.workers), Some(1));
        // What a quota withholds nobody else has.
        let quota = MachineSample { quota_reached: Some(0.9), ..sample(1.0, 0.3, None) };
        assert!((watched(quota, None).used_since(Duration::ZERO).unwrap().competing - 0.3).abs() < 1e-9);
        // A clock is none of them, however long this process waits for itself.
        assert_eq!(watched(sample(1.9, 0.1, None), None).ceiling(), None);
    }
}
