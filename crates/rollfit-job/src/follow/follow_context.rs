//! [`FollowContext`]: what everybody who works on followed keys shares, and [`FollowWorker`]: what each has to itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{FollowEvent, FollowObserver};
use crate::Job;
use crate::activity::{self, Lane};
use crate::addition::Addition;
use crate::config::Boundary;
use crate::features::FeatureEngine;
use crate::lock::lock;
use crate::partition::Partition;
use crate::period::Period;
use crate::run::{Appended, Observer, Runner, Settled, Try};
use crate::selection::Selection;
use crate::stop_signal::StopSignal;
use crate::store::StoreError;

/// What is computed, from where to where, and who is told.
pub(super) struct FollowContext<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) stop: &'a StopSignal,
    pub(super) observer: &'a dyn FollowObserver,
    pub(super) only: &'a Selection,
    /// The partitions that were behind before, and weren't found to be up to date yet.
    pub(super) behind: Mutex<Vec<Partition>>,
    pub(super) runner: Runner<'a>,
}

/// Whoever works on one key after the other.
pub struct FollowWorker {
    worker: usize,
    engine: FeatureEngine,
    lane: Arc<Lane>,
}

/// A follower says what happens in its own words.
pub(super) struct NoObserver;

impl Observer for NoObserver {}

impl FollowWorker {
    /// The worker of this number.
    pub fn new(job: &Job<'_>, worker: usize) -> Self {
        Self { worker, engine: FeatureEngine::new(job.config), lane: Lane::new(worker) }
    }

    /// Counts what this thread does from now on as this worker's.
    pub(super) fn start(&self) {
        activity::start(Arc::clone(&self.lane));
    }

    /// Takes new memory: what a defect left of the old one isn't trusted.
    pub(super) fn renew(&mut self, job: &Job<'_>) {
        self.engine = FeatureEngine::new(job.config);
    }

    fn at<'p>(&self, partition: &'p Partition) -> Try<'p> {
        Try { worker: self.worker, partition, attempt: 1 }
    }
}

impl FollowContext<'_> {
    /// Checks a whole partition, and writes it where that is to be done.
    pub(super) fn settle(
        &self,
        worker: &mut FollowWorker,
        partition: &Partition,
    ) -> Result<Settled, StoreError> {
        let at = worker.at(partition);
        self.runner.settle(at, &mut worker.engine, &worker.lane)
    }

    /// Adds rows to a partition.
    pub(super) fn append(
        &self,
        worker: &mut FollowWorker,
        partition: &Partition,
        addition: &Addition,
    ) -> Result<Appended, StoreError> {
        let at = worker.at(partition);
        self.runner.append(at, addition, (&mut worker.engine, &worker.lane))
    }

    pub(super) fn tell(&self, event: FollowEvent) {
        self.observer.event(&event);
    }

    /// Notes that a partition is up to date. Returns whether it was behind before the start, and wasn't noted yet.
    pub(super) fn was_behind(&self, partition: &Partition) -> bool {
        lock(&self.behind).extract_if(.., |behind| behind == partition).count() > 0
    }

    /// How long somebody else may hold a partition before that is told.
    pub(super) fn held_max(&self) -> Duration {
        self.job.config.run.lock_wait
    }

    /// Whether windows of a partition reach into the one before it.
    pub(super) fn carries(&self) -> bool {
        self.job.config.boundary == Boundary::Carry
    }

    /// Whether a partition is one of those to follow.
    pub(super) fn allows(&self, partition: &Partition) -> bool {
        self.job.config.has_period(partition.period) && self.only.matches(partition)
    }

    /// Whether some partitions of a key are.
    pub(super) fn selects(&self, key: &str) -> bool {
        self.only.selects_key(key)
    }

    /// The last period of a key that is followed; none where there is none.
    pub(super) fn last_period(&self, key: &str) -> Option<Period> {
        let by = self.job.config.by;
        let last = [self.only.last_month(key, by), self.job.config.to].into_iter().flatten().min();
        last.map(|month| by.period_of(month))
    }
}
