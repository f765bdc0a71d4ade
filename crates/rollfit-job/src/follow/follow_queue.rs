//! [`FollowQueue`]: which keys are followed, which of them have something to do, and whether the stores are there.
//!
//! Invariants: a key is on the queue or in one pair of hands. While a store is away one key at a time is worked on.

use std::collections::{HashSet, VecDeque};
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
    /// Whether each of its series had a head when it was last asked.
    is_readable: bool,
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
}

/// A store that does not answer.
struct StoreAway {
    failures: u32,
    retry_at: Duration,
    /// The key that shows whether it is there again.
    probe: Option<usize>,
    /// The keys that could not show it: something else is wrong with them, or they have no partition yet.
    unclear: HashSet<usize>,
}

impl KeyEntry {
    /// A key that was not looked at yet, and whether it was not there when the follower started.
    pub(super) fn new(key: String, recheck_at: Duration, is_late: bool) -> Self {
        let followed = FollowedKey::new(key.clone(), recheck_at, is_late);
        let lag = followed.lag();
        Self {
            key,
            idle: Some(Box::new(followed)),
            is_queued: false,
            is_stale: false,
            heads: Vec::new(),
            is_readable: false,
            lag,
            is_over: false,
        }
    }

    fn note_heads(&mut self, heads: Vec<SeriesHead>) {
        let last_us = heads.iter().filter_map(|head| head.last_us).max();
        self.lag.source_us = last_us.or(self.lag.source_us);
        self.heads = heads;
        self.is_readable = true;
    }
}

impl FollowQueue {
    /// A queue of these keys.
    pub(super) fn new(entries: Vec<KeyEntry>) -> Self {
        Self { entries, waiting: VecDeque::new(), absence: None, is_ended: false }
    }

    /// The keys to ask the source about; none where it is away and not to be asked yet.
    pub(super) fn to_ask(&self, now: Duration) -> Option<Vec<(usize, String)>> {
        if self.absence.as_ref().is_some_and(|away| now < away.retry_at) {
            return None;
        }
        let entries = || self.entries.iter().enumerate().filter(|(_, entry)| !entry.is_over);
        let asked: Vec<_> = entries().filter(|(_, entry)| self.may_ask(entry, now)).collect();
        // Whether a store is there again is not known before it is asked something.
        let asked = if asked.is_empty() && self.is_absent() { entries().collect() } else { asked };
        Some(asked.into_iter().map(|(at, entry)| (at, entry.key.clone())).collect())
    }

    /// Whether asking about a key keeps no other waiting: its tables can be asked cheaply, and it is not one that failed a moment ago.
    fn may_ask(&self, entry: &KeyEntry, now: Duration) -> bool {
        let may_ask =
            |followed: &FollowedKey| followed.is_followable() && (self.is_absent() || followed.may_try(now));
        entry.idle.as_ref().is_none_or(|followed| may_ask(followed))
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
                    entry.is_readable = false;
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
        self.queue_retries(now);
        self.queue_probe(now)
    }

    /// Queues the keys that have to be tried again, or checked, whatever the source has.
    pub(super) fn queue_retries(&mut self, now: Duration) {
        let is_due = |entry: &KeyEntry| {
            entry.idle.as_ref().is_some_and(|followed| {
                (!entry.heads.is_empty() || !followed.is_followable()) && followed.has_retry_due(now)
            })
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
        self.queue_next_probe()
    }

    /// Queues the next key that may show whether a store is there again: one that fails for a reason of its own must not keep the others
    /// waiting. Returns whether none is left, so that the store is taken to be there.
    fn queue_next_probe(&mut self) -> bool {
        let Some(away) = &mut self.absence else { return false };
        let can_show = |(at, entry): (usize, &KeyEntry)| {
            !entry.is_over && entry.is_readable && !away.unclear.contains(&at)
        };
        let Some(at) = self.entries.iter().enumerate().position(can_show) else {
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
                let mut entry = KeyEntry::new(key, recheck_at, true);
                entry.idle.iter_mut().for_each(|followed| followed.check_first());
                self.entries.push(entry);
            }
        }
    }

    /// The keys.
    pub(super) fn keys(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.key.clone()).collect()
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
        Some(KeyTask { at, followed, heads: entry.heads.clone() })
    }

    /// Takes back a key that was worked on, and whether a store did not answer it. Returns whether it shows that a store that was away
    /// is back.
    pub(super) fn put_back(&mut self, task: KeyTask, is_lost: bool, context: &FollowContext<'_>) -> bool {
        let is_kept_up = task.followed.is_kept_up();
        let entry = &mut self.entries[task.at];
        let source_us = entry.lag.source_us;
        entry.lag = task.followed.lag();
        entry.lag.source_us = entry.lag.source_us.max(source_us);
        entry.is_over = task.followed.is_over(context);
        entry.idle = Some(task.followed);
        let Some(away) = self.absence.as_mut().filter(|away| away.probe == Some(task.at)) else {
            return false;
        };
        away.probe = None;
        if is_lost {
            return false;
        }
        if is_kept_up {
            return self.note_presence();
        }
        away.unclear.insert(task.at);
        self.queue_next_probe()
    }

    /// Notes that a store does not answer. Returns whether that is new.
    pub(super) fn note_absence(&mut self, now: Duration) -> bool {
        let is_new = self.absence.is_none();
        let away = self.absence.get_or_insert_with(|| StoreAway::new(now));
        away.unclear.clear();
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
    fn note_presence(&mut self) -> bool {
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
    fn new(now: Duration) -> Self {
        Self { failures: 0, retry_at: now, probe: None, unclear: HashSet::new() }
    }

    /// How long to wait before it is asked again.
    fn pause(&self) -> Duration {
        const FIRST: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(30);
        doubled(FIRST, self.failures, LONGEST)
    }
}
