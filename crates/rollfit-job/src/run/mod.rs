//! [`run`]: does the partitions of a job on several workers, beside other runners on the same store. A failed partition does not stop the
//! others; one that another runner holds is tried again at the end.
//!
//! Invariants: runners know of each other only through the store. A runner that has a share of the job does that first, and then what is
//! missing of the others; how these end says nothing about its own.

mod done;
mod first_look;
mod monitor_loop;
mod noted_marks;
mod one;
mod order;
mod partition;
mod queue;
mod settled;
mod shares;
mod throttle;
mod worker_pool;

use std::time::Duration;

pub use self::one::{OneRun, run_one};
pub(crate) use self::partition::{Runner, bug};
use self::queue::Queue;
pub(crate) use self::settled::{Appended, Settled};
pub use self::shares::OtherShares;
use self::shares::{Shares, is_own};
use self::worker_pool::WorkerPool;
use crate::Job;
use crate::activity::{Lap, Times, Trips};
use crate::join_loss::JoinLoss;
use crate::lock::lock;
use crate::partition::Partition;
use crate::pending::PendingRows;
use crate::receipt::{NoValue, Receipt, Stored};
use crate::record::Decision;
use crate::state::{Assessment, State};
use crate::stop_signal::StopSignal;
use crate::store::{Found, StoreError};
use crate::watch::Moment;

/// What a run may do beyond the states that are due.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// States that are replaced, of those usually skipped.
    pub replace: Vec<State>,
    /// Whether partitions that are done are written again.
    pub force: bool,
    /// Whether a runner stops after its own share of the job, in place of helping with what is missing of the others.
    pub no_help: bool,
}

impl RunOptions {
    /// Whether a run writes a partition of which the source has `rows`. An empty one is never replaced: to be rid of the old features,
    /// drop them.
    pub(crate) fn writes(&self, assessment: &Assessment, rows: u64) -> bool {
        match assessment.state {
            State::Missing | State::Grown | State::InputChanged => true,
            State::Done => self.force,
            State::DefinitionChanged | State::Foreign | State::Shrunk => {
                assessment.may_be_replaced(&self.replace) && rows > 0
            }
            State::Empty | State::Blocked | State::Newer => false,
        }
    }

    /// What was found. Damaged features are an error, and count as none where they are to be computed again.
    pub(crate) fn unless_damaged(&self, found: Result<Found, StoreError>) -> Result<Found, StoreError> {
        match found {
            Err(error) if error.is_damage() && self.force => Ok(Found::Nothing),
            found => found,
        }
    }
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
    /// Another runner of the same definition has written it since this run began, and had not begun with it before. Its source was not
    /// read again.
    WrittenByOther,
    /// It is in another share and has features, which the runner of that share compares with the source.
    Unchecked,
    /// No row is joined yet, and there is nothing to store.
    Waiting,
    /// There are no features, and no series has a row.
    Empty,
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
    /// Rows of features that the partition has now.
    pub rows: u64,
    /// How many of them were added to those that were there; none where all were written.
    pub added_rows: Option<u64>,
    /// The last instant that has features now.
    pub last_us: Option<i64>,
    /// Joined rows before the partition that its windows reached.
    pub lookback_rows: u64,
    /// Rows of a series that another series lacks, of all series; where rows were added, those lost since.
    pub lost_rows: u64,
    /// Features without a value, by cause, of the rows written.
    pub no_value: NoValue,
}

impl WrittenCounts {
    fn from_receipt(receipt: &Receipt) -> Self {
        Self {
            rows: receipt.stored.rows,
            added_rows: None,
            last_us: receipt.input.last_us,
            lookback_rows: receipt.input.lookback_rows,
            lost_rows: lost_rows(receipt),
            no_value: receipt.stored.no_value,
        }
    }

    /// Of rows that were stored as `added` says, after those of another receipt.
    fn from_addition(receipt: &Receipt, after: &Receipt, added: &Stored) -> Self {
        Self {
            added_rows: Some(added.rows),
            lost_rows: lost_rows(receipt).saturating_sub(lost_rows(after)),
            no_value: added.no_value,
            ..Self::from_receipt(receipt)
        }
    }

    /// The rows of features that were written.
    pub fn written_rows(&self) -> u64 {
        self.added_rows.unwrap_or(self.rows)
    }
}

