//! How often a commit waits for the disk: what has to be durable is synced, and no directory more often than needed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rollfit_job::store::{Claim, Sink, Write};
use rollfit_parquet::ParquetStore;
use tempfile::TempDir;

use crate::support::market::{KEYS, all_bars, bars, config, failures, import, partition, run_all};
use crate::support::script::{Fate, Operation, Script, Unsynced};

const ROWS: usize = 40;

/// What is synced, partition by partition, in a run on one worker over two keys of two months.
fn syncs_of_a_run(dir: &Path) -> Vec<Vec<String>> {
    let script = Script::new(dir, Fate::Undisturbed);
    assert_eq!(failures(&run_all(dir, &config(), Box::new(script.clone()))), [""; 0]);
    let operations = script.operations();
    let synced = |operation: &Operation| match operation {
        Operation::SyncFile(path) | Operation::SyncDir(path) => Some(path.clone()),
        _ => None,
    };
    // The last operation of a partition is that its directory is synced.
    let is_last =
        |operation: &Operation| matches!(operation, Operation::SyncDir(dir) if dir.contains("/month="));
    operations.split_inclusive(is_last).map(|of_one| of_one.iter().filter_map(synced).collect()).collect()
}

#[test]
fn a_partition_takes_three_syncs_and_a_new_key_one_more() {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &all_bars(ROWS, 0), &Unsynced).unwrap();
    let commit = |key: &str, month: &str, above: &[&str]| {
        let month_dir = format!("features/key={key}/month={month}");
        let above = above.iter().map(|dir| (*dir).to_owned());
        above.chain([format!("{month_dir}/.part.tmp"), month_dir]).collect::<Vec<_>>()
    };
    let [aaa, bbb] = KEYS.map(|key| format!("features/key={key}"));
    let first = [
        commit("aaa", "2017-01", &[&aaa, "features", ""]),
        commit("aaa", "2017-02", &[&aaa]),
        commit("bbb", "2017-01", &[&bbb, "features"]),
        commit("bbb", "2017-02", &[&bbb]),
    ];
    assert_eq!(syncs_of_a_run(dir.path()), first);
    // Replacements: names of directories that were there are made durable once, in case they were copied there.
    import(dir.path(), &all_bars(ROWS + 3, 1), &Unsynced).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    let again = [
        commit("aaa", "2017-01", &[&aaa, "features", ""]),
        commit("aaa", "2017-02", &[]),
        commit("bbb", "2017-01", &[&bbb]),
        commit("bbb", "2017-02", &[]),
    ];
    assert_eq!(syncs_of_a_run(dir.path()), again);
    // A new month of a key that is there already.
    fs::remove_dir_all(dir.path().join("features/key=aaa/month=2017-02")).unwrap();
    fs::remove_dir_all(dir.path().join("features/key=bbb/month=2017-02")).unwrap();
    let months = [commit("aaa", "2017-02", &[&aaa, "features", ""]), commit("bbb", "2017-02", &[&bbb])];
    assert_eq!(syncs_of_a_run(dir.path()), months);
}

/// Prepares a commit and gives it up; returns the directories that were synced.
fn prepared(store: &ParquetStore, script: &Script, key: &str, month: &str) -> Vec<String> {
    let before = script.all_operations().len();
    let Claim::Taken(mut slot) = store.claim(&partition(key, month), Write::Replace).unwrap() else {
        panic!("the partition is held")
    };
    slot.prepare().unwrap();
    let synced = |operation| match operation {
        Operation::SyncDir(dir) => Some(dir),
        _ => None,
    };
    script.all_operations().into_iter().skip(before).filter_map(synced).collect()
}

#[test]
fn a_directory_that_was_removed_and_made_again_is_made_durable_again() {
    let dir = TempDir::new().unwrap();
    let script = Script::new(dir.path(), Fate::Undisturbed);
    let store = ParquetStore::open_with(dir.path(), &config(), Box::new(script.clone())).unwrap();
    let prepared = || prepared(&store, &script, "aaa", "2017-01");
    let key = dir.path().join("features/key=aaa");
    let keep_features = || {
        fs::create_dir_all(key.join("month=2017-01")).unwrap();
        fs::write(key.join("month=2017-01/part.parquet"), "features").unwrap();
    };
    // What is given up leaves no directory of the partition and its key.
    assert_eq!(prepared(), ["features/key=aaa", "features", ""]);
    assert_eq!(prepared(), ["features/key=aaa", "features"]);
    // Features make the directories stay.
    keep_features();
    assert_eq!(prepared(), ["features/key=aaa", "features"]);
    assert_eq!(prepared(), [""; 0]);
    // Another runner may remove them meanwhile, and a third make them again.
    let removed = |dir: &Path| {
        fs::remove_dir_all(dir).unwrap();
        // The clock of file systems ticks a hundred times a second at least.
        std::thread::sleep(Duration::from_millis(11));
    };
    removed(&key.join("month=2017-01"));
    assert_eq!(prepared(), ["features/key=aaa"]);
    keep_features();
    assert_eq!(prepared(), ["features/key=aaa", "features"]);
    removed(&key);
    keep_features();
    assert_eq!(prepared(), ["features/key=aaa", "features"]);
    removed(&dir.path().join("features"));
    keep_features();
    assert_eq!(prepared(), ["features/key=aaa", "features", ""]);
}

#[test]
fn where_a_sync_fails_it_is_tried_again() {
    for failing in 0..3 {
        let dir = TempDir::new().unwrap();
        let script = Script::new(dir.path(), Fate::FailAt(failing, 5));
        let store = ParquetStore::open_with(dir.path(), &config(), Box::new(script.clone())).unwrap();
        let Claim::Taken(mut slot) = store.claim(&partition("aaa", "2017-01"), Write::Replace).unwrap()
        else {
            panic!("the partition is held")
        };
        slot.prepare().unwrap_err();
        let before = script.all_operations().len();
        slot.prepare().unwrap();
        // The directory of the key is synced for each new partition.
        assert_eq!(script.all_operations().len() - before, [3, 3, 2][failing], "{failing}");
    }
}

#[test]
fn an_import_makes_many_files_durable_at_once_before_it_lists_them() {
    /// How many files of an import wait for each other.
    const AT_ONCE: usize = 64;
    const MONTHS: usize = 48;
    let months: Vec<String> =
        (0..MONTHS).map(|at| format!("{}-{:02}", 2014 + at / 12, at % 12 + 1)).collect();
    let months: Vec<&str> = months.iter().map(String::as_str).collect();
    let dir = TempDir::new().unwrap();
    let script = Script::new(dir.path(), Fate::Undisturbed);
    import(dir.path(), &[bars("aaa", &months, ROWS, 0)], &script).unwrap();
    let operations = script.operations();
    let created = |operation: &Operation| matches!(operation, Operation::Create(path) if path.ends_with(".parquet.tmp"));
    let synced = |operation: &Operation| matches!(operation, Operation::SyncFile(path) if path.ends_with(".parquet.tmp"));
    let first_sync = operations.iter().position(synced).unwrap();
    assert!(operations[..first_sync].iter().filter(|operation| created(operation)).count() >= AT_ONCE);
    let is_list =
        |operation: &Operation| matches!(operation, Operation::Rename(_, to) if to == "sources/.import");
    let before_list = &operations[..operations.iter().position(is_list).unwrap()];
    assert_eq!(before_list.iter().filter(|operation| created(operation)).count(), 2 * MONTHS);
    assert_eq!(before_list.iter().filter(|operation| synced(operation)).count(), 2 * MONTHS);
}
