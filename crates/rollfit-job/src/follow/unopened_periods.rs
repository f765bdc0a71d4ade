//! Periods of a key that aren't open: which of them have rows, and which rows wait for another series.

use std::collections::{BTreeSet, HashSet};

use super::follow_context::FollowContext;
use super::open_partition::is_store_lost;
use crate::month::Month;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::pending::PendingSearch;
use crate::period::Period;
use crate::store::{SeriesRows, StoreError};

/// Those of `periods` of a key that are to be opened.
///
/// # Errors
/// Where a store cannot be reached.
pub(super) fn to_be_opened(
    context: &FollowContext<'_>,
    key: &str,
    periods: impl Iterator<Item = Period>,
) -> Result<Vec<Period>, StoreError> {
    let mut found = Vec::new();
    for period in periods {
        if may_be_opened(context, &Partition::new(key.to_owned(), period))? {
            found.push(period);
        }
    }
    Ok(found)
}

/// Whether a partition is followed and has features, or joined rows that some could be computed from. One that cannot be read is to be
/// opened too: then that is told, and stops no other.
fn may_be_opened(context: &FollowContext<'_>, partition: &Partition) -> Result<bool, StoreError> {
    let (source, config) = (context.job.source, context.job.config);
    let has_rows = || {
        let is_missing = context.job.sink.is_missing(partition)?;
        Ok(!is_missing || Panel::read(source, config, partition)?.rows() > 0)
    };
    match if context.allows(partition) { has_rows() } else { Ok(false) } {
        Err(error) if !is_store_lost(&error) => Ok(true),
        has_rows => has_rows,
    }
}

/// The last period of a key before `newest` that has rows; the one before it counts with features alone too. No series has rows
/// before the month `first`.
///
/// # Errors
/// Those of the stores.
pub(super) fn previous_with_rows(
    context: &FollowContext<'_>,
    key: &str,
    (first, newest): (Month, Period),
) -> Result<Option<Partition>, StoreError> {
    let Some(previous) = newest.previous() else { return Ok(None) };
    let partition = |period: Period| Partition::new(key.to_owned(), period);
    if context.allows(&partition(previous)) && !context.job.sink.is_missing(&partition(previous))? {
        return Ok(Some(partition(previous)));
    }
    // One bar far ahead has a thousand empty months before it: they are found at once, not month by month.
    let mut gaps = HashSet::new();
    for series in context.job.config.series_of_key(key) {
        gaps.extend(context.job.source.gaps(&series, first, previous.last_month())?);
    }
    let months = std::iter::successors(Some(previous.last_month()), |month| month.previous());
    let months = months.take_while(|month| *month >= first).filter(|month| !gaps.contains(month));
    let mut periods = months.map(|month| newest.unit().period_of(month));
    Ok(periods.find(|period| context.allows(&partition(*period))).map(partition))
}

/// The first instant from `from_us` on, where no partition is open, that waits for another series. `lasts_us` are the last instants of each.
pub(super) fn pending_from(
    context: &FollowContext<'_>,
    key: &str,
    latest: &[SeriesRows],
    (from_us, lasts_us): (i64, &[Option<i64>]),
) -> Option<i64> {
    let later_us = latest.iter().flat_map(|rows| &rows.instants_us).filter(|&&us| us >= from_us);
    let by = context.job.config.by;
    let periods: BTreeSet<Period> = later_us.filter_map(|&us| by.period_at_us(us).ok()).collect();
    let is_followed = |period: &Period| context.allows(&Partition::new(key.to_owned(), *period));
    periods.into_iter().filter(is_followed).find_map(|period| {
        let span_us = period.span_us();
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

/// Whether every series has rows in a partition.
pub(super) fn has_rows(context: &FollowContext<'_>, partition: &Partition) -> Result<bool, StoreError> {
    for series in context.job.config.series_of_key(&partition.key) {
        if context.job.source.estimate_rows(&series, partition.period)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
