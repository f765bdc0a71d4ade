//! The directory of a job's features: `features`, or `features.NAME` where the job has a name.
//!
//! Invariants: no job's directory is below another's, so no reader of one gets the rows of two. Versions before definition 3
//! had a named job in `features/NAME`.

use std::io::ErrorKind;
use std::path::Path;

use rollfit_files::path::shell_word;
use rollfit_job::few::few;
use rollfit_job::key::check_key;
use rollfit_job::store::StoreError;
use rollfit_job::warn_once::warn_once;

use crate::fault::file_error;
use crate::features::sink::{KEY_PREFIX, names_in};

const FEATURES: &str = "features";

/// The name of the directory of a job's features.
pub(crate) fn job_dir_name(job: Option<&str>) -> String {
    job.map_or_else(|| FEATURES.to_owned(), |name| format!("{FEATURES}.{name}"))
}

/// The names of the jobs that have features in the store `dir`, sorted. What cannot be read counts as features; the directory of
/// a job whose partitions were dropped does not.
pub(super) fn job_names(dir: &Path) -> Vec<String> {
    let names = names_in(dir).unwrap_or_default().into_iter().filter_map(|name| name.into_string().ok());
    let job = |name: String| Some(name.strip_prefix(FEATURES)?.strip_prefix('.')?.to_owned());
    let is_used = |name: &String| {
        check_key(name).is_ok() && holds_features(&dir.join(job_dir_name(Some(name)))).unwrap_or(true)
    };
    let mut jobs: Vec<String> = names.filter_map(job).filter(is_used).collect();
    jobs.sort();
    jobs
}

/// Checks that the job `name` can have its directory in the store `dir`.
///
/// # Errors
/// Where an earlier version wrote its features and they have to be moved first; where there is a job whose name differs only in
/// case.
pub(crate) fn check_job_dir(dir: &Path, name: &str) -> Result<(), StoreError> {
    let ours = job_dir_name(Some(name));
    let stored: Vec<String> = names_in(dir)?.into_iter().filter_map(|name| name.into_string().ok()).collect();
    if stored.contains(&ours) {
        return Ok(());
    }
    if let Some(other) = stored.iter().find(|other| other.eq_ignore_ascii_case(&ours)) {
        return Err(StoreError::permanent(format!(
            "{} is there, and {ours} differs from it only in case, which not every file system can tell apart; use the \
             same name, or move that directory elsewhere",
            dir.join(other).display()
        )));
    }
    let earlier = dir.join(FEATURES).join(name);
    if holds_features(&earlier)? {
        let (from, to) = (earlier.display().to_string(), dir.join(&ours).display().to_string());
        return Err(StoreError::permanent(format!(
            "{from} was written by an earlier version: mv {} {}",
            shell_word(&from),
            shell_word(&to)
        )));
    }
    Ok(())
}

/// Warns once of named jobs that an earlier version put below the unnamed one: whoever reads all that is below
/// `features_dir` gets both.
pub(super) fn warn_of_earlier_jobs(features_dir: &Path) {
    let earlier = earlier_jobs(features_dir);
    let Some(first) = earlier.first() else { return };
    let new_dir = |name: &String| features_dir.with_file_name(job_dir_name(Some(name)));
    let command = || {
        let (from, to) = (features_dir.join(first), new_dir(first));
        format!("mv {} {}", shell_word(&from.display().to_string()), shell_word(&to.display().to_string()))
    };
    let way_out = match earlier.iter().map(new_dir).find(|dir| dir.exists()) {
        // Then `mv` would move the one into the other.
        Some(taken) => format!("move each elsewhere, since {} is there", taken.display()),
        None if earlier.len() == 1 => command(),
        None => format!("move each, as in {}", command()),
    };
    warn_once(format!(
        "{} holds features of named jobs that an earlier version wrote ({}), and a reader of {0}/** gets them too: \
         {way_out}",
        features_dir.display(),
        few(&earlier)
    ));
}

/// The names of jobs whose features are below those of the unnamed one. What cannot be read is found by whoever reads it.
fn earlier_jobs(features_dir: &Path) -> Vec<String> {
    let names =
        names_in(features_dir).unwrap_or_default().into_iter().filter_map(|name| name.into_string().ok());
    let is_job =
        |name: &String| check_key(name).is_ok() && holds_features(&features_dir.join(name)).unwrap_or(false);
    let mut jobs: Vec<String> = names.filter(is_job).collect();
    jobs.sort();
    jobs
}

/// Whether a directory has directories of keys.
fn holds_features(dir: &Path) -> Result<bool, StoreError> {
    let failed = |error| file_error("list", dir, error);
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        if entry.map_err(failed)?.file_name().as_encoded_bytes().starts_with(KEY_PREFIX.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
