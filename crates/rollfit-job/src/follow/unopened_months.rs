//! [`UnopenedMonths`]: the months of a key that aren't open: those before the newest open one that had no joined rows when it was opened
//! and may still get some, and those after it that not every series has reached.

use std::collections::BTreeSet;

use super::follow_context::FollowContext;
use crate::month::Month;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::pending::PendingSearch;
use crate::store::{SeriesRows, StoreError};

/// Skipped months without joined rows, and what each series had in them when that was seen.
#[derive(Debug, Default)]
pub(super) struct UnopenedMonths {
    /// Months in which every series has rows, and none that is joined.
    unjoined: Vec<(Month, Vec<u64>)>,
}

impl UnopenedMonths {
    /// The most skipped months that are looked at. There are more only where an instant is far in the future.
    pub(super) const SKIPPED_MAX: usize = 24;

    /// Those of the skipped months `months` of a key that have joined rows by now.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn with_rows(
        &mut self,
        context: &FollowContext<'_>,
        key: &str,
        months: Vec<Month>,
    ) -> Result<Vec<Partition>, StoreError> {
        let mut found = Vec::new();
        let mut unjoined = Vec::new();
        for month in months {
            let partition = Partition::new(key.to_owned(), month.into());
            let Some(counts) = row_counts(context, &partition)? else { continue };
            let seen = (month, counts);
            if self.unjoined.contains(&seen) {
                unjoined.push(seen);
            } else if Panel::read(context.job.source, context.job.config, &partition)?.rows() > 0 {
                found.push(partition);
            } else {
                unjoined.push(seen);
            }
        }
        self.unjoined = unjoined;
        Ok(found)
    }

    /// Forgets which rows were seen: all are joined again.
    pub(super) fn forget(&mut self) {
        self.unjoined.clear();
    }
}

/// The last month of a key before `newest` that has rows, or features. No series has rows before `first`.
///
/// # Errors
/// Those of the stores.
pub(super) fn previous_with_rows(
    context: &FollowContext<'_>,
    key: &str,
    (first, newest): (Month, Month),
) -> Result<Option<Partition>, StoreError> {
    // The calendar month before may have features, whether the source has rows for them or not.
    let first = newest.previous().map_or(first, |previous| first.min(previous));
    let months = std::iter::successors(newest.previous(), |month| month.previous());
    for month in months.take_while(|month| *month >= first) {
        let partition = Partition::new(key.to_owned(), month.into());
        if context.allows(&partition)
            && (!context.job.sink.is_missing(&partition)? || row_counts(context, &partition)?.is_some())
        {
            return Ok(Some(partition));
        }
    }
    Ok(None)
}

/// The first instant from `from_us` on, where no partition is open, that waits for another series. `lasts_us` are the last instants of each.
pub(super) fn pending_from(
    context: &FollowContext<'_>,
    key: &str,
    latest: &[SeriesRows],
    (from_us, lasts_us): (i64, &[Option<i64>]),
) -> Option<i64> {
    let later_us = latest.iter().flat_map(|rows| &rows.instants_us).filter(|&&us| us >= from_us);
    let months: BTreeSet<Month> = later_us.filter_map(|&us| Month::of_instant_us(us).ok()).collect();
    let is_followed = |month: &Month| context.allows(&Partition::new(key.to_owned(), (*month).into()));
    months.into_iter().filter(is_followed).find_map(|month| {
        let span_us = month.span_us();
        let within = |rows: &SeriesRows| {
            let instants_us = rows.instants_us.iter().copied();
            instants_us.filter(|us| span_us.contains(us)).collect()
        };
        let series_us: Vec<Vec<i64>> = latest.iter().map(within).collect();
        let pair_wait = context.job.config.run.pair_wait;
        let search = PendingSearch { series_us: &series_us, joined_last_us: None, span_us, pair_wait };
        search.find_with(lasts_us).map(|(pending, _)| pending.oldest_us)
    })
}

/// About how many rows each series has in a partition; none where one has none.
fn row_counts(context: &FollowContext<'_>, partition: &Partition) -> Result<Option<Vec<u64>>, StoreError> {
    let mut counts = Vec::new();
    for series in context.job.config.series_of_key(&partition.key) {
        match context.job.source.estimate_rows(&series, partition.period)? {
            0 => return Ok(None),
            rows => counts.push(rows),
        }
    }
    Ok(Some(counts))
}
