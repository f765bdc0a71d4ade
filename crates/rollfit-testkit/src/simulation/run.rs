//! [`simulate`]: a run on a [`World`], from event to event of a virtual clock, with the real policy,
//! which gets once a virtual second what it gets in a real run.

use std::collections::VecDeque;
use std::time::Duration;

use rollfit_job::activity::{Activity, LaneState, Times, Trips};
use rollfit_job::config::Workers;
use rollfit_job::record::{Decision, PartitionOutcome, Record};
use rollfit_job::watch::{Moment, Totals};
use rollfit_job::workers::{Finished, OtherRunners, Policy, Situation};

use super::load::{Load, Speeds};
use super::plan::{self, Attempt, Need, Step};
use super::recording::{Neighbours, Recorder, partition};
use super::shares::{Others, Shares, Task};
use super::world::World;

/// What a simulated run did.
#[derive(Debug)]
pub struct Simulated {
    pub took_s: f64,
    pub record: Record,
    /// The most memory that was taken beyond what there is; 0 where all was well.
    pub memory_missing_bytes: u64,
    /// The core seconds that other processes wanted, and that they got.
    pub competing_wanted_s: f64,
    pub competing_got_s: f64,
}

/// How long a worker rests that found a partition held by another runner.
const HELD_PAUSE_S: f64 = 0.2;
/// The process without workers.
pub const BASE_BYTES: u64 = 30 << 20;
/// No run takes so long: the world makes no sense.
const LONGEST_S: u64 = 1_000_000;

/// Runs `world` with this number of workers.
pub fn simulate(world: &World, workers: Workers) -> Simulated {
    Run::new(world, workers, Shares::new(world, 1), Others::default()).run_out()
}

#[derive(Debug)]
struct Worker {
    number: usize,
    task: Option<Task>,
    attempt: u32,
    steps: VecDeque<Step>,
    /// What is left of the first step.
    left: f64,
    begun_s: f64,
    wall: [f64; Activity::ALL.len()],
    cpu: [f64; Activity::ALL.len()],
    trips: Trips,
    cpu_s: f64,
    is_connected: bool,
    has_session: bool,
    /// Whether it has decided to write the partition.
    writes: bool,
    /// Whether it leaves the partition to another runner for now.
    puts_back: bool,
}

pub(crate) struct Run<'a> {
    world: &'a World,
    shares: Shares,
    others: Others,
    policy: Policy,
    wanted: usize,
    now_s: f64,
    second: u64,
    held: VecDeque<Task>,
    workers: Vec<Worker>,
    sessions: usize,
    totals: Totals,
    /// The partitions that ended since the policy last ran.
    finished: Vec<Finished>,
    random: fastrand::Rng,
    recorder: Recorder,
    /// Processor time and bytes that the brakes have yet to allow.
    owed_cpu_until_s: f64,
    owed_bytes_until_s: f64,
    memory_missing_bytes: u64,
    competing_wanted_s: f64,
    competing_got_s: f64,
}

impl<'a> Run<'a> {
    pub(crate) fn new(world: &'a World, setting: Workers, shares: Shares, others: Others) -> Self {
        let recorder = Recorder::new(world, setting, BASE_BYTES);
        let partitions = shares.own(others.number);
        let sessions_max = others.sessions_each.or(world.store.sessions_max);
        let sessions = sessions_max.map(|most| (most, format!("the store allows {most} sessions")));
        let (policy, first) = Policy::new(&Situation {
            setting,
            partitions,
            limits: recorder.record.header.machine.clone(),
            machine: recorder.quiet_machine(world),
            sessions,
            store_is_local: Some(world.store.is_local),
            cpu_max: world.limits.cpu_max,
            worker_memory_bytes: world.job.guessed_worker_bytes,
            others: OtherRunners {
                count: others.count.unwrap_or(0) as usize,
                here: others.here as usize,
                phase: (others.number as f64 * 0.618).fract(),
            },
        });
        let random = shares.random(others.number);
        let mut run = Self {
            world,
            shares,
            others,
            policy,
            wanted: first.workers,
            now_s: 0.0,
            second: 0,
            held: VecDeque::new(),
            workers: Vec::new(),
            sessions: 0,
            totals: Totals { partitions: partitions as u64, ..Totals::default() },
            finished: Vec::new(),
            random,
            recorder,
            owed_cpu_until_s: 0.0,
            owed_bytes_until_s: 0.0,
            memory_missing_bytes: 0,
            competing_wanted_s: 0.0,
            competing_got_s: 0.0,
        };
        run.recorder.decided(first);
        run.spawn();
        run
    }

