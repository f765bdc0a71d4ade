//! [`Runner`]: one partition after the other, on the thread of a worker: read, decide, claim, compute, write, commit; again
//! where a fault may pass.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::done::Done;
use super::throttle::Throttle;
use super::{Observer, Outcome, RunOptions, Stage, Try, WrittenCounts};
use crate::Job;
use crate::activity::{Activity, Lane, during, enter};
use crate::features::FeatureEngine;
use crate::foreign;
use crate::lock::lock;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::plan::{is_written_first, no_rows};
use crate::receipt::{Definition, Input, Receipt};
use crate::state::{Assessment, State};
use crate::stop_signal::StopSignal;
use crate::store::{Claim, Fault, FeatureTile, Found, Slot, StoreError, Write};

/// Since when every attempt has failed for a cause that may pass. A store that is down fails every partition: it is waited
/// for once, not once a partition.
#[derive(Default)]
pub(super) struct Outage {
    since: Mutex<Option<Instant>>,
}

impl Outage {
    /// Notes a failure; returns for how long there were only failures, nothing for the first.
    fn record_failure(&self) -> Option<Duration> {
        let mut since = lock(&self.since);
        let lasted = since.map(|since| since.elapsed());
        since.get_or_insert_with(Instant::now);
        lasted
    }

    fn clear(&self) {
        *lock(&self.since) = None;
    }
}

/// What to do with a partition.
enum PartitionAction {
    /// Write it; this is what it is now.
    Write(Assessment),
    /// Nothing.
    End(Outcome),
}

/// What every worker shares.
pub(super) struct Runner<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) definition: Arc<Definition>,
    pub(super) options: &'a RunOptions,
    pub(super) stop: &'a StopSignal,
    pub(super) observer: &'a dyn Observer,
    pub(super) started: Instant,
    pub(super) outage: Outage,
    pub(super) done: Done,
    pub(super) throttle: Throttle,
}

