//! [`FollowedKey`]: a key that is followed: its open partitions, one after the other, and what is looked at when.
//!
//! Invariants: time is told by whoever asks, counts from the start of the follower and never goes back. No wall clock decides anything.

use std::time::Duration;

use super::follow_context::{FollowContext, FollowWorker};
use super::held_rows::HeldRows;
use super::late_key::first_unwritten;
use super::open_partition::{OpenPartition, PartitionProgress};
use super::retry_state::{FollowFailure, RetryState};
use super::{FollowEvent, KeyLag};
use crate::foreign;
use crate::month::Month;
use crate::panel::join;
use crate::partition::Partition;
use crate::store::{LatestQuery, LatestRows, SeriesHead, SeriesRows, StoreError};

/// How often rows that aren't read again are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// The most rows of a series that are read at each look. It is more where another series is far behind,
const LOOK_ROWS_MAX: usize = 20_000;
/// and then it is done so often.
const LONG_LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often work on a key starts anew before others have their turn.
const ROUNDS: usize = 4;

/// A key, and what is known of it.
#[derive(Debug)]
pub(super) struct FollowedKey {
    key: String,
    /// Its open partitions, rising; none until it has rows.
    open: Vec<OpenPartition>,
    /// Rows before this instant aren't looked at any more; none until it has rows.
    closed_until_us: Option<i64>,
    /// Whether no run may have seen it, which is to be told: it was not there, or had no rows, when it was first looked at.
    is_late: bool,
    /// The last instant read of each series.
    lasts_us: Vec<Option<i64>>,
    /// The heads before the last look.
    heads: Vec<SeriesHead>,
    /// Whether somebody was writing at the last look.
    had_writers: bool,
    /// When news are looked at.
    look_at: Duration,
    count_at: Duration,
    recheck_at: Duration,
    /// What keeps the key from being looked at.
    retry: RetryState,
    features_us: Option<i64>,
    pending_us: Option<i64>,
}

impl FollowedKey {
    /// A key whose partitions are first checked at once, and again from `recheck_at` on.
    pub(super) fn new(key: String, recheck_at: Duration, is_late: bool) -> Self {
        Self {
            key,
            open: Vec::new(),
            closed_until_us: None,
            is_late,
            lasts_us: Vec::new(),
            heads: Vec::new(),
            had_writers: false,
            look_at: Duration::ZERO,
            count_at: Duration::ZERO,
            recheck_at,
            retry: RetryState::default(),
            features_us: None,
            pending_us: None,
        }
    }

    /// How far its features are behind.
    pub(super) fn lag(&self) -> KeyLag {
        KeyLag {
            key: self.key.clone(),
            source_us: self.lasts_us.iter().flatten().copied().max(),
            features_us: self.features_us,
            pending_us: self.pending_us,
        }
    }

    /// Whether there is something to do, now that the series have these heads.
    pub(super) fn is_due(&self, context: &FollowContext<'_>, heads: &[SeriesHead], now: Duration) -> bool {
        self.has_retry_due(now)
            || self.may_try(now)
                && (now >= self.look_at && self.is_news(heads)
                    || now >= self.recheck_at
                    || self.open.iter().any(|open| is_settled(context, open, now))
                    || now >= self.count_at && self.open.iter().any(|open| open.known.is_some()))
    }

    /// Whether heads are others than what was seen at the last look, or read then.
    fn is_news(&self, heads: &[SeriesHead]) -> bool {
        let is_read = |at: usize, head: &SeriesHead| {
            head.last_us.is_some() && self.lasts_us.get(at) == Some(&head.last_us)
        };
        let is_known = |(at, head): (usize, &SeriesHead)| {
            self.heads
                .get(at)
                .is_some_and(|seen| seen == head || seen.stamp == head.stamp && is_read(at, head))
        };
        !heads.iter().enumerate().all(is_known)
    }

    /// Whether the last try did not fail, or it is time for another.
    pub(super) fn may_try(&self, now: Duration) -> bool {
        self.retry.is_due(now)
    }

    /// Whether it is time to try something again, or to check something, whatever the source has.
    pub(super) fn has_retry_due(&self, now: Duration) -> bool {
        self.may_try(now) && (self.retry.is_there() || self.open.iter().any(|open| open.is_retry_due(now)))
    }

