//! Checks that a job's directory has partitions of one unit: whoever reads all of it would get rows twice, in months and in years.

use std::path::Path;

use rollfit_job::period::{Period, PeriodUnit};
use rollfit_job::store::StoreError;

use crate::features::sink::{KEY_PREFIX, hive_dirs, is_read, key_dir, names_in};

/// What the names of directories of periods of a unit begin with, `month=`.
pub(super) fn period_prefix(unit: PeriodUnit) -> String {
    format!("{}=", unit.noun())
}

/// Checks that no key has features of other periods than those of the unit `by`.
///
/// # Errors
/// Naming the first that has, and what to do.
pub(super) fn check_unit(features_dir: &Path, by: PeriodUnit) -> Result<(), StoreError> {
    let mut keys = hive_dirs(features_dir, KEY_PREFIX)?;
    keys.sort();
    keys.iter().try_for_each(|(key, _)| check_unit_of_key(features_dir, key, by))
}

/// As [`check_unit`], for one key.
pub(super) fn check_unit_of_key(features_dir: &Path, key: &str, by: PeriodUnit) -> Result<(), StoreError> {
    let key_dir = features_dir.join(key_dir(key));
    let names = names_in(&key_dir)?;
    let others = PeriodUnit::ALL.into_iter().filter(|unit| *unit != by);
    for other in others {
        let prefix = period_prefix(other);
        let is_of_other = |name: &&str| name.strip_prefix(&prefix).is_some_and(is_period_of(other));
        let of_other = names.iter().filter_map(|name| name.to_str()).filter(is_of_other);
        for dir in of_other.map(|name| key_dir.join(name)) {
            // What is left of a partition that was dropped has no features.
            if names_in(&dir)?.iter().any(is_read) {
                return Err(StoreError::permanent(format!(
                    "{} has features by {other}, and [partitions] has by = \"{by}\": readers of {} would get rows twice; give this job \
                     a `name` in [store], set by = \"{other}\" again, or drop these features with `rollfit drop '*'`",
                    dir.display(),
                    features_dir.display()
                )));
            }
        }
    }
    Ok(())
}

/// Whether a text is a period of a unit.
pub(super) fn is_period_of(unit: PeriodUnit) -> impl Fn(&str) -> bool {
    move |text| text.parse().is_ok_and(|period: Period| period.unit() == unit)
}
