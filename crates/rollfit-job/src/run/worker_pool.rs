//! [`WorkerPool`]: the workers of a run, plain threads, started and retired during the run; and the watch over them, once a
//! second.
//!
//! Invariants: a retired worker finishes the partition in progress. As long as partitions are left there is a worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::Scope;
use std::time::Duration;

use super::monitor_loop::{MonitorLoop, SERVER_TIME};
use super::partition::{Runner, Tried};
use super::queue::{Next, Queue};
use super::{Outcome, RunReport, Spent, Try};
use crate::activity::{self, Activity, Lane, during};
use crate::features::FeatureEngine;
use crate::lock::{lock, unpoisoned};
use crate::partition::Partition;
use crate::pending::PendingRows;
use crate::store::StoreMonitor;
use crate::watch::Moment;
use crate::workers::{Finished, Policy, Situation};

/// How often the run is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// The workers of a run and what they work on.
pub(super) struct WorkerPool<'a> {
    runner: &'a Runner<'a>,
    queue: Queue,
    outcomes: Mutex<Vec<(Partition, Outcome)>>,
    pending: Mutex<Vec<(Partition, PendingRows)>>,
    /// Those that ended since the policy was last asked.
    finished: Mutex<Vec<Finished>>,
    wanted: AtomicUsize,
    /// Those at work, by number.
    lanes: Mutex<BTreeMap<usize, Arc<Lane>>>,
    /// Told when a worker leaves.
    left: Condvar,
    workers_max: AtomicUsize,
    store: MonitorLoop,
}

impl<'a> WorkerPool<'a> {
    pub(super) fn new(runner: &'a Runner<'a>, queue: Queue) -> Self {
        Self {
            runner,
            queue,
            outcomes: Mutex::default(),
            pending: Mutex::default(),
            finished: Mutex::default(),
            wanted: AtomicUsize::new(1),
            lanes: Mutex::default(),
            left: Condvar::new(),
            workers_max: AtomicUsize::new(0),
            store: MonitorLoop::default(),
        }
    }

    /// How every partition ended, in any order.
    pub(super) fn into_report(self) -> RunReport {
        RunReport {
            outcomes: unpoisoned(self.outcomes.into_inner()),
            pending: unpoisoned(self.pending.into_inner()),
            retries: self.runner.done.totals().retries,
            workers_max: self.workers_max.into_inner(),
            source_reads: self.runner.done.source_reads(),
            seen_held: self.runner.done.seen_held(),
            ..RunReport::default()
        }
    }

    /// Works until no partition is left or a stop is wanted.
    pub(super) fn work(&self) {
        let job = self.runner.job;
        // With those that it may help with, however few its own share has.
        let (policy, first) = Policy::new(&Situation::new(job, self.queue.len()));
        self.wanted.store(first.workers, Ordering::Relaxed);
        self.runner.observer.decided(&first);
        std::thread::scope(|scope| {
            if let Some(monitor) = job.sink.monitor() {
                let _ = std::thread::Builder::new()
                    .name("store monitor".to_owned())
                    .spawn_scoped(scope, move || self.monitor(monitor));
            } else if let Some(process) = job.sink.server_process()
                && let Err(cause) = job.machine.watch_server(&process)
            {
                self.unavailable(SERVER_TIME, &cause);
            }
            self.watch(scope, policy);
            self.store.end();
        });
    }

