//! Two jobs of a store exchange their directories: in one step, whatever part of it a crash keeps, and never while somebody writes to one.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod support;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rollfit_job::config::JobConfig;
use rollfit_job::store::{Claim, Fault, Purpose, Sink, Store, StoreError, StoreKind, Write};
use rollfit_parquet::{FileSystem, OsFileSystem, Parquet, ParquetStore, RawFile};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use support::crash::{Journal, restore};
use support::market::{MONTHS, bars, config_with, failures, import, partition, run_all};
use support::script::Unsynced;
use support::{assert_says, tree_whole};

/// The job of a store; the named one has another definition.
fn job(dir: &Path, name: Option<&str>) -> JobConfig {
    let url = format!("parquet:{}", dir.display());
    let at = ("STORE__URL", url.as_str());
    match name {
        None => config_with(&[at]),
        Some(name) => config_with(&[at, ("STORE__NAME", name), ("RUN__BOUNDARY", "carry")]),
    }
}

/// A store with features of both jobs.
fn two_jobs() -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &MONTHS[..1], 40, 0)], &Unsynced).unwrap();
    for name in [None, Some("next")] {
        let report = run_all(dir.path(), &job(dir.path(), name), Box::new(Unsynced));
        assert_eq!(failures(&report), [""; 0]);
    }
    dir
}

fn open(dir: &Path, name: Option<&str>, files: impl FileSystem + 'static) -> ParquetStore {
    ParquetStore::open_with(dir, &job(dir, name), Box::new(files)).unwrap()
}

/// A store as a command opens it.
fn opened_for(purpose: Purpose, dir: &Path, name: Option<&str>) -> Result<Arc<dyn Store>, StoreError> {
    let config = job(dir, name);
    Parquet.open(&config.sink.store, &config, purpose)
}

fn exchange(dir: &Path, files: impl FileSystem + 'static) -> Result<(), StoreError> {
    open(dir, Some("next"), files).exchange(None)?.commit()
}

#[test]
fn a_crash_at_any_moment_leaves_the_names_as_they_were_or_exchanged() {
    let dir = two_jobs();
    let before = tree_whole(dir.path());
    let journal = Journal::new(dir.path());
    exchange(dir.path(), journal.clone()).unwrap();
    let after = tree_whole(dir.path());
    assert_ne!(before, after);
    let crashes = journal.crashes();
    assert_eq!(crashes, BTreeSet::from([before.clone(), after.clone()]));
    for crash in crashes {
        let left = restore(&crash);
        exchange(left.path(), Unsynced).unwrap();
        let other = if crash == before { &after } else { &before };
        assert_eq!(tree_whole(left.path()), *other, "it is its own reverse");
    }
}

/// A file system on which these two fail.
struct Refusing {
    exchange: Option<i32>,
    sync: Option<i32>,
}

