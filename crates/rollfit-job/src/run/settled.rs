//! [`Settled`]: what came of a partition. It is read, decided about, claimed, computed, written and committed here; rows are
//! added to it where that is all there is to do.
//!
//! Invariants: what is written is decided from what the sink holds once the partition is claimed. Where that is not what was
//! looked at before, nothing is written.

use super::first_look::{FirstLook, held_by};
use super::partition::Runner;
use super::{Outcome, Stage, Try, WrittenCounts};
use crate::activity::{Activity, Lane, during, enter};
use crate::addition::Addition;
use crate::empty::{is_empty_panel, no_rows};
use crate::features::FeatureEngine;
use crate::foreign;
use crate::join_loss::JoinLoss;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::plan::is_new_loss;
use crate::receipt::{Input, Receipt, Stored};
use crate::state::{Assessment, State};
use crate::store::{Claim, FeatureTile, Found, ReaderView, SeriesRows, Slot, StoreError, Write};

/// What came of a partition, and from what.
#[derive(Debug)]
pub(crate) struct Settled {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Why it was written, for people.
    pub(crate) cause: String,
    /// The rows of the source; none where they were not read.
    pub(crate) panel: Option<Panel>,
    /// The receipt of the features that are there now; none where they are not those of the rows of the source.
    pub(crate) receipt: Option<Box<Receipt>>,
    /// The rows of each series that the panel was joined from, where they are kept.
    pub(crate) rows: Vec<SeriesRows>,
}

/// What came of an attempt to add rows to a partition.
#[derive(Debug)]
pub(crate) enum Appended {
    /// It ended, and this is the receipt of all rows if they were added.
    Ended(Outcome, Option<Box<Receipt>>),
    /// The receipt is another by now; nothing was written.
    Changed,
    /// The sink cannot add the rows, and why: the partition has to be written again. Nothing was written.
    Rewrite(String),
}

/// How a partition ended, and the receipt of its features if they are those of the rows of the source.
type Ended = (Outcome, Option<Box<Receipt>>);

/// What to do with a partition.
enum PartitionAction {
    /// Write it; this is what it is now.
    Write(Assessment),
    /// Nothing.
    End(Outcome),
}

/// What is written of a partition.
enum WrittenRows<'a> {
    /// All of them, which take the place of those that are there.
    All { panel: &'a Panel, input: &'a Input, found: &'a Found, was: State },
    /// New ones, which come after those.
    Added(&'a Addition),
}

impl WrittenRows<'_> {
    /// The rows to compute, with their lookback.
    fn panel(&self) -> &Panel {
        match self {
            Self::All { panel, .. } => panel,
            Self::Added(addition) => &addition.rows,
        }
    }

    /// What the join loses, where that is too much and no receipt has it.
    fn join_loss(&self) -> Option<JoinLoss> {
        let is_new = match self {
            Self::All { input, found, was, .. } => is_new_loss(*was, found, input),
            Self::Added(addition) => addition.input.has_lost_more_than(&addition.after.input),
        };
        self.panel().join_loss.clone().filter(|_| is_new)
    }
}

