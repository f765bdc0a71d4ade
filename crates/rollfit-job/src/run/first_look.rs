//! [`FirstLook`]: what a look at a partition shows before its source is read, where several runners may be at work on one store.
//!
//! Invariants: what another runner has is not read; what another runner has written since this run began is not read either. A look takes
//! no claim and leaves no trace.

use super::Outcome;
use super::Try;
use super::noted_marks::{Noted, Since};
use super::partition::Runner;
use super::shares::{is_own, may_replace_unread};
use crate::activity::{Activity, during};
use crate::foreign;
use crate::partition::Partition;
use crate::state::State;
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
            return self.unless_damaged(found).map(FirstLook::Read);
        }
        during(Activity::Querying, || self.note_marks());
        let found = match during(Activity::Querying, || self.job.sink.look(at.partition)) {
            Ok(Look::Held(holder)) => return Ok(FirstLook::End(held_by(&holder))),
            Ok(Look::Free(found)) => Ok(found),
            Err(error) => Err(error),
        };
        let found = self.unless_damaged(found)?;
        if self.is_written_by_other(at.partition, &found) {
            return Ok(FirstLook::End(Outcome::WrittenByOther));
        }
        if !is_own(self.job, at.partition) && !may_replace_unread(&self.options, self.state_unread(&found)) {
            return Ok(FirstLook::End(Outcome::Unchecked));
        }
        if matches!(self.noted.noted(at.partition), Noted::Held(_)) {
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
        match self.noted.noted(partition) {
            Noted::Unknown | Noted::Held(_) => false,
            Noted::Nothing => true,
            Noted::Mark(_) if self.needs_present_mark(partition) => {
                during(Activity::Querying, || self.noted.is_written_now(self.job.sink, partition))
            }
            Noted::Mark(_) => {
                during(Activity::Querying, || self.noted.refresh(self.job.sink, self.partitions));
                self.noted.since(partition) == Since::Written
            }
        }
    }

    /// Whether a mark that is seconds old won't do: where it says whether the partition is written again, or another runner was at it.
    fn needs_present_mark(&self, partition: &Partition) -> bool {
        self.options.force || !self.options.replace.is_empty() || self.done.has_seen_held(partition)
    }

    /// Notes what the sink holds, before the first partition is looked at. Without that nothing is taken for done unread.
    fn note_marks(&self) {
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
        }
    }
}

pub(super) fn held_by(holder: &str) -> Outcome {
    Outcome::Held(foreign::message(holder).into_owned())
}
