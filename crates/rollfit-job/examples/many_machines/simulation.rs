//! [`Simulation`]: runners on one store, step by step.

use std::collections::{HashSet, VecDeque};

use rollfit_job::runners::Shard;

use crate::conditions::{Conditions, MARKS_A_QUESTION};
use crate::events::{Event, Events, Lanes};

/// What the store has of a partition.
#[derive(Clone, Copy, PartialEq)]
enum Stored {
    Nothing,
    Held,
    Features,
}

/// What a worker is doing.
#[derive(Clone, Copy)]
enum Step {
    /// Its machine lists the job and notes marks; or it waits before it looks at what was held.
    Starting,
    Looking,
    Reading,
    Computing,
    Claiming,
    Writing,
    Committing,
    /// There is nothing left for it.
    Ended,
}

struct Worker {
    machine: u32,
    step: Step,
    partition: u32,
    /// How much more than the mean this partition is.
    size: f64,
    last_commit_ns: u64,
}

/// A runner: what it has still to look at.
struct Machine {
    /// First its share, then what it helps with; both in the plan's order from the place where it begins.
    fresh: VecDeque<u32>,
    /// What others had.
    held: VecDeque<u32>,
    /// When there was nothing but that left.
    held_since_ns: Option<u64>,
    /// The partitions that another runner was seen to have, or to have had while their source was read here.
    seen_held: HashSet<u32>,
    is_helping: bool,
    is_dead: bool,
    cores: Lanes,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The workers of each machine.
    pub(crate) workers: u32,
    pub(crate) written: u64,
    pub(crate) source_reads: u64,
    pub(crate) seen_held: u64,
    pub(crate) looks: u64,
    pub(crate) questions: u64,
    /// Partitions that a machine was at work on when it died.
    pub(crate) lost: u64,
    pub(crate) end_s: f64,
    /// The share of all workers' time that is after their last commit.
    pub(crate) idle_share: f64,
}

pub(crate) struct Simulation<'a> {
    conditions: &'a Conditions,
    stored: Vec<Stored>,
    machines: Vec<Machine>,
    workers: Vec<Worker>,
    store: Lanes,
    /// How many workers the store takes features from, or lets wait.
    writing: u32,
    events: Events,
    random: fastrand::Rng,
    counts: Counts,
    end_ns: u64,
}

impl<'a> Simulation<'a> {
    /// All machines at their start. A store that admits fewer workers than there are gives each machine as many, at least one; machines
    /// beyond that have none.
    pub(crate) fn new(conditions: &'a Conditions) -> Result<Self, String> {
        let machines = conditions.machines.min(conditions.sessions);
        let workers = conditions.workers.min(conditions.sessions / machines).max(1);
        let mut simulation = Self {
            conditions,
            stored: vec![Stored::Nothing; conditions.partitions as usize],
            machines: Vec::new(),
            workers: Vec::new(),
            store: Lanes::new(conditions.store_lanes),
            writing: 0,
            events: Events::default(),
            random: fastrand::Rng::with_seed(conditions.seed),
            counts: Counts { workers, ..Counts::default() },
            end_ns: 0,
        };
        for (machine, share) in shares(conditions)?.into_iter().take(machines as usize).enumerate() {
            simulation.add(machine as u32, share, workers);
        }
        Ok(simulation)
    }

    fn add(&mut self, machine: u32, share: VecDeque<u32>, workers: u32) {
        let cores = Lanes::new(self.conditions.cores);
        let is_helping = !self.conditions.shards;
        self.machines.push(Machine {
            fresh: share,
            held: VecDeque::new(),
            held_since_ns: None,
            seen_held: HashSet::new(),
            is_helping,
            is_dead: false,
            cores,
        });
        let starts_ns =
            ns(self.conditions.start_s * f64::from(self.conditions.partitions)) + self.ask_for_marks();
        for _ in 0..workers {
            let worker = Worker { machine, step: Step::Starting, partition: 0, size: 1.0, last_commit_ns: 0 };
            self.events.add(starts_ns, Event::Worker(self.workers.len() as u32));
            self.workers.push(worker);
        }
    }

    /// The marks of all partitions; what that takes.
    fn ask_for_marks(&mut self) -> u64 {
        let questions = u64::from(self.conditions.partitions.div_ceil(MARKS_A_QUESTION));
        self.counts.questions += questions;
        questions * ns(self.conditions.look_s)
    }

