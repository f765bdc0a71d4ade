//! [`OpenPartition`]: a partition whose rows still come.

use std::time::Duration;

use super::FollowEvent;
use super::known_partition::{KnownPartition, Look};
use super::trouble::{Failure, Trouble};
use super::workshop::{FollowWorker, Workshop};
use crate::partition::Partition;
use crate::run::{Appended, Outcome, Settled};
use crate::store::{SeriesRows, StoreError};

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
    /// What keeps it from being known.
    trouble: Trouble,
    /// When it is checked, if it isn't known.
    check_at: Duration,
    /// Since when every series has had later rows than it.
    pub(super) over_since: Option<Duration>,
    /// Whether it is closed once it is known again.
    pub(super) is_settling: bool,
}

/// What came of work on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is as it should be.
    Fine,
    /// It was not, and is now.
    Written,
    /// It has no joined row yet, and no features.
    Empty,
    /// It has to be checked now.
    Doubt,
    /// It is checked again later.
    Later,
}

impl OpenPartition {
    pub(super) fn new(partition: Partition) -> Self {
        Self {
            partition,
            known: None,
            trouble: Trouble::default(),
            check_at: Duration::ZERO,
            over_since: None,
            is_settling: false,
        }
    }

    /// Whether it has to be checked now.
    pub(super) fn is_check_due(&self, now: Duration) -> bool {
        self.known.is_none() && now >= self.check_at && self.trouble.is_due(now)
    }

    /// Forgets what is known, so that the whole partition is checked.
    pub(super) fn doubt(&mut self) {
        if self.known.take().is_some() {
            self.check_at = Duration::ZERO;
        }
    }

    /// Checks the whole partition, as a run does.
    ///
    /// # Errors
    /// Where the store cannot be reached. Other errors are this partition's trouble.
    pub(super) fn check(
        &mut self,
        shop: &Workshop<'_>,
        worker: &mut FollowWorker,
        now: Duration,
    ) -> Result<Progress, StoreError> {
        self.known = None;
        let Settled { outcome, cause, panel, receipt, rows } = match shop.settle(worker, &self.partition) {
            Ok(settled) => settled,
            Err(error) => return self.failed(shop, error, now),
        };
        let progress = match &outcome {
            Outcome::Written { .. } => Progress::Written,
            _ => Progress::Fine,
        };
        match outcome {
            Outcome::Written { .. } => {
                let last_us = receipt.as_ref().and_then(|receipt| receipt.input.last_us);
                self.tell_written(shop, outcome, cause, last_us);
            }
            Outcome::AlreadyDone if receipt.is_none() => return Ok(Progress::Empty),
            Outcome::AlreadyDone => {}
            Outcome::LeftAlone(assessment) => {
                let cause = format!("{}: {}", assessment.state, assessment.cause);
                return Ok(self.fail(shop, Failure::Lasting(cause), now));
            }
            Outcome::Held(holder) => return Ok(self.fail(shop, Failure::Held(holder), now)),
            Outcome::Failed(error) => return self.failed(shop, error, now),
            Outcome::Abandoned => return Ok(Progress::Later),
        }
        if self.trouble.end() {
            shop.tell(FollowEvent::CaughtUp(self.partition.clone()));
        }
        let known = receipt.zip(panel).and_then(|(receipt, panel)| {
            KnownPartition::new(shop.job.config, &self.partition, receipt, &panel, rows)
        });
        self.know(known, now);
        Ok(progress)
    }

    /// Remembers what is known, where that is little enough.
    fn know(&mut self, known: Option<KnownPartition>, now: Duration) {
        match known {
            Some(known) if known.held().len() <= HELD_ROWS_MAX => self.known = Some(Box::new(known)),
            Some(_) => self.check_at = now + APART_PAUSE,
            None => self.check_at = now + CHANGING_PAUSE,
        }
    }

    /// Adds what is new in `latest`, the last rows of each series, which don't differ from those held.
    ///
    /// # Errors
    /// As [`OpenPartition::check`].
    pub(super) fn add(
        &mut self,
        shop: &Workshop<'_>,
        worker: &mut FollowWorker,
        (latest, lasts_us): (&[SeriesRows], &[Option<i64>]),
        now: Duration,
    ) -> Result<Progress, StoreError> {
        let Some(mut known) = self.known.take() else { return Ok(Progress::Later) };
        let config = shop.job.config;
        match known.look(config, &self.partition, latest, lasts_us) {
            Look::Nothing => {}
            Look::Full => return Ok(Progress::Doubt),
            Look::News(news) => match shop.append(worker, &self.partition, &news.addition) {
                Ok(Appended::Ended(outcome @ Outcome::Written { .. }, Some(receipt))) => {
                    self.tell_written(shop, outcome, String::new(), receipt.input.last_us);
                    known.advance(config, receipt, *news);
                }
                Ok(Appended::Ended(Outcome::Held(holder), _)) => {
                    return Ok(self.fail(shop, Failure::Held(holder), now));
                }
                Ok(Appended::Ended(Outcome::Abandoned, _)) => return Ok(Progress::Later),
                // A check finds out what there is to do.
                Ok(_) => return Ok(Progress::Doubt),
                Err(error) => return self.failed(shop, error, now),
            },
        }
        known.take(latest);
        self.know(Some(*known), now);
        Ok(Progress::Fine)
    }

    /// Tells what was written; `last_us` is the last instant that has features now.
    fn tell_written(&self, shop: &Workshop<'_>, outcome: Outcome, cause: String, last_us: Option<i64>) {
        let Outcome::Written { was, counts, bytes, join_loss } = outcome else { return };
        let partition = self.partition.clone();
        shop.tell(match counts.added_rows {
            Some(rows) => FollowEvent::Appended { partition, rows, last_us, bytes },
            None => FollowEvent::Rewritten { partition, was, cause, rows: counts.rows, bytes, join_loss },
        });
    }

    /// An error that is this partition's, or nobody's in particular.
    fn failed(
        &mut self,
        shop: &Workshop<'_>,
        error: StoreError,
        now: Duration,
    ) -> Result<Progress, StoreError> {
        if is_store_lost(&error) {
            return Err(error);
        }
        Ok(self.fail(shop, Failure::from_error(&error), now))
    }

    /// Notes a failure, and tells it where that is to be told.
    pub(super) fn fail(&mut self, shop: &Workshop<'_>, failure: Failure, now: Duration) -> Progress {
        self.known = None;
        if let Some(cause) = self.trouble.fail(failure, now, shop.held_max()) {
            shop.tell(FollowEvent::Behind { partition: self.partition.clone(), cause });
        }
        Progress::Later
    }
}

/// Whether an error says that a store isn't there.
pub(super) fn is_store_lost(error: &StoreError) -> bool {
    error.is_unconnected() || error.fault() == crate::store::Fault::Unreachable
}
