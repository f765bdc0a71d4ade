//! [`run_one`]: one partition of a job, on the thread that asks for it, for programs that decide themselves which comes next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::partition::{Runner, Tried};
use super::{Observer, Outcome, RunOptions, Spent, Try};
use crate::Job;
use crate::activity::{self, Activity, Lane, during};
use crate::features::FeatureEngine;
use crate::partition::Partition;
use crate::pending::PendingRows;
use crate::stop_signal::StopSignal;

/// How often a partition that another runner has is looked at.
const HELD_PAUSE: Duration = Duration::from_millis(200);

/// What came of one partition.
#[derive(Debug)]
pub struct OneRun {
    /// How it ended.
    pub outcome: Outcome,
    /// The rows that wait for another series, where the source was read.
    pub pending: Option<PendingRows>,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// How it spent its time, which begins with the call.
    pub spent: Spent,
    /// How often the source was read.
    pub source_reads: u64,
}

/// Does one partition on this thread, again where a fault may pass; one that another runner has is waited for at most `lock_wait_s`, and its
/// source is then read: that one may have read an older one.
pub fn run_one(
    job: &Job<'_>,
    partition: &Partition,
    options: &RunOptions,
    stop: &StopSignal,
    observer: &dyn Observer,
) -> OneRun {
    let runner = Runner::new(job, std::slice::from_ref(partition), options.clone(), stop, observer);
    let lane = Lane::new(0);
    activity::start(Arc::clone(&lane));
    lane.begin(Some(partition));
    let Tried { outcome, pending, attempt } = runner.settle_one(partition, &lane);
    let lap = activity::lap();
    let ended = runner.started.elapsed();
    let spent = Spent::new((Duration::ZERO, ended), lap, runner.done.has_seen_held(partition));
    let at = Try { worker: 0, partition, attempt };
    observer.ended(at, &outcome, &spent);
    if let Some(pending) = &pending {
        observer.pending(at, pending);
    }
    let retries = runner.done.totals().retries;
    OneRun { outcome, pending, retries, spent, source_reads: runner.done.source_reads() }
}

impl Runner<'_> {
    fn settle_one(&self, partition: &Partition, lane: &Lane) -> Tried {
        let mut engine = FeatureEngine::new(self.job.config);
        let lock_wait = self.job.config.run.lock_wait;
        let mut held_since: Option<Instant> = None;
        loop {
            let tried = self.try_partition(0, partition, &mut engine, lane);
            let is_held = matches!(tried.outcome, Outcome::Held(_));
            if !is_held || held_since.is_some_and(|since| since.elapsed() >= lock_wait) {
                return tried;
            }
            let since = *held_since.get_or_insert_with(Instant::now);
            while during(Activity::Waiting, || self.is_still_held(partition)) {
                if since.elapsed() >= lock_wait {
                    return tried;
                }
                during(Activity::Waiting, || self.stop.sleep(HELD_PAUSE));
                if self.stop.requested() {
                    return Tried { outcome: Outcome::Abandoned, ..tried };
                }
            }
        }
    }
}