    fn run_out(mut self) -> Simulated {
        while !self.is_over() {
            let speeds = self.load().speeds(self.world, self.second);
            let took_s = self.next_event_s(&speeds);
            self.pass(took_s, &speeds, Neighbours::default());
            self.settle();
        }
        self.end_run()
    }

    /// Whether nobody works any more.
    pub(crate) fn is_over(&self) -> bool {
        self.workers.is_empty()
    }

    /// How many workers there are to be.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    pub(crate) fn rows_committed(&self) -> u64 {
        self.totals.rows_committed
    }

    /// Takes note of how many others there are now, and of the share of the sessions.
    pub(crate) fn meet(&mut self, others: Others) {
        self.others = others;
    }

    /// Does what is due now, and takes no time.
    pub(crate) fn settle(&mut self) {
        self.finish_steps();
        if self.now_s >= (self.second + 1) as f64 - 1e-9 && !self.is_over() {
            self.look();
        }
        assert!(self.second < LONGEST_S, "the run does not end: {:?}", self.world);
    }

    pub(crate) fn end_run(mut self) -> Simulated {
        self.totals.partitions -= self.shares.taken_by_others(self.others.number);
        self.sample();
        assert_eq!(self.totals.ended, self.totals.partitions, "work was lost: {:?}", self.world);
        let record = self.recorder.end(self.now_s, self.totals);
        Simulated {
            took_s: self.now_s,
            record,
            memory_missing_bytes: self.memory_missing_bytes,
            competing_wanted_s: self.competing_wanted_s,
            competing_got_s: self.competing_got_s,
        }
    }

    fn spawn(&mut self) {
        let is_there = |workers: &[Worker], number| workers.iter().any(|worker| worker.number == number);
        for number in 0..self.wanted {
            if !is_there(&self.workers, number)
                && let Some(task) = self.take()
            {
                let mut worker = Worker::new(number);
                self.begin(&mut worker, task);
                self.workers.push(worker);
            }
        }
    }

    fn look(&mut self) {
        self.second += 1;
        self.spawn();
        let moment = self.sample();
        if let Some(decision) = self.policy.observe(&moment, &std::mem::take(&mut self.finished)) {
            self.decide(decision);
        }
    }

    fn decide(&mut self, decision: Decision) {
        assert_eq!((decision.was, decision.workers > 0), (self.wanted, true), "{decision:?}");
        self.wanted = decision.workers;
        self.recorder.decided(decision);
        self.spawn();
    }

    fn sample(&mut self) -> Moment {
        self.totals.partitions -= self.shares.taken_by_others(self.others.number);
        let mut moment = self.recorder.sample(
            self.world,
            self.second,
            self.sessions,
            Moment {
                at: Duration::from_secs_f64(self.now_s),
                workers_wanted: self.wanted,
                lanes: self.workers.iter().map(|worker| worker.lane(self.world, self.now_s)).collect(),
                totals: self.totals,
                ..Moment::default()
            },
        );
        if let Some(store) = &mut moment.store {
            store.other_runners = self.others.count;
            store.own_sessions_max = self.others.sessions_each.map(|sessions| sessions as u32);
        }
        let all = self.world.machine.memory_bytes - self.world.machine.memory_of_others.at(self.second);
        let own = moment.machine.own_memory_bytes.unwrap();
        self.memory_missing_bytes = self.memory_missing_bytes.max(own.saturating_sub(all));
        moment
    }

    /// What its workers need now.
    pub(crate) fn load(&self) -> Load {
        let mut load = Load::default();
        self.workers.iter().for_each(|worker| load.add(worker.steps[0].need));
        load
    }

    /// How long it takes until something is due.
    pub(crate) fn next_event_s(&self, speeds: &Speeds) -> f64 {
        let ends = self.workers.iter().map(|worker| worker.left / speeds.of(worker.steps[0].need).max(1e-12));
        ends.fold((self.second + 1) as f64 - self.now_s, f64::min).max(0.0)
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, took_s: f64, speeds: &Speeds, neighbours: Neighbours) {
        let load = self.load();
        for worker in &mut self.workers {
            let Step { activity, need, .. } = worker.steps[0];
            let done = took_s * speeds.of(need);
            worker.left -= done;
            worker.wall[activity as usize] += took_s;
            if need == Need::Core {
                worker.cpu[activity as usize] += done;
                worker.cpu_s += done;
            }
        }
        self.recorder.pass(took_s, load, speeds, self.world, neighbours);
        self.competing_wanted_s += took_s * self.world.machine.competing.at(self.second);
        self.competing_got_s += took_s * speeds.competing;
        self.now_s += took_s;
    }

    fn finish_steps(&mut self) {
        let mut workers = std::mem::take(&mut self.workers);
        workers.retain_mut(|worker| self.get_on(worker));
        self.workers = workers;
    }

    /// Does what takes no time; whether the worker stays.
    fn get_on(&mut self, worker: &mut Worker) -> bool {
        loop {
            let step = worker.steps[0];
            match step.need {
                Need::Session if self.is_free() => {
                    self.sessions += 1;
                    worker.has_session = true;
                }
                Need::Session => {
                    worker.left = f64::INFINITY;
                    return true;
                }
                _ if worker.left > 1e-9 * step.amount.max(1e-3) => return true,
                _ => {}
            }
            self.done(worker, step);
            if worker.steps.is_empty() && !self.go_on(worker) {
                return false;
            }
            worker.left = worker.steps[0].amount;
        }
    }

    fn is_free(&self) -> bool {
        let most = self.others.sessions_each.or(self.world.store.sessions_max).unwrap_or(usize::MAX);
        self.sessions < if self.world.store.is_server && most > 1 { most - 1 } else { most }
    }

    /// Counts what a step handed over; the brakes may ask for a pause after it.
    fn done(&mut self, worker: &mut Worker, step: Step) {
        worker.steps.pop_front();
        self.totals.rows += step.rows;
        self.totals.bytes += step.bytes;
        worker.count(step, self.world);
        if step.fails {
            return self.fail(worker);
        }
        let owed_s = match step.need {
            Need::Core => owe(&mut self.owed_cpu_until_s, self.now_s, step.amount, self.world.limits.cpu_max),
            Need::Send => {
                let limit = self.world.limits.store_write_mb_per_s_max.map(|mb| mb * 1e6);
                owe(&mut self.owed_bytes_until_s, self.now_s, step.amount, limit)
            }
            _ => 0.0,
        };
        if owed_s > 0.0 {
            worker.rest(Activity::Throttled, owed_s);
        }
    }

    fn fail(&mut self, worker: &mut Worker) {
        let task = worker.task.unwrap();
        let pause_s = 0.2 * f64::from(1 << (worker.attempt - 1).min(7)) * (0.5 + 0.5 * self.random.f64());
        self.recorder.failed(self.now_s, worker.number, task.number, worker.attempt, pause_s);
        self.totals.retries += 1;
        worker.attempt += 1;
        self.release(worker);
        let attempt = self.attempt(worker, task.rows);
        worker.writes = false;
        worker.steps = plan::look(self.world, attempt);
        worker.rest(Activity::Pausing, pause_s);
    }

    /// The steps of a worker are done: what comes next. Whether there is anything.
    fn go_on(&mut self, worker: &mut Worker) -> bool {
        let Some(task) = worker.task else { return self.begin_another(worker) };
        if worker.puts_back {
            worker.puts_back = false;
            self.held.push_back(task);
            return self.begin_another(worker);
        }
        if !worker.writes && task.is_held && self.now_s < self.world.store.held_until_s {
            worker.puts_back = true;
            self.end(worker, task, PartitionOutcome::Held);
            worker.rest(Activity::Waiting, HELD_PAUSE_S);
            return true;
        }
        if !worker.writes {
            worker.writes = true;
            let attempt = self.attempt(worker, task.rows);
            worker.steps = plan::write(self.world, attempt);
            return true;
        }
        self.totals.written += 1;
        self.totals.rows_committed += task.rows;
        self.totals.ended += 1;
        self.end(worker, task, PartitionOutcome::Written);
        self.begin_another(worker)
    }

    fn attempt(&mut self, worker: &Worker, rows: u64) -> Attempt {
        Attempt {
            rows,
            connects: self.world.store.is_server && !worker.is_connected,
            is_locked: self.random.f64() < self.world.store.locked_share,
            fails: self.random.f64() < self.world.store.failing_share,
        }
    }

    fn end(&mut self, worker: &mut Worker, task: Task, outcome: PartitionOutcome) {
        let bytes = task.rows * self.world.job.bytes_per_row;
        let (rows, bytes) = if outcome == PartitionOutcome::Written { (task.rows, bytes) } else { (0, 0) };
        let ended = self.recorder.ended(self.now_s, task.number, outcome, rows, bytes);
        ended.begun_ms = (worker.begun_s * 1e3) as u64;
        (ended.worker, ended.attempt) = (worker.number, worker.attempt);
        (ended.wall_us, ended.cpu_us) = (times(&worker.wall), times(&worker.cpu));
        ended.trips = std::mem::take(&mut worker.trips);
        let time = Duration::from_secs_f64;
        let cpu = time(worker.cpu.iter().sum());
        (worker.wall, worker.cpu) = Default::default();
        self.finished.push(Finished { begun: time(worker.begun_s), ended: time(self.now_s), rows, cpu });
        self.release(worker);
    }

    fn release(&mut self, worker: &mut Worker) {
        self.sessions -= usize::from(worker.has_session);
        worker.has_session = false;
    }

    fn begin_another(&mut self, worker: &mut Worker) -> bool {
        worker.task = None;
        let task = if worker.number < self.wanted { self.take() } else { None };
        if let Some(task) = task {
            self.begin(worker, task);
        }
        task.is_some()
    }

    fn take(&mut self) -> Option<Task> {
        let own = self.shares.take_own(self.others.number).or_else(|| self.held.pop_front());
        own.or_else(|| {
            let task = self.shares.help(self.others.number)?;
            self.totals.partitions += 1;
            Some(task)
        })
    }

    fn begin(&mut self, worker: &mut Worker, task: Task) {
        let attempt = self.attempt(worker, task.rows);
        worker.task = Some(task);
        (worker.attempt, worker.writes, worker.begun_s) = (1, false, self.now_s);
        worker.steps = plan::look(self.world, attempt);
        worker.is_connected = true;
        worker.left = worker.steps[0].amount;
    }
}

