//! [`FollowQueue`]: which keys are followed, which of them have something to do, and whether the stores are there.
//!
//! Invariants: a key is on the queue or in one pair of hands. While a store is away one key at a time is worked on.

use std::collections::VecDeque;
use std::time::Duration;

use super::KeyLag;
use super::follow_context::FollowContext;
use super::followed_key::FollowedKey;
use super::retry_state::doubled;
use crate::store::{SeriesHead, StoreError};

/// What there is to do, and for which keys.
pub(super) struct FollowQueue {
    entries: Vec<KeyEntry>,
    /// Keys with something to do, by number.
    waiting: VecDeque<usize>,
    absence: Option<StoreAway>,
    /// When the source is next asked for new keys.
    list_at: Duration,
    is_ended: bool,
}

/// A key on the queue.
pub(super) struct KeyEntry {
    key: String,
    /// What is known of it; none while somebody works on it.
    idle: Option<Box<FollowedKey>>,
    is_queued: bool,
    /// Whether nothing that is known of it holds any more.
    is_stale: bool,
    heads: Vec<SeriesHead>,
    lag: KeyLag,
    is_over: bool,
}

/// The heads of the series of a key, by its number.
pub(super) struct HeadsOfKey {
    pub(super) at: usize,
    pub(super) heads: Vec<Result<SeriesHead, StoreError>>,
}

/// A key in somebody's hands.
pub(super) struct KeyTask {
    at: usize,
    pub(super) followed: Box<FollowedKey>,
    pub(super) heads: Vec<SeriesHead>,
    /// Whether it shows if the store is there again.
    pub(super) is_probe: bool,
}

/// A store that does not answer.
struct StoreAway {
    failures: u32,
    retry_at: Duration,
    /// The key that shows whether it is there again.
    probe: Option<usize>,
}

impl KeyEntry {
    /// A key that was not looked at yet, and whether it was not there when the follower started.
    pub(super) fn new(key: String, recheck_at: Duration, is_late: bool) -> Self {
        let followed = FollowedKey::new(key.clone(), recheck_at, is_late);
        let lag = followed.lag();
        let idle = Some(Box::new(followed));
        Self { key, idle, is_queued: false, is_stale: false, heads: Vec::new(), lag, is_over: false }
    }

    fn note_heads(&mut self, heads: Vec<SeriesHead>) {
        let last_us = heads.iter().filter_map(|head| head.last_us).max();
        self.lag.source_us = last_us.or(self.lag.source_us);
        self.heads = heads;
    }
}

impl FollowQueue {
    /// A queue of these keys.
    pub(super) fn new(entries: Vec<KeyEntry>) -> Self {
        Self { entries, waiting: VecDeque::new(), absence: None, list_at: Duration::ZERO, is_ended: false }
    }

    /// The keys to ask the source about; none where it is away and not to be asked yet.
    pub(super) fn to_ask(&self, now: Duration) -> Option<Vec<(usize, String)>> {
        if self.absence.as_ref().is_some_and(|away| now < away.retry_at) {
            return None;
        }
        let entries = self.entries.iter().enumerate().filter(|(_, entry)| !entry.is_over);
        Some(entries.map(|(at, entry)| (at, entry.key.clone())).collect())
    }

    /// Whether it is time to list the keys of the source; the next time is `every` later.
    pub(super) fn is_list_due(&mut self, now: Duration, every: Duration) -> bool {
        let is_due = now >= self.list_at;
        if is_due {
            self.list_at = now + every;
        }
        is_due
    }

    /// Queues the keys that have something to do, now that their series have these heads. Returns whether a store that was away is back,
    /// as far as that can be known.
    pub(super) fn note_heads(
        &mut self,
        of_keys: Vec<HeadsOfKey>,
        context: &FollowContext<'_>,
        now: Duration,
    ) -> bool {
        for HeadsOfKey { at, heads } in of_keys {
            let entry = &mut self.entries[at];
            match heads.into_iter().collect::<Result<Vec<_>, _>>() {
                Ok(heads) => entry.note_heads(heads),
                Err(error) => {
                    if let Some(followed) = entry.idle.as_mut().filter(|followed| followed.may_try(now)) {
                        followed.fail(context, &error, now);
                    }
                    continue;
                }
            }
            let is_due = |followed: &FollowedKey| {
                followed.may_try(now) && (entry.is_stale || followed.is_due(context, &entry.heads, now))
            };
            if entry.idle.as_ref().is_some_and(|followed| is_due(followed)) && self.absence.is_none() {
                self.put_in_line(at);
            }
        }
        self.queue_probe(now)
    }

