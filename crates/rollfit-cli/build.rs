//! Tells the crate which commit it is built of, on which day and for which target, for `rollfit --version`.
//!
//! The commit is that of `ROLLFIT_BUILD_COMMIT`, or of the checkout that this file belongs to; without either there is none. The day is
//! that of `SOURCE_DATE_EPOCH`, or today. The script runs again when a file changes that the command is made of, and is compiled then anyway;
//! what it says stays true without that. For a release it also runs again after each commit.

#![allow(clippy::print_stdout)] // That is how a build script answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The crates that the command is made of, and what says how they are compiled; from the root of the workspace.
const SOURCES: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates/libpq-connect/src",
    "crates/rollfit/src",
    "crates/rollfit-analysis/src",
    "crates/rollfit-bars/src",
    "crates/rollfit-cli/build.rs",
    "crates/rollfit-cli/src",
    "crates/rollfit-files/src",
    "crates/rollfit-job/src",
    "crates/rollfit-parquet/src",
    "crates/rollfit-postgres/src",
];

fn main() {
    println!("cargo:rerun-if-env-changed=ROLLFIT_BUILD_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rustc-env=ROLLFIT_BUILT_COMMIT={}", commit().unwrap_or_default());
    println!("cargo:rustc-env=ROLLFIT_BUILT_DAY={}", day(epoch_s()));
    println!("cargo:rustc-env=ROLLFIT_BUILT_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}

/// The commit, with `+changes` where the sources differ from it.
fn commit() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    watch(SOURCES.map(|source| root.join(source)));
    if let Some(given) = std::env::var("ROLLFIT_BUILD_COMMIT").ok().filter(|given| !given.trim().is_empty()) {
        return Some(given.trim().to_owned());
    }
    // A package may have been unpacked inside the checkout of something else.
    git(&root, &["ls-files", "--error-unmatch", "crates/rollfit-cli/build.rs"])?;
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let head = git(&root, &["symbolic-ref", "--quiet", "HEAD"]);
        let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(head.as_deref());
        let paths = names.filter_map(|name| git(&root, &["rev-parse", "--git-path", name]));
        watch(paths.map(|path| root.join(path)));
    }
    let commit = git(&root, &["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&root, &[&["status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}+changes") })
}

/// Has the script run again when one of these changes. One that is not there would have it run each time.
fn watch(paths: impl IntoIterator<Item = PathBuf>) {
    let existing = paths.into_iter().filter(|path| path.exists());
    existing.for_each(|path| println!("cargo:rerun-if-changed={}", path.display()));
}

/// What a command of Git prints; none if it fails, or there is no Git.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").current_dir(root).env("GIT_OPTIONAL_LOCKS", "0").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Seconds since 1970: as given for a build that can be repeated, or now.
fn epoch_s() -> i64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    given.unwrap_or_else(now)
}

/// The day (UTC) of an instant, as `2017-01-31`, by the rules of the Gregorian calendar: years begin in March here.
fn day(epoch_s: i64) -> String {
    let days = epoch_s.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + next_year)
}
