//! [`CommitPace`]: how fast partitions are committed, from when the last ones were, and [`RemainingTime`].
//!
//! Invariants: no estimate is made of a few commits. Commits count as events of a Poisson process, which they are more regular than: the
//! range of an estimate is rather too wide than too narrow.

use std::time::Duration;

use super::micros;

/// The last commits within this time say how fast the job is.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Where they are few, those within this time.
const WINDOW_OF_FEW: Duration = Duration::from_secs(60 * 60);
const FEW: usize = 10;
/// The fewest commits that an estimate is made of.
const COMMITS_MIN: u64 = 3;

/// How fast partitions were committed lately.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct CommitPace {
    /// How many were.
    pub commits: u64,
    /// Within how many seconds.
    pub span_s: f64,
    /// How many a second.
    pub partitions_per_s: f64,
    /// The source rows of them a second; none where not all of their receipts were read.
    pub rows_per_s: Option<f64>,
}

/// A time in seconds that is left.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RemainingTime {
    /// Hardly less than this.
    pub low_s: f64,
    /// This, if one number is to be named.
    pub expected_s: f64,
    /// Hardly more than this.
    pub high_s: f64,
}

/// A commit: when, in microseconds since 1970, and the rows of its partition, where they are known.
pub(super) type Commit = (i64, Option<u64>);

impl CommitPace {
    /// The pace now, of these commits in any order; none where none was lately.
    pub(super) fn new(commits: &[Commit], now_us: i64) -> Option<Self> {
        let mut commits = commits.to_vec();
        commits.sort_unstable();
        // Another machine's clock may be ahead of this one's.
        let now_us = commits.last()?.0.max(now_us);
        let within = |window: Duration| {
            let start_us = now_us.saturating_sub(micros(window));
            commits.partition_point(|&(at_us, _)| at_us <= start_us)
        };
        let (window, first) = match within(WINDOW) {
            first if commits.len() - first < FEW => (WINDOW_OF_FEW, within(WINDOW_OF_FEW)),
            first => (WINDOW, first),
        };
        let start_us = now_us.saturating_sub(micros(window));
        // Whoever commits now was at work all the time, if somebody was in the time before.
        let was_at_work = first > 0 && commits[first - 1].0 > start_us.saturating_sub(micros(WINDOW));
        let (lately, start_us) = match was_at_work {
            true => (&commits[first..], start_us),
            // The first commit says when the work began, and not how fast it goes.
            false => (commits.get(first + 1..)?, commits.get(first)?.0),
        };
        let span_s = now_us.saturating_sub(start_us) as f64 / 1e6;
        if lately.is_empty() || span_s <= 0.0 {
            return None;
        }
        let rows: Option<u64> = lately.iter().map(|&(_, rows)| rows).sum();
        Some(Self {
            commits: lately.len() as u64,
            span_s,
            partitions_per_s: lately.len() as f64 / span_s,
            rows_per_s: rows.map(|rows| rows as f64 / span_s),
        })
    }

    /// The time that so many partitions more take; none where too few were committed to tell.
    pub(super) fn remaining(&self, partitions: u64) -> Option<RemainingTime> {
        if self.commits < COMMITS_MIN {
            return None;
        }
        let (partitions, commits) = (partitions as f64, self.commits as f64);
        // The mean of a Poisson distribution from one number, two standard deviations to either side.
        let [fewest, most] = [(commits.sqrt() - 1.0).powi(2), ((commits + 1.0).sqrt() + 1.0).powi(2)];
        let seconds = |commits: f64| partitions * self.span_s / commits;
        Some(RemainingTime { low_s: seconds(most), expected_s: seconds(commits), high_s: seconds(fewest) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    /// Commits at these minutes before now, of 10 rows each, and the pace that they show.
    fn pace(minutes_ago: impl IntoIterator<Item = f64>) -> Option<CommitPace> {
        let now_us = 1_000_000 * MINUTE_US;
        let commit = |ago: f64| (now_us - (ago * MINUTE_US as f64) as i64, Some(10));
        CommitPace::new(&minutes_ago.into_iter().map(commit).collect::<Vec<_>>(), now_us)
    }

    #[test]
    fn a_steady_job_goes_on_at_its_pace() {
        let steady = pace((0..600).map(|n| f64::from(n) * 0.1)).unwrap();
        assert_eq!((steady.commits, steady.span_s), (100, 600.0));
        assert!((steady.rows_per_s.unwrap() - 10.0 * steady.partitions_per_s).abs() < 1e-9);
        let left = steady.remaining(50).unwrap();
        assert!((left.expected_s - 300.0).abs() < 1.0, "{left:?}");
        assert!(left.low_s < 260.0 && left.high_s > 350.0 && left.high_s < 400.0, "{left:?}");
    }

    #[test]
    fn what_was_done_before_a_pause_says_nothing_of_now() {
        let before = (0..1000).map(|n| 600.0 + f64::from(n) * 0.01);
        let resumed = pace(before.chain((0..13).map(|n| f64::from(n) * 0.5))).unwrap();
        assert_eq!((resumed.commits, resumed.span_s), (12, 360.0), "the first one is when it began");
        assert_eq!(pace((0..1000).map(|n| 90.0 + f64::from(n))), None);
    }

    #[test]
    fn of_large_partitions_the_last_hour_counts() {
        let slow = pace((0..24).map(|n| 1.0 + f64::from(n) * 7.0)).unwrap();
        assert_eq!((slow.commits, slow.span_s), (9, 3600.0));
        let left = slow.remaining(10).unwrap();
        assert!(left.low_s < 2800.0 && left.high_s > 6000.0, "few commits say little: {left:?}");
    }

    #[test]
    fn a_commit_or_two_are_no_estimate() {
        assert_eq!(pace([]), None);
        assert_eq!(pace([1.0]), None, "it has begun, and that is all");
        assert_eq!(pace([1.0, 2.0, 3.0]).unwrap().remaining(10), None);
        assert!(pace([1.0, 2.0, 3.0, 4.0]).unwrap().remaining(10).is_some());
    }

    #[test]
    fn a_clock_that_is_ahead_changes_nothing() {
        let pace_ahead = |ahead: f64| pace((0..100).map(|n| f64::from(n) * 0.1 - ahead)).unwrap();
        let [ahead, right] = [5.0, 0.0].map(pace_ahead);
        assert_eq!(ahead.commits, right.commits);
        assert!((ahead.span_s - right.span_s).abs() < 1e-3, "{ahead:?} {right:?}");
        assert_eq!(CommitPace::new(&[(i64::MIN, None), (i64::MAX, None)], 0), None);
    }
}
