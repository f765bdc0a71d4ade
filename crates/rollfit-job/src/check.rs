//! [`CheckOutcome`]: how the check of a stored partition ended, and the loop that checks partitions on several workers.
//! What is checked is up to [`verify`](crate::verify), [`compare`](mod@crate::compare) and [`adopt`](mod@crate::adopt).

use crate::Job;
use crate::absence::Absence;
use crate::empty::is_empty;
use crate::partition::Partition;
use crate::stop_signal::StopSignal;
use crate::store::StoreError;
use crate::workers::for_each;

/// How the check of a partition ended.
#[derive(Debug)]
pub enum CheckOutcome<T> {
    /// It was checked.
    Checked(T),
    /// There are no features.
    Absent,
    /// There are no features, and no series has a row.
    Empty,
    /// A later version of rollfit wrote them; which, and what to do.
    Newer(String),
    /// A file of others lies where they are; which, and what to do.
    Blocked(String),
    /// It could not be read or written.
    Failed(StoreError),
    /// A stop was wanted before its end.
    Skipped,
}

impl<T> CheckOutcome<T> {
    /// Returns what the check showed, if it came to its end.
    pub fn checked(&self) -> Option<&T> {
        if let Self::Checked(found) = self { Some(found) } else { None }
    }

    /// As [`CheckOutcome::checked`], by value.
    pub fn into_checked(self) -> Option<T> {
        if let Self::Checked(found) = self { Some(found) } else { None }
    }
}

/// How the check of a partition ends that has no features. Where its source cannot be asked, it counts as not empty.
pub(crate) fn without_features<T>(job: &Job<'_>, partition: &Partition) -> CheckOutcome<T> {
    match is_empty(job.source, job.config, partition) {
        Ok(true) => CheckOutcome::Empty,
        Ok(false) | Err(_) => CheckOutcome::Absent,
    }
}

/// Checks `partitions`, with an outcome for each in their order. Calls `ended` as each ends, but not for those that were
/// never started.
pub(crate) fn check_each<T: Send>(
    job: &Job<'_>,
    partitions: &[Partition],
    stop: &StopSignal,
    ended: &(dyn Fn(&Partition, &CheckOutcome<T>) + Sync),
    check: impl Fn(&Partition) -> Result<CheckOutcome<T>, StoreError> + Sync,
) -> Vec<CheckOutcome<T>> {
    let absence = Absence::new(job.config.run.retry_for);
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        if stop.requested() {
            return CheckOutcome::Skipped;
        }
        let outcome = absence.look(|| check(partition)).unwrap_or_else(CheckOutcome::Failed);
        ended(partition, &outcome);
        outcome
    })
}
