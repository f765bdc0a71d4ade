//! [`run`]: does the partitions of a job on several workers. A failed partition does not stop the others; one that
//! another runner holds is tried again at the end.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Job;
use crate::features::FeatureEngine;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::plan::no_rows;
use crate::receipt::{Definition, Input, Receipt};
use crate::state::{Assessment, State};
use crate::stop::Stop;
use crate::store::{Claim, Fault, Found, Slot, StoreError};
use crate::workers::lock;

/// What a run may do beyond the missing and the input-changed.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// States that are replaced, of those usually left alone.
    pub replace: Vec<State>,
    /// Whether partitions that are done are written again.
    pub force: bool,
}

/// How a partition ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Features and receipt are committed.
    Written {
        /// The state it was in before.
        was: State,
        /// What was committed.
        receipt: Box<Receipt>,
        /// The bytes stored.
        bytes: u64,
    },
    /// There was nothing to do.
    AlreadyDone,
    /// It is left alone (promise 3).
    LeftAlone(Assessment),
    /// Another runner has it.
    Held(String),
    /// It failed, for the last time.
    Failed(StoreError),
    /// The run was stopped first; nothing of it is stored.
    Abandoned,
}

/// What a worker does with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reads the receipt and the source.
    Read,
    /// Computes features and hands them to the sink.
    Write,
    /// Makes them durable and visible.
    Commit,
}

impl Stage {
    /// The name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Write => "write",
            Stage::Commit => "commit",
        }
    }
}

/// One try at a partition.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// The worker, from 0.
    pub worker: usize,
    /// The partition.
    pub partition: &'a Partition,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// What a run tells while it goes on. Every method may be called from any worker.
