//! A machine that crashes: whatever part of what was not made durable is there afterwards, a store has all of the old or all of
//! the new, needs no repair, and the same command finishes.

use std::collections::BTreeSet;
use std::path::Path;

use rollfit_job::config::JobConfig;
use rollfit_job::store::{Claim, Found, Sink, Write};
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetStore};
use tempfile::TempDir;

use crate::support::crash::{Files, Journal, restore};
use crate::support::market::{
    MONTHS, all_bars, all_rows_with, bars, config, config_with, failures, import, partition, run_all,
};
use crate::support::script::{Fate, Operation, Script, Unsynced};
use crate::support::{copy_tree, tree};

const ROWS: usize = 20;
const PART: &str = "features/key=aaa/month=2017-01/part.parquet";

fn copy_of(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_tree(dir, copy.path());
    copy
}

fn rows(dir: &Path) -> Vec<Option<rollfit_job::store::SeriesRows>> {
    all_rows_with(dir, Box::new(Unsynced))
}

/// Imports the second version of all bars.
fn import_changes(dir: &Path, files: &dyn FileSystem) -> bool {
    import(dir, &all_bars(ROWS + 3, 1), files).is_ok()
}

fn run(dir: &Path, files: Box<dyn FileSystem>) {
    run_with(dir, &config(), files);
}

fn run_with(dir: &Path, config: &JobConfig, files: Box<dyn FileSystem>) {
    assert_eq!(failures(&run_all(dir, config, files)), [""; 0]);
}

// --------------------------------------------------------------------------------------------- imports

/// Stores of two keys: one with rows and one without.
fn before_import() -> [TempDir; 2] {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &all_bars(ROWS, 0), &Unsynced).unwrap();
    [dir, TempDir::new().unwrap()]
}

#[test]
fn a_crash_at_any_moment_of_an_import_leaves_the_old_rows_or_the_new() {
    for dir in before_import() {
        let old = rows(dir.path());
        let copy = copy_of(dir.path());
        let journal = Journal::new(copy.path());
        assert!(import_changes(copy.path(), &journal));
        let (new, wanted) = (rows(copy.path()), tree(copy.path()));
        let mut seen = [0, 0];
        for crash in journal.crashes() {
            let left = restore(&crash);
            let found = rows(left.path());
            assert!(found == old || found == new, "{:?}", crash.keys());
            seen[usize::from(found == new)] += 1;
            assert!(import_changes(left.path(), &Unsynced), "{:?}", crash.keys());
            assert_eq!(tree(left.path()), wanted, "{:?}", crash.keys());
        }
        assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
    }
}

#[test]
fn a_crash_while_a_killed_import_is_finished_leaves_the_new_rows() {
    let [dir, _] = before_import();
    let undisturbed = copy_of(dir.path());
    let script = Script::new(undisturbed.path(), Fate::Undisturbed);
    assert!(import_changes(undisturbed.path(), &script));
    let (new, wanted) = (rows(undisturbed.path()), tree(undisturbed.path()));
    let is_list =
        |operation: &Operation| matches!(operation, Operation::Rename(_, to) if to == "sources/.import");
    let listed = script.all_operations().iter().position(is_list).unwrap();
    let mut crashes: BTreeSet<Files> = BTreeSet::new();
    for killed in [listed + 1, listed + 3, listed + 6, listed + 11] {
        let copy = copy_of(dir.path());
        assert!(!import_changes(copy.path(), &Script::new(copy.path(), Fate::KillAt(killed))));
        let journal = Journal::new(copy.path());
        assert_eq!(all_rows_with(copy.path(), Box::new(journal.clone())), new);
        crashes.extend(journal.crashes());
    }
    assert!(crashes.len() > 50, "{}", crashes.len());
    for crash in crashes {
        let left = restore(&crash);
        assert!(rows(left.path()) == new, "{:?}", crash.keys());
        assert!(import_changes(left.path(), &Unsynced));
        assert_eq!(tree(left.path()), wanted, "{:?}", crash.keys());
    }
}

// -------------------------------------------------------------------------------------------- features

/// Stores with one partition: with no features, and with features of a source that has changed since.
fn before_run() -> [TempDir; 2] {
    let new = TempDir::new().unwrap();
    import(new.path(), &[bars("aaa", &MONTHS[..1], ROWS, 0)], &Unsynced).unwrap();
    let changed = copy_of(new.path());
    run(changed.path(), Box::new(Unsynced));
    import(changed.path(), &[bars("aaa", &MONTHS[..1], ROWS, 1)], &Unsynced).unwrap();
    [new, changed]
}