    /// Forgets what is known: the next work on the key checks all its partitions.
    pub(super) fn forget(&mut self) {
        self.open.iter_mut().for_each(OpenPartition::forget);
    }

    /// Whether all that was to be followed of it is closed.
    pub(super) fn is_over(&self, context: &FollowContext<'_>) -> bool {
        let Some(last) = context.last_month(&self.key) else { return false };
        let is_after = |us: &Option<i64>| us.is_some_and(|us| us >= last.span_us().end);
        self.open.is_empty()
            && (is_after(&self.closed_until_us)
                || !self.lasts_us.is_empty() && self.lasts_us.iter().all(is_after))
    }

    /// Does what is due.
    ///
    /// # Errors
    /// Where the source cannot be read, or a store cannot be reached: see [`FollowedKey::fail`].
    pub(super) fn work(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        heads: Vec<SeriesHead>,
        now: Duration,
    ) -> Result<(), StoreError> {
        if let Some(holder) = context.job.source.holder(&context.job.config.series_of_key(&self.key))? {
            let holder = FollowFailure::Held(foreign::message(&holder).into_owned());
            self.note_failure(context, holder, now);
            return Ok(());
        }
        if self.closed_until_us.is_none() {
            self.open_first(context)?;
            self.is_late |= self.closed_until_us.is_none();
        }
        self.tell_late(context)?;
        if now >= self.recheck_at {
            self.recheck_at = now + context.job.config.run.recheck_every;
            self.forget();
        }
        self.settle(context, now);
        self.catch_up(context, worker, now)?;
        self.heads = heads;
        self.note_over(now);
        self.close(context);
        if self.retry.end() {
            self.tell_caught_up(context);
        }
        Ok(())
    }

