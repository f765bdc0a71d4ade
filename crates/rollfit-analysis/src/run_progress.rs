//! [`RunProgress`]: how far a run has come, and where it continues.

use rollfit_job::record::{PartitionOutcome, Record};
use serde::{Deserialize, Serialize};

use super::run_facts::totals;
use super::step_series::unfinished_count;

/// How far a run has come, in partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// Those of the run.
    pub partitions: u64,
    /// Those about which nothing is left to do.
    pub done: u64,
    /// Those that failed, were held by others or were given up.
    pub failed: u64,
    /// Those in progress in the last sample of a run without an end.
    pub in_progress: u64,
    /// Those that are not done, in progress or not.
    pub left: u64,
    /// Which the next run begins with, counted from 1, once this one has finished what it has in progress, which a killed one never does; none where nothing is left then.
    pub next: Option<u64>,
    /// The process of a run without an end: it is running, unless it was killed.
    pub pid: Option<u32>,
}

impl RunProgress {
    pub(super) fn from_record(record: &Record) -> Self {
        let totals = totals(record);
        let partitions = totals.partitions.max(record.header.partitions);
        let is_given_up = |outcome| outcome == PartitionOutcome::Abandoned;
        let given_up = record.partitions.iter().filter(|end| is_given_up(end.outcome)).count() as u64;
        let failed = totals.failed + given_up;
        let done = totals.ended.saturating_sub(failed);
        let left = partitions.saturating_sub(done);
        let in_progress = unfinished_count(record) as u64;
        // What a killed run had in progress is rolled back.
        let finishes = if record.was_killed { 0 } else { in_progress };
        let next = done + finishes + 1;
        Self {
            partitions,
            done,
            failed,
            in_progress,
            left,
            next: (next <= partitions).then_some(next),
            pid: record.end.is_none().then_some(record.header.pid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::made;

    #[test]
    fn a_run_in_progress_says_where_the_next_one_goes_on() {
        let mut record = Record { end: None, ..made(336, 4) };
        record.samples.truncate(3);
        let last = record.samples.last_mut().unwrap();
        (last.totals.ended, last.totals.failed) = (7, 0);
        let progress = RunProgress::from_record(&record);
        assert_eq!((progress.done, progress.in_progress, progress.left), (7, 4, 329));
        assert_eq!((progress.next, progress.pid), (Some(12), Some(4711)));
        let killed = RunProgress::from_record(&Record { was_killed: true, ..record });
        assert_eq!((killed.in_progress, killed.next), (4, Some(8)), "what it had in progress is not done");
    }

    #[test]
    fn a_run_with_an_end_has_nothing_in_progress_and_what_failed_is_left() {
        let progress = RunProgress::from_record(&made(12, 4));
        assert_eq!((progress.done, progress.failed, progress.left), (11, 1, 1));
        assert_eq!((progress.in_progress, progress.pid, progress.next), (0, None, Some(12)));
        let mut all = made(12, 4);
        all.end.as_mut().unwrap().totals.failed = 0;
        assert_eq!(RunProgress::from_record(&all).next, None);
    }

    #[test]
    fn a_record_that_breaks_off_at_once_has_everything_left() {
        let mut record = Record { end: None, samples: Vec::new(), partitions: Vec::new(), ..made(9, 1) };
        record.header.partitions = 9;
        let progress = RunProgress::from_record(&record);
        assert_eq!((progress.partitions, progress.left, progress.next), (9, 9, Some(1)));
    }
}