#[test]
fn a_crash_at_any_moment_of_a_run_leaves_the_old_features_or_the_new() {
    // Written directly, as the first file of a store is, and buffered.
    for (dir, way) in ["auto", "off"].into_iter().flat_map(|way| before_run().map(|dir| (dir, way))) {
        let old = tree(dir.path()).remove(PART);
        let copy = copy_of(dir.path());
        let journal = Journal::new(copy.path());
        run_with(copy.path(), &config_with(&[("STORE__DIRECT_IO", way)]), Box::new(journal.clone()));
        let wanted = tree(copy.path());
        let crashes = journal.crashes();
        assert!(crashes.len() > 10, "{}", crashes.len());
        for crash in crashes {
            let left = restore(&crash);
            let part = crash.get(PART);
            assert!(part == old.as_ref() || part == wanted.get(PART), "{:?}", crash.keys());
            let store = ParquetStore::open(left.path(), &config()).unwrap();
            let found = store.found(&partition("aaa", "2017-01")).unwrap();
            assert_eq!(matches!(found, Found::Ours(_)), part.is_some(), "{:?}", crash.keys());
            run(left.path(), Box::new(Unsynced));
            assert_eq!(tree(left.path()), wanted, "{:?}", crash.keys());
        }
    }
}

#[test]
fn a_crash_at_any_moment_of_a_removal_leaves_the_features_or_none() {
    let [dir, _] = before_run();
    run(dir.path(), Box::new(Unsynced));
    let done = tree(dir.path());
    let copy = copy_of(dir.path());
    let journal = Journal::new(copy.path());
    let store = ParquetStore::open_with(copy.path(), &config(), Box::new(journal.clone())).unwrap();
    let Claim::Taken(slot) = store.claim(&partition("aaa", "2017-01"), Write::Replace).unwrap() else {
        panic!("the partition is held")
    };
    slot.remove().unwrap();
    let crashes = journal.crashes();
    assert_eq!(crashes.len(), 2, "the features are there or not");
    for crash in crashes {
        let left = restore(&crash);
        assert!(crash.get(PART).is_none_or(|part| Some(part) == done.get(PART)));
        run(left.path(), Box::new(Unsynced));
        assert_eq!(tree(left.path()), done);
    }
}

// ----------------------------------------------------------------------------- files that are not whole

/// The ends that a file of this many bytes may have.
fn torn_ends(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).filter(move |&end| end < 12 || bytes - end < 12 || end % 512 == 0 || end % 97 == 0)
}

#[test]
fn half_a_features_file_is_never_taken_for_features() {
    let [dir, _] = before_run();
    run(dir.path(), Box::new(OsFileSystem));
    let whole = std::fs::read(dir.path().join(PART)).unwrap();
    let one = partition("aaa", "2017-01");
    for end in torn_ends(whole.len()) {
        let zeros = [&whole[..end], &vec![0; whole.len() - end]].concat();
        for torn in [&whole[..end], &zeros] {
            std::fs::write(dir.path().join(PART), torn).unwrap();
            let store = ParquetStore::open(dir.path(), &config()).unwrap();
            assert!(!matches!(store.found(&one), Ok(Found::Ours(_))), "{end}");
            assert!(store.read(&one).is_err(), "{end}");
        }
    }
}

#[test]
fn half_a_source_file_is_never_read() {
    let [dir, _] = before_import();
    let path = dir.path().join("sources/m1_aaa/2017-01.parquet");
    let whole = std::fs::read(&path).unwrap();
    let config = config();
    let one = partition("aaa", "2017-01");
    let is_read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let store = ParquetStore::open(dir.path(), &config).unwrap();
        let series = config.series_of_key("aaa");
        let snapshot = rollfit_job::store::Source::snapshot(&store, &series, one.period, 0);
        snapshot.and_then(|mut snapshot| snapshot.rows(0, one.period.span_us())).is_ok()
    };
    for end in torn_ends(whole.len()) {
        let zeros = [&whole[..end], &vec![0; whole.len() - end]].concat();
        assert!(!is_read(&whole[..end]) && !is_read(&zeros), "{end}");
    }
    assert!(is_read(&whole));
}