impl Runner<'_> {
    /// Whether another process has the partition or its series now. Cheaper than reading its source to find out.
    pub(super) fn is_still_held(&self, partition: &Partition) -> bool {
        let look = || {
            matches!(self.source_holder(partition), Ok(Some(_)))
                || matches!(self.job.sink.claim(partition, Write::Replace), Ok(Claim::Held(_)))
        };
        // A bug that panics here panics again where it is reported.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).unwrap_or(false)
    }

    fn source_holder(&self, partition: &Partition) -> Result<Option<String>, StoreError> {
        self.job.source.holder(&self.job.config.series_of_key(&partition.key))
    }

    /// Does a partition, again while its faults are transient and attempts are left. Returns the last attempt's number.
    pub(super) fn try_partition(
        &self,
        worker: usize,
        partition: &Partition,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> (Outcome, u32) {
        let mut at = Try { worker, partition, attempt: 1 };
        loop {
            let error = match self.contain_panic(at, engine, lane) {
                Ok(outcome) => {
                    self.outage.clear();
                    return (outcome, at.attempt);
                }
                Err(error) => error,
            };
            let run = &self.job.config.run;
            let attempts = error.attempts_max().unwrap_or(run.attempts).min(run.attempts);
            if error.fault() != Fault::Transient || at.attempt >= attempts || self.stop.requested() {
                return (Outcome::Failed(error), at.attempt);
            }
            let lasted = self.outage.record_failure();
            if lasted.is_some_and(|lasted| lasted > run.retry_for) {
                return (Outcome::Failed(error), at.attempt);
            }
            let pause = retry_pause(at.attempt);
            self.done.retried();
            self.observer.retried(at, &error, pause, lasted.is_some());
            during(Activity::Pausing, || self.stop.sleep(pause));
            at.attempt += 1;
        }
    }

    /// Does a partition; a defect that panics fails this partition and not the others.
    fn contain_panic(
        &self,
        at: Try<'_>,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Result<Outcome, StoreError> {
        let attempt = std::panic::AssertUnwindSafe(|| self.do_partition(at, engine, lane));
        std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
            let cause =
                panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            let cause = cause.unwrap_or("no message");
            Err(StoreError::permanent(format!(
                "a bug in rollfit stopped this partition; please report it: {cause}"
            )))
        })
    }

    fn do_partition(
        &self,
        at: Try<'_>,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Result<Outcome, StoreError> {
        const LOOKS: usize = 5;
        for _ in 0..LOOKS {
            if let Some(outcome) = self.check_and_write(at, engine, lane)? {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Held("another runner that keeps changing it".to_owned()))
    }

    /// Does a partition; nothing where another runner changed it between the look and the claim. That one may have seen a
    /// newer source than this one, which has to read it again, and does not while it holds the claim.
    fn check_and_write(
        &self,
        at: Try<'_>,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Result<Option<Outcome>, StoreError> {
        self.observer.stage(at, Stage::Read);
        if let Some(holder) = during(Activity::Reading, || self.source_holder(at.partition))? {
            return Ok(Some(Outcome::Held(foreign::message(&holder).into_owned())));
        }
        let panel =
            during(Activity::Reading, || Panel::read(self.job.source, self.job.config, at.partition))?;
        lane.hold(panel.memory_bytes());
        let input = during(Activity::Computing, || panel.input());
        // Decided without a claim first: where there is nothing to do, not even a lock file is written.
        let found = self.unless_damaged(during(Activity::Querying, || self.job.sink.found(at.partition)))?;
        let assessment = match self.decide(at.partition, &found, &panel, &input)? {
            PartitionAction::Write(assessment) => assessment,
            PartitionAction::End(outcome) => {
                self.job.sink.tidy(at.partition);
                return Ok(Some(outcome));
            }
        };
        let overwrites = found != Found::Nothing;
        let obstacle = || during(Activity::Querying, || self.job.sink.obstacle(at.partition));
        if let Some(obstacle) = overwrites.then(obstacle).transpose()?.flatten() {
            return Ok(Some(Outcome::LeftAlone(assessment.blocked_by(&obstacle))));
        }
        let mut slot = match during(Activity::Querying, || self.job.sink.claim(at.partition, Write::Replace))?
        {
            Claim::Taken(slot) => slot,
            Claim::Held(holder) | Claim::Rewrite(holder) => {
                return Ok(Some(Outcome::Held(foreign::message(&holder).into_owned())));
            }
        };
        if self.unless_damaged(during(Activity::Querying, || slot.found()))? != found {
            return Ok(None);
        }
        if let Some(obstacle) = slot.obstacle()?.filter(|_| overwrites) {
            return Ok(Some(Outcome::LeftAlone(assessment.blocked_by(&obstacle))));
        }
        self.write(at, slot, (engine, lane), &panel, input, assessment.state).map(Some)
    }

    /// What was found. Damaged features are an error, and count as none where they are to be computed again.
    fn unless_damaged(&self, found: Result<Found, StoreError>) -> Result<Found, StoreError> {
        match found {
            Err(error) if error.is_damage() && self.options.force => Ok(Found::Nothing),
            found => found,
        }
    }

    /// What to do with a partition whose sink holds `found` and whose source holds `panel`, which is `input` in a receipt.
    fn decide(
        &self,
        partition: &Partition,
        found: &Found,
        panel: &Panel,
        input: &Input,
    ) -> Result<PartitionAction, StoreError> {
        let is_input = |recorded: &Input| panel.is_input(recorded);
        let assessment =
            Assessment::from_found(found, &self.definition, input, is_input, &self.job.config.run);
        match assessment.state {
            State::Missing if input.rows == 0 => {
                Err(StoreError::permanent(no_rows(self.job.config, partition, input)))
            }
            _ if self.is_to_write(&assessment, input) => Ok(PartitionAction::Write(assessment)),
            State::Done => Ok(PartitionAction::End(Outcome::AlreadyDone)),
            _ => Ok(PartitionAction::End(Outcome::LeftAlone(assessment))),
        }
    }

    fn is_to_write(&self, assessment: &Assessment, input: &Input) -> bool {
        match assessment.state {
            State::Missing | State::InputChanged => true,
            State::Done => self.options.force,
            State::Blocked | State::Newer => false,
            // An empty partition is never written: to be rid of the old features, drop them.
            State::DefinitionChanged | State::Foreign | State::Shrunk => {
                assessment.may_be_replaced(&self.options.replace) && input.rows > 0
            }
        }
    }

    fn write(
        &self,
        at: Try<'_>,
        mut slot: Box<dyn Slot + '_>,
        (engine, lane): (&mut FeatureEngine, &Lane),
        panel: &Panel,
        input: Input,
        was: State,
    ) -> Result<Outcome, StoreError> {
        self.observer.stage(at, Stage::Write);
        let rounding = slot.rounding();
        let grouping = self.job.sink.grouping();
        let memory_bytes = panel.memory_bytes() + engine.memory_bytes();
        let mut bytes = 0;
        during(Activity::Committing, || slot.prepare())?;
        let computing = enter(Activity::Computing);
        let written = engine.compute(panel, grouping, rounding.as_deref(), |tile| {
            if self.stop.abandon_requested() {
                return Err(None);
            }
            during(Activity::Encoding, || slot.write(tile)).map_err(Some)?;
            self.note(tile, slot.as_ref(), &mut bytes);
            lane.hold(memory_bytes + slot.memory_bytes());
            self.wait_if_throttled();
            Ok(())
        });
        let stored = match written {
            Ok(stored) => stored,
            Err(Some(error)) => return Err(error),
            Err(None) => return Ok(Outcome::Abandoned),
        };
        drop(computing);
        if self.stop.abandon_requested() {
            return Ok(Outcome::Abandoned);
        }
        during(Activity::Encoding, || slot.flush())?;
        let output = self.job.sink.output(at.partition);
        let receipt = Receipt { output, definition: self.definition.clone(), input, stored };
        if self.stop.abandon_requested() {
            return Ok(Outcome::Abandoned);
        }
        self.observer.stage(at, Stage::Commit);
        let stored_bytes = during(Activity::Committing, || slot.commit(&receipt))?;
        self.done.handed_over(0, stored_bytes.saturating_sub(bytes));
        self.wait_if_throttled();
        let join_loss = panel.join_loss.clone().filter(|_| is_written_first(was));
        let counts = WrittenCounts::from_receipt(&receipt);
        Ok(Outcome::Written { was, counts, bytes: stored_bytes, join_loss })
    }

    /// Holds this worker back while the run uses more than it may.
    fn wait_if_throttled(&self) {
        self.throttle.wait(self.done.totals().bytes, self.started.elapsed(), self.stop);
    }

    /// Counts the rows of a tile once, and the bytes that the sink has written more than before.
    fn note(&self, tile: FeatureTile<'_>, slot: &dyn Slot, bytes: &mut u64) {
        let rows = if tile.first_column == 0 { tile.rows() } else { 0 };
        let written = slot.bytes_written();
        self.done.handed_over(rows, written.saturating_sub(*bytes));
        *bytes = written;
    }
}

/// How long to wait before the attempt after this one: doubled each time, and not the same for every worker, so that not all
/// come back at once.
fn retry_pause(attempt: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);
    let pause = FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST);
    pause.mul_f64(0.5 + 0.5 * fastrand::f64())
}
