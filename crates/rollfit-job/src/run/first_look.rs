//! [`FirstLook`]: what a look at a partition shows before its source is read, where several runners may be at work on one store.
//!
//! Invariants: what another runner has is not read; what another runner has written since this run began is not read either, and where that
//! is of another definition it is not replaced and the run stops. A look takes no claim and leaves no trace.

use super::noted_marks::{AtStart, Since};
use super::partition::Runner;
use super::shares::{is_own, may_replace_unread};
use super::{OtherConfiguration, Outcome, Try};
use crate::activity::{Activity, during};
use crate::foreign;
use crate::lock::lock;
use crate::partition::Partition;
use crate::state::{Assessment, State};
use crate::store::{Found, Look, StoreError};

/// What to do with a partition after the first look at it.
pub(super) enum FirstLook {
    /// Read its source; this is what there is of it.
    Read(Found),
    /// Nothing more.
    End(Outcome),
}

impl Runner<'_> {
    /// Looks at a partition before its source is read.
    ///
    /// # Errors
    /// Those of the stores.
    pub(super) fn look_first(&self, at: Try<'_>) -> Result<FirstLook, StoreError> {
        if let Some(holder) = during(Activity::Reading, || self.source_holder(at.partition))? {
            // What others have written by now is not of the source that comes.
            self.noted.forget(at.partition);
            return Ok(FirstLook::End(held_by(&holder)));
        }
        if self.is_following() {
            let found = during(Activity::Querying, || self.job.sink.found(at.partition));
            return self.options.unless_damaged(found).map(FirstLook::Read);
        }
        during(Activity::Querying, || self.note_marks());
        let found = match during(Activity::Querying, || self.job.sink.look(at.partition)) {
            Ok(Look::Held(holder)) => return Ok(FirstLook::End(held_by(&holder))),
            Ok(Look::Free(found)) => Ok(found),
            Err(error) => Err(error),
        };
        let found = self.options.unless_damaged(found)?;
        if self.is_written_by_other(at.partition, &found) {
            return Ok(FirstLook::End(Outcome::WrittenByOther));
        }
        if let Some(difference) = self.written_otherwise(at.partition, &found) {
            let outcome = self.note_other_configuration(at.partition, difference);
            return Ok(FirstLook::End(outcome));
        }
        if !is_own(self.job, at.partition) && !may_replace_unread(&self.options, self.state_unread(&found)) {
            return Ok(FirstLook::End(Outcome::Unchecked));
        }
        if matches!(self.noted.at_start(at.partition), AtStart::Held(_)) {
            self.done.sees_held(at.partition);
        }
        Ok(FirstLook::Read(found))
    }

    /// Whether another process has the partition or its series now. Cheaper than reading its source to find out.
    pub(super) fn is_still_held(&self, partition: &Partition) -> bool {
        let look = || {
            matches!(self.source_holder(partition), Ok(Some(_)))
                || matches!(self.job.sink.look(partition), Ok(Look::Held(_)))
        };
        // A bug that panics here panics again where it is reported.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).unwrap_or(false)
    }

    /// Whether what there is of a partition was committed by another runner of this definition since the run began. Never of one that somebody had
    /// when it began, and may have read before.
    pub(super) fn is_written_by_other(&self, partition: &Partition, found: &Found) -> bool {
        let Found::Ours(receipt) = found else { return false };
        if receipt.definition != self.definition {
            return false;
        }
        match self.noted.at_start(partition) {
            AtStart::Unknown | AtStart::Held(_) => false,
            AtStart::Nothing => true,
            AtStart::Mark(_) if self.needs_present_mark(partition) => {
                during(Activity::Querying, || self.noted.is_written_now(self.job.sink, partition))
            }
            AtStart::Mark(_) => {
                during(Activity::Querying, || self.noted.refresh(self.job.sink, self.partitions));
                self.noted.since(partition) == Since::Written
            }
        }
    }

    /// How the definition of what there is of a partition differs from the job's, where that was committed since the run began: another
    /// configuration is at work on this job.
    fn written_otherwise(&self, partition: &Partition, found: &Found) -> Option<String> {
        let Found::Ours(receipt) = found else { return None };
        let difference = receipt.definition.difference(&self.definition)?;
        let is_new = match self.noted.at_start(partition) {
            AtStart::Unknown => false,
            AtStart::Nothing | AtStart::Held(None) => true,
            AtStart::Mark(_) | AtStart::Held(Some(_)) => {
                during(Activity::Querying, || self.noted.is_written_now(self.job.sink, partition))
            }
        };
        is_new.then_some(difference)
    }

    /// Notes that another configuration is at work, the first time, and begins nothing more. Returns how the partition ends that shows it.
    pub(super) fn note_other_configuration(&self, partition: &Partition, difference: String) -> Outcome {
        let outcome = Outcome::LeftAlone(Assessment::written_otherwise(&difference));
        let other = OtherConfiguration { partition: partition.clone(), difference };
        lock(&self.other_configuration).get_or_insert(other);
        self.stop.finish();
        outcome
    }

    /// Whether a mark that is seconds old won't do: where it says whether the partition is written again, or another runner was at it.
    fn needs_present_mark(&self, partition: &Partition) -> bool {
        self.options.force || !self.options.replace.is_empty() || self.done.has_seen_held(partition)
    }

    /// Notes what the sink holds, before the first partition is looked at. Without that nothing is taken for done unread.
    pub(super) fn note_marks(&self) {
        if let Err(error) = self.noted.note(self.job.sink, self.partitions) {
            let cause = crate::error_chain(&error);
            self.observer.unavailable(
                self.started.elapsed(),
                "what other runners have written meanwhile",
                &cause,
            );
        }
    }

    /// The state of a partition as far as it is known without its source: done, where it has features of this definition.
    fn state_unread(&self, found: &Found) -> State {
        match found {
            Found::Nothing => State::Missing,
            Found::Ours(receipt) if receipt.definition == self.definition => State::Done,
            Found::Ours(_) => State::DefinitionChanged,
            Found::Foreign(_) => State::Foreign,
            Found::Newer(_) => State::Newer,
            Found::Blocked(_) => State::Blocked,
        }
    }
}

pub(super) fn held_by(holder: &str) -> Outcome {
    Outcome::Held(foreign::message(holder).into_owned())
}
