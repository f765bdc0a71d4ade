//! [`strangers`]: directories that are no partition of any job, and whose files readers of `features/*/*/*.parquet` get all the same.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rollfit_job::few::few;
use rollfit_job::foreign;
use rollfit_job::key::check_key;
use rollfit_job::period::PeriodUnit;
use rollfit_job::store::Stranger;
use rollfit_job::warn_once::warn_once;

use crate::features::sink::{KEY_PREFIX, is_read, names_in};
use crate::features::unit_check::{is_period_of, period_prefix};

/// The strangers in the directory of a job's features, each with what to do.
pub(super) fn strangers(features_dir: &Path) -> Vec<Stranger> {
    let stranger = |dir: &PathBuf| {
        let below = dir.strip_prefix(features_dir).unwrap_or(dir);
        let first = below.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
        let first = first.unwrap_or_default();
        Stranger {
            subject: foreign::name(first.strip_prefix(KEY_PREFIX).unwrap_or(&first)).into_owned(),
            message: format!(
                "{} is no partition of the job, and readers of {}/*/*/*.parquet get its rows; move it elsewhere",
                shown(dir),
                features_dir.display()
            ),
        }
    };
    strange_dirs(features_dir).iter().map(stranger).collect()
}

/// Warns once of the strangers in the directory of a job's features.
pub(super) fn warn_of_strangers(features_dir: &Path) {
    let dirs = strange_dirs(features_dir);
    if dirs.is_empty() {
        return;
    }
    let names = few(dirs.iter().map(|dir| shown(dir.strip_prefix(features_dir).unwrap_or(dir))));
    warn_once(format!(
        "{} has directories that are no partitions of the job, and readers of {0}/*/*/*.parquet get their rows too: {names}; move them \
         elsewhere",
        features_dir.display()
    ));
}

fn shown(dir: &Path) -> String {
    const CHARS_MAX: usize = 300;
    foreign::printable(&dir.to_string_lossy(), CHARS_MAX).into_owned()
}

/// The directories that hold files for readers and are no partition of any unit, sorted. What cannot be listed is found by whoever reads it.
fn strange_dirs(features_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in visible(features_dir) {
        let is_key = name.to_str().and_then(|name| name.strip_prefix(KEY_PREFIX));
        let is_key = is_key.is_some_and(|key| check_key(key).is_ok());
        let dir = features_dir.join(name);
        let mut below = visible(&dir).into_iter().filter(|name| !is_key || !is_partition(name));
        if is_key {
            found.extend(below.map(|name| dir.join(name)).filter(|dir| holds_files(dir)));
        } else if below.any(|name| holds_files(&dir.join(name))) {
            found.push(dir);
        }
    }
    found.sort();
    found
}

/// The names in a directory that readers do not pass over.
fn visible(dir: &Path) -> Vec<OsString> {
    names_in(dir).unwrap_or_default().into_iter().filter(is_read).collect()
}

/// Whether a name is that of the directory of a period.
fn is_partition(name: &OsString) -> bool {
    let is_of = |unit: PeriodUnit| {
        let period = name.to_str().and_then(|name| name.strip_prefix(&period_prefix(unit)));
        period.is_some_and(is_period_of(unit))
    };
    PeriodUnit::ALL.into_iter().any(is_of)
}

/// Whether a directory has a file that readers take for data.
fn holds_files(dir: &Path) -> bool {
    visible(dir).iter().any(|name| name.as_encoded_bytes().ends_with(b".parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_get_beside_the_partitions_is_named() {
        let store = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = store.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "PAR1").unwrap();
        };
        for path in [
            "key=a/year=2017/part.parquet",
            "key=a/.x/part.parquet",
            "_y/z/part.parquet",
            "key=a/notes/read.me",
            "x",
        ] {
            file(path);
        }
        assert!(strangers(store.path()).is_empty());
        for path in [
            "key=a/year=02017/part.parquet",
            "key=a/YEAR=2017/p.parquet",
            "KEY=a/year=2017/p.parquet",
            "x=1/y/p.parquet",
        ] {
            file(path);
        }
        let found = strangers(store.path());
        let subjects: Vec<&str> = found.iter().map(|stranger| stranger.subject.as_str()).collect();
        assert_eq!(subjects, ["KEY=a", "a", "a", "x=1"]);
        assert!(found[2].message.contains("key=a/year=02017 is no partition of the job"), "{found:?}");
    }
}
