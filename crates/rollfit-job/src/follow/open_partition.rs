//! [`OpenPartition`]: a partition whose rows still come.

use std::time::Duration;

use super::FollowEvent;
use super::follow_context::{FollowContext, FollowWorker};
use super::known_partition::{Growth, KnownPartition, NewRows};
use super::retry_state::{FollowFailure, RetryState};
use crate::addition::Addition;
use crate::config::JobConfig;
use crate::join_loss::JoinLoss;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::Receipt;
use crate::run::{Appended, Outcome, Settled};
use crate::store::{Found, SeriesRows, StoreError};

/// The most rows of a series that are held. Where one series is further ahead of another, the whole partition is checked instead, now
/// and then.
const HELD_ROWS_MAX: usize = 10_000;
/// How often it is then.
const APART_PAUSE: Duration = Duration::from_secs(60);
/// How long to wait where the receipt is not of what was read: somebody else is at work.
const CHANGING_PAUSE: Duration = Duration::from_millis(200);

/// A partition that is kept up to date.
#[derive(Debug)]
pub(super) struct OpenPartition {
    pub(super) partition: Partition,
    /// None where the whole partition has to be checked.
    pub(super) known: Option<Box<KnownPartition>>,
    /// The rows of each series that the join lost when the whole partition was last read.
    lost_rows: Option<Vec<u64>>,
    /// What keeps it from being known, or from getting new rows.
    retry: RetryState,
    /// When it is checked, if it isn't known.
    check_at: Duration,
    /// Whether the last rows show that it is over, see [`is_followed`](super::quiet_periods::is_followed).
    pub(super) is_followed: bool,
    /// Since when they do.
    over_since: Option<Duration>,
    /// Whether it is closed once it is checked again.
    is_settling: bool,
    /// Whether all that the source has of it was found to have features, and nothing came up since.
    is_checked: bool,
    /// How many rows each series had when it was last known.
    pub(super) row_counts: Vec<u64>,
    /// The last instant with features.
    pub(super) features_us: Option<i64>,
    /// The first instant of the rows that wait for another series.
    pub(super) pending_us: Option<i64>,
}

/// What came of work on a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PartitionProgress {
    /// It is as it should be.
    Fine,
    /// It was not, and is now.
    Written,
    /// It has no joined row yet, and no features; so many rows of each series.
    Empty(Vec<u64>),
    /// It has to be checked now.
    CheckNow,
    /// It is checked again later.
    CheckLater,
}

impl OpenPartition {
    pub(super) fn new(partition: Partition) -> Self {
        Self {
            partition,
            known: None,
            lost_rows: None,
            retry: RetryState::default(),
            check_at: Duration::ZERO,
            is_followed: false,
            over_since: None,
            is_settling: false,
            is_checked: false,
            row_counts: Vec::new(),
            features_us: None,
            pending_us: None,
        }
    }

    /// Whether it has to be checked now, or new rows have to be tried again.
    pub(super) fn is_retry_due(&self, now: Duration) -> bool {
        let is_waiting = if self.known.is_none() { now >= self.check_at } else { self.retry.is_there() };
        is_waiting && self.retry.is_due(now)
    }

    /// Whether the last try to check it, or to add rows, failed.
    pub(super) fn has_failed(&self) -> bool {
        self.retry.is_there()
    }

    /// Forgets what is known, so that the whole partition is checked.
    pub(super) fn forget(&mut self) {
        self.is_checked = false;
        if self.known.take().is_some() {
            self.check_at = Duration::ZERO;
        }
    }

    /// Whether it has been over for long enough to be checked a last time.
    pub(super) fn is_settled(&self, settle: Duration, now: Duration) -> bool {
        !self.is_settling && self.over_since.is_some_and(|since| now >= since + settle)
    }

    /// Has it checked a last time.
    pub(super) fn settle(&mut self) {
        self.forget();
        self.is_settling = true;
        self.check_at = Duration::ZERO;
    }

    /// Notes since when it is over.
    pub(super) fn note_over(&mut self, now: Duration) {
        self.over_since = self.is_followed.then(|| self.over_since.unwrap_or(now));
        self.is_settling &= self.is_followed;
    }

