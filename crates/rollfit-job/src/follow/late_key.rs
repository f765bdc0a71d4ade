//! Keys that were not there at the first run: what a follower doesn't write of them.

use super::FollowEvent;
use super::follow_context::FollowContext;
use super::unopened_periods::has_rows;
use crate::month::Month;
use crate::partition::Partition;
use crate::period::Period;
use crate::store::StoreError;

/// Tells which periods of a key that came late are not followed, before the first that is open.
pub(super) fn tell_unwritten(context: &FollowContext<'_>, open: &Partition) -> Result<(), StoreError> {
    if let Some(from) = first_unwritten(context, &open.key, open.period)? {
        context.tell(FollowEvent::Unwritten { partition: open.clone(), from });
    }
    Ok(())
}

/// The first period of a key before this one that has rows and no features, and is one of those to follow: a follower opens the newest
/// periods alone. None where a run wrote them all.
fn first_unwritten(
    context: &FollowContext<'_>,
    key: &str,
    before: Period,
) -> Result<Option<Period>, StoreError> {
    let job = context.job;
    let mut first: Option<Month> = None;
    for series in job.config.series_of_key(key) {
        let Some((oldest, _)) = job.source.months(&series)? else { return Ok(None) };
        first = first.max(Some(oldest));
    }
    let Some((first, last)) = first.max(job.config.from).zip(before.previous()) else { return Ok(None) };
    for period in before.unit().period_of(first).through(last) {
        let partition = Partition::new(key.to_owned(), period);
        if context.allows(&partition) && job.sink.is_missing(&partition)? && has_rows(context, &partition)? {
            return Ok(Some(period));
        }
    }
    Ok(None)
}
