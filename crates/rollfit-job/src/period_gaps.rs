//! [`period_gaps`]: the periods in which a series seems to have no row. Sources tell that by months.

use std::collections::HashSet;

use crate::month::Month;
use crate::period::Period;
use crate::store::{SeriesOfKey, Source, StoreError};

/// Those of some periods, in the order of time, of which a series has no month with rows, by what the store knows without reading rows.
///
/// # Errors
/// Those of [`Source::months`] and [`Source::gaps`].
pub(crate) fn period_gaps(
    source: &dyn Source,
    series: &SeriesOfKey<'_>,
    periods: &[Period],
) -> Result<HashSet<Period>, StoreError> {
    let mut found: HashSet<Period> = periods.iter().copied().collect();
    let Some((oldest, newest)) = source.months(series)? else { return Ok(found) };
    // Months before the first one and after the last one have no rows, and of long periods they are very many.
    let within = |period: &Period| (period.first_month().max(oldest), period.last_month().min(newest));
    for run in periods.chunk_by(|a, b| a.next() == Some(*b)) {
        let (Some((first, _)), Some((_, last))) = (run.first().map(within), run.last().map(within)) else {
            continue;
        };
        if first > last {
            continue;
        }
        let without_rows: HashSet<Month> = source.gaps(series, first, last)?.into_iter().collect();
        let has_rows = |period: &Period| {
            let (first, last) = within(period);
            first.through(last).any(|month| !without_rows.contains(&month))
        };
        found.retain(|period| !run.contains(period) || !has_rows(period));
    }
    Ok(found)
}
