//! What happens in a run, as lines of its record.

use std::time::Duration;

use rollfit_job::error_chain;
use rollfit_job::record::{PartitionEnd, PartitionOutcome, Retry};
use rollfit_job::run::{Outcome, Spent, Try};
use rollfit_job::store::StoreError;

/// A time of a run in whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The end of a partition.
pub(crate) fn partition_end(at: Try<'_>, outcome: &Outcome, spent: &Spent) -> PartitionEnd {
    let locked_by = match outcome {
        Outcome::Held(holder) => Some(holder.clone()),
        _ => spent.locked_by.clone(),
    };
    let (outcome, cause, rows, bytes) = match outcome {
        Outcome::Written { counts, bytes, .. } => {
            (PartitionOutcome::Written, None, counts.written_rows(), *bytes)
        }
        // Earlier versions cannot read an outcome of its own.
        Outcome::AlreadyDone
        | Outcome::WrittenByOther
        | Outcome::Unchecked
        | Outcome::Waiting
        | Outcome::Empty => (PartitionOutcome::Done, None, 0, 0),
        Outcome::LeftAlone(assessment) => (
            PartitionOutcome::LeftAlone,
            Some(format!("it is {}: {}", assessment.state, assessment.cause)),
            0,
            0,
        ),
        Outcome::Held(holder) => (PartitionOutcome::Held, Some(format!("in use by {holder}")), 0, 0),
        Outcome::Failed(error) => (PartitionOutcome::Failed, Some(error_chain(error)), 0, 0),
        Outcome::Abandoned => (PartitionOutcome::Abandoned, None, 0, 0),
        other => (PartitionOutcome::Failed, Some(format!("{other:?}")), 0, 0),
    };
    PartitionEnd {
        at_ms: millis(spent.ended),
        begun_ms: millis(spent.begun),
        partition: at.partition.clone(),
        worker: at.worker,
        attempt: at.attempt,
        outcome,
        cause,
        rows,
        bytes,
        wall_us: spent.wall,
        cpu_us: spent.cpu,
        trips: spent.trips,
        locked_by,
        source_reads: Some(spent.source_reads),
        seen_held: spent.seen_held,
    }
}

/// A failed attempt.
pub(crate) fn retry(now: Duration, at: Try<'_>, error: &StoreError, pause: Duration) -> Retry {
    Retry {
        at_ms: millis(now),
        partition: at.partition.clone(),
        worker: at.worker,
        attempt: at.attempt,
        cause: error_chain(error),
        pause_ms: millis(pause),
    }
}
