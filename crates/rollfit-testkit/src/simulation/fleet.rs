//! [`simulate_fleet`]: several runners on one simulated store, each with a policy of its own, on machines of their own or together
//! on one.

use rollfit_job::config::Workers;

use super::load::{Load, Speeds};
use super::plan::Need;
use super::recording::Neighbours;
use super::run::{Run, Simulated};
use super::shares::{Others, Shares};
use super::world::World;

/// Who works on the job.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    pub runners: usize,
    /// Whether they share one machine.
    pub is_together: bool,
    /// Whether the store tells each how many others there are.
    pub is_told: bool,
    /// How long after the one before each starts.
    pub apart_s: f64,
}

/// What they did together.
#[derive(Debug)]
pub struct SimulatedFleet {
    /// From the first start to the last end.
    pub took_s: f64,
    /// Each runner's run.
    pub runs: Vec<Simulated>,
    /// The workers of all of them, on average over the time in which all of them ran.
    pub workers_mean: f64,
    /// The rows that each wrote in that time.
    pub rows: Vec<u64>,
}

/// Runs `world` with these runners, each with this number of workers.
pub fn simulate_fleet(world: &World, fleet: Fleet, workers: Workers) -> SimulatedFleet {
    let mut running = Running {
        world,
        fleet,
        setting: workers,
        shares: Shares::new(world, fleet.runners),
        runs: Vec::new(),
        ended: Vec::new(),
        now_s: 0.0,
        workers_s: 0.0,
        whole_s: 0.0,
        rows: Vec::new(),
    };
    while running.step() {}
    running.ended.sort_by_key(|(number, _)| *number);
    SimulatedFleet {
        took_s: running.now_s,
        runs: running.ended.into_iter().map(|(_, run)| run).collect(),
        workers_mean: running.workers_s / running.whole_s.max(1e-9),
        rows: running.rows,
    }
}

struct Running<'a> {
    world: &'a World,
    fleet: Fleet,
    setting: Workers,
    shares: Shares,
    runs: Vec<(usize, Run<'a>)>,
    ended: Vec<(usize, Simulated)>,
    now_s: f64,
    /// Seconds of workers while all runners ran, and how long that was.
    workers_s: f64,
    whole_s: f64,
    rows: Vec<u64>,
}

impl Running<'_> {
    /// Goes on to the next event; whether there is one.
    fn step(&mut self) -> bool {
        self.start_due();
        if self.runs.is_empty() {
            return self.started() < self.fleet.runners;
        }
        let loads: Vec<Load> = self.runs.iter().map(|(_, run)| run.load()).collect();
        let all = loads.iter().copied().fold(Load::default(), |all, load| all + load);
        let speeds: Vec<Speeds> = loads.iter().map(|load| self.speeds(all, *load)).collect();
        let events = self.runs.iter().zip(&speeds).map(|((_, run), speeds)| run.next_event_s(speeds));
        let took_s = events.fold(self.next_start_s() - self.now_s, f64::min).max(0.0);
        let is_whole = self.runs.len() == self.fleet.runners;
        if is_whole {
            self.whole_s += took_s;
            self.workers_s += took_s * self.runs.iter().map(|(_, run)| run.wanted() as f64).sum::<f64>();
        }
        for (at, (_, run)) in self.runs.iter_mut().enumerate() {
            let neighbours = neighbours(self.fleet, &loads, &speeds, at);
            run.pass(took_s, &speeds[at], neighbours);
        }
        self.now_s += took_s;
        self.runs.iter_mut().for_each(|(_, run)| run.settle());
        if is_whole {
            self.rows = self.runs.iter().map(|(_, run)| run.rows_committed()).collect();
        }
        self.end_done();
        true
    }

    fn started(&self) -> usize {
        self.runs.len() + self.ended.len()
    }

    fn next_start_s(&self) -> f64 {
        let started = self.started();
        if started < self.fleet.runners { started as f64 * self.fleet.apart_s } else { f64::INFINITY }
    }

    fn start_due(&mut self) {
        if self.runs.is_empty() && self.started() < self.fleet.runners {
            self.now_s = self.now_s.max(self.next_start_s());
        }
        while self.next_start_s() <= self.now_s + 1e-9 {
            let number = self.started();
            let others = self.others(number, self.runs.len());
            let run = Run::new(self.world, self.setting, self.shares.clone(), others);
            self.runs.push((number, run));
            self.meet();
        }
    }

    /// Every runner is told how many others there are.
    fn meet(&mut self) {
        let count = self.runs.len() - 1;
        let others: Vec<Others> = self.runs.iter().map(|(number, _)| self.others(*number, count)).collect();
        self.runs.iter_mut().zip(others).for_each(|((_, run), others)| run.meet(others));
    }

    fn others(&self, number: usize, count: usize) -> Others {
        let here = if self.fleet.is_together && self.fleet.is_told { count as u32 } else { 0 };
        let sessions_each = self.world.store.sessions_max.map(|most| (most / (count + 1)).max(1));
        Others { number, count: self.fleet.is_told.then_some(count as u32), here, sessions_each }
    }

    fn end_done(&mut self) {
        let before = self.runs.len();
        let (over, runs) = std::mem::take(&mut self.runs).into_iter().partition(|(_, run)| run.is_over());
        self.runs = runs;
        let over: Vec<(usize, Run<'_>)> = over;
        self.ended.extend(over.into_iter().map(|(number, run)| (number, run.end_run())));
        if self.runs.len() < before && !self.runs.is_empty() {
            self.meet();
        }
    }

    /// How fast the steps of one runner get on: the store is everybody's, and so is the machine where they are together.
    fn speeds(&self, all: Load, load: Load) -> Speeds {
        let own = if self.fleet.is_together { all.own } else { load.own };
        Load { own, ..all }.speeds(self.world, self.now_s as u64)
    }
}

fn neighbours(fleet: Fleet, loads: &[Load], speeds: &[Speeds], at: usize) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for (_, (load, speeds)) in loads.iter().zip(speeds).enumerate().filter(|(other, _)| *other != at) {
        if fleet.is_together {
            neighbours.own += load.own as f64 * speeds.of(Need::Core);
            neighbours.own_threads += load.own as f64;
        }
        neighbours.server += load.server as f64 * speeds.of(Need::ServerCore);
        neighbours.server_threads += load.server as f64;
    }
    neighbours
}
