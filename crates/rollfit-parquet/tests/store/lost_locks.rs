//! Two runners that both have a partition, as on a file system whose locks do not work between machines: one of them commits a whole file,
//! and the other fails with an error that says why and may be tried again.

use std::fs;
use std::path::{Path, PathBuf};

use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{Claim, Fault, FeatureTile, Found, Sink, Slot, StoreError, Write};
use rollfit_parquet::{OsFileSystem, ParquetStore};
use tempfile::TempDir;

use crate::support::assert_says;
use crate::support::market::{MONTHS, bars, config, import, partition, run_undisturbed};

const PART_DIR: &str = "features/key=aaa/month=2017-01";
const ROWS: usize = 500;

fn first() -> Partition {
    partition("aaa", MONTHS[0])
}

/// A store whose one partition is done, with its receipt.
fn done() -> (TempDir, Receipt) {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &MONTHS[..1], 40, 0)], &OsFileSystem).unwrap();
    run_undisturbed(dir.path());
    let Found::Ours(receipt) = open(dir.path()).found(&first()).unwrap() else { panic!("not done") };
    (dir, *receipt)
}

fn open(dir: &Path) -> ParquetStore {
    ParquetStore::open(dir, &config()).unwrap()
}

fn take(store: &ParquetStore) -> Box<dyn Slot + '_> {
    match store.claim(&first(), Write::Replace).unwrap() {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) | Claim::Rewrite(holder) => panic!("held by {holder}"),
    }
}

fn write_rows(slot: &mut dyn Slot) {
    let instants_us: Vec<i64> = (0..ROWS as i64).map(|row| row * 60_000_000).collect();
    let values: Vec<f64> =
        (0..ROWS * config().feature_count()).map(|cell| (cell as f64).sqrt().sin()).collect();
    slot.write(FeatureTile { instants_us: &instants_us, first_column: 0, values: &values }).unwrap();
    slot.flush().unwrap();
}

/// The file of these rows where nobody is in the way.
fn whole_file() -> Vec<u8> {
    let (dir, receipt) = done();
    let store = open(dir.path());
    let mut slot = take(&store);
    write_rows(slot.as_mut());
    slot.commit(&receipt).unwrap();
    fs::read(dir.path().join(PART_DIR).join("part.parquet")).unwrap()
}

#[track_caller]
fn is_lost(error: &StoreError, name: &str) {
    assert_eq!(error.fault(), Fault::Transient, "{error}");
    let path = format!("{PART_DIR}/{name} was removed or replaced while this process had the partition");
    assert_says(&error.to_string(), &[&path, "nothing was put in place", "see docs/parquet.md"]);
}

/// Where a partition's lock is, and another name of it.
fn lock_and_aside(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join(PART_DIR).join(".lock"), dir.join("aside"))
}

#[test]
fn of_two_runners_of_which_one_lost_its_lock_the_other_commits() {
    let whole = whole_file();
    for (loser_writes, loser_is_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let (dir, receipt) = done();
        let (store, other_store) = (open(dir.path()), open(dir.path()));
        let mut loser = take(&store);
        if loser_writes {
            write_rows(loser.as_mut());
        }
        fs::remove_file(dir.path().join(PART_DIR).join(".lock")).unwrap();
        let mut other = take(&other_store);
        write_rows(other.as_mut());
        let other = match loser_is_first {
            true => Some(other),
            false => other.commit(&receipt).map(|_| None).unwrap(),
        };
        is_lost(&loser.commit(&receipt).unwrap_err(), ".lock");
        if let Some(other) = other {
            other.commit(&receipt).unwrap();
        }
        assert!(fs::read(dir.path().join(PART_DIR).join("part.parquet")).unwrap() == whole);
        assert_eq!(fs::read_dir(dir.path().join(PART_DIR)).unwrap().count(), 1, "nothing is left over");
    }
}

#[test]
fn of_two_runners_that_both_have_the_lock_the_one_that_finds_its_file_commits() {
    let whole = whole_file();
    for loser_is_first in [true, false] {
        let (dir, receipt) = done();
        let (lock, aside) = lock_and_aside(dir.path());
        let (store, other_store) = (open(dir.path()), open(dir.path()));
        let mut loser = take(&store);
        write_rows(loser.as_mut());
        // Each finds its own lock in place, as if it were one that two machines can have.
        fs::rename(&lock, &aside).unwrap();
        let mut other = take(&other_store);
        write_rows(other.as_mut());
        let part = dir.path().join(PART_DIR).join("part.parquet");
        if loser_is_first {
            let before = fs::read(&part).unwrap();
            let of_other = dir.path().join("aside of the other");
            fs::rename(&lock, &of_other).unwrap();
            fs::rename(&aside, &lock).unwrap();
            is_lost(&loser.commit(&receipt).unwrap_err(), ".part.tmp");
            assert!(fs::read(&part).unwrap() == before, "the half of a file is not put in place");
            fs::rename(&of_other, &lock).unwrap();
            other.commit(&receipt).unwrap();
        } else {
            other.commit(&receipt).unwrap();
            fs::rename(&aside, &lock).unwrap();
            is_lost(&loser.commit(&receipt).unwrap_err(), ".part.tmp");
        }
        assert!(fs::read(&part).unwrap() == whole);
    }
}

#[test]
fn who_lost_its_lock_adopts_and_removes_nothing() {
    let (dir, receipt) = done();
    let part = dir.path().join(PART_DIR).join("part.parquet");
    let before = fs::read(&part).unwrap();
    let store = open(dir.path());
    let lose = |slot: &mut dyn Slot| {
        slot.read().map(drop).unwrap();
        fs::remove_file(dir.path().join(PART_DIR).join(".lock")).unwrap();
    };
    let mut adopting = take(&store);
    lose(adopting.as_mut());
    is_lost(&adopting.adopt(&receipt).unwrap_err(), ".lock");
    let mut removing = take(&store);
    lose(removing.as_mut());
    is_lost(&removing.remove().unwrap_err(), ".lock");
    assert!(fs::read(&part).unwrap() == before);
}
