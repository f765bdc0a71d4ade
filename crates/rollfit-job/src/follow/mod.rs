//! [`follow`]: the open partitions of a job kept up to date while their source grows. [`FollowObserver`] is told what happens.

mod follow_context;
mod follow_queue;
mod followed_key;
mod follower;
mod held_rows;
mod key_listing;
mod known_partition;
mod late_key;
mod open_partition;
mod quiet_periods;
mod retry_state;
mod unopened_periods;

use std::time::{Duration, Instant};

pub use self::follow_context::FollowWorker;
pub use self::follower::Follower;
use crate::Job;
use crate::config::Workers;
use crate::join_loss::JoinLoss;
use crate::partition::Partition;
use crate::period::Period;
use crate::selection::Selection;
use crate::state::State;
use crate::stop_signal::StopSignal;
use crate::workers::workers_with_sessions;

/// How a source is followed.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// How often the source is asked whether there is something new.
    pub poll_interval: Duration,
    /// States that are replaced, of those usually skipped.
    pub replace: Vec<State>,
    /// The partitions that are followed, of those that the source will have; all of the job where it leaves out none.
    pub only: Selection,
    /// The partitions that were behind before: that they have caught up is told, once they are found to be as they should be.
    pub behind: Vec<Partition>,
}

/// Something that changed. What stays as it is isn't told again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FollowEvent {
    /// Rows were added to a partition.
    Appended {
        /// Which.
        partition: Partition,
        /// How many.
        rows: u64,
        /// The last of its instants now.
        last_us: Option<i64>,
        /// The bytes stored.
        bytes: u64,
    },
    /// A partition was written as a whole.
    Rewritten {
        /// Which.
        partition: Partition,
        /// The state it was in before.
        was: State,
        /// Why it was in that state, for people.
        cause: String,
        /// All its rows now.
        rows: u64,
        /// The bytes stored.
        bytes: u64,
        /// What the join lost, where that is more than `join_loss_max` and no receipt recorded it.
        join_loss: Option<JoinLoss>,
    },
    /// The join of a partition loses more than `join_loss_max`, and more than when it was last read as a whole.
    JoinLoss {
        /// Which.
        partition: Partition,
        /// What it loses.
        loss: JoinLoss,
    },
    /// What readers find the features of a partition by was missing, and was made.
    ViewMade {
        /// Which.
        partition: Partition,
        /// What was missing, for people.
        what: String,
    },
    /// A partition is open from now on that was not at the start.
    Opened(Partition),
    /// A key is followed from now on that had no rows at the start, and has periods that a follower doesn't write: a run does.
    Unwritten {
        /// The first of its partitions that is open.
        partition: Partition,
        /// The first period before it that has rows and no features.
        from: Period,
    },
    /// A partition is over, and isn't looked at any more.
    Closed(Partition),
    /// A partition cannot be kept up to date, and why. It is tried again.
    Behind {
        /// Which.
        partition: Partition,
        /// Why, for people.
        cause: String,
    },
    /// A key cannot be looked at, and why: none of its partitions is kept up to date. It is tried again.
    Waiting {
        /// Which.
        key: String,
        /// Why, for people.
        cause: String,
    },
    /// A partition that was behind is up to date again.
    CaughtUp(Partition),
    /// A key that could not be looked at is followed again.
    KeyCaughtUp {
        /// Which.
        key: String,
    },
    /// A store does not answer, and why. It is asked again.
    StoreLost(String),
    /// The store answers again.
    StoreBack,
}

/// How far the features of a key are behind its source.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyLag {
    /// The key.
    pub key: String,
    /// The latest instant of any series, in microseconds since 1970.
    pub source_us: Option<i64>,
    /// The latest instant with features.
    pub features_us: Option<i64>,
    /// The first instant after the last joined one; rows from there on wait for another series.
    pub pending_us: Option<i64>,
}

impl KeyLag {
    /// From the last instant with features to the last one of the source, in seconds of data time; none where one is unknown.
    pub fn lag_s(&self) -> Option<f64> {
        let (source_us, features_us) = (self.source_us?, self.features_us?);
        Some(source_us.saturating_sub(features_us).max(0) as f64 / 1e6)
    }
}

/// Observes a follower. Methods may be called from any thread.
pub trait FollowObserver: Sync {
    /// Something changed.
    fn event(&self, event: &FollowEvent);
    /// The source was asked; how far each key is behind.
    fn looked(&self, _lags: &[KeyLag]) {}
    /// The follower has ended; how far each key was then.
    fn ended(&self, _lags: &[KeyLag]) {}
}

/// Why a follower ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowEnd {
    /// It was asked to.
    Stopped,
    /// Every partition that was to be followed is over.
    NothingLeft,
}

/// How often it is looked whether something has to be tried again.
const RETRY_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows the source until `stop` says otherwise, or nothing is left to follow: keeps the newest partition of each key up to date, and
/// the one before until it has settled. The keys are those of `partitions`, which were run before, and what `options` selects. A
/// store that is away is waited for, however long.
pub fn follow(
    job: &Job<'_>,
    partitions: &[Partition],
    options: &FollowOptions,
    stop: &StopSignal,
    observer: &dyn FollowObserver,
) -> FollowEnd {
    let started = Instant::now();
    let follower = &Follower::new(job, partitions, options, stop, observer);
    std::thread::scope(|scope| {
        let _end = EndOfWork(follower);
        let mut threads = 0;
        for number in 0..workers(job, follower.keys()) {
            let thread = std::thread::Builder::new().name(format!("worker {number}"));
            let work = move || follower.work_on(&mut FollowWorker::new(job, number), || started.elapsed());
            threads += usize::from(thread.spawn_scoped(scope, work).is_ok());
        }
        // The system may give no more threads: then this one does the work.
        let mut own_worker = (threads == 0).then(|| FollowWorker::new(job, 0));
        let mut poll_at = Duration::ZERO;
        let mut is_over = false;
        while !is_over && !stop.requested() {
            let now = started.elapsed();
            if now >= poll_at {
                poll_at = now + options.poll_interval;
                is_over = follower.poll(now);
            } else {
                follower.retry(now);
            }
            if let Some(worker) = &mut own_worker {
                while !stop.requested() && follower.work(worker, started.elapsed()) {}
            }
            stop.sleep(poll_at.saturating_sub(started.elapsed()).min(RETRY_LOOK_EVERY));
        }
    });
    observer.ended(&follower.lags());
    if stop.requested() { FollowEnd::Stopped } else { FollowEnd::NothingLeft }
}

/// Lets those who work on keys end when it is dropped, also by a panic: nobody would wait for them otherwise.
struct EndOfWork<'a>(&'a Follower<'a>);

impl Drop for EndOfWork<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// How many work on keys. They wait for the store more than they compute; and while one waits for long, another goes on.
fn workers(job: &Job<'_>, keys: usize) -> usize {
    let sessions = job.sink.sessions().map_or(usize::MAX, |(sessions, _)| workers_with_sessions(sessions));
    let wanted = match job.workers {
        Workers::Auto => 2 * Workers::Auto.count(usize::MAX),
        workers => workers.count(keys.max(1)),
    };
    wanted.max(2).min(sessions)
}
