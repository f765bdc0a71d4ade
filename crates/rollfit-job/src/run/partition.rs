//! [`Runner`]: one partition after the other, on the thread of a worker; again where a fault may pass. What is done with a
//! partition is in [`settled`](super::settled).

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::done::Done;
use super::noted_marks::NotedMarks;
use super::throttle::Throttle;
use super::{Observer, OtherConfiguration, Outcome, RunOptions, Settled, Try};
use crate::Job;
use crate::activity::{Activity, Lane, during};
use crate::features::FeatureEngine;
use crate::follow::{FollowEvent, FollowObserver};
use crate::lock::lock;
use crate::partition::Partition;
use crate::pending::PendingRows;
use crate::receipt::Definition;
use crate::stop_signal::StopSignal;
use crate::store::{Fault, StoreError};

/// Since when every attempt has failed for a cause that may pass. A store that is down fails every partition: it is waited
/// for once, not once a partition.
#[derive(Default)]
pub(super) struct Outage {
    since: Mutex<Option<Instant>>,
}

impl Outage {
    /// Notes a failure; returns for how long there were only failures, nothing for the first.
    fn record_failure(&self) -> Option<Duration> {
        let mut since = lock(&self.since);
        let lasted = since.map(|since| since.elapsed());
        since.get_or_insert_with(Instant::now);
        lasted
    }

    fn clear(&self) {
        *lock(&self.since) = None;
    }
}

/// What came of the last attempt at a partition.
pub(super) struct Tried {
    pub(super) outcome: Outcome,
    /// The rows that wait for another series, where the source was read.
    pub(super) pending: Option<PendingRows>,
    /// The number of the attempt.
    pub(super) attempt: u32,
}

/// What every worker shares.
pub(crate) struct Runner<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) definition: Arc<Definition>,
    /// All partitions of a run, of whatever share; none of a follower, which comes to know them.
    pub(super) partitions: &'a [Partition],
    pub(super) options: RunOptions,
    /// The observer of a follower, which keeps the rows of each panel and waits for rows of partitions that have none; none in a run.
    pub(super) follower: Option<&'a dyn FollowObserver>,
    pub(super) stop: &'a StopSignal,
    pub(super) observer: &'a dyn Observer,
    pub(super) started: Instant,
    pub(super) outage: Outage,
    pub(super) done: Done,
    pub(super) noted: NotedMarks,
    pub(super) other_configuration: Mutex<Option<OtherConfiguration>>,
    pub(super) throttle: Throttle,
}

impl<'a> Runner<'a> {
    /// The runner of a job of these partitions, from now on.
    pub(crate) fn new(
        job: &'a Job<'a>,
        partitions: &'a [Partition],
        options: RunOptions,
        stop: &'a StopSignal,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            job,
            definition: Definition::from_config(job.config).into(),
            partitions,
            options,
            follower: None,
            stop,
            observer,
            started: Instant::now(),
            outage: Outage::default(),
            done: Done::default(),
            noted: NotedMarks::default(),
            other_configuration: Mutex::default(),
            throttle: Throttle::new(&job.config.run),
        }
    }

    /// The same for a follower, which tells its own observer what happens.
    pub(crate) fn following(self, observer: &'a dyn FollowObserver) -> Self {
        Self { follower: Some(observer), ..self }
    }

    pub(super) fn is_following(&self) -> bool {
        self.follower.is_some()
    }

    /// Tells that what readers find a partition by was missing, and was made. What comes of the partition doesn't show it.
    pub(super) fn tell_view_made(&self, at: Try<'_>, what: String) {
        match self.follower {
            Some(observer) => {
                observer.event(&FollowEvent::ViewMade { partition: at.partition.clone(), what });
            }
            None => self.observer.view_made(at, &what),
        }
    }

    pub(super) fn source_holder(&self, partition: &Partition) -> Result<Option<String>, StoreError> {
        self.job.source.holder(&self.job.config.series_of_key(&partition.key))
    }

    /// Does a partition, again while its faults are transient and attempts are left.
    pub(super) fn try_partition(
        &self,
        worker: usize,
        partition: &Partition,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Tried {
        let mut at = Try { worker, partition, attempt: 1 };
        loop {
            let error = match self.contain_panic(at, engine, lane) {
                Ok((outcome, pending)) => {
                    self.outage.clear();
                    return Tried { outcome, pending, attempt: at.attempt };
                }
                Err(error) => error,
            };
            let run = &self.job.config.run;
            let attempts = error.attempts_max().unwrap_or(run.attempts).min(run.attempts);
            if error.fault() != Fault::Transient || at.attempt >= attempts || self.stop.requested() {
                return failed(error, at.attempt);
            }
            let lasted = self.outage.record_failure();
            if lasted.is_some_and(|lasted| lasted > run.retry_for) {
                return failed(error, at.attempt);
            }
            let pause = retry_pause(at.attempt);
            self.done.retried();
            self.observer.retried(at, &error, pause, lasted.is_some());
            during(Activity::Pausing, || self.stop.sleep(pause));
            at.attempt += 1;
        }
    }

    /// Does a partition; a defect that panics fails this partition and not the others.
    fn contain_panic(
        &self,
        at: Try<'_>,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Result<(Outcome, Option<PendingRows>), StoreError> {
        let attempt = std::panic::AssertUnwindSafe(|| {
            let Settled { outcome, panel, .. } = self.settle(at, engine, lane)?;
            let pending = panel.and_then(|panel| panel.pending);
            let series = &self.job.config.series;
            Ok((outcome, pending.map(|pending| PendingRows::from_pending(&pending, series))))
        });
        std::panic::catch_unwind(attempt).unwrap_or_else(|panic| Err(bug(panic.as_ref())))
    }
}

fn failed(error: StoreError, attempt: u32) -> Tried {
    Tried { outcome: Outcome::Failed(error), pending: None, attempt }
}

/// What to say of a defect that panicked.
pub(crate) fn bug(panic: &(dyn Any + Send)) -> StoreError {
    let cause = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let cause = cause.unwrap_or("no message");
    StoreError::permanent(format!("a bug in rollfit stopped this partition; please report it: {cause}"))
}

/// How long to wait before the attempt after this one: doubled each time, and not the same for every worker, so that not all
/// come back at once.
fn retry_pause(attempt: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);
    let pause = FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST);
    pause.mul_f64(0.5 + 0.5 * fastrand::f64())
}
