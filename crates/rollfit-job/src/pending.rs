//! [`Pending`]: the last rows of a partition that another series lacks and may still get. They count neither as joined nor as
//! lost. [`PendingRows`] is what a run says of them.
//!
//! Invariants: whether a row is pending depends on the instants of the source alone, never on the clock. Series that have a row
//! at one instant agree on whether it is pending.

use std::ops::Range;
use std::time::Duration;

use crate::config::Series;
use crate::store::{Snapshot, StoreError};

/// How long the first rows of a partition may be pending before it is an error that no row is joined: a long weekend, and a
/// series that is a day late.
const FIRST_ROWS_WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The pending rows of a partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pending {
    /// The instant of the oldest, in microseconds since 1970.
    pub oldest_us: i64,
    /// The last instant that any series has, of the partition or later.
    pub latest_us: i64,
    /// How many rows of each series are pending.
    pub rows: Vec<u64>,
    /// At how many instants.
    #[serde(skip)]
    pub instants: u64,
    /// Whether the partition has only begun: every series ends in it, or at most half its length before it, and no row has been
    /// waiting for more than a week.
    #[serde(skip)]
    pub is_current: bool,
}

impl Pending {
    /// How long the oldest has been waiting, in data time.
    pub fn age(&self) -> Duration {
        Duration::from_micros(self.latest_us.abs_diff(self.oldest_us))
    }

    /// How many rows are pending, of all series.
    pub fn total_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Whether none has been waiting for so long that it is an error if no row is joined.
    pub(crate) fn is_young(&self) -> bool {
        self.age() <= FIRST_ROWS_WAIT_MAX
    }
}

/// The pending rows of a partition, and what they wait for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingRows {
    /// How many, of all series.
    pub rows: u64,
    /// The series that they wait for.
    pub lacking: Vec<String>,
    /// The instant of the oldest, in microseconds since 1970.
    pub oldest_us: i64,
    /// The last instant that any series has, of the partition or later.
    pub latest_us: i64,
}

impl PendingRows {
    /// From the pending rows of these series.
    pub fn from_pending(pending: &Pending, series: &[Series]) -> Self {
        let lacks = |(series, &rows): (&Series, &u64)| (rows < pending.instants).then(|| series.name.clone());
        Self {
            rows: pending.total_rows(),
            lacking: series.iter().zip(&pending.rows).filter_map(lacks).collect(),
            oldest_us: pending.oldest_us,
            latest_us: pending.latest_us,
        }
    }

    /// How long the oldest has been waiting, in data time.
    pub fn age(&self) -> Duration {
        Duration::from_micros(self.latest_us.abs_diff(self.oldest_us))
    }
}

/// What has to be known of a partition to find its pending rows.
pub(crate) struct PendingSearch<'a> {
    /// The instants of each series in the partition, rising.
    pub(crate) series_us: &'a [Vec<i64>],
    /// The last instant of the partition that all series have.
    pub(crate) joined_last_us: Option<i64>,
    /// The partition.
    pub(crate) span_us: Range<i64>,
    /// See `pair_wait` of the configuration.
    pub(crate) pair_wait: Duration,
}

impl<'a> PendingSearch<'a> {
    /// Returns the pending rows and their instants, rising. Asks the source for the last instants only where rows would be
    /// pending by those of the partition alone.
    pub(crate) fn find(
        &self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<Option<(Pending, Vec<i64>)>, StoreError> {
        let lasts_us: Vec<Option<i64>> = self.series_us.iter().map(|rows| rows.last().copied()).collect();
        if self.pending(self.later(), &lasts_us).is_empty() {
            return Ok(None);
        }
        let lasts_us: Vec<Option<i64>> = (0..self.series_us.len())
            .map(|at| Ok(snapshot.last_us(at)?.max(lasts_us[at])))
            .collect::<Result<_, StoreError>>()?;
        Ok(self.find_with(&lasts_us))
    }

    /// As [`PendingSearch::find`], where the last instants of the series are known, in whatever partition.
    pub(crate) fn find_with(&self, lasts_us: &[Option<i64>]) -> Option<(Pending, Vec<i64>)> {
        if lasts_us.iter().all(|last_us| last_us.is_some_and(|last_us| last_us >= self.span_us.end)) {
            return None;
        }
        let pending_us = self.pending(self.later(), lasts_us);
        let &oldest_us = pending_us.first()?;
        let is_pending = |instant_us: &&i64| pending_us.binary_search(instant_us).is_ok();
        let rows = self.tails().map(|tail| tail.iter().filter(is_pending).count() as u64).collect();
        let latest_us = lasts_us.iter().flatten().copied().max().unwrap_or(oldest_us);
        let instants = pending_us.len() as u64;
        let mut pending = Pending { oldest_us, latest_us, rows, instants, is_current: false };
        pending.is_current = pending.is_young() && self.is_current(lasts_us);
        Some((pending, pending_us))
    }

    /// The rows of each series after the last joined one.
    fn tails(&self) -> impl Iterator<Item = &'a [i64]> {
        let joined_last_us = self.joined_last_us;
        self.series_us.iter().map(move |rows| {
            let first = joined_last_us.map_or(0, |last_us| rows.partition_point(|&us| us <= last_us));
            &rows[first..]
        })
    }

