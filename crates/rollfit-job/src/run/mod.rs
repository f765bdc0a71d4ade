//! [`run`]: does the partitions of a job on several workers. A failed partition does not stop the others; one that
//! another runner holds is tried again at the end.

mod done;
mod monitor_loop;
mod order;
mod partition;
mod queue;
mod throttle;
mod worker_pool;

use std::time::{Duration, Instant};

use self::done::Done;
use self::partition::{Outage, Runner};
use self::queue::Queue;
use self::throttle::Throttle;
use self::worker_pool::WorkerPool;
use crate::Job;
use crate::activity::Times;
use crate::join_loss::JoinLoss;
use crate::partition::Partition;
use crate::receipt::{Definition, NoValue, Receipt};
use crate::record::Decision;
use crate::state::{Assessment, State};
use crate::stop_signal::StopSignal;
use crate::store::StoreError;
use crate::watch::Moment;

/// What a run may do beyond the missing and the input-changed.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// States that are replaced, of those usually skipped.
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
        /// What was committed, in numbers.
        counts: WrittenCounts,
        /// The bytes stored.
        bytes: u64,
        /// What the join lost, where that is more than `join_loss_max` and no receipt recorded it.
        join_loss: Option<JoinLoss>,
    },
    /// There was nothing to do.
    AlreadyDone,
    /// It is skipped (promise 3).
    LeftAlone(Assessment),
    /// Another runner writes it.
    Held(String),
    /// It failed, for the last time.
    Failed(StoreError),
    /// The run was stopped first; nothing of it is stored.
    Abandoned,
}

/// The rows of a partition that was written. A run keeps these of every partition, and so no receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenCounts {
    /// Rows of features.
    pub rows: u64,
    /// Joined rows before the partition that its windows reached.
    pub lookback_rows: u64,
    /// Rows of a series that another series lacks, of all series.
    pub lost_rows: u64,
    /// Features without a value, by cause.
    pub no_value: NoValue,
}

impl WrittenCounts {
    fn from_receipt(receipt: &Receipt) -> Self {
        Self {
            rows: receipt.stored.rows,
            lookback_rows: receipt.input.lookback_rows,
            lost_rows: receipt.input.lost_rows.iter().sum(),
            no_value: receipt.stored.no_value,
        }
    }
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

/// How an attempt at a partition, or several, spent its time.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// When the partition started, since the start of the run.
    pub begun: Duration,
    /// When it ended.
    pub ended: Duration,
    /// How long each activity took.
    pub wall: Times,
    /// The processor time of each.
    pub cpu: Times,
}

/// Observes a run in progress. Every method may be called from any worker.
pub trait Observer: Sync {
    /// A worker starts a stage of a partition.
    fn stage(&self, _at: Try<'_>, _stage: Stage) {}
    /// An attempt failed and is repeated after `pause`. `known` where an attempt failed before and nothing has succeeded
    /// since: most likely for the same cause.
    fn retried(&self, _at: Try<'_>, _error: &StoreError, _pause: Duration, _known: bool) {}
    /// A partition has ended, for now if it is [`Outcome::Held`].
    fn ended(&self, _at: Try<'_>, _outcome: &Outcome, _spent: &Spent) {}
    /// The number of workers was set.
    fn decided(&self, _decision: &Decision) {}
    /// A figure of machine or store is unavailable; reported once.
    fn unavailable(&self, _at: Duration, _what: &str, _cause: &str) {}
    /// The run as it is now, once a second and at the end.
    fn sampled(&self, _moment: &Moment) {}
}

/// What a run did.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Every partition that started, with how it ended; not those still waited for at a stop.
    pub outcomes: Vec<(Partition, Outcome)>,
    /// Whether a stop was wanted before all were done.
    pub interrupted: bool,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// The most workers there were at once.
    pub workers_max: usize,
}

/// Does `partitions`.
pub fn run(
    job: &Job<'_>,
    partitions: &[Partition],
    options: &RunOptions,
    stop: &StopSignal,
    observer: &dyn Observer,
) -> RunReport {
    let started = Instant::now();
    let runner = Runner {
        job,
        definition: Definition::from_config(job.config).into(),
        options,
        stop,
        observer,
        started,
        outage: Outage::default(),
        done: Done::new(partitions.len()),
        throttle: Throttle::new(&job.config.run),
    };
    let pool = WorkerPool::new(&runner, Queue::new(order::sorted(job, partitions), job.config.run.lock_wait));
    pool.work();
    let (mut outcomes, workers_max) = pool.into_outcomes();
    outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    let interrupted = stop.requested() && outcomes.len() < partitions.len()
        || outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Abandoned));
    RunReport { outcomes, interrupted, retries: runner.done.totals().retries, workers_max }
}