    /// Queues the keys that have to be tried again, or checked, whatever the source has.
    pub(super) fn queue_retries(&mut self, now: Duration) {
        let is_due = |entry: &KeyEntry| {
            let followed = entry.idle.as_ref();
            !entry.heads.is_empty() && followed.is_some_and(|followed| followed.has_retry_due(now))
        };
        for at in 0..self.entries.len() {
            if self.absence.is_none() && is_due(&self.entries[at]) {
                self.put_in_line(at);
            }
        }
    }

    /// Whether a store is away.
    pub(super) fn is_absent(&self) -> bool {
        self.absence.is_some()
    }

    fn put_in_line(&mut self, at: usize) {
        if !std::mem::replace(&mut self.entries[at].is_queued, true) {
            self.waiting.push_back(at);
        }
    }

    /// While a store is away: queues one key that shows whether it is there again. Returns whether none can, so that it is taken to be.
    fn queue_probe(&mut self, now: Duration) -> bool {
        let Some(away) = &mut self.absence else { return false };
        away.retry_at = now + away.pause();
        if away.probe.is_some() || self.entries.iter().any(|entry| entry.idle.is_none()) {
            return false;
        }
        let can_show = |entry: &KeyEntry| !entry.is_over && !entry.heads.is_empty();
        let Some(at) = self.entries.iter().position(can_show) else {
            return self.note_presence();
        };
        away.probe = Some(at);
        self.put_in_line(at);
        false
    }

    /// Adds keys that aren't there yet.
    pub(super) fn add_keys(&mut self, keys: Vec<String>, recheck_at: Duration) {
        for key in keys {
            if !self.entries.iter().any(|entry| entry.key == key) {
                self.entries.push(KeyEntry::new(key, recheck_at, true));
            }
        }
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.entries.len()
    }

    /// How far each key is behind.
    pub(super) fn lags(&self) -> Vec<KeyLag> {
        self.entries.iter().map(|entry| entry.lag.clone()).collect()
    }

    /// The next key that has something to do.
    pub(super) fn take(&mut self) -> Option<KeyTask> {
        let at = self.waiting.pop_front()?;
        let entry = &mut self.entries[at];
        entry.is_queued = false;
        let mut followed = entry.idle.take()?;
        if std::mem::take(&mut entry.is_stale) {
            followed.forget();
        }
        let is_probe = self.absence.as_ref().is_some_and(|away| away.probe == Some(at));
        Some(KeyTask { at, followed, heads: entry.heads.clone(), is_probe })
    }

    /// Takes back a key that was worked on.
    pub(super) fn put_back(&mut self, task: KeyTask, context: &FollowContext<'_>) {
        let entry = &mut self.entries[task.at];
        let source_us = entry.lag.source_us;
        entry.lag = task.followed.lag();
        entry.lag.source_us = entry.lag.source_us.max(source_us);
        entry.is_over = task.followed.is_over(context);
        entry.idle = Some(task.followed);
        if let Some(away) = self.absence.as_mut().filter(|away| away.probe == Some(task.at)) {
            away.probe = None;
        }
    }

    /// Notes that a store does not answer. Returns whether that is new.
    pub(super) fn note_absence(&mut self, now: Duration) -> bool {
        let is_new = self.absence.is_none();
        let away = self.absence.get_or_insert(StoreAway { failures: 0, retry_at: now, probe: None });
        if is_new || now >= away.retry_at || away.probe.is_some() {
            away.retry_at = now + away.pause();
            away.failures += 1;
        }
        away.probe = away.probe.filter(|&at| self.entries[at].idle.is_none());
        self.waiting.clear();
        for entry in &mut self.entries {
            entry.is_queued = false;
            entry.is_stale = true;
        }
        is_new
    }

    /// Notes that the stores answer. Returns whether one was away.
    pub(super) fn note_presence(&mut self) -> bool {
        self.absence.take().is_some()
    }

    /// Whether nothing of any key is left to follow.
    pub(super) fn is_over(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().all(|entry| entry.is_over)
    }

    /// Notes that nobody asks the source any more.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// See [`FollowQueue::end`].
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether there is nothing to do for now.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_ended
    }
}

impl StoreAway {
    /// How long to wait before it is asked again.
    fn pause(&self) -> Duration {
        const FIRST: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(30);
        doubled(FIRST, self.failures, LONGEST)
    }
}