impl FileSystem for Refusing {
    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        OsFileSystem.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFileSystem.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.exchange.map_or_else(
            || OsFileSystem.exchange(one, other),
            |error| Err(io::Error::from_raw_os_error(error)),
        )
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync.map_or_else(|| Unsynced.sync_dir(path), |error| Err(io::Error::from_raw_os_error(error)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.remove(path)
    }
}

#[test]
fn a_file_system_that_cannot_exchange_names_is_told_with_commands_that_can_be_pasted() {
    const EACCES: i32 = 13;
    const CANNOT: [i32; 4] = [18, 22, 38, 95]; // EXDEV, EINVAL, ENOSYS, EOPNOTSUPP
    let dir = two_jobs();
    let before = tree_whole(dir.path());
    for errno in CANNOT {
        let error = exchange(dir.path(), Refusing { exchange: Some(errno), sync: None }).unwrap_err();
        let message = error.to_string();
        assert_says(
            &message,
            &["the file system of ", "cannot exchange two directories in one step", "nothing was changed"],
        );
        assert_eq!((error.fault(), tree_whole(dir.path())), (Fault::Permanent, before.clone()));
        let (_, commands) = message.split_once("nobody reads: ").unwrap();
        let moved =
            |commands: &str| assert!(Command::new("sh").args(["-c", commands]).status().unwrap().success());
        moved(commands);
        let after = tree_whole(dir.path());
        assert_ne!(after, before);
        exchange(dir.path(), Unsynced).unwrap();
        assert_eq!(tree_whole(dir.path()), before, "the commands do what the exchange does");
    }
    let error = exchange(dir.path(), Refusing { exchange: Some(EACCES), sync: None }).unwrap_err();
    assert_says(&error.to_string(), &["cannot exchange ", "features with ", "give this user permission"]);
}

#[test]
fn names_that_are_exchanged_but_not_durable_are_told() {
    const EIO: i32 = 5;
    let dir = two_jobs();
    let before = tree_whole(dir.path());
    let error = exchange(dir.path(), Refusing { exchange: None, sync: Some(EIO) }).unwrap_err();
    assert_says(&error.to_string(), &["features.next stays exchanged after a power failure", "cannot sync"]);
    assert_ne!(tree_whole(dir.path()), before);
}

#[test]
fn whoever_writes_to_one_of_the_two_keeps_them_where_they_are() {
    let dir = two_jobs();
    let before = tree_whole(dir.path());
    let third = Some("third");
    let own = format!("in use by process {}", std::process::id());
    for (name, held) in [(None, "features is"), (Some("next"), "features.next is"), (third, "is")] {
        let writer = opened_for(Purpose::Write, dir.path(), name).unwrap();
        let error = exchange(dir.path(), Unsynced).unwrap_err();
        assert_says(&error.to_string(), &[&format!("{held} {own}"), "wait until it has ended"]);
        assert_eq!((error.fault(), tree_whole(dir.path())), (Fault::Transient, before.clone()));
        drop(writer);
    }
    // A job with features of its own is not concerned, nor is who only reads.
    std::fs::create_dir(dir.path().join("features.third")).unwrap();
    let others = [(Purpose::Write, third), (Purpose::Read, None), (Purpose::Read, Some("next"))];
    let _others = others.map(|(purpose, name)| opened_for(purpose, dir.path(), name).unwrap());
    exchange(dir.path(), Unsynced).unwrap();
}

#[test]
fn a_runner_of_another_machine_is_seen_by_its_partition() {
    let dir = two_jobs();
    // Without the lock on the directory, which other machines do not see.
    let store = open(dir.path(), None, Unsynced);
    let claim = store.claim(&partition("aaa", MONTHS[0]), Write::Replace).unwrap();
    let error = exchange(dir.path(), Unsynced).unwrap_err();
    let who = format!("in use by rollfit {}@", std::process::id());
    assert_says(&error.to_string(), &[&who, "features/key=aaa/month=2017-01/.lock"]);
    drop(claim);
    exchange(dir.path(), Unsynced).unwrap();
}

#[test]
fn nothing_is_written_to_features_that_were_exchanged_meanwhile() {
    let dir = two_jobs();
    let writer = opened_for(Purpose::Write, dir.path(), None).unwrap().sink();
    let (first, second) = (partition("aaa", MONTHS[0]), partition("aaa", MONTHS[1]));
    let Claim::Taken(slot) = writer.claim(&first, Write::Replace).unwrap() else { panic!("held") };
    let (one, other) = (dir.path().join("features"), dir.path().join("features.next"));
    renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
    let after = tree_whole(&one);
    assert_says(
        &slot.remove().unwrap_err().to_string(),
        &["was removed or replaced", "nothing was put in place"],
    );
    let Err(error) = writer.claim(&second, Write::Replace) else { panic!("claimed") };
    assert_says(&error.to_string(), &["features was exchanged, moved or removed", "type it again"]);
    assert_eq!(tree_whole(&one), after);
}

#[test]
fn who_begins_to_write_waits_for_an_exchange() {
    let dir = two_jobs();
    let next = open(dir.path(), Some("next"), Unsynced);
    let held = next.exchange(None).unwrap();
    assert_says(&exchange(dir.path(), Unsynced).unwrap_err().to_string(), &["in use by"]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| opened_for(Purpose::Write, dir.path(), None).map(drop));
        held.commit().unwrap();
        writer.join().unwrap().unwrap();
    });
}