fn lost_rows(receipt: &Receipt) -> u64 {
    receipt.input.lost_rows.iter().fold(0, |sum, &lost| sum.saturating_add(lost))
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
#[derive(Clone, Debug)]
pub struct Spent {
    /// When the partition started, since the start of the run.
    pub begun: Duration,
    /// When it ended.
    pub ended: Duration,
    /// How long each activity took.
    pub wall: Times,
    /// The processor time of each.
    pub cpu: Times,
    /// The round trips to source and sink.
    pub trips: Trips,
    /// Who last held a lock that was waited for, where that is known.
    pub locked_by: Option<String>,
    /// How often its source was read.
    pub source_reads: u32,
    /// Whether another runner was seen to have it, now or before, or to have had it while its source was read here.
    pub seen_held: bool,
}

impl Spent {
    /// What a worker's lap says of a partition that it began and ended then.
    fn new((begun, ended): (Duration, Duration), lap: Lap, seen_held: bool) -> Self {
        let Lap { wall, cpu, trips, locked_by, source_reads } = lap;
        Self { begun, ended, wall, cpu, trips, locked_by, source_reads, seen_held }
    }
}

/// Observes a run in progress. Every method may be called from any worker.
pub trait Observer: Sync {
    /// A worker starts a stage of a partition.
    fn stage(&self, _at: Try<'_>, _stage: Stage) {}
    /// An attempt failed and is repeated after `pause`. `known` where an attempt failed before and nothing has succeeded
    /// since: most likely for the same cause.
    fn retried(&self, _at: Try<'_>, _error: &StoreError, _pause: Duration, _known: bool) {}
    /// A store that can add rows cannot add them to a partition, and why; all of it is written.
    fn rewritten(&self, _at: Try<'_>, _why: &str) {}
    /// What readers find the features of a partition by was missing (`what`, for people), and was made. Its rows are as they were.
    fn view_made(&self, _at: Try<'_>, _what: &str) {}
    /// Rows of a partition that has ended wait for another series.
    fn pending(&self, _at: Try<'_>, _pending: &PendingRows) {}
    /// Another runner has a partition, which is tried again later. Told as its end unless an observer tells the two apart.
    fn held(&self, at: Try<'_>, holder: &str, spent: &Spent) {
        self.ended(at, &Outcome::Held(holder.to_owned()), spent);
    }
    /// A partition has ended; for good, unless [`Observer::held`] passes it on.
    fn ended(&self, _at: Try<'_>, _outcome: &Outcome, _spent: &Spent) {}
    /// The number of workers was set.
    fn decided(&self, _decision: &Decision) {}
    /// A figure of machine or store is unavailable; reported once.
    fn unavailable(&self, _at: Duration, _what: &str, _cause: &str) {}
    /// The run as it is now, once a second and at the end.
    fn sampled(&self, _moment: &Moment) {}
}

/// A runner with another configuration that is at work on the same partitions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OtherConfiguration {
    /// A partition that it has written since this run began.
    pub partition: Partition,
    /// How that differs from what this run computes, for people.
    pub difference: String,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Every partition of the own share that started, with how it ended; not those still waited for at a stop. Without a share all
    /// partitions are the runner's own.
    pub outcomes: Vec<(Partition, Outcome)>,
    /// How many partitions the own share has.
    pub own_partitions: usize,
    /// What became of the other shares; none where the job is not divided.
    pub other_shares: Option<OtherShares>,
    /// The partitions of which rows wait for another series.
    pub pending: Vec<(Partition, PendingRows)>,
    /// Whether a stop was wanted before the own share was done.
    pub interrupted: bool,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// The most workers there were at once.
    pub workers_max: usize,
    /// How often the source of a partition was read.
    pub source_reads: u64,
    /// The partitions that another runner was seen to have, or to have had while their source was read here. Over all runners of a job of
    /// which nothing is stored, sources are read at most as often as there are partitions and partitions seen so.
    pub seen_held: u64,
    /// That a runner with another configuration is at work on this job, which ends a run: what it has in progress is finished. None where none
    /// was seen.
    pub other_configuration: Option<OtherConfiguration>,
}

/// Does `partitions`: those of the own share where the configuration has one, then those that are missing of the others. Requests a stop itself
/// where another configuration is at work on them.
pub fn run(
    job: &Job<'_>,
    partitions: &[Partition],
    options: &RunOptions,
    stop: &StopSignal,
    observer: &dyn Observer,
) -> RunReport {
    let runner = Runner::new(job, partitions, options.clone(), stop, observer);
    let Shares { own, others } = Shares::new(job, partitions);
    let own_partitions = own.len();
    runner.done.takes_on(own_partitions);
    let helped = if options.no_help { Vec::new() } else { others.clone() };
    let pool =
        WorkerPool::new(&runner, Queue::new(order::sorted(job, own), helped, job.config.run.lock_wait));
    pool.work();
    let mut report = RunReport { own_partitions, ..pool.into_report() };
    report.outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    report.pending.sort_by(|(a, _), (b, _)| a.cmp(b));
    if job.config.run.shard.is_some() {
        let (own, helped) = report.outcomes.into_iter().partition(|(partition, _)| is_own(job, partition));
        report.outcomes = own;
        report.other_shares = Some(runner.other_shares(&others, helped));
    }
    report.other_configuration.clone_from(&lock(&runner.other_configuration));
    let outcomes = &report.outcomes;
    report.interrupted = stop.requested() && outcomes.len() < own_partitions
        || outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Abandoned));
    report
}