    pub(crate) fn run(mut self) -> Counts {
        while let Some((now_ns, event)) = self.events.next() {
            match event {
                Event::Worker(worker) => self.end_step(worker, now_ns),
                Event::Release(partition) => self.stored[partition as usize] = Stored::Nothing,
            }
        }
        let worked_ns: u64 = self.workers.iter().map(|worker| worker.last_commit_ns).sum();
        self.counts.end_s = self.end_ns as f64 / 1e9;
        self.counts.idle_share = 1.0 - worked_ns as f64 / (self.end_ns as f64 * self.workers.len() as f64);
        self.counts
    }

    /// A worker has done what it did; it begins with the next.
    fn end_step(&mut self, at: u32, now_ns: u64) {
        let Worker { machine, step, partition, .. } = self.workers[at as usize];
        if self.machines[machine as usize].is_dead {
            self.writing -= u32::from(matches!(step, Step::Writing));
            return;
        }
        let found = self.stored[partition as usize];
        match step {
            Step::Starting | Step::Ended => self.take_next(at, now_ns),
            Step::Looking => match found {
                Stored::Nothing => self.read(at, now_ns),
                Stored::Held => self.put_back(at, now_ns),
                Stored::Features => self.take_next(at, now_ns),
            },
            Step::Reading => self.wait(at, Step::Claiming, now_ns, self.conditions.claim_s),
            Step::Claiming => match found {
                Stored::Nothing => self.compute(at, now_ns),
                Stored::Held => self.put_back(at, now_ns),
                Stored::Features => {
                    self.sees_held(at);
                    self.take_next(at, now_ns);
                }
            },
            Step::Computing => self.write(at, now_ns),
            Step::Writing => {
                self.writing -= 1;
                self.wait(at, Step::Committing, now_ns, self.conditions.commit_s);
            }
            Step::Committing => self.commit(at, now_ns),
        }
    }

    /// The next partition of its machine: of the share, then of what nobody has, then of what others had.
    fn take_next(&mut self, at: u32, now_ns: u64) {
        let number = self.workers[at as usize].machine as usize;
        let machine = &mut self.machines[number];
        let (next, pause_ns) = match machine.fresh.pop_front() {
            Some(next) => (next, 0),
            None if !machine.is_helping => return self.help(at, now_ns),
            None => match machine.held.pop_front() {
                Some(next) => (next, held_pause_ns(*machine.held_since_ns.get_or_insert(now_ns), now_ns)),
                None => return self.workers[at as usize].step = Step::Ended,
            },
        };
        let size = (self.normal() * self.conditions.spread).exp();
        let worker = &mut self.workers[at as usize];
        (worker.partition, worker.size) = (next, size);
        self.counts.looks += 1;
        self.wait(at, Step::Looking, now_ns + pause_ns, self.conditions.look_s);
    }

    /// The own share is through: what has no mark is looked at next, backwards from where no other begins.
    fn help(&mut self, at: u32, now_ns: u64) {
        let takes_ns = self.ask_for_marks();
        let number = self.workers[at as usize].machine;
        let (count, first) = (self.conditions.partitions, begins_at(number, self.conditions.partitions));
        let from_there = (0..first).rev().chain((first..count).rev());
        let missing =
            from_there.filter(|&partition| self.stored[partition as usize] != Stored::Features).collect();
        let machine = &mut self.machines[number as usize];
        (machine.fresh, machine.is_helping) = (missing, true);
        self.workers[at as usize].step = Step::Starting;
        self.events.add(now_ns + takes_ns, Event::Worker(at));
    }

    fn put_back(&mut self, at: u32, now_ns: u64) {
        self.sees_held(at);
        let Worker { machine, partition, .. } = self.workers[at as usize];
        self.machines[machine as usize].held.push_back(partition);
        self.take_next(at, now_ns);
    }

    fn sees_held(&mut self, at: u32) {
        let Worker { machine, partition, .. } = self.workers[at as usize];
        let is_new = self.machines[machine as usize].seen_held.insert(partition);
        self.counts.seen_held += u64::from(is_new);
    }

    fn read(&mut self, at: u32, now_ns: u64) {
        self.counts.source_reads += 1;
        // Series are few bytes: they don't queue behind features, but are as much slower as the store is overloaded.
        let slower = (f64::from(self.writing) / f64::from(self.conditions.store_lanes)).max(1.0);
        let takes_s = self.conditions.store_read_s * self.workers[at as usize].size * slower;
        self.wait(at, Step::Reading, now_ns + ns(takes_s), self.conditions.read_s);
    }