    /// The instants after the last joined one.
    fn later(&self) -> Vec<i64> {
        let mut later_us: Vec<i64> = self.tails().flatten().copied().collect();
        later_us.sort_unstable();
        later_us.dedup();
        later_us
    }

    /// Those of `instants_us` that no series lacks which has gone on for `pair_wait`.
    fn pending(&self, mut instants_us: Vec<i64>, lasts_us: &[Option<i64>]) -> Vec<i64> {
        let wait_us = i64::try_from(self.pair_wait.as_micros()).unwrap_or(i64::MAX);
        let has_passed = |last_us: &Option<i64>, instant_us: i64| {
            last_us
                .is_some_and(|last_us| last_us > instant_us && last_us >= instant_us.saturating_add(wait_us))
        };
        instants_us.retain(|instant_us| {
            !self.series_us.iter().zip(lasts_us).any(|(rows, last_us)| {
                has_passed(last_us, *instant_us) && rows.binary_search(instant_us).is_err()
            })
        });
        instants_us
    }

    /// Whether the partition has only begun, by the last instants of the series.
    pub(crate) fn is_current(&self, lasts_us: &[Option<i64>]) -> bool {
        let before_us = self.span_us.start.saturating_sub((self.span_us.end - self.span_us.start) / 2);
        lasts_us.iter().all(|last_us| last_us.is_some_and(|us| (before_us..self.span_us.end).contains(&us)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SeriesRows;

    /// A source whose series end at these instants.
    struct Lasts(Vec<Option<i64>>);

    impl Snapshot for Lasts {
        fn rows(&mut self, _: usize, _: Range<i64>) -> Result<SeriesRows, StoreError> {
            Ok(SeriesRows::default())
        }

        fn rows_before(&mut self, _: usize, _: i64, _: usize) -> Result<SeriesRows, StoreError> {
            Ok(SeriesRows::default())
        }

        fn last_us(&mut self, series: usize) -> Result<Option<i64>, StoreError> {
            Ok(self.0[series])
        }
    }

    /// The instants that are pending of series that are not joined anywhere, and how many of each.
    fn find(series_us: &[Vec<i64>], lasts_us: &[Option<i64>]) -> Option<(Vec<i64>, Vec<u64>)> {
        let span_us = 0..1000;
        let search =
            PendingSearch { series_us, joined_last_us: None, span_us, pair_wait: Duration::from_micros(10) };
        let found = search.find(&mut Lasts(lasts_us.to_vec())).unwrap();
        found.map(|(pending, instants_us)| (instants_us, pending.rows))
    }

    #[test]
    fn one_series_that_has_passed_an_instant_is_enough_to_lose_it() {
        let series = [vec![5, 50], vec![5], vec![]];
        assert_eq!(find(&series, &[Some(50), Some(5), None]), Some((vec![5, 50], vec![2, 1, 0])));
        assert_eq!(find(&series, &[Some(50), Some(5), Some(-7)]), Some((vec![5, 50], vec![2, 1, 0])));
        // The third series has gone on after this period without a row in it.
        assert_eq!(find(&series, &[Some(50), Some(5), Some(1000)]), None);
        assert_eq!(find(&[vec![5, 50], vec![5], vec![20]], &[None; 3]), Some((vec![50], vec![1, 0, 0])));
    }

    #[test]
    fn extreme_instants_do_not_overflow() {
        let series = [vec![i64::MIN, i64::MAX], vec![i64::MIN + 1]];
        assert_eq!(find(&series, &[None; 2]), Some((vec![i64::MIN, i64::MAX], vec![2, 0])));
    }
}