pub trait Observer: Sync {
    /// A worker begins a stage of a partition.
    fn stage(&self, at: Try<'_>, stage: Stage);
    /// So many rows more of the partition are written.
    fn rows_written(&self, rows: u64);
    /// An attempt failed and is repeated after `pause`. `known` where an attempt failed before and nothing has succeeded
    /// since: most likely for the same cause.
    fn retried(&self, at: Try<'_>, error: &StoreError, pause: Duration, known: bool);
    /// A partition has ended, for now if it is [`Outcome::Held`].
    fn ended(&self, at: Try<'_>, outcome: &Outcome, took: Duration);
}

/// What a run did.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Every partition begun, with how it ended; not those still waited for when a stop was wanted.
    pub outcomes: Vec<(Partition, Outcome)>,
    /// Whether a stop was wanted before all were done.
    pub interrupted: bool,
    /// Attempts that failed and were repeated.
    pub retries: u64,
}

/// Does `partitions`.
pub fn run(
    job: &Job<'_>,
    partitions: &[Partition],
    options: &RunOptions,
    stop: &Stop,
    observer: &dyn Observer,
) -> RunReport {
    let queue = Queue::new(partitions, job.spec.run.lock_wait);
    let outcomes = Mutex::new(Vec::new());
    let runner = Runner {
        job,
        definition: Definition::of(job.spec),
        options,
        stop,
        observer,
        outage: Outage::default(),
        retries: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        for worker in 0..job.workers {
            let (runner, queue, outcomes) = (&runner, &queue, &outcomes);
            let thread = std::thread::Builder::new().name(format!("worker {worker}"));
            if thread.spawn_scoped(scope, move || runner.work(worker, queue, outcomes)).is_err() {
                // The system gives no more threads. Those there are do the work; without any, this one does.
                if worker == 0 {
                    runner.work(worker, queue, outcomes);
                }
                break;
            }
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    let interrupted = stop.is_wanted() && outcomes.len() < partitions.len()
        || outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Abandoned));
    RunReport { outcomes, interrupted, retries: runner.retries.into_inner() }
}

/// The partitions still to do: first those not yet tried, then those that another runner held.
struct Queue {
    waiting: Mutex<Waiting>,
    lock_wait: Duration,
}

#[derive(Default)]
struct Waiting {
    fresh: VecDeque<Partition>,
    held: VecDeque<Partition>,
    /// When the last fresh partition was taken: from then on held ones are waited for.
    held_since: Option<Instant>,
}

/// The next partition to do.
struct Next {
    partition: Partition,
    /// Whether another runner had it when it was tried before.
    was_held: bool,
    /// Whether it may be put back again if it still is: not after the wait is over.
    may_wait: bool,
}

impl Queue {
    fn new(partitions: &[Partition], lock_wait: Duration) -> Self {
        let fresh = partitions.iter().cloned().collect();
        Self { waiting: Mutex::new(Waiting { fresh, ..Waiting::default() }), lock_wait }
    }

    fn take(&self) -> Option<Next> {
        let mut waiting = lock(&self.waiting);
        if let Some(partition) = waiting.fresh.pop_front() {
            return Some(Next { partition, was_held: false, may_wait: true });
        }
        let held_since = *waiting.held_since.get_or_insert_with(Instant::now);
        let may_wait = held_since.elapsed() < self.lock_wait;
        waiting.held.pop_front().map(|partition| Next { partition, was_held: true, may_wait })
    }

    fn put_back(&self, partition: Partition) {
        lock(&self.waiting).held.push_back(partition);
    }
}

/// Since when every attempt has failed for a cause that may pass. A store that is down fails every partition: it is waited
/// for once, not once a partition.
#[derive(Default)]
struct Outage {
    since: Mutex<Option<Instant>>,
}

impl Outage {
    /// Notes a failure; returns for how long there were only failures, nothing for the first.
    fn goes_on(&self) -> Option<Duration> {
        let mut since = lock(&self.since);
        let lasted = since.map(|since| since.elapsed());
        since.get_or_insert_with(Instant::now);
        lasted
    }

    fn is_over(&self) {
        *lock(&self.since) = None;
    }
}

/// What to do with a partition.
enum Decision {
    /// Write it; it is in this state now.
    Write(State),
    /// Nothing.
    End(Outcome),
}

/// What every worker shares.
struct Runner<'a> {
    job: &'a Job<'a>,
    definition: Definition,
    options: &'a RunOptions,
    stop: &'a Stop,
    observer: &'a dyn Observer,
    outage: Outage,
    retries: AtomicU64,
}

impl Runner<'_> {
    fn work(&self, worker: usize, queue: &Queue, outcomes: &Mutex<Vec<(Partition, Outcome)>>) {
        const HELD_PAUSE: Duration = Duration::from_millis(200);
        let mut engine = FeatureEngine::new(self.job.spec);
        while !self.stop.is_wanted()
            && let Some(Next { partition, was_held, may_wait }) = queue.take()
        {
            let started = Instant::now();
            if was_held && self.is_still_held(&partition) && may_wait {
                queue.put_back(partition);
                self.stop.sleep(HELD_PAUSE);
                continue;
            }
            let (outcome, attempt) = self.try_partition(worker, &partition, &mut engine);
            self.observer.ended(Try { worker, partition: &partition, attempt }, &outcome, started.elapsed());
            if may_wait && matches!(outcome, Outcome::Held(_)) {
                queue.put_back(partition);
                self.stop.sleep(HELD_PAUSE);
            } else {
                lock(outcomes).push((partition, outcome));
            }
        }
    }

    /// Whether another runner has the partition now. Cheaper than reading its source to find out.
    fn is_still_held(&self, partition: &Partition) -> bool {
        matches!(self.job.sink.claim(partition), Ok(Claim::Held(_)))
    }

    /// Does a partition, again while its faults are transient and attempts are left. Returns the last attempt's number.
    fn try_partition(
        &self,
        worker: usize,
        partition: &Partition,
        engine: &mut FeatureEngine,
    ) -> (Outcome, u32) {
        let mut at = Try { worker, partition, attempt: 1 };
        loop {
            let error = match self.contain_panic(at, engine) {
                Ok(outcome) => {
                    self.outage.is_over();
                    return (outcome, at.attempt);
                }
                Err(error) => error,
            };
            let run = &self.job.spec.run;
            let attempts = error.attempts_max().unwrap_or(run.attempts).min(run.attempts);
            if error.fault() != Fault::Transient || at.attempt >= attempts || self.stop.is_wanted() {
                return (Outcome::Failed(error), at.attempt);
            }
            let lasted = self.outage.goes_on();
            if lasted.is_some_and(|lasted| lasted > run.retry_for) {
                return (Outcome::Failed(error), at.attempt);
            }
            let pause = retry_pause(at.attempt);
            self.retries.fetch_add(1, Ordering::Relaxed);
            self.observer.retried(at, &error, pause, lasted.is_some());
            self.stop.sleep(pause);
            at.attempt += 1;
        }
    }

