//! [`Policy`]: how many workers a run has, decided at its start and while it is in progress.
//!
//! Invariants: it has no clock of its own, and the same moments lead to the same decisions. A fixed number stays as it is; of a
//! range nothing outside is ever decided.

use std::time::Duration;

use super::ceiling::{Ceiling, lowest};
use super::competing_load::CompetingLoad;
use super::growth::Growth;
use super::memory::Memory;
use super::meter::{Finished, Meter, Speed};
use super::search::{Choice, Limits, Search, workers};
use super::waiting::WaitingWorkers;
use super::{OtherRunners, Situation};
use crate::config::Workers;
use crate::record::Decision;
use crate::watch::Moment;

/// Decides the number of workers.
#[derive(Debug)]
pub struct Policy {
    setting: Workers,
    workers: usize,
    changed: Duration,
    least: usize,
    /// Ceilings that stay as they are.
    fixed: Ceiling,
    /// That of the sessions; none where there is no limit.
    sessions: Option<Ceiling>,
    others: OtherRunners,
    memory: Memory,
    competing_load: CompetingLoad,
    meter: Meter,
    search: Search,
    /// The number before a ceiling lowered it.
    held_back: Option<usize>,
    /// Since when there has been room for more of those.
    room_since: Option<Duration>,
    waiting: WaitingWorkers,
    /// Whether it has warned that a fixed number is too high.
    has_warned: bool,
    /// Whether it has said why there are no more workers.
    has_refused: bool,
}

/// How long there must be room before those that were held back come back.
const ROOM_FOR: Duration = Duration::from_secs(10);

impl Policy {
    /// The policy of a run, and its first decision.
    pub fn new(situation: &Situation) -> (Self, Decision) {
        let memory = Memory::new(situation);
        let most = Ceiling::of_setting(situation);
        let fixed = lowest([Ceiling::of_partitions(situation), most.clone()]).unwrap_or(most);
        let sessions = Ceiling::of_sessions(situation);
        let moving = [memory.ceiling(), sessions.clone()];
        let first = lowest(moving.into_iter().flatten().chain([fixed.clone()])).unwrap_or(fixed.clone());
        let (least, workers, reason) = first_number(situation, &first);
        let mut policy = Self {
            setting: situation.setting,
            workers,
            changed: Duration::ZERO,
            least,
            fixed,
            sessions,
            others: situation.others,
            memory,
            competing_load: CompetingLoad::new(situation),
            meter: Meter::new(workers),
            search: Search::new(),
            held_back: None,
            room_since: None,
            waiting: WaitingWorkers::default(),
            has_warned: workers > first.workers,
            has_refused: false,
        };
        policy.workers = 0;
        let decision = policy.set(Duration::ZERO, workers, reason, None);
        (policy, decision)
    }

    /// Whether the number of workers is still being found: it may change soon, and the speed with it.
    pub fn is_searching(&self) -> bool {
        let is_open = !matches!(self.setting, Workers::Fixed(_)) && self.least < self.most_at_all();
        is_open && !self.search.has_rested()
    }

    /// What to do, now that the run is as it is and these partitions have ended since the moment before.
    pub fn observe(&mut self, moment: &Moment, finished: &[Finished]) -> Option<Decision> {
        self.memory.observe(moment);
        self.competing_load.observe(moment);
        self.waiting.observe(finished, moment.lanes.len());
        self.meet(moment);
        let used = self.competing_load.used_since(self.changed);
        let they_wait = self.waiting.mostly(used.as_ref());
        let ceiling = self.ceiling(they_wait);
        if let Workers::Fixed(_) = self.setting {
            return self.warn_once(moment, &ceiling);
        }
        let most = ceiling.workers.max(self.least);
        if self.workers > most {
            return Some(self.hold_back(moment, most, ceiling));
        }
        if let Some(decision) = self.restore(moment, most) {
            return Some(decision);
        }
        let speed = self.meter.observe(moment, finished, they_wait);
        let speed = speed.filter(|speed| self.search.is_clear(speed, they_wait, self.others))?;
        let left_s = left_s(moment, speed);
        if left_s < 3.0 * speed.partition_s {
            let back = self.search.give_up()?;
            let reason = format!("back to {}: the run is nearly over", workers(back));
            return Some(self.set(moment.at, back, reason, Some(speed)));
        }
        let growth = Growth::new(self.workers, used, they_wait, ceiling, &self.competing_load);
        let room = Limits {
            at: moment.at,
            least: self.least,
            most: growth.most.workers.max(self.least),
            is_full: growth.full.is_some(),
            they_wait,
            workers_to_fill: used.map(|used| used.workers_to_fill(they_wait)),
            idle_share: used.map_or(0.0, |used| 1.0 - used.busy_share),
            cores_a_worker: used.map(|used| used.each),
            left_s,
            others: self.others,
        };
        let choice = self.search.next(speed, room);
        self.choose(moment, choice, speed, growth)
    }

