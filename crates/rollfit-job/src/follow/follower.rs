//! [`Follower`]: the followed keys of a job. One thread asks the source what is new ([`Follower::poll`]); others work on the keys that
//! have news ([`Follower::work`]), one key each, so that none waits for another.
//!
//! Invariants: a key is in one pair of hands at a time. A store that is away is asked by one key alone; the others wait for it.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::follow_context::{FollowContext, FollowWorker, NoObserver};
use super::follow_queue::{FollowQueue, HeadsOfKey, KeyEntry};
use super::key_listing::KeyListing;
use super::open_partition::is_store_lost;
use super::{FollowEvent, FollowObserver, FollowOptions, KeyLag};
use crate::Job;
use crate::config::Keys;
use crate::lock::{lock, unpoisoned};
use crate::partition::Partition;
use crate::run::{RunOptions, Runner, bug};
use crate::stop_signal::StopSignal;
use crate::store::{SeriesOfKey, StoreError};

/// Keeps the open partitions of some keys up to date. Time is what its callers say: it counts from the start and never goes back.
pub struct Follower<'a> {
    context: FollowContext<'a>,
    queue: Mutex<FollowQueue>,
    /// Used by whoever polls.
    listing: Mutex<KeyListing>,
    /// Told when there is work, or no more.
    changed: Condvar,
}

impl<'a> Follower<'a> {
    /// A follower of the keys of `partitions`, and of others of the job that `options` selects. Which of their partitions are open, the
    /// source says.
    pub fn new(
        job: &'a Job<'a>,
        partitions: &[Partition],
        options: &'a FollowOptions,
        stop: &'a StopSignal,
        observer: &'a dyn FollowObserver,
    ) -> Self {
        let run_options = RunOptions { replace: options.replace.clone(), ..RunOptions::default() };
        let runner = Runner::new(job, &[], run_options, stop, &NoObserver).following(observer);
        let context = FollowContext {
            job,
            stop,
            observer,
            only: &options.only,
            behind: Mutex::new(options.behind.clone()),
            runner,
        };
        let mut keys: Vec<String> = partitions.iter().map(|partition| partition.key.clone()).collect();
        let run: HashSet<String> = keys.iter().cloned().collect();
        if let Keys::Listed(listed) = &job.config.keys {
            keys.extend(listed.iter().filter(|key| context.selects(key)).cloned());
        }
        let mut known = HashSet::new();
        keys.retain(|key| known.insert(key.clone()));
        let every = job.config.run.recheck_every;
        let share = every / u32::try_from(keys.len().max(1)).unwrap_or(u32::MAX);
        // Each at another time.
        let recheck_at = |at: usize| every - share * u32::try_from(at).unwrap_or(0);
        let entry = |(at, key): (usize, String)| {
            let is_late = !run.contains(&key);
            KeyEntry::new(key, recheck_at(at), is_late)
        };
        let entries = keys.into_iter().enumerate().map(entry);
        let queue = Mutex::new(FollowQueue::new(entries.collect()));
        let listing = Mutex::new(KeyListing::new(partitions));
        Self { queue, listing, context, changed: Condvar::new() }
    }

    /// Asks the source what is new, and puts the keys with news to work. Returns whether nothing is left to follow.
    pub fn poll(&self, now: Duration) -> bool {
        let asked = lock(&self.queue).to_ask(now);
        let ask = |asked: Vec<(usize, String)>| {
            let ask = AssertUnwindSafe(|| self.ask(&asked));
            std::panic::catch_unwind(ask).unwrap_or_else(|panic| Err(bug(panic.as_ref())))
        };
        match asked.map(ask) {
            Some(Ok(heads)) => self.note_heads(heads, now),
            Some(Err(error)) => self.note_absence(&error, now),
            None => {}
        }
        lock(&self.queue).is_over()
    }

