//! Keys that were not there at the first run: what a follower doesn't write of them.

use super::FollowEvent;
use super::follow_context::FollowContext;
use super::unopened_months::has_rows;
use crate::month::Month;
use crate::partition::Partition;
use crate::store::StoreError;

/// Tells which months of a key that came late are not followed, before the first that is open.
pub(super) fn tell_unwritten(context: &FollowContext<'_>, open: &Partition) -> Result<(), StoreError> {
    if let Some(from) = first_unwritten(context, &open.key, open.period.month())? {
        context.tell(FollowEvent::Unwritten { partition: open.clone(), from });
    }
    Ok(())
}

/// The first month of a key before this one that has rows and no features, and is one of those to follow: a follower opens the newest
/// months alone. None where a run wrote them all.
fn first_unwritten(
    context: &FollowContext<'_>,
    key: &str,
    before: Month,
) -> Result<Option<Month>, StoreError> {
    let job = context.job;
    let mut first: Option<Month> = None;
    for series in job.config.series_of_key(key) {
        let Some((oldest, _)) = job.source.months(&series)? else { return Ok(None) };
        first = first.max(Some(oldest));
    }
    let Some((first, last)) = first.max(job.config.from).zip(before.previous()) else { return Ok(None) };
    for month in first.through(last) {
        let partition = Partition::new(key.to_owned(), month.into());
        if context.allows(&partition) && job.sink.is_missing(&partition)? && has_rows(context, &partition)? {
            return Ok(Some(month));
        }
    }
    Ok(None)
}
