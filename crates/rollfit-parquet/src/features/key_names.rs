//! [`check_key_names`]: keys whose directories a file system or a reader takes for those of another key, or of none.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rollfit_job::key::{KeysByCase, number_of};
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::features::sink::{KEY_PREFIX, hive_dirs};
use crate::names::NULL_KEY;

/// Checks that the keys of a job stay apart from each other, and from those that have features.
///
/// # Errors
/// Naming both of the first two that do not, or the key that readers take for NULL.
pub(super) fn check_key_names(features_dir: &Path, partitions: &[Partition]) -> Result<(), StoreError> {
    let of_keys = partitions.chunk_by(|a, b| a.key == b.key);
    let planned: Vec<&str> = of_keys.filter_map(|of_key| Some(of_key.first()?.key.as_str())).collect();
    if planned.contains(&NULL_KEY) {
        return Err(StoreError::permanent(format!(
            "the key `{NULL_KEY}` is what readers of Hive directories take for NULL; leave it out of `keys`, or rename it"
        )));
    }
    let stored: Vec<String> = hive_dirs(features_dir, KEY_PREFIX)?.into_iter().map(|(key, _)| key).collect();
    let stored_keys: HashSet<&str> = stored.iter().map(String::as_str).collect();
    let in_dir = |key: &str| features_dir.join(format!("{KEY_PREFIX}{key}")).display().to_string();
    check_case(&planned, &stored, &stored_keys, in_dir)?;
    check_numbers(&planned, &stored, &stored_keys, in_dir)
}

/// On a file system that ignores case, the features of keys that differ only in case would share directories.
fn check_case(
    planned: &[&str],
    stored: &[String],
    stored_keys: &HashSet<&str>,
    in_dir: impl Fn(&str) -> String,
) -> Result<(), StoreError> {
    let mut known = KeysByCase::default();
    for key in planned {
        known.add(key).map_err(|clash| StoreError::permanent(format!("{clash}; rename one of them")))?;
    }
    for key in stored {
        if let Some(planned) = known.find(key).filter(|planned| !stored_keys.contains(planned)) {
            return Err(StoreError::permanent(format!(
                "there are features of the key `{key}` in {}, and `{planned}` differs from it only in case, which not \
                 every file system can tell apart; configure `{key}`, or drop its features and remove that directory",
                in_dir(key)
            )));
        }
    }
    Ok(())
}

/// Readers that make numbers of the names of directories would give the rows of two keys as those of one.
fn check_numbers(
    planned: &[&str],
    stored: &[String],
    stored_keys: &HashSet<&str>,
    in_dir: impl Fn(&str) -> String,
) -> Result<(), StoreError> {
    let mut known: HashMap<String, &str> = HashMap::new();
    for key in planned {
        let Some(number) = number_of(key) else { continue };
        let earlier = *known.entry(number).or_insert(key);
        if earlier != *key {
            return Err(StoreError::permanent(format!(
                "the keys `{earlier}` and `{key}` are the same number, and readers that take the names of directories for numbers, such \
                 as Polars, cannot tell them apart; rename one of them"
            )));
        }
    }
    for key in stored {
        let same = number_of(key).and_then(|number| known.get(&number).copied());
        if let Some(planned) = same.filter(|planned| !stored_keys.contains(planned)) {
            return Err(StoreError::permanent(format!(
                "there are features of the key `{key}` in {}, and `{planned}` is the same number, so that readers that take the names of \
                 directories for numbers, such as Polars, cannot tell them apart; configure `{key}`, or drop its features and remove that \
                 directory",
                in_dir(key)
            )));
        }
    }
    Ok(())
}