    fn ceiling(&self, they_wait: bool) -> Ceiling {
        let competing_load = self.competing_load.ceiling().filter(|_| !they_wait);
        let moving = [self.memory.ceiling(), competing_load, self.sessions.clone()];
        lowest(moving.into_iter().flatten().chain([self.fixed.clone()])).unwrap_or_else(|| self.fixed.clone())
    }

    /// The most workers that memory and load, which change, could leave room for.
    fn most_at_all(&self) -> usize {
        self.sessions.as_ref().map_or(usize::MAX, |sessions| sessions.workers).min(self.fixed.workers)
    }

    /// Takes note of the other runners and of the share of the sessions. A store that does not answer for a moment has as many as before.
    fn meet(&mut self, moment: &Moment) {
        let Some(store) = &moment.store else { return };
        self.others.count = store.other_runners.map_or(self.others.count, |count| count as usize);
        let Some(most) = store.own_sessions_max else { return };
        let share = Ceiling::of_session_share(most as usize, self.others);
        if self.sessions.as_ref().is_none_or(|known| known.workers != share.workers) {
            self.sessions = Some(share);
        }
    }

    fn choose(
        &mut self,
        moment: &Moment,
        choice: Option<Choice>,
        speed: Speed,
        growth: Growth,
    ) -> Option<Decision> {
        if let Some(choice) = choice.filter(|choice| choice.workers != self.workers) {
            let Choice { workers, reason, held_back_by } = choice;
            return Some(Decision { held_back_by, ..self.set(moment.at, workers, reason, Some(speed)) });
        }
        self.meter.restart(self.workers, moment.at);
        let stop = growth.stop(self.workers).filter(|_| !self.has_refused)?;
        self.has_refused = true;
        let reason = format!("staying with {}: {}", workers(self.workers), stop.why);
        Some(Decision {
            at_ms: moment.at.as_millis() as u64,
            was: self.workers,
            workers: self.workers,
            reason,
            held_back_by: Some(stop.kind),
            rows_per_s: Some(speed.rows_per_s),
        })
    }

    /// Lowers the number to a ceiling that came down.
    fn hold_back(&mut self, moment: &Moment, most: usize, ceiling: Ceiling) -> Decision {
        self.held_back = Some(self.workers.max(self.held_back.unwrap_or(0)));
        self.search.forget();
        let reason = format!("down to {}: {}", workers(most), ceiling.why);
        Decision { held_back_by: Some(ceiling.kind), ..self.set(moment.at, most, reason, None) }
    }

    /// Raises it again when the ceiling rose.
    fn restore(&mut self, moment: &Moment, most: usize) -> Option<Decision> {
        let before = self.held_back?;
        let back = before.min(most);
        if back <= self.workers {
            self.room_since = None;
            return None;
        }
        if moment.at.saturating_sub(*self.room_since.get_or_insert(moment.at)) < ROOM_FOR {
            return None;
        }
        self.held_back = Some(before).filter(|before| *before > back);
        self.search.forget();
        Some(self.set(moment.at, back, format!("the limit rose: back to {}", workers(back)), None))
    }

    /// Warns once that a fixed number is too high. It is not changed.
    fn warn_once(&mut self, moment: &Moment, ceiling: &Ceiling) -> Option<Decision> {
        if self.has_warned || ceiling.workers >= self.workers {
            return None;
        }
        self.has_warned = true;
        let reason = format!("workers = {} is kept, although {}", self.workers, ceiling.why);
        Some(self.set(moment.at, self.workers, reason, None))
    }

    fn set(&mut self, at: Duration, workers: usize, reason: String, speed: Option<Speed>) -> Decision {
        let was = std::mem::replace(&mut self.workers, workers);
        self.meter.restart(workers, at);
        self.changed = at;
        self.room_since = None;
        Decision {
            at_ms: at.as_millis() as u64,
            was,
            workers,
            reason,
            held_back_by: None,
            rows_per_s: speed.map(|s| s.rows_per_s),
        }
    }
}

/// The fewest workers there may be, the first number, and why.
fn first_number(situation: &Situation, hard: &Ceiling) -> (usize, usize, String) {
    let cores = Ceiling::of_cores(situation);
    let start = lowest(cores.into_iter().chain([hard.clone()])).unwrap_or_else(|| hard.clone());
    match situation.setting {
        Workers::Auto => {
            (1, start.workers, format!("starting with {}: {}", workers(start.workers), start.why))
        }
        Workers::Between(least, _) => {
            let least = least.min(situation.partitions.max(1));
            let first = start.workers.max(least);
            (least, first, format!("starting with {first} of workers = {}: {}", situation.setting, start.why))
        }
        Workers::Fixed(count) => {
            let count = count.min(situation.partitions).max(1);
            let warning =
                if count > hard.workers { format!(", although {}", hard.why) } else { String::new() };
            (count, count, format!("workers = {}{warning}", situation.setting))
        }
    }
}

