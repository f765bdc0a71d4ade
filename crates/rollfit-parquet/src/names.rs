//! Names of directories and files in a store, checked before one is made or opened.
//!
//! Invariants: a table's directory is in `sources`, whatever its pattern says; what is too long for the file system is refused
//! before anything is computed.

use std::path::Path;

use rollfit_job::config::{JobConfig, Pattern, Series};
use rollfit_job::store::StoreError;

use crate::features::job_dir::job_dir_name;

/// What writers of Hive directories put in place of a key that is NULL.
pub(crate) const NULL_KEY: &str = "__HIVE_DEFAULT_PARTITION__";

/// The longest name in a directory, on every file system in use.
const NAME_BYTES_MAX: usize = 255;
/// The longest path that the system takes.
const PATH_BYTES_MAX: usize = 4095;

/// Checks the patterns of a job whose series are read from a directory, or whose features go to one.
///
/// # Errors
/// When one of them gives names that are not those of a table.
pub(crate) fn check_patterns(config: &JobConfig, is_source: bool, is_sink: bool) -> Result<(), StoreError> {
    for series in &config.series {
        let Series { table, features, parent, .. } = series;
        let mut patterns = Vec::new();
        if is_source {
            patterns.push(("table", table));
        }
        // Files have no use for these two. A name that leaves the store is a mistake all the same.
        if is_sink {
            patterns.extend(features.iter().map(|features| ("features", features)));
            patterns.extend(parent.iter().map(|parent| ("parent", parent)));
        }
        patterns.into_iter().try_for_each(|(key, pattern)| check_pattern(&series.name, key, pattern))?;
    }
    match &config.sink.name {
        Some(name) if is_sink => check_length("[sink] name", &job_dir_name(Some(name))),
        _ => Ok(()),
    }
}

fn check_pattern(series: &str, key: &str, pattern: &Pattern) -> Result<(), StoreError> {
    let text = pattern.to_string();
    let why = if text.contains(['/', '\\']) {
        "a table is a directory of the store: its name cannot hold `/` or `\\`"
    } else if text.starts_with('.') {
        "names that begin with `.` are not read"
    } else if text.contains(char::is_control) {
        "the name of a file cannot hold control characters, such as line breaks"
    } else {
        return Ok(());
    };
    Err(StoreError::permanent(format!("[series.{series}] {key} = \"{text}\": {why}; choose another pattern")))
}

/// Checks that a directory can have an entry of this name.
///
/// # Errors
/// When it is too long; the error contains it and `what` it is of.
pub(crate) fn check_length(what: &str, name: &str) -> Result<(), StoreError> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{what}: `{name}` has {} bytes, but the name of a file has at most {NAME_BYTES_MAX}; choose a shorter one",
        name.len()
    )))
}

/// Checks that the system takes a path.
///
/// # Errors
/// When it is too long; the error says `what` it is of.
pub(crate) fn check_path(what: &str, path: &Path) -> Result<(), StoreError> {
    let bytes = path.as_os_str().len();
    if bytes <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{what}: the path {} has {bytes} bytes, but the system takes {PATH_BYTES_MAX}; move the store, or choose \
         shorter names",
        path.display()
    )))
}