impl Worker {
    fn new(number: usize) -> Self {
        Self {
            number,
            task: None,
            attempt: 1,
            steps: VecDeque::new(),
            left: 0.0,
            begun_s: 0.0,
            wall: Default::default(),
            cpu: Default::default(),
            trips: Trips::default(),
            cpu_s: 0.0,
            is_connected: false,
            has_session: false,
            writes: false,
            puts_back: false,
        }
    }

    /// Counts the round trips of a step.
    fn count(&mut self, step: Step, world: &World) {
        if step.trips > 0 {
            self.trips.count.add(step.activity, u64::from(step.trips));
            self.trips.sink_us = Some((world.store.question_ms * 1e3) as u64);
        }
    }

    fn rest(&mut self, activity: Activity, seconds: f64) {
        let step =
            Step { activity, need: Need::Time, amount: seconds, rows: 0, bytes: 0, trips: 0, fails: false };
        self.steps.push_front(step);
    }

    fn lane(&self, world: &World, now_s: f64) -> LaneState {
        let job = &world.job;
        let rows = self.task.map_or(0, |task| task.rows);
        LaneState {
            worker: self.number,
            activity: self.steps.front().map_or(Activity::Idle, |step| step.activity),
            partition: self.task.map(|task| partition(task.number)),
            since_ms: self.task.map_or(0, |_| ((now_s - self.begun_s) * 1e3) as u64),
            cpu_us: (self.cpu_s * 1e6) as u64,
            memory_bytes: job.worker_bytes + rows * job.worker_bytes_per_row,
            rows: if self.writes { rows } else { 0 },
            thread: self.number as i32 + 1,
        }
    }
}

/// How long to wait after an amount, where so much a second is allowed.
fn owe(until_s: &mut f64, now_s: f64, amount: f64, limit_per_s: Option<f64>) -> f64 {
    let Some(limit) = limit_per_s else { return 0.0 };
    *until_s = until_s.max(now_s) + amount / limit;
    *until_s - now_s
}

fn times(seconds: &[f64]) -> Times {
    let mut times = Times::default();
    for (activity, seconds) in Activity::ALL.into_iter().zip(seconds) {
        times.add(activity, (seconds * 1e6).round() as u64);
    }
    times
}