/// How long the rest takes at this rate.
fn left_s(moment: &Moment, speed: Speed) -> f64 {
    let left = moment.totals.partitions.saturating_sub(moment.totals.ended);
    left as f64 * speed.partition_s / speed.workers.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{MachineLimits, MachineSample};

    type Change = fn(&mut Situation);

    fn quiet() -> Situation {
        Situation {
            setting: Workers::Auto,
            partitions: 100,
            limits: MachineLimits { cores: Some(16), cores_allowed: Some(8.0), ..MachineLimits::default() },
            machine: MachineSample {
                others_cores: Some(0.1),
                own_memory_bytes: Some(30_000_000),
                free_memory_bytes: Some(10_000_000_000),
                ..MachineSample::default()
            },
            sessions: None,
            store_is_local: Some(false),
            cpu_max: None,
            worker_memory_bytes: 100_000_000,
            others: OtherRunners::default(),
        }
    }

    #[test]
    fn a_number_is_being_found_where_there_is_one_to_find() {
        let is_searching = |change: Change| {
            let mut situation = quiet();
            change(&mut situation);
            Policy::new(&situation).0.is_searching()
        };
        assert!(is_searching(|_| ()));
        assert!(!is_searching(|run| run.setting = Workers::Fixed(4)));
        assert!(!is_searching(|run| run.partitions = 1));
    }

    fn first(change: impl FnOnce(&mut Situation)) -> (usize, String) {
        let mut situation = quiet();
        change(&mut situation);
        let (_, decision) = Policy::new(&situation);
        (decision.workers, decision.reason)
    }

    #[test]
    fn the_first_number_is_what_the_scarcest_thing_allows_and_says_what_that_is() {
        let cases: [(Change, usize, &str); 13] = [
            (|_| (), 8, "8 cores are allowed"),
            (|s| s.limits.cores_allowed = None, 16, "16 cores"),
            // The load of one's own run a minute ago.
            (|s| s.machine.load = Some(40.0), 8, "8 cores are allowed"),
            // A quarter of the eight is idle, and then less.
            (|s| s.machine.others_cores = Some(14.0), 8, "8 cores are allowed"),
            (|s| s.machine.others_cores = Some(14.1), 2, "other processes use 14.1 of 16 cores"),
            (
                |s| (s.limits.cores_allowed, s.machine.others_cores) = (None, Some(13.6)),
                3,
                "other processes use 13.6 of 16 cores",
            ),
            (|s| (s.limits.cores, s.limits.cores_allowed) = (Some(2), Some(1.5)), 2, "1.5 cores are allowed"),
            (|s| s.machine.others_cores = Some(40.0), 1, "other processes use 40.0 of 16 cores"),
            (|s| s.limits.cores_allowed = Some(0.5), 1, "0.5 cores are allowed"),
            (|s| s.cpu_max = Some(2.0), 2, "cpu_max = 2"),
            (|s| s.machine.free_memory_bytes = Some(350_000_000), 3, "350 MB free, 100 MB per worker"),
            (
                |s| s.sessions = Some((5, "store_sessions_max".to_owned())),
                4,
                "1 of 5 sessions (store_sessions_max)",
            ),
            (|s| s.partitions = 2, 2, "there are 2 partitions"),
        ];
        for (change, workers, why) in cases {
            let (decided, reason) = first(change);
            assert!(decided == workers && reason.contains(why), "{decided}: {reason}");
        }
    }

    #[test]
    fn of_one_session_none_is_kept_and_of_nothing_known_there_is_one_worker() {
        assert_eq!(first(|s| s.sessions = Some((1, String::new()))).0, 1);
        let nothing = |s: &mut Situation| {
            (s.limits, s.machine) = Default::default();
            s.partitions = 0;
        };
        assert_eq!(first(nothing).0, 1);
    }

    #[test]
    fn a_range_is_kept_to_whatever_stands_against_it() {
        let with = |setting: Workers, free: u64| {
            first(|s| (s.setting, s.machine.free_memory_bytes) = (setting, Some(free))).0
        };
        assert_eq!(with(Workers::Between(2, 6), u64::MAX / 2), 6);
        assert_eq!(with(Workers::Between(12, 20), u64::MAX / 2), 12);
        assert_eq!(with(Workers::Between(4, 6), 1), 4);
        assert_eq!(with(Workers::Fixed(9), 1), 9);
    }
}