    /// Checks and looks until neither gives a reason for the other.
    fn catch_up(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        now: Duration,
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            self.check(context, worker, now)?;
            if context.stop.requested() || !self.look(context, worker, now)? {
                break;
            }
        }
        Ok(())
    }

    /// Opens the newest month that every series has rows in or after, and the one before: late rows may still come there.
    fn open_first(&mut self, context: &FollowContext<'_>) -> Result<(), StoreError> {
        let config = context.job.config;
        let mut last: Option<Month> = None;
        for series in config.series_of_key(&self.key) {
            let Some((_, newest)) = context.job.source.months(&series)? else { return Ok(()) };
            last = Some(last.map_or(newest, |last| last.min(newest)));
        }
        let Some(newest) = last.map(|last| context.last_month(&self.key).map_or(last, |most| most.min(last)))
        else {
            return Ok(());
        };
        let months = newest.previous().into_iter().chain([newest]);
        let mut closed_until_us = newest.span_us().start;
        let mut open = Vec::new();
        for month in months {
            let partition = Partition::new(self.key.clone(), month.into());
            if context.allows(&partition) && (month == newest || has_rows(context, &partition)?) {
                closed_until_us = closed_until_us.min(month.span_us().start);
                open.push(OpenPartition::new(partition));
            }
        }
        (self.open, self.closed_until_us) = (open, Some(closed_until_us));
        Ok(())
    }

    /// Tells which months of a key that came late are not followed.
    fn tell_late(&mut self, context: &FollowContext<'_>) -> Result<(), StoreError> {
        let Some(open) = self.open.first().filter(|_| self.is_late) else { return Ok(()) };
        if let Some(from) = first_unwritten(context, &self.key, open.partition.period.month())? {
            context.tell(FollowEvent::Unwritten { partition: open.partition.clone(), from });
        }
        self.is_late = false;
        Ok(())
    }

    /// Checks every partition of which nothing is known, where it is time for that.
    fn check(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        now: Duration,
    ) -> Result<(), StoreError> {
        let mut at = 0;
        while at < self.open.len() && !context.stop.requested() {
            if self.open[at].known.is_some() || !self.open[at].is_retry_due(now) {
                at += 1;
                continue;
            }
            // Rows that come late during the check are found by the counts of the next look.
            self.had_writers = true;
            match self.open[at].check(context, worker, now)? {
                PartitionProgress::Empty => {
                    self.open.remove(at);
                    continue;
                }
                // The windows of the next one reach into it.
                PartitionProgress::Written if context.carries() => {
                    self.open[at + 1..].iter_mut().for_each(OpenPartition::forget);
                }
                // The ones before are looked at together with the newest one: without it they are checked as often.
                PartitionProgress::CheckLater => self.open[..at].iter_mut().for_each(OpenPartition::forget),
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    /// Reads the last rows again and adds what is new. Returns whether something has to be checked now.
    fn look(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        now: Duration,
    ) -> Result<bool, StoreError> {
        let Some(closed_until_us) = self.closed_until_us else { return Ok(false) };
        let first = self.first_read_again();
        let held = first.and_then(|at| self.open[at].known.as_ref()).map(|known| known.held());
        let later_us = self.open.last().map_or(closed_until_us, |open| open.partition.period.span_us().end);
        let from_us = held.map_or(later_us, HeldRows::start_us);
        let is_counting = self.had_writers || now >= self.count_at;
        let count_from_us = held.filter(|_| is_counting).map(|held| held.span_us().start);
        let series = context.job.config.series_of_key(&self.key);
        let latest = context.job.source.latest(&series, LatestQuery { from_us, count_from_us })?;
        self.had_writers = latest.has_writers;
        let longest = latest.rows.iter().map(|rows| rows.instants_us.len()).max();
        self.look_at = if longest > Some(LOOK_ROWS_MAX) { now + LONG_LOOK_EVERY } else { now };
        self.note_lasts(&latest.rows);
        if is_counting {
            self.count_at = now + COUNT_EVERY;
        }
        let first = first.unwrap_or(self.open.len());
        if self.differs(&latest, first, from_us) || is_counting && self.differs_before(context, first)? {
            self.forget();
            return Ok(true);
        }
        let needs_check = self.add(context, worker, &latest.rows, first, now)?;
        self.note_lag(&latest.rows);
        Ok(self.open_later(context, &latest.rows) || needs_check)
    }

    /// The first partition whose last rows are read again: the newest one, and the ones before while it has few rows. None where
    /// nothing is known of the newest one.
    fn first_read_again(&self) -> Option<usize> {
        let mut first = None;
        for (at, open) in self.open.iter().enumerate().rev() {
            let Some(known) = &open.known else { break };
            first = Some(at);
            if known.held().is_long() {
                break;
            }
        }
        first
    }

    /// Whether the last rows, or the count of those before them, are others than they were.
    fn differs(&self, latest: &LatestRows, first: usize, from_us: i64) -> bool {
        let known = || self.open[first..].iter().filter_map(|open| open.known.as_ref());
        let counts = known().next().map(|known| known.held().counts(from_us));
        let differs_in_count = latest.counts.is_some() && latest.counts != counts;
        differs_in_count || known().any(|known| known.held().difference_us(&latest.rows, from_us).is_some())
    }

    /// Whether a partition before the rows that are read again has another number of rows than it had.
    fn differs_before(&self, context: &FollowContext<'_>, first: usize) -> Result<bool, StoreError> {
        let config = context.job.config;
        let series = config.series_of_key(&self.key);
        for open in &self.open[..first] {
            let Some(known) = &open.known else { continue };
            let (period, span_us) = (open.partition.period, known.held().span_us());
            let mut snapshot = context.job.source.snapshot(&series, period, config.lookback_rows())?;
            for (at, count) in known.held().counts(span_us.end).into_iter().enumerate() {
                if snapshot.count(at, span_us.clone())? != count {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Adds what is new to the partitions that are read again. Returns whether one has to be checked.
    fn add(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        latest: &[SeriesRows],
        first: usize,
        now: Duration,
    ) -> Result<bool, StoreError> {
        let mut needs_check = false;
        for open in &mut self.open[first..] {
            let rows = (latest, self.lasts_us.as_slice());
            needs_check |= open.add(context, worker, rows, now)? == PartitionProgress::CheckNow;
        }
        Ok(needs_check)
    }

    /// Opens the partitions that joined rows have come for. Returns whether there are any.
    fn open_later(&mut self, context: &FollowContext<'_>, latest: &[SeriesRows]) -> bool {
        let joined = join(latest.to_vec()).instants_us;
        let later = joined.into_iter().filter(|&us| Some(us) >= self.closed_until_us);
        let mut months: Vec<Month> = later.filter_map(|us| Month::of_instant_us(us).ok()).collect();
        months.dedup();
        let partitions = months.into_iter().map(|month| Partition::new(self.key.clone(), month.into()));
        let is_open = |partition: &Partition| self.open.iter().any(|open| open.partition == *partition);
        let opened: Vec<Partition> =
            partitions.filter(|partition| !is_open(partition) && context.allows(partition)).collect();
        for partition in &opened {
            context.tell(FollowEvent::Opened(partition.clone()));
            self.open.push(OpenPartition::new(partition.clone()));
        }
        self.open.sort_by(|a, b| a.partition.cmp(&b.partition));
        !opened.is_empty()
    }

    /// Has partitions checked a last time that have been over for long enough.
    fn settle(&mut self, context: &FollowContext<'_>, now: Duration) {
        for open in self.open.iter_mut().filter(|open| is_settled(context, open, now)) {
            open.is_settling = true;
            open.forget();
        }
    }

    /// Notes which partitions are over, as far as the last look shows.
    fn note_over(&mut self, now: Duration) {
        for open in &mut self.open {
            let end_us = open.partition.period.span_us().end;
            let is_over = |last_us: &Option<i64>| last_us.is_some_and(|us| us >= end_us);
            let is_over = !self.lasts_us.is_empty() && self.lasts_us.iter().all(is_over);
            open.over_since = is_over.then(|| open.over_since.unwrap_or(now));
            open.is_settling &= is_over;
        }
    }

    /// Closes partitions that were checked a last time.
    fn close(&mut self, context: &FollowContext<'_>) {
        let is_closing = |open: &OpenPartition| open.is_settling && open.known.is_some();
        for open in self.open.extract_if(.., |open| is_closing(open)) {
            self.closed_until_us = self.closed_until_us.max(Some(open.partition.period.span_us().end));
            context.tell(FollowEvent::Closed(open.partition));
        }
    }

    /// Notes that the key could not be looked at: nothing is taken to be as it was.
    pub(super) fn fail(&mut self, context: &FollowContext<'_>, error: &StoreError, now: Duration) {
        self.is_late |= self.closed_until_us.is_none();
        self.note_failure(context, FollowFailure::from_error(error), now);
    }

    fn note_failure(&mut self, context: &FollowContext<'_>, failure: FollowFailure, now: Duration) {
        self.forget();
        let Some(cause) = self.retry.fail(failure, now, context.held_max()) else { return };
        context.tell(match self.open.last() {
            Some(open) => FollowEvent::Behind { partition: open.partition.clone(), cause },
            None => FollowEvent::Waiting { key: self.key.clone(), cause },
        });
    }

    fn tell_caught_up(&self, context: &FollowContext<'_>) {
        if let Some(open) = self.open.last() {
            context.tell(FollowEvent::CaughtUp(open.partition.clone()));
        }
    }

    fn note_lasts(&mut self, latest: &[SeriesRows]) {
        self.lasts_us.resize(latest.len(), None);
        for (last_us, rows) in self.lasts_us.iter_mut().zip(latest) {
            *last_us = rows.instants_us.last().copied().or(*last_us);
        }
    }

    fn note_lag(&mut self, latest: &[SeriesRows]) {
        if let Some(known) = self.open.last().and_then(|open| open.known.as_ref()) {
            self.features_us = known.last_us();
        }
        let is_pending = |us: &&i64| Some(**us) > self.features_us;
        self.pending_us =
            latest.iter().filter_map(|rows| rows.instants_us.iter().find(is_pending)).min().copied();
    }
}

/// Whether a partition has been over for long enough to be closed.
fn is_settled(context: &FollowContext<'_>, open: &OpenPartition, now: Duration) -> bool {
    !open.is_settling && open.over_since.is_some_and(|since| now >= since + context.job.config.run.settle)
}

/// Whether a partition has features, or rows that some could be computed from.
pub(super) fn has_rows(context: &FollowContext<'_>, partition: &Partition) -> Result<bool, StoreError> {
    if !context.job.sink.is_missing(partition)? {
        return Ok(true);
    }
    for series in context.job.config.series_of_key(&partition.key) {
        if context.job.source.estimate_rows(&series, partition.period)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