impl Runner<'_> {
    /// Reads a partition, decides about it and writes it, once.
    ///
    /// # Errors
    /// Those of the stores, and where there is nothing to compute it from.
    pub(crate) fn settle(
        &self,
        at: Try<'_>,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Result<Settled, StoreError> {
        const LOOKS: usize = 5;
        for _ in 0..LOOKS {
            if let Some(settled) = self.check_and_write(at, engine, lane)? {
                return Ok(settled);
            }
        }
        Ok(Settled::unread(Outcome::Held("another runner that keeps changing it".to_owned())))
    }

    /// Does a partition; nothing where another runner changed it between the look and the claim. That one may have seen a
    /// newer source than this one, which has to read it again, and does not while it holds the claim.
    fn check_and_write(
        &self,
        at: Try<'_>,
        engine: &mut FeatureEngine,
        lane: &Lane,
    ) -> Result<Option<Settled>, StoreError> {
        self.observer.stage(at, Stage::Read);
        // Decided without a claim first: where there is nothing to do, not even a lock file is written. Looked at before the source
        // is read: a receipt that another runner commits meanwhile may be of a newer source, and must not pass for a change.
        let found = match self.look_first(at)? {
            FirstLook::Read(found) => found,
            FirstLook::End(outcome) => return Ok(Some(Settled::unread(outcome))),
        };
        self.done.reads_source();
        let (panel, rows) = during(Activity::Reading, || self.read(at.partition))?;
        lane.hold(panel.memory_bytes());
        let input = during(Activity::Computing, || panel.input());
        let assessment = match self.decide(at, &found, &panel, &input)? {
            PartitionAction::Write(assessment) => assessment,
            PartitionAction::End(outcome) => {
                self.job.sink.tidy(at.partition);
                let receipt = match found {
                    Found::Ours(receipt) if matches!(outcome, Outcome::AlreadyDone) => Some(receipt),
                    _ => None,
                };
                return Ok(Some(Settled {
                    outcome,
                    cause: String::new(),
                    panel: Some(panel),
                    receipt,
                    rows,
                }));
            }
        };
        let mut cause = assessment.cause.clone();
        let ended = match self.append_new_rows(at, (&assessment, &found), &panel, &input, (engine, lane))? {
            Some(Appended::Changed) => None,
            Some(Appended::Ended(outcome, receipt)) => Some((outcome, receipt)),
            // Where it was readers' view that kept rows from being added, the next look tells, or makes it.
            Some(Appended::Rewrite(_)) if !self.is_found_by_readers(at)? => None,
            appended => {
                if let Some(Appended::Rewrite(why)) = appended
                    && self.job.sink.can_append()
                {
                    self.observer.rewritten(at, &why);
                    cause = format!("{cause}; all rows are written, since none can be added: {why}");
                }
                self.replace(at, (assessment, &found), &panel, &input, (engine, lane))?
            }
        };
        Ok(ended.map(|(outcome, receipt)| Settled { outcome, cause, panel: Some(panel), receipt, rows }))
    }

    fn read(&self, partition: &Partition) -> Result<(Panel, Vec<SeriesRows>), StoreError> {
        let (source, config) = (self.job.source, self.job.config);
        if self.is_following() {
            return Panel::read_with_rows(source, config, partition);
        }
        Ok((Panel::read(source, config, partition)?, Vec::new()))
    }

    /// What to do with a partition whose sink holds `found` and whose source holds `panel`, which is `input` in a receipt.
    fn decide(
        &self,
        at: Try<'_>,
        found: &Found,
        panel: &Panel,
        input: &Input,
    ) -> Result<PartitionAction, StoreError> {
        let compare_input = |recorded: &Input| panel.compare_input(recorded);
        let assessment =
            Assessment::from_found(found, &self.definition, input, compare_input, &self.job.config.run);
        match assessment.state {
            State::Missing if input.rows == 0 => self.without_rows(at, panel).map(PartitionAction::End),
            _ if self.options.writes(&assessment, input.rows) => {
                self.for_readers(at, assessment, PartitionAction::Write)
            }
            State::Done => self.for_readers(at, assessment, |_| PartitionAction::End(Outcome::AlreadyDone)),
            State::Blocked | State::Newer => Ok(PartitionAction::End(Outcome::LeftAlone(assessment))),
            _ => {
                let view = during(Activity::Querying, || self.job.sink.reader_view(at.partition))?;
                Ok(PartitionAction::End(Outcome::LeftAlone(assessment.with_view(&view))))
            }
        }
    }

    /// How a partition without features ends of which no row is joined.
    fn without_rows(&self, at: Try<'_>, panel: &Panel) -> Result<Outcome, StoreError> {
        if self.options.force {
            // Damaged features count as none where they are computed again, which these cannot be.
            during(Activity::Querying, || self.job.sink.found(at.partition))?;
        }
        if self.is_following() || panel.waits_for_rows() {
            Ok(Outcome::Waiting)
        } else if is_empty_panel(self.job.config, panel) {
            Ok(Outcome::Empty)
        } else {
            Err(StoreError::permanent(no_rows(self.job.config, at.partition, panel)))
        }
    }

    /// Sees to it that readers find what a partition has, or will have. One that is written as a whole gets its view with its rows.
    fn for_readers(
        &self,
        at: Try<'_>,
        assessment: Assessment,
        action: impl FnOnce(Assessment) -> PartitionAction,
    ) -> Result<PartitionAction, StoreError> {
        match during(Activity::Querying, || self.job.sink.reader_view(at.partition))? {
            ReaderView::Missing(what) if matches!(assessment.state, State::Done | State::Grown) => {
                during(Activity::Committing, || self.job.sink.make_reader_view(at.partition))?;
                self.tell_view_made(at, what);
            }
            ReaderView::Ready | ReaderView::Missing(_) => {}
            ReaderView::Foreign(what) => {
                return Ok(PartitionAction::End(Outcome::LeftAlone(assessment.blocked_by(&what))));
            }
        }
        Ok(action(assessment))
    }

    fn is_found_by_readers(&self, at: Try<'_>) -> Result<bool, StoreError> {
        let view = during(Activity::Querying, || self.job.sink.reader_view(at.partition))?;
        Ok(view == ReaderView::Ready)
    }

    /// Adds what is new to a partition that has grown; nothing to one in another state, or that is written again anyway.
    fn append_new_rows(
        &self,
        at: Try<'_>,
        (assessment, found): (&Assessment, &Found),
        panel: &Panel,
        input: &Input,
        engine_and_lane: (&mut FeatureEngine, &Lane),
    ) -> Result<Option<Appended>, StoreError> {
        let Found::Ours(receipt) = found else { return Ok(None) };
        if assessment.state != State::Grown || self.options.force {
            return Ok(None);
        }
        let longest_window_rows = self.job.config.longest_window_rows();
        match Addition::from_panel(receipt, panel, input, longest_window_rows) {
            Some(addition) => self.append(at, &addition, engine_and_lane).map(Some),
            None => Ok(None),
        }
    }

    /// Adds rows to a partition if its receipt still is the one that they come after.
    ///
    /// # Errors
    /// Those of the sink.
    pub(crate) fn append(
        &self,
        at: Try<'_>,
        addition: &Addition,
        engine_and_lane: (&mut FeatureEngine, &Lane),
    ) -> Result<Appended, StoreError> {
        let write = Write::Append { after: addition.after.clone() };
        let mut slot = match during(Activity::Querying, || self.job.sink.claim(at.partition, write))? {
            Claim::Taken(slot) => slot,
            Claim::Held(holder) => return Ok(Appended::Ended(held_by(&holder), None)),
            Claim::Rewrite(why) => {
                return Ok(Appended::Rewrite(foreign::message(&why).into_owned()));
            }
        };
        let is_after = |found: &Found| matches!(found, Found::Ours(receipt) if *receipt == addition.after);
        if !is_after(&during(Activity::Querying, || slot.found())?) {
            self.done.sees_held(at.partition);
            return Ok(Appended::Changed);
        }
        let (outcome, receipt) = self.write(at, slot, engine_and_lane, &WrittenRows::Added(addition))?;
        Ok(Appended::Ended(outcome, receipt))
    }

    /// Writes all rows of a partition in the place of those that are there, unless that would change rows of others. None where
    /// what is there is something else by now.
    fn replace(
        &self,
        at: Try<'_>,
        (assessment, found): (Assessment, &Found),
        panel: &Panel,
        input: &Input,
        engine_and_lane: (&mut FeatureEngine, &Lane),
    ) -> Result<Option<Ended>, StoreError> {
        let overwrites = *found != Found::Nothing;
        let obstacle = || during(Activity::Querying, || self.job.sink.obstacle(at.partition));
        if let Some(obstacle) = overwrites.then(obstacle).transpose()?.flatten() {
            return Ok(Some((Outcome::LeftAlone(assessment.blocked_by(&obstacle)), None)));
        }
        if overwrites && self.is_written_by_other(at.partition, found) {
            self.done.sees_held(at.partition);
            return Ok(None);
        }
        let claim = during(Activity::Querying, || self.job.sink.claim(at.partition, Write::Replace))?;
        let mut slot = match claim {
            Claim::Taken(slot) => slot,
            Claim::Held(holder) | Claim::Rewrite(holder) => return Ok(Some((held_by(&holder), None))),
        };
        if self.options.unless_damaged(during(Activity::Querying, || slot.found()))? != *found {
            self.done.sees_held(at.partition);
            return Ok(None);
        }
        if let Some(obstacle) = slot.obstacle()?.filter(|_| overwrites) {
            return Ok(Some((Outcome::LeftAlone(assessment.blocked_by(&obstacle)), None)));
        }
        let rows = WrittenRows::All { panel, input, found, was: assessment.state };
        self.write(at, slot, engine_and_lane, &rows).map(Some)
    }

    fn write(
        &self,
        at: Try<'_>,
        mut slot: Box<dyn Slot + '_>,
        (engine, lane): (&mut FeatureEngine, &Lane),
        rows: &WrittenRows<'_>,
    ) -> Result<Ended, StoreError> {
        const ABANDONED: Ended = (Outcome::Abandoned, None);
        self.observer.stage(at, Stage::Write);
        during(Activity::Committing, || slot.prepare())?;
        let Some((stored, bytes)) = self.compute(slot.as_mut(), (engine, lane), rows.panel())? else {
            return Ok(ABANDONED);
        };
        if self.stop.abandon_requested() {
            return Ok(ABANDONED);
        }
        during(Activity::Encoding, || slot.flush())?;
        let receipt = self.receipt(at.partition, slot.as_ref(), rows, &stored)?;
        if self.stop.abandon_requested() {
            return Ok(ABANDONED);
        }
        self.observer.stage(at, Stage::Commit);
        // Where the commit is done and its answer is lost, the next attempt finds what this one wrote.
        self.noted.forget(at.partition);
        let stored_bytes = during(Activity::Committing, || slot.commit(&receipt))?;
        self.done.handed_over(0, stored_bytes.saturating_sub(bytes));
        self.wait_if_throttled();
        let (was, counts) = match rows {
            WrittenRows::All { was, .. } => (*was, WrittenCounts::from_receipt(&receipt)),
            WrittenRows::Added(addition) => {
                (State::Grown, WrittenCounts::from_addition(&receipt, &addition.after, &stored))
            }
        };
        let join_loss = rows.join_loss();
        Ok((Outcome::Written { was, counts, bytes: stored_bytes, join_loss }, Some(Box::new(receipt))))
    }

    /// Computes rows and hands them to the slot. Returns what is stored of them and in how many bytes so far; none where that
    /// was given up.
    fn compute(
        &self,
        slot: &mut dyn Slot,
        (engine, lane): (&mut FeatureEngine, &Lane),
        panel: &Panel,
    ) -> Result<Option<(Stored, u64)>, StoreError> {
        let rounding = slot.rounding();
        let grouping = self.job.sink.grouping();
        lane.expect(panel.rows() as u64);
        let memory_bytes = panel.memory_bytes() + engine.memory_bytes();
        let mut bytes = 0;
        let _computing = enter(Activity::Computing);
        let written = engine.compute(panel, grouping, rounding.as_deref(), |tile| {
            if self.stop.abandon_requested() {
                return Err(None);
            }
            during(Activity::Encoding, || slot.write(tile)).map_err(Some)?;
            self.note(tile, slot, &mut bytes);
            lane.hold(memory_bytes + slot.memory_bytes());
            self.wait_if_throttled();
            Ok(())
        });
        match written {
            Ok(stored) => Ok(Some((stored, bytes))),
            Err(Some(error)) => Err(error),
            Err(None) => Ok(None),
        }
    }

    /// The receipt of a partition once `stored` is what was written to the slot.
    fn receipt(
        &self,
        partition: &Partition,
        slot: &dyn Slot,
        rows: &WrittenRows<'_>,
        stored: &Stored,
    ) -> Result<Receipt, StoreError> {
        match rows {
            WrittenRows::All { input, .. } => Ok(Receipt {
                output: self.job.sink.output(partition),
                definition: self.definition.clone(),
                input: (*input).clone(),
                stored: Stored { types: slot.column_types(), ..stored.clone() },
            }),
            WrittenRows::Added(addition) => addition.receipt(stored),
        }
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

impl Settled {
    /// How a partition ended whose rows were not read.
    fn unread(outcome: Outcome) -> Self {
        Self { outcome, cause: String::new(), panel: None, receipt: None, rows: Vec::new() }
    }
}