    /// Whether it was as it should be when it was last checked or added to.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.is_checked || self.known.is_some()
    }

    /// Whether it was checked a last time.
    pub(super) fn is_closing(&self) -> bool {
        self.is_settling && self.is_checked
    }

    /// Checks the whole partition, as a run does.
    ///
    /// # Errors
    /// Where the store cannot be reached. Other errors are this partition's trouble.
    pub(super) fn check(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        now: Duration,
    ) -> Result<PartitionProgress, StoreError> {
        self.known = None;
        self.is_checked = false;
        let Settled { outcome, cause, panel, receipt, rows } = match context.settle(worker, &self.partition) {
            Ok(settled) => settled,
            Err(error) => return self.failed(context, error, now),
        };
        let progress = match &outcome {
            Outcome::Written { .. } => PartitionProgress::Written,
            _ => PartitionProgress::Fine,
        };
        match outcome {
            Outcome::Written { .. } => {
                // Where it is too much, the event has it.
                self.note_loss(panel.as_ref());
                self.tell_written(context, outcome, cause);
            }
            Outcome::Waiting => {
                self.note_success(context);
                let span_us = self.partition.period.span_us();
                let count = |rows: &SeriesRows| {
                    rows.instants_us.iter().filter(|us| span_us.contains(us)).count() as u64
                };
                let series = rows.iter().take(context.job.config.series.len());
                return Ok(PartitionProgress::Empty(series.map(count).collect()));
            }
            Outcome::AlreadyDone | Outcome::WrittenByOther => {
                let loss = self.note_loss(panel.as_ref());
                self.tell_loss(context, loss);
            }
            Outcome::LeftAlone(assessment) => {
                let cause = format!("{}: {}", assessment.state, assessment.cause);
                return Ok(self.fail(context, FollowFailure::Lasting(cause), now));
            }
            Outcome::Held(holder) => return Ok(self.fail(context, FollowFailure::Held(holder), now)),
            Outcome::Failed(error) => return self.failed(context, error, now),
            Outcome::Abandoned | Outcome::Unchecked | Outcome::Empty => {
                return Ok(PartitionProgress::CheckLater);
            }
        }
        self.note_success(context);
        let pending = panel.as_ref().and_then(|panel| panel.pending.as_ref());
        self.pending_us = pending.map(|pending| pending.oldest_us);
        let known = receipt.zip(panel).and_then(|(receipt, panel)| {
            KnownPartition::new(context.job.config, &self.partition, receipt, &panel, rows)
        });
        self.know(known, now);
        Ok(progress)
    }

    /// Remembers what is known, where that is little enough.
    fn know(&mut self, known: Option<KnownPartition>, now: Duration) {
        let Some(known) = known else {
            self.check_at = now + CHANGING_PAUSE;
            return;
        };
        self.is_checked = true;
        self.features_us = known.last_us();
        self.note_rows(known.series_rows(), now);
        if known.held().len() <= HELD_ROWS_MAX {
            self.known = Some(Box::new(known));
        } else {
            self.check_at = now + APART_PAUSE;
        }
    }

    /// Notes how many rows each series has. Where some have come, it isn't closed before it was quiet for as long again.
    fn note_rows(&mut self, row_counts: Vec<u64>, now: Duration) {
        if !self.row_counts.is_empty() && self.row_counts != row_counts && self.over_since.is_some() {
            self.over_since = Some(now);
            self.is_settling = false;
        }
        self.row_counts = row_counts;
    }

    /// Notes which rows wait for another series, where `lasts_us` are the last instants of each.
    pub(super) fn note_pending(&mut self, config: &JobConfig, lasts_us: &[Option<i64>]) {
        if let Some(known) = &self.known {
            self.pending_us = known.pending_us(config, &self.partition, lasts_us);
        }
    }

    /// Adds what is new in `latest`, the last rows of each series, which don't differ from those held.
    ///
    /// # Errors
    /// As [`OpenPartition::check`].
    pub(super) fn add(
        &mut self,
        context: &FollowContext<'_>,
        worker: &mut FollowWorker,
        (latest, lasts_us): (&[SeriesRows], &[Option<i64>]),
        now: Duration,
    ) -> Result<PartitionProgress, StoreError> {
        let Some(mut known) = self.known.take() else { return Ok(PartitionProgress::CheckLater) };
        let config = context.job.config;
        match known.growth(config, &self.partition, latest, lasts_us) {
            Growth::None => {}
            Growth::Rewrite => return Ok(PartitionProgress::CheckNow),
            Growth::New(news) => match context.append(worker, &self.partition, &news.addition) {
                Ok(Appended::Ended(outcome @ Outcome::Written { .. }, Some(receipt))) => {
                    self.tell_written(context, outcome, String::new());
                    known.advance(config, receipt, *news);
                }
                Ok(Appended::Ended(Outcome::Held(holder), _)) => {
                    let progress = self.fail(context, FollowFailure::Held(holder), now);
                    self.known = Some(known);
                    return Ok(progress);
                }
                Ok(Appended::Ended(Outcome::Abandoned, _)) => return Ok(PartitionProgress::CheckLater),
                Ok(Appended::Changed) => match self.found(context, &news) {
                    Ok(Some(receipt)) => known.advance(config, receipt, *news),
                    Ok(None) => return Ok(PartitionProgress::CheckNow),
                    Err(error) => return self.failed(context, error, now),
                },
                // A check finds out what there is to do.
                Ok(_) => return Ok(PartitionProgress::CheckNow),
                Err(error) => return self.failed(context, error, now),
            },
        }
        self.note_success(context);
        known.take(latest);
        self.know(Some(*known), now);
        Ok(PartitionProgress::Fine)
    }

    /// The receipt that the sink has, if another runner added the same rows.
    fn found(&self, context: &FollowContext<'_>, news: &NewRows) -> Result<Option<Box<Receipt>>, StoreError> {
        let Addition { after, input, .. } = &news.addition;
        let is_same =
            |receipt: &Receipt| receipt.definition == after.definition && receipt.input.is_same_rows(input);
        match context.job.sink.found(&self.partition)? {
            Found::Ours(receipt) if is_same(&receipt) => Ok(Some(receipt)),
            _ => Ok(None),
        }
    }

    fn note_success(&mut self, context: &FollowContext<'_>) {
        if self.retry.end() | context.was_behind(&self.partition) {
            context.tell(FollowEvent::CaughtUp(self.partition.clone()));
        }
    }

    /// Notes what the join loses. Returns it where it is too much, and more than before.
    fn note_loss(&mut self, panel: Option<&Panel>) -> Option<JoinLoss> {
        let panel = panel?;
        let before = self.lost_rows.replace(panel.lost_rows.clone())?;
        let has_lost_more = panel.lost_rows.iter().zip(&before).any(|(now, before)| now > before);
        panel.join_loss.clone().filter(|_| has_lost_more)
    }

    fn tell_loss(&self, context: &FollowContext<'_>, loss: Option<JoinLoss>) {
        if let Some(loss) = loss {
            context.tell(FollowEvent::JoinLoss { partition: self.partition.clone(), loss });
        }
    }

    fn tell_written(&self, context: &FollowContext<'_>, outcome: Outcome, cause: String) {
        let Outcome::Written { was, counts, bytes, join_loss } = outcome else { return };
        let partition = self.partition.clone();
        if let Some(rows) = counts.added_rows {
            context.tell(FollowEvent::Appended { partition, rows, last_us: counts.last_us, bytes });
            return self.tell_loss(context, join_loss);
        }
        let rows = counts.rows;
        context.tell(FollowEvent::Rewritten { partition, was, cause, rows, bytes, join_loss });
    }

    /// An error that is this partition's, or nobody's in particular.
    fn failed(
        &mut self,
        context: &FollowContext<'_>,
        error: StoreError,
        now: Duration,
    ) -> Result<PartitionProgress, StoreError> {
        if is_store_lost(&error) {
            return Err(error);
        }
        Ok(self.fail(context, FollowFailure::from_error(&error), now))
    }

    /// Notes a failure, and tells it where that is to be told.
    pub(super) fn fail(
        &mut self,
        context: &FollowContext<'_>,
        failure: FollowFailure,
        now: Duration,
    ) -> PartitionProgress {
        self.known = None;
        self.is_checked = false;
        if let Some(cause) = self.retry.fail(failure, now, context.held_max()) {
            context.tell(FollowEvent::Behind { partition: self.partition.clone(), cause });
        }
        PartitionProgress::CheckLater
    }
}

/// Whether an error says that a store isn't there.
pub(super) fn is_store_lost(error: &StoreError) -> bool {
    error.is_unconnected() || error.fault() == crate::store::Fault::Unreachable
}
