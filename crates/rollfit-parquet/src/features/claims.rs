//! Who has which partition, seen without taking one: [`Sink::look`](rollfit_job::store::Sink::look) and
//! [`Sink::runners`](rollfit_job::store::Sink::runners) of a directory; and the marks on its parts.
//!
//! Invariants: nothing is created, written or removed. A directory that a network file system remembers is asked for again, since another
//! machine may have changed it. What is wrong with one partition does not hide the others: of that one no claim is known, and its mark says
//! that it cannot be read.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rollfit_job::partition::Partition;
use rollfit_job::runners::{HeldPartition, RunnerName, StoreRunner};
use rollfit_job::store::{HoldingMark, Look, Sink, StoreError};

use crate::ParquetStore;
use crate::fault::file_error;
use crate::features::sink::{KEY_PREFIX, LOCK, PART, UNFINISHED, hive_dirs, names_in};
use crate::file_system::refresh_dir;
use crate::lock::{LockHolder, holder, modified_us};
use crate::lock_note::LockNote;
use rollfit_files::regular_file;

/// The mark of a part that cannot be looked at: whether there is one is not known.
const UNREADABLE: &str = "unreadable";

impl ParquetStore {
    /// See [`Sink::look`]. The lock first: what is found without a holder is what there is after the last one.
    pub(super) fn look_at(&self, partition: &Partition) -> Result<Look, StoreError> {
        let dir = self.partition_dir(partition);
        refresh_dir(&dir);
        let lock = dir.join(LOCK);
        match holder(&lock).map_err(|error| file_error("look at", &lock, error))? {
            Some(LockHolder { note, .. }) => Ok(Look::Held(held_by(&note, &lock))),
            None => self.found(partition).map(Look::Free),
        }
    }

    /// Checks that the lock of a partition is one that a runner can take.
    pub(super) fn check_lock(&self, partition: &Partition) -> Result<(), StoreError> {
        let lock = self.partition_dir(partition).join(LOCK);
        holder(&lock).map(drop).map_err(|error| file_error("look at", &lock, error))
    }

    /// See [`Sink::marks`]. Where the directory of all features cannot be read either, the store is at fault.
    pub(super) fn marks_of(&self, partitions: &[Partition]) -> Result<Vec<Option<HoldingMark>>, StoreError> {
        let marks: Vec<_> = partitions.iter().map(|partition| mark(&self.partition_dir(partition))).collect();
        if marks.iter().flatten().any(|mark| mark.mark == UNREADABLE) {
            names_in(&self.features_dir)?;
        }
        Ok(marks)
    }

    /// See [`Sink::runners`]. One listing a key says which of its partitions have a directory.
    pub(super) fn runners_of(&self, partitions: &[Partition]) -> Result<Vec<StoreRunner>, StoreError> {
        let mut runners: Vec<StoreRunner> = Vec::new();
        for of_key in partitions.chunk_by(|a, b| a.key == b.key) {
            let Some(key_dir) =
                of_key.first().and_then(|first| Some(self.partition_dir(first).parent()?.to_owned()))
            else {
                continue;
            };
            let names = names_in(&key_dir).or_else(|_| names_in(&self.features_dir).map(|_| Vec::new()))?;
            let names: HashSet<OsString> = names.into_iter().collect();
            for partition in of_key {
                let dir = self.partition_dir(partition);
                if dir.file_name().is_some_and(|name| names.contains(name))
                    && let Some((name, held)) = claim_in(&dir, partition)
                {
                    add(&mut runners, name, held);
                }
            }
        }
        Ok(runners)
    }
}

/// What to say of a lock that another runner has.
pub(super) fn held_by(note: &LockNote, lock: &Path) -> String {
    format!("{note}, which has locked {}", lock.display())
}

/// Who has a partition of the job in this directory, as a clause; none where nobody has one.
pub(super) fn first_claim(features_dir: &Path) -> Result<Option<String>, StoreError> {
    for (_, key_dir) in hive_dirs(features_dir, KEY_PREFIX)? {
        for name in names_in(&key_dir)? {
            let lock = key_dir.join(name).join(LOCK);
            if let Ok(Some(LockHolder { note, .. })) = holder(&lock) {
                return Ok(Some(held_by(&note, &lock)));
            }
        }
    }
    Ok(None)
}

/// Who has the partition in this directory, as far as that can be read.
fn claim_in(dir: &Path, partition: &Partition) -> Option<(RunnerName, HeldPartition)> {
    let LockHolder { note, since_us } = holder(&dir.join(LOCK)).ok()??;
    let unfinished = regular_file::open_and_look(&dir.join(UNFINISHED)).ok();
    let bytes = unfinished.map(|(_, status)| status.len());
    Some((note.runner(), HeldPartition { partition: partition.clone(), since_us, bytes }))
}

/// Adds a claim to those of its runner. Those without a name are one runner each.
fn add(runners: &mut Vec<StoreRunner>, name: RunnerName, held: HeldPartition) {
    match runners.iter_mut().find(|runner| runner.name == name && !name.is_unknown()) {
        Some(runner) => runner.held.push(held),
        None => runners.push(StoreRunner {
            name,
            address: None,
            sessions: None,
            since_us: None,
            held: vec![held],
        }),
    }
}

/// A mark on the part in a partition's directory, which a rename puts in the place of the one before: another file, or one of another time.
fn mark(dir: &Path) -> Option<HoldingMark> {
    // A commit changes the directory, and so what a network file system remembers of it.
    refresh_dir(dir);
    let part = dir.join(PART);
    match std::fs::symlink_metadata(&part) {
        Ok(seen) => {
            let mark = format!("{} {} {} {}", seen.ino(), seen.size(), seen.mtime(), seen.mtime_nsec());
            Some(HoldingMark { mark, committed_us: modified_us(&seen) })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => Some(HoldingMark { mark: UNREADABLE.to_owned(), committed_us: None }),
    }
}