    /// Puts the keys to work that have to be tried again, without asking the source; a store that is away is asked.
    pub fn retry(&self, now: Duration) {
        if lock(&self.queue).is_absent() {
            self.poll(now);
        } else {
            lock(&self.queue).queue_retries(now);
            self.changed.notify_all();
        }
    }

    /// Works on one key that has something to do. Returns whether there was one.
    pub fn work(&self, worker: &mut FollowWorker, now: Duration) -> bool {
        let Some(mut task) = lock(&self.queue).take() else { return false };
        let work = AssertUnwindSafe(|| task.followed.work(&self.context, worker, task.heads.clone(), now));
        let worked = std::panic::catch_unwind(work).unwrap_or_else(|panic| {
            worker.renew(self.context.job);
            Err(bug(panic.as_ref()))
        });
        let mut is_lost = false;
        match worked {
            Ok(()) => {}
            Err(error) if is_store_lost(&error) => {
                is_lost = true;
                task.followed.forget();
                self.note_absence(&error, now);
            }
            Err(error) => task.followed.fail(&self.context, &error, now),
        }
        if lock(&self.queue).put_back(task, is_lost, &self.context) {
            self.context.tell(FollowEvent::StoreBack);
        }
        true
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        lock(&self.queue).keys().len()
    }

    /// How far each key is behind.
    pub(super) fn lags(&self) -> Vec<KeyLag> {
        lock(&self.queue).lags()
    }

    /// Works until the follower ends. `now` tells the time.
    pub(super) fn work_on(&self, worker: &mut FollowWorker, now: impl Fn() -> Duration) {
        worker.start();
        while !self.context.stop.requested() && (self.work(worker, now()) || self.wait_for_work()) {}
    }

    /// Tells those who work that there is nothing more to do.
    pub(super) fn end(&self) {
        lock(&self.queue).end();
        self.changed.notify_all();
    }

    /// Waits a moment for work. Returns whether there may be any.
    fn wait_for_work(&self) -> bool {
        const MOMENT: Duration = Duration::from_millis(50);
        let queue = self.changed.wait_timeout_while(lock(&self.queue), MOMENT, |queue| queue.is_idle());
        !unpoisoned(queue).0.is_ended()
    }

    /// The heads of the series of some keys.
    fn ask(&self, asked: &[(usize, String)]) -> Result<Vec<HeadsOfKey>, StoreError> {
        let config = self.context.job.config;
        let series: Vec<SeriesOfKey<'_>> =
            asked.iter().flat_map(|(_, key)| config.series_of_key(key)).collect();
        let mut heads = self.context.job.source.heads(&series)?.into_iter();
        let of_key = |(at, _): &(usize, String)| HeadsOfKey {
            at: *at,
            heads: heads.by_ref().take(config.series.len()).collect(),
        };
        Ok(asked.iter().map(of_key).collect())
    }

    fn note_heads(&self, heads: Vec<HeadsOfKey>, now: Duration) {
        let (is_back, lags) = {
            let mut queue = lock(&self.queue);
            (queue.note_heads(heads, &self.context, now), queue.lags())
        };
        self.changed.notify_all();
        if is_back {
            self.context.tell(FollowEvent::StoreBack);
        }
        self.context.observer.looked(&lags);
        self.add_keys(now);
    }

    /// Follows the keys that have come since the source was last listed, where it is time to list it again. Those that are followed
    /// don't wait for that.
    fn add_keys(&self, now: Duration) {
        let mut listing = lock(&self.listing);
        if listing.is_due(&self.context, now) {
            let followed = lock(&self.queue).keys();
            let new_keys = listing.list(&self.context, &followed, now);
            lock(&self.queue).add_keys(new_keys, now + self.context.job.config.run.recheck_every);
        }
    }

    fn note_absence(&self, error: &StoreError, now: Duration) {
        if lock(&self.queue).note_absence(now) {
            self.context.tell(FollowEvent::StoreLost(crate::error_chain(error)));
        }
    }
}