    /// Hires who is missing and looks at the run once a second, until all have left for good.
    fn watch<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, mut policy: Policy) {
        loop {
            self.spawn_missing(scope);
            let all_left = self.wait(PERIOD);
            let moment = Moment { is_searching: policy.is_searching(), ..self.moment() };
            self.runner.observer.sampled(&moment);
            if all_left && self.is_done() {
                return;
            }
            let finished = std::mem::take(&mut *lock(&self.finished));
            if let Some(decision) = policy.observe(&moment, &finished) {
                self.wanted.store(decision.workers.max(1), Ordering::Relaxed);
                self.runner.observer.decided(&decision);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.queue.len() == 0 || self.runner.stop.requested()
    }

    /// Starts the workers that are wanted and not there, no more than there are partitions left for.
    fn spawn_missing<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        let missing: Vec<usize> = {
            let lanes = lock(&self.lanes);
            (0..wanted).filter(|worker| !lanes.contains_key(worker)).collect()
        };
        for worker in missing.into_iter().take(self.queue.len()) {
            if self.is_done() {
                return;
            }
            let lane = Lane::new(worker);
            self.register(worker, &lane);
            let thread = std::thread::Builder::new().name(format!("worker {worker}"));
            let own_lane = Arc::clone(&lane);
            if thread.spawn_scoped(scope, move || self.work_as(worker, &own_lane)).is_err() {
                return self.run_inline(worker, &lane);
            }
        }
    }

    fn register(&self, worker: usize, lane: &Arc<Lane>) {
        let mut lanes = lock(&self.lanes);
        lanes.insert(worker, Arc::clone(lane));
        self.workers_max.fetch_max(lanes.len(), Ordering::Relaxed);
    }

    /// The system gives no more threads. Those there are do the work; without any, this one does.
    fn run_inline(&self, worker: usize, lane: &Arc<Lane>) {
        if lock(&self.lanes).len() == 1 {
            self.work_as(worker, lane);
        } else {
            self.retire(worker);
        }
    }

    /// Waits so long, or until no worker is left; whether none is.
    fn wait(&self, period: Duration) -> bool {
        let lanes = lock(&self.lanes);
        let waited = self.left.wait_timeout_while(lanes, period, |lanes| !lanes.is_empty());
        unpoisoned(waited).0.is_empty()
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.runner.started.elapsed(),
            workers_wanted: self.wanted.load(Ordering::Relaxed),
            is_searching: false,
            lanes: lock(&self.lanes).values().map(|lane| lane.state()).collect(),
            totals: self.runner.done.totals(),
            machine: self.runner.job.machine.sample(),
            store: self.store.latest(),
        }
    }

    /// Reports once what the store does not answer.
    fn monitor(&self, monitor: Box<dyn StoreMonitor>) {
        self.store.run(monitor, self.runner.job.machine, |what, cause| self.unavailable(what, cause));
    }

    fn unavailable(&self, what: &'static str, cause: &str) {
        self.runner.observer.unavailable(self.runner.started.elapsed(), what, cause);
    }

    fn work_as(&self, worker: usize, lane: &Arc<Lane>) {
        let _retire = RetireOnDrop { pool: self, worker };
        activity::start(Arc::clone(lane));
        let mut engine = FeatureEngine::new(self.runner.job.config);
        while worker < self.wanted.load(Ordering::Relaxed)
            && !self.runner.stop.requested()
            && let Some(next) = self.next()
        {
            lane.begin(Some(&next.partition));
            self.work_on(worker, next, &mut engine, lane);
            lane.begin(None);
            lane.hold(0);
        }
    }

    /// The next partition that there is something to do about, as far as is known without looking at it.
    fn next(&self) -> Option<Next> {
        loop {
            let next =
                self.queue.take(|others| during(Activity::Querying, || self.runner.to_help(others)))?;
            if next.was_held || !during(Activity::Querying, || self.runner.need_not_help(&next.partition)) {
                return Some(next);
            }
        }
    }

    fn work_on(&self, worker: usize, next: Next, engine: &mut FeatureEngine, lane: &Lane) {
        let Next { partition, was_held, may_wait } = next;
        let begun = self.runner.started.elapsed();
        if was_held && may_wait && during(Activity::Waiting, || self.runner.is_still_held(&partition)) {
            self.wait_for_holder();
            return self.queue.put_back(partition);
        }
        let Tried { outcome, pending, attempt } = self.runner.try_partition(worker, &partition, engine, lane);
        let is_held = matches!(outcome, Outcome::Held(_));
        if is_held {
            self.runner.done.sees_held(&partition);
        }
        let waits = may_wait && is_held;
        if waits {
            self.wait_for_holder();
        } else {
            self.runner.done.ended(&outcome);
        }
        let seen_held = self.runner.done.has_seen_held(&partition);
        let spent = Spent::new((begun, self.runner.started.elapsed()), activity::lap(), seen_held);
        lock(&self.finished).push(Finished {
            begun,
            ended: spent.ended,
            rows: written_rows(&outcome),
            cpu: Duration::from_micros(spent.cpu.total_us()),
        });
        let at = Try { worker, partition: &partition, attempt };
        match &outcome {
            Outcome::Held(holder) if waits => self.runner.observer.held(at, holder, &spent),
            _ => self.runner.observer.ended(at, &outcome, &spent),
        }
        if waits {
            self.queue.put_back(partition);
        } else {
            if let Some(pending) = pending {
                self.runner.observer.pending(at, &pending);
                lock(&self.pending).push((partition.clone(), pending));
            }
            lock(&self.outcomes).push((partition, outcome));
        }
    }

    /// Another runner has the partition: it may take a while. Not waited for while there are others to do.
    fn wait_for_holder(&self) {
        if let Some(pause) = self.queue.held_pause() {
            during(Activity::Waiting, || self.runner.stop.sleep(pause));
        }
    }

    fn retire(&self, worker: usize) {
        lock(&self.lanes).remove(&worker);
        self.left.notify_all();
    }
}

/// Strikes a worker off the list when it leaves, in whatever way: nobody is waited for who is not there.
struct RetireOnDrop<'a> {
    pool: &'a WorkerPool<'a>,
    worker: usize,
}

impl Drop for RetireOnDrop<'_> {
    fn drop(&mut self) {
        self.pool.retire(self.worker);
    }
}

fn written_rows(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Written { counts, .. } => counts.written_rows(),
        _ => 0,
    }
}
