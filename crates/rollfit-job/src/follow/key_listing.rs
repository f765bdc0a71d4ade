//! [`KeyListing`]: the keys that appear in the source while a job of all keys is followed.
//!
//! Invariants: a key is followed only if a run would plan it beside those that are followed already.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use super::FollowEvent;
use super::follow_context::FollowContext;
use super::retry_state::{FollowFailure, RetryState};
use crate::config::Keys;
use crate::keys::FoundKeys;
use crate::partition::Partition;
use crate::period::Period;
use crate::planner::{PlanError, check_names};
use crate::run::bug;
use crate::store::StoreError;

/// When the keys of the source are listed, and what is known of those that cannot be followed.
pub(super) struct KeyListing {
    /// The periods of the job as it was planned.
    periods: BTreeSet<Period>,
    list_at: Duration,
    retry: RetryState,
    /// The keys that cannot be followed, each with the reason.
    refused: BTreeMap<String, String>,
}

impl KeyListing {
    /// The listing of a job that was planned to have these partitions.
    pub(super) fn new(planned: &[Partition]) -> Self {
        let periods = planned.iter().map(|partition| partition.period).collect();
        Self { periods, list_at: Duration::ZERO, retry: RetryState::default(), refused: BTreeMap::new() }
    }

    /// Whether it is time to list the keys.
    pub(super) fn is_due(&self, context: &FollowContext<'_>, now: Duration) -> bool {
        context.job.config.keys == Keys::All && now >= self.list_at && self.retry.is_due(now)
    }

    /// The keys to follow beside those `followed`. Where the source cannot be listed there are none, and it is listed again soon.
    pub(super) fn list(
        &mut self,
        context: &FollowContext<'_>,
        followed: &[String],
        now: Duration,
    ) -> Vec<String> {
        let find = AssertUnwindSafe(|| self.find(context, followed));
        let found = std::panic::catch_unwind(find).unwrap_or_else(|panic| Err(bug(panic.as_ref())));
        match found {
            Ok(keys) => {
                self.list_at = now + context.job.config.run.recheck_every;
                if self.retry.end() {
                    tracing::info!("the keys of the source can be listed again");
                }
                keys
            }
            Err(error) => {
                let failure = FollowFailure::from_error(&error);
                if let Some(cause) = self.retry.fail(failure, now, context.held_max()) {
                    tracing::warn!(
                        "cannot list the keys of the source: {cause}; new keys are not followed until rollfit can"
                    );
                }
                Vec::new()
            }
        }
    }

    fn find(&mut self, context: &FollowContext<'_>, followed: &[String]) -> Result<Vec<String>, StoreError> {
        let job = context.job;
        let mut new = FoundKeys::list(job.source, &job.config.series)?.keys;
        new.retain(|key| context.selects(key) && !followed.contains(key));
        let mut periods = self.periods.clone();
        for key in &new {
            periods.extend(newest_period(context, key)?);
        }
        let mut check = KeyCheck { context, periods, keys: followed.to_vec(), refused: BTreeMap::new() };
        check.add(&new);
        let KeyCheck { keys, refused, .. } = check;
        for (key, cause) in &refused {
            if self.refused.get(key) != Some(cause) {
                context.tell(FollowEvent::Waiting { key: key.clone(), cause: cause.clone() });
            }
        }
        for key in self.refused.keys().filter(|key| !refused.contains_key(*key)) {
            context.tell(FollowEvent::KeyCaughtUp { key: key.clone() });
        }
        self.refused = refused;
        Ok(keys.into_iter().skip(followed.len()).collect())
    }
}

/// Which keys can be followed together.
struct KeyCheck<'c, 'a> {
    context: &'c FollowContext<'a>,
    periods: BTreeSet<Period>,
    /// Those that can be.
    keys: Vec<String>,
    refused: BTreeMap<String, String>,
}

impl KeyCheck<'_, '_> {
    /// Adds those of some keys that can be followed with the ones before. All are mostly fine, and are checked at once.
    fn add(&mut self, new: &[String]) {
        let before = self.keys.len();
        self.keys.extend_from_slice(new);
        let Err(error) = self.check() else { return };
        self.keys.truncate(before);
        match new {
            [] => {}
            [key] => drop(self.refused.insert(key.clone(), error.to_string())),
            _ => {
                let (first, second) = new.split_at(new.len() / 2);
                self.add(first);
                self.add(second);
            }
        }
    }

    /// Checks the keys as a run does before it begins.
    fn check(&self) -> Result<(), PlanError> {
        let job = self.context.job;
        let all = self.keys.iter().flat_map(|key| {
            let of_period = |&period| Partition::new(key.clone(), period);
            self.periods.iter().map(of_period)
        });
        let mut partitions: Vec<Partition> = all.chain(self.named_like_sources()).collect();
        partitions.sort();
        partitions.dedup();
        check_names(job, &self.keys, &partitions)
    }

    /// The partitions whose features would have the name of a source table, in whatever period that is.
    fn named_like_sources(&self) -> impl Iterator<Item = Partition> {
        let config = self.context.job.config;
        let series = || config.series.iter();
        let tables =
            self.keys.iter().flat_map(move |key| series().map(move |series| series.table.for_key(key)));
        let partitions = tables.flat_map(move |table| {
            series().flat_map(move |series| {
                series.partition_of(&table).into_iter().chain(series.partition_stored_in(&table))
            })
        });
        partitions.filter(|partition| self.keys.contains(&partition.key) && self.context.allows(partition))
    }
}

/// The newest period of a key; none where it has no rows, or they cannot be read.
fn newest_period(context: &FollowContext<'_>, key: &str) -> Result<Option<Period>, StoreError> {
    let job = context.job;
    match job.source.months(&job.config.series[0].of_key(key)) {
        Ok(months) => Ok(months.map(|(_, newest)| job.config.by.period_of(newest))),
        Err(error) if error.is_unconnected() => Err(error),
        Err(_) => Ok(None),
    }
}
