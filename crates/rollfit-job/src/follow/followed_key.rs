//! [`FollowedKey`]: a key that is followed: its open partitions, one after the other, and what is looked at when.
//!
//! Invariants: time is told by whoever asks, counts from the start of the follower and never goes back. No wall clock decides anything.

use std::time::Duration;

use super::follow_context::{FollowContext, FollowWorker};
use super::held_rows::HeldRows;
use super::late_key::tell_unwritten;
use super::open_partition::{OpenPartition, PartitionProgress};
use super::quiet_periods::{QuietPeriods, is_followed};
use super::retry_state::{FollowFailure, RetryState};
use super::unopened_periods::{pending_from, previous_with_rows, to_be_opened};
use super::{FollowEvent, KeyLag};
use crate::foreign;
use crate::month::Month;
use crate::panel::join;
use crate::partition::Partition;
use crate::period::{Period, PeriodUnit};
use crate::store::{Fault, LATEST_ROWS_MAX, LatestQuery, LatestRows, SeriesHead, SeriesRows, StoreError};

/// How often rows that aren't read again are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// How often so many rows are read again, where another series is far behind.
const LONG_LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often work on a key starts anew before others have their turn.
const ROUNDS: usize = 4;

/// A key, and what is known of it.
#[derive(Debug)]
pub(super) struct FollowedKey {
    key: String,
    /// Its open partitions, rising; none until it has rows.
    open: Vec<OpenPartition>,
    /// Partitions before this instant aren't open any more, unless they get rows; none until it has rows.
    closed_until_us: Option<i64>,
    quiet: QuietPeriods,
    /// Whether all that was to be followed is over, as far as the last rows show.
    is_past_last: bool,
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
    /// When months are read as a whole of which there are more rows than a look gives.
    whole_look_at: Duration,
    count_at: Duration,
    recheck_at: Duration,
    /// What keeps the key from being looked at.
    retry: RetryState,
    /// Whether its series may be asked for their heads, see [`FollowedKey::is_followable`].
    is_followable: bool,
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
            quiet: QuietPeriods::default(),
            is_past_last: false,
            is_late,
            lasts_us: Vec::new(),
            heads: Vec::new(),
            had_writers: false,
            look_at: Duration::ZERO,
            whole_look_at: Duration::ZERO,
            count_at: Duration::ZERO,
            recheck_at,
            retry: RetryState::default(),
            is_followable: true,
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
                    || self.open.iter().any(|open| open.is_settled(context.job.config.run.settle, now))
                    || now >= self.count_at && self.may_count()
                    || self.quiet_due(context.job.config.by, now).is_some())
    }

    /// Whether a look may find rows that no head shows: those before the last ones, and where nothing is open, those before one far ahead.
    fn may_count(&self) -> bool {
        let is_known = |open: &OpenPartition| open.known.is_some();
        self.closed_until_us.is_some() && (self.open.is_empty() || self.open.iter().any(is_known))
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
        let is_due = |open: &OpenPartition| open.is_retry_due(now);
        self.may_try(now) && (self.retry.is_there() || !self.is_followable || self.open.iter().any(is_due))
    }

    /// Whether its series may be asked for their heads each time. They may not while it isn't known that this costs little.
    pub(super) fn is_followable(&self) -> bool {
        self.is_followable
    }

    /// Has it checked whether asking its series costs little, before they are asked.
    pub(super) fn check_first(&mut self) {
        self.is_followable = false;
    }

    /// Whether it has open partitions, and the last work on it met no failure: then all stores have answered.
    pub(super) fn is_kept_up(&self) -> bool {
        !self.open.is_empty() && !self.retry.is_there() && !self.open.iter().any(OpenPartition::has_failed)
    }

    /// Forgets what is known: the next work on the key checks all its partitions.
    pub(super) fn forget(&mut self) {
        self.open.iter_mut().for_each(OpenPartition::forget);
    }

    /// Whether all that was to be followed of it is closed.
    pub(super) fn is_over(&self, context: &FollowContext<'_>) -> bool {
        let Some(last) = context.last_period(&self.key) else { return false };
        self.open.is_empty() && (self.is_past_last || self.closed_until_us >= Some(last.span_us().end))
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
        if !self.is_followable || self.closed_until_us.is_none() || now >= self.recheck_at {
            context.job.source.check_followable(&context.job.config.series_of_key(&self.key))?;
            self.is_followable = true;
        }
        if self.closed_until_us.is_none() {
            self.open_first(context)?;
            self.is_late |= self.closed_until_us.is_none();
        }
        if let Some(open) = self.open.first().filter(|_| self.is_late) {
            // What cannot be found out now is told at a later look.
            self.is_late = tell_unwritten(context, &open.partition).is_err();
        }
        if now >= self.recheck_at {
            self.recheck_at = now + context.job.config.run.recheck_every;
            self.forget();
        }
        // Those that have been over for long enough are checked a last time.
        let settle = context.job.config.run.settle;
        self.open.iter_mut().filter(|open| open.is_settled(settle, now)).for_each(OpenPartition::settle);
        self.catch_up(context, worker, now)?;
        self.heads = heads;
        self.open.iter_mut().for_each(|open| open.note_over(now));
        self.close(context);
        if self.retry.end() {
            context.tell(FollowEvent::KeyCaughtUp { key: self.key.clone() });
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
        let reopened = self.reopen(context, now);
        for _ in 0..ROUNDS {
            self.check(context, worker, now)?;
            if context.stop.requested() || !self.look(context, worker, now)? {
                break;
            }
        }
        // What keeps an open period behind is told of that.
        if self.open.iter().any(OpenPartition::has_failed) { Ok(()) } else { reopened }
    }

    /// Opens the newest period that every series has rows in or after, and the one before that has rows: late ones may still come there.
    fn open_first(&mut self, context: &FollowContext<'_>) -> Result<(), StoreError> {
        let config = context.job.config;
        let mut months: Option<(Month, Month)> = None;
        for series in config.series_of_key(&self.key) {
            let Some((oldest, newest)) = context.job.source.months(&series)? else { return Ok(()) };
            months =
                Some(months.map_or((oldest, newest), |(first, last)| (first.max(oldest), last.min(newest))));
        }
        let Some((first, last)) = months else { return Ok(()) };
        let last = context.job.config.by.period_of(last);
        let newest = context.last_period(&self.key).map_or(last, |most| most.min(last));
        let previous = previous_with_rows(context, &self.key, (first, newest))?;
        let partition = |period: Period| Partition::new(self.key.clone(), period);
        let start_us = |partition: &Partition| partition.period.span_us().start;
        // The period before may get its first rows.
        let before = newest.previous().map(partition).filter(|before| context.allows(before));
        let newest = partition(newest);
        let starts_us = [&before, &previous].into_iter().flatten().map(start_us);
        self.closed_until_us = starts_us.chain([start_us(&newest)]).min();
        let newest = Some(newest).filter(|newest| context.allows(newest));
        self.open = previous.into_iter().chain(newest).map(OpenPartition::new).collect();
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
                PartitionProgress::Empty(rows) => {
                    let partition = self.open.remove(at).partition;
                    self.quiet.note(partition.period, rows);
                    continue;
                }
                // The windows of the next one reach into it.
                PartitionProgress::Written if context.carries() => {
                    self.open[at + 1..].iter_mut().for_each(OpenPartition::forget);
                }
                _ => {}
            }
            at += 1;
        }
        self.note_features();
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
        let inputs = context.job.config.inputs_of_key(&self.key);
        let latest = context.job.source.latest(&inputs, LatestQuery { from_us, count_from_us })?;
        let of_series = &latest.rows[..context.job.config.series.len()];
        self.had_writers = latest.has_writers;
        let longest = latest.rows.iter().map(|rows| rows.instants_us.len()).max();
        self.look_at = if longest >= Some(LATEST_ROWS_MAX) { now + LONG_LOOK_EVERY } else { now };
        self.note_lasts(of_series);
        self.note_followed(context, of_series, from_us);
        if is_counting {
            self.count_at = now + COUNT_EVERY;
        }
        if latest.is_cut {
            return Ok(self.note_cut(context, of_series, now));
        }
        let first = first.unwrap_or(self.open.len());
        if self.differs(&latest, first, from_us) || is_counting && self.differs_before(context, first)? {
            self.forget();
            return Ok(true);
        }
        let needs_check = self.add(context, worker, &latest.rows, first, now)?;
        self.note_lag(context, of_series);
        Ok(self.open_later(context, of_series) || needs_check)
    }

    /// Notes that there are more rows than one look gives. What is lost or pending cannot be told from the first ones only: the months are
    /// read as a whole, at once, and now and then while it stays so. Returns whether they have to be.
    fn note_cut(&mut self, context: &FollowContext<'_>, latest: &[SeriesRows], now: Duration) -> bool {
        let is_due = now >= self.whole_look_at;
        if is_due {
            self.whole_look_at = now + LONG_LOOK_EVERY;
            self.forget();
        }
        self.open_later(context, latest) || is_due
    }

    /// The first partition whose last rows are read again: the newest known one, and those before while it has few rows.
    fn first_read_again(&self) -> Option<usize> {
        let mut first = None;
        for (at, open) in self.open.iter().enumerate().rev() {
            let Some(known) = &open.known else { if first.is_none() { continue } else { break } };
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
        let inputs = config.inputs_of_key(&self.key);
        for open in &self.open[..first] {
            let Some(known) = &open.known else { continue };
            let (period, span_us) = (open.partition.period, known.held().span_us());
            let mut snapshot = context.job.source.snapshot(&inputs, period, config.lookback_rows())?;
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
        let later =
            join(latest.to_vec()).instants_us.into_iter().filter(|&us| Some(us) >= self.closed_until_us);
        let periods = later.filter_map(|us| context.job.config.by.period_at_us(us).ok());
        let mut periods: Vec<Period> = periods.collect();
        periods.dedup();
        self.open_periods(context, periods)
    }

    /// Opens periods that aren't. Returns whether there are any.
    fn open_periods(&mut self, context: &FollowContext<'_>, periods: Vec<Period>) -> bool {
        let partitions = periods.into_iter().map(|period| Partition::new(self.key.clone(), period));
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

    /// Opens periods again that rows have come to, or gone from, since they were closed or passed over.
    fn reopen(&mut self, context: &FollowContext<'_>, now: Duration) -> Result<(), StoreError> {
        if let Some((open, closed_until)) = self.quiet_due(context.job.config.by, now) {
            let series = context.job.config.series_of_key(&self.key);
            let changed = self.quiet.changed((context.job.source, &series), (&open, closed_until))?;
            let with_rows = to_be_opened(context, &self.key, changed.iter().map(|(period, _)| *period))?;
            self.quiet.note_all(changed, now);
            self.open_periods(context, with_rows);
        }
        Ok(())
    }

    /// The open periods, and the one that all before are closed, where it is time to count those that aren't open.
    fn quiet_due(&self, by: PeriodUnit, now: Duration) -> Option<(Vec<Period>, Period)> {
        let closed_until = by.period_at_us(self.closed_until_us?).ok()?;
        let open: Vec<Period> = self.open.iter().map(|open| open.partition.period).collect();
        self.quiet.is_due(&open, closed_until, now).then_some((open, closed_until))
    }

    /// Notes which periods are over, as far as `latest` shows, the last rows of each series from `from_us` on.
    fn note_followed(&mut self, context: &FollowContext<'_>, latest: &[SeriesRows], from_us: i64) {
        for open in &mut self.open {
            let period = open.partition.period;
            let is_followed = is_followed(period, latest);
            // Where fewer rows were read, they say nothing.
            if is_followed || from_us <= period.span_us().end {
                open.is_followed = is_followed;
            }
        }
        if let Some(last) = context.last_period(&self.key).filter(|last| from_us <= last.span_us().end) {
            self.is_past_last = is_followed(last, latest);
        }
    }

    /// Closes partitions that were checked a last time.
    fn close(&mut self, context: &FollowContext<'_>) {
        for open in self.open.extract_if(.., |open| open.is_closing()) {
            let period = open.partition.period;
            self.closed_until_us = self.closed_until_us.max(Some(period.span_us().end));
            self.quiet.close(period, open.row_counts);
            context.tell(FollowEvent::Closed(open.partition));
        }
    }

    /// Notes that the key could not be looked at: nothing is taken to be as it was.
    pub(super) fn fail(&mut self, context: &FollowContext<'_>, error: &StoreError, now: Duration) {
        if error.fault() == Fault::Permanent {
            self.check_first();
        }
        self.is_late |= self.closed_until_us.is_none();
        self.note_failure(context, FollowFailure::from_error(error), now);
    }

    fn note_failure(&mut self, context: &FollowContext<'_>, failure: FollowFailure, now: Duration) {
        self.forget();
        if let Some(cause) = self.retry.fail(failure, now, context.held_max()) {
            context.tell(FollowEvent::Waiting { key: self.key.clone(), cause });
        }
    }

    fn note_lasts(&mut self, latest: &[SeriesRows]) {
        self.lasts_us.resize(latest.len(), None);
        for (last_us, rows) in self.lasts_us.iter_mut().zip(latest) {
            *last_us = rows.instants_us.last().copied().or(*last_us);
        }
    }

    /// Notes how far there are features, and which rows after them wait for another series.
    fn note_lag(&mut self, context: &FollowContext<'_>, latest: &[SeriesRows]) {
        let config = context.job.config;
        self.open.iter_mut().for_each(|open| open.note_pending(config, &self.lasts_us));
        self.note_features();
        let up_to_date = self.open.iter().filter(|open| open.is_up_to_date());
        let pending_us = up_to_date.filter_map(|open| open.pending_us).min();
        let later_us = self.open.last().map(|open| open.partition.period.span_us().end);
        let later =
            || pending_from(context, &self.key, latest, (later_us.or(self.closed_until_us)?, &self.lasts_us));
        self.pending_us = pending_us.or_else(later);
    }

    /// Notes how far there are features. After a check too: where the follower is stopped no look comes after it.
    fn note_features(&mut self) {
        let mut up_to_date = self.open.iter().rev().filter(|open| open.is_up_to_date());
        self.features_us = up_to_date.find_map(|open| open.features_us).or(self.features_us);
    }
}