    /// Does a partition; a defect that panics fails this partition and not the others.
    fn contain_panic(&self, at: Try<'_>, engine: &mut FeatureEngine) -> Result<Outcome, StoreError> {
        let attempt = std::panic::AssertUnwindSafe(|| self.do_partition(at, engine));
        std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
            let cause =
                panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            let cause = cause.unwrap_or("no message");
            Err(StoreError::permanent(format!(
                "a defect of rollfit stopped this partition, please report it: {cause}"
            )))
        })
    }

    fn do_partition(&self, at: Try<'_>, engine: &mut FeatureEngine) -> Result<Outcome, StoreError> {
        const LOOKS: usize = 5;
        for _ in 0..LOOKS {
            if let Some(outcome) = self.look_and_write(at, engine)? {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Held("another runner, which keeps changing it,".to_owned()))
    }

    /// Does a partition; nothing where another runner changed it between the look and the claim. That one may have seen a
    /// newer source than this one, which has to read it again, and does not while it holds the claim.
    fn look_and_write(&self, at: Try<'_>, engine: &mut FeatureEngine) -> Result<Option<Outcome>, StoreError> {
        self.observer.stage(at, Stage::Read);
        let panel = Panel::read(self.job.source, self.job.spec, at.partition)?;
        let input = Input::of(&panel);
        // Decided without a claim first: where there is nothing to do, not even a lock file is written.
        let found = self.job.sink.found(at.partition)?;
        let was = match self.decide(at.partition, &found, &input)? {
            Decision::Write(state) => state,
            Decision::End(outcome) => {
                self.job.sink.tidy(at.partition);
                return Ok(Some(outcome));
            }
        };
        let mut slot = match self.job.sink.claim(at.partition)? {
            Claim::Taken(slot) => slot,
            Claim::Held(holder) => return Ok(Some(Outcome::Held(holder))),
        };
        if slot.found()? != found {
            return Ok(None);
        }
        self.write(at, slot, engine, &panel, input, was).map(Some)
    }

    /// What to do with a partition whose sink holds `found` and whose source holds `input`.
    fn decide(&self, partition: &Partition, found: &Found, input: &Input) -> Result<Decision, StoreError> {
        let assessment = Assessment::of(found, &self.definition, input, &self.job.spec.run);
        match assessment.state {
            State::Missing if input.rows == 0 => {
                Err(StoreError::permanent(no_rows(self.job.spec, partition)))
            }
            state if self.is_to_write(&assessment, input) => Ok(Decision::Write(state)),
            State::Done => Ok(Decision::End(Outcome::AlreadyDone)),
            _ => Ok(Decision::End(Outcome::LeftAlone(assessment))),
        }
    }

    fn is_to_write(&self, assessment: &Assessment, input: &Input) -> bool {
        match assessment.state {
            State::Missing | State::InputChanged => true,
            State::Done => self.options.force,
            // An empty partition is never written: to be rid of the old features, drop them.
            State::DefinitionChanged | State::Foreign | State::Shrunk => {
                assessment.may_be_replaced(&self.options.replace) && input.rows > 0
            }
        }
    }

    fn write(
        &self,
        at: Try<'_>,
        mut slot: Box<dyn Slot + '_>,
        engine: &mut FeatureEngine,
        panel: &Panel,
        input: Input,
        was: State,
    ) -> Result<Outcome, StoreError> {
        self.observer.stage(at, Stage::Write);
        let rounding = slot.rounding();
        let grouping = self.job.sink.grouping();
        let written = engine.compute(panel, grouping, rounding.as_deref(), |tile| {
            if self.stop.is_abandoning() {
                return Err(None);
            }
            slot.write(tile).map_err(Some)?;
            if tile.first_column == 0 {
                self.observer.rows_written(tile.rows() as u64);
            }
            Ok(())
        });
        let stored = match written {
            Ok(stored) => stored,
            Err(Some(error)) => return Err(error),
            Err(None) => return Ok(Outcome::Abandoned),
        };
        let output = self.job.sink.output(at.partition);
        let receipt = Receipt { output, definition: self.definition.clone(), input, stored };
        if self.stop.is_abandoning() {
            return Ok(Outcome::Abandoned);
        }
        self.observer.stage(at, Stage::Commit);
        let bytes = slot.commit(&receipt)?;
        Ok(Outcome::Written { was, receipt: Box::new(receipt), bytes })
    }
}

/// How long to wait before the attempt after this one: doubled each time, and not the same for every worker, lest all
/// come back at once.
fn retry_pause(attempt: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);
    let pause = FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST);
    pause.mul_f64(0.5 + 0.5 * fastrand::f64())
}