    /// The partition is its own from now on.
    fn compute(&mut self, at: u32, now_ns: u64) {
        let Worker { machine, partition, size, .. } = self.workers[at as usize];
        self.stored[partition as usize] = Stored::Held;
        let machine = &mut self.machines[machine as usize];
        let done_ns = machine.cores.serve(now_ns, ns(self.conditions.compute_s * size));
        self.workers[at as usize].step = Step::Computing;
        self.events.add(done_ns, Event::Worker(at));
    }

    fn write(&mut self, at: u32, now_ns: u64) {
        let done_ns =
            self.store.serve(now_ns, ns(self.conditions.store_write_s * self.workers[at as usize].size));
        self.workers[at as usize].step = Step::Writing;
        self.writing += 1;
        self.events.add(done_ns, Event::Worker(at));
    }

    fn commit(&mut self, at: u32, now_ns: u64) {
        let worker = &mut self.workers[at as usize];
        worker.last_commit_ns = now_ns;
        self.stored[worker.partition as usize] = Stored::Features;
        self.counts.written += 1;
        self.end_ns = now_ns;
        if self.counts.written == u64::from(self.conditions.partitions / 2) {
            (0..self.conditions.deaths).for_each(|machine| self.die(machine, now_ns));
        }
        if !self.machines[self.workers[at as usize].machine as usize].is_dead {
            self.take_next(at, now_ns);
        }
    }

    /// A machine is gone; the store notices later.
    fn die(&mut self, number: u32, now_ns: u64) {
        self.machines[number as usize].is_dead = true;
        let released_ns = now_ns + ns(self.conditions.notice_s);
        for worker in self.workers.iter().filter(|worker| worker.machine == number) {
            match worker.step {
                Step::Computing | Step::Writing | Step::Committing
                    if self.stored[worker.partition as usize] == Stored::Held =>
                {
                    self.events.add(released_ns, Event::Release(worker.partition));
                    self.counts.lost += 1;
                }
                Step::Reading | Step::Claiming => self.counts.lost += 1,
                _ => {}
            }
        }
    }

    /// A wait of a round trip or more, which nothing but time ends.
    fn wait(&mut self, at: u32, step: Step, from_ns: u64, mean_s: f64) {
        let takes_s = mean_s * (self.normal() * self.conditions.spread).exp();
        self.counts.questions += 1;
        self.workers[at as usize].step = step;
        self.events.add(from_ns + ns(takes_s), Event::Worker(at));
    }

    /// A number of the standard normal distribution (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.random.f64().max(f64::MIN_POSITIVE), self.random.f64());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

/// How long a worker waits before it looks at a held partition again, as in a run: an eighth of the time that it has waited, within limits.
fn held_pause_ns(since_ns: u64, now_ns: u64) -> u64 {
    ((now_ns - since_ns) / 8).clamp(ns(0.2), ns(2.0))
}

/// What each machine begins with: its share by the hash of outputs, or the whole job from a place of its own.
fn shares(conditions: &Conditions) -> Result<Vec<VecDeque<u32>>, String> {
    let Conditions { partitions, machines, .. } = *conditions;
    if !conditions.shards {
        let from = |machine| begins_at(machine, partitions);
        return Ok((0..machines)
            .map(|machine| (from(machine)..partitions).chain(0..from(machine)).collect())
            .collect());
    }
    let mut shares = vec![VecDeque::new(); machines as usize];
    for partition in 0..partitions {
        let output = format!("key=k{:07}/month=2017-{:02}", partition / 12, partition % 12 + 1);
        let shard = Shard::owning(&output, u64::from(machines)).map_err(|error| error.to_string())?;
        shares[shard.index() as usize].push_back(partition);
    }
    Ok(shares)
}

/// Where in the plan a machine begins, by a hash of its name.
fn begins_at(machine: u32, partitions: u32) -> u32 {
    let hash = blake3::hash(format!("rollfit 1@machine-{machine}").as_bytes());
    let mut seed = [0; 8];
    seed.copy_from_slice(&hash.as_bytes()[..8]);
    (u64::from_le_bytes(seed) % u64::from(partitions)) as u32
}

/// Nanoseconds.
fn ns(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
