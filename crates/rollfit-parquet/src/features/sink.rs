//! The sink: `features[.NAME]/key=K/month=YYYY-MM/part.parquet`, or `quarter=`, `year=` or `period=all` in place of `month=`: one file a
//! partition, its receipt in the footer. `slot.rs` writes it.
//!
//! Invariants: a partition changes by one rename of a complete, durable file; what a stopped run leaves has a name that
//! no reader of the directory takes for data. `.lock` in a partition's directory keeps two runners apart.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rollfit_job::partition::Partition;
use rollfit_job::period::{Period, PeriodUnit};
use rollfit_job::runners::StoreRunner;
use rollfit_job::store::{
    Claim, FeatureReader, Found, Holding, HoldingMark, Look, Sink, StoreError, Stranger, TableRows, Write,
};

use crate::direct::store_file::StoreFile;
use crate::encode::stored_share;
use crate::fault::file_error;
use crate::features::claims::held_by;
use crate::features::job_dir::warn_of_earlier_jobs;
use crate::features::key_names::check_key_names;
use crate::features::read_back::{ParquetReader, has_receipt, read_counted};
use crate::features::slot::ParquetSlot;
use crate::features::strangers::{strangers, warn_of_strangers};
use crate::features::unit_check::{check_unit, period_prefix};
use crate::file_system::refuse_linked_dirs;
use crate::lock::{ExclusiveLock, LockAttempt};
use crate::lock_note::LockNote;
use crate::names::{check_length, check_path};
use crate::own_disk::only_here;
use crate::{NAME, ParquetStore};
use rollfit_files::dir_names::dir_names;
use rollfit_files::regular_file::is_there;

pub(super) const PART: &str = "part.parquet";
pub(super) const UNFINISHED: &str = ".part.tmp";
pub(super) const LOCK: &str = ".lock";
/// What the name of a key's directory begins with.
pub(super) const KEY_PREFIX: &str = "key=";

impl ParquetStore {
    /// The directory of the features, or the nearest above it that exists.
    fn existing_dir(&self) -> Option<&Path> {
        let existing = self.features_dir.ancestors().find(|dir| dir.exists())?;
        Some(if existing.as_os_str().is_empty() { Path::new(".") } else { existing })
    }

    pub(crate) fn partition_dir(&self, partition: &Partition) -> PathBuf {
        self.features_dir.join(self.output(partition))
    }

    /// Creates a file for features. It is written directly where that pays.
    pub(super) fn create_features(&self, path: &Path) -> std::io::Result<StoreFile> {
        let file = self.files.create(path)?;
        Ok(match &self.direct {
            Some(direct) => StoreFile::with_direct_writes(file, direct),
            None => StoreFile::new(file),
        })
    }

    pub(crate) fn part(&self, partition: &Partition) -> PathBuf {
        self.partition_dir(partition).join(PART)
    }
}

/// Creates a partition's directory and takes the lock in it. A runner that gives up on this or an adjacent partition
/// removes directories that are empty, at any moment until the lock is taken.
fn take_lock(dir: &Path, note: &LockNote) -> Result<LockAttempt, StoreError> {
    const ATTEMPTS: usize = 1000;
    let path = dir.join(LOCK);
    let attempt = || {
        std::fs::create_dir_all(dir).map_err(|error| ("create the directory", dir, error))?;
        ExclusiveLock::try_take(&path, note).map_err(|error| ("lock", path.as_path(), error))
    };
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match attempt() {
            Err((_, _, error)) if left > 0 && is_race(&error) => {}
            taken => return taken.map_err(|(what, path, error)| file_error(what, path, error)),
        }
    }
}

fn is_race(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
}

impl ParquetStore {
    fn check_lengths(&self, partitions: &[Partition]) -> Result<(), StoreError> {
        let longest = if PART.len() > UNFINISHED.len() { PART } else { UNFINISHED };
        for partition in partitions {
            check_length("[partitions] keys", &key_dir(&partition.key))?;
            check_path("the features of a partition", &self.partition_dir(partition).join(longest))?;
        }
        Ok(())
    }

    fn holding(&self, partition: &Partition, with_rows: bool) -> Result<Holding, StoreError> {
        let part = self.part(partition);
        let names = names_in(&self.partition_dir(partition))?;
        let is_alone = names.iter().any(|name| name == PART) && !names.iter().any(is_foreign);
        let (found, rows) = match with_rows && is_alone {
            true => read_counted(&part, partition, &self.output(partition))?,
            false => (self.found(partition)?, None),
        };
        if found == Found::Nothing && names.iter().any(|name| name == LOCK) {
            self.check_lock(partition)?;
        }
        let table = self.output(partition);
        Ok(Holding {
            is_void: matches!(found, Found::Foreign(_)) && has_receipt(&part),
            found,
            rows: rows.map(|rows| vec![TableRows { table, rows }]),
        })
    }

    /// The partitions of the wanted keys that have features, with periods of a unit.
    fn stored_partitions(
        &self,
        unit: PeriodUnit,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Partition>, StoreError> {
        let mut partitions = Vec::new();
        for (key, key_dir) in hive_dirs(&self.features_dir, KEY_PREFIX)? {
            if !is_wanted(&key) {
                continue;
            }
            for (period, period_dir) in hive_dirs(&key_dir, &period_prefix(unit))? {
                // Reading the partition reports what cannot be read here.
                let is_there = !matches!(period_dir.join(PART).try_exists(), Ok(false));
                let period = period.parse().ok().filter(|period: &Period| period.unit() == unit);
                if let (Some(period), true) = (period, is_there) {
                    partitions.push(Partition::new(key.clone(), period));
                }
            }
        }
        Ok(partitions)
    }
}

impl Sink for ParquetStore {
    fn found(&self, partition: &Partition) -> Result<Found, StoreError> {
        let dir = self.partition_dir(partition);
        let names = names_in(&dir)?;
        let is_there = names.iter().any(|name| name == PART);
        let read = || self.receipts.read(&dir.join(PART), partition, &self.output(partition));
        let Some(stranger) = names.iter().find(|name| is_foreign(name)) else {
            return if is_there { read() } else { Ok(Found::Nothing) };
        };
        // What a later version wrote is left alone, whatever lies beside it.
        match read() {
            Ok(newer @ Found::Newer(_)) if is_there => Ok(newer),
            _ => Ok(Found::Blocked(in_the_way(&dir.join(stranger)))),
        }
    }

    fn holdings(
        &self,
        partitions: &[Partition],
        with_rows: bool,
    ) -> Result<Vec<Result<Holding, StoreError>>, StoreError> {
        Ok(partitions.iter().map(|partition| self.holding(partition, with_rows)).collect())
    }

    fn marks(&self, partitions: &[Partition]) -> Result<Vec<Option<HoldingMark>>, StoreError> {
        self.marks_of(partitions)
    }

    fn look(&self, partition: &Partition) -> Result<Look, StoreError> {
        self.look_at(partition)
    }

    fn runners(&self, partitions: &[Partition]) -> Result<Vec<StoreRunner>, StoreError> {
        self.runners_of(partitions)
    }

    fn only_here(&self) -> Option<String> {
        only_here(&self.dir, self.existing_dir()?)
    }

    fn is_missing(&self, partition: &Partition) -> Result<bool, StoreError> {
        Ok(!names_in(&self.partition_dir(partition))?.iter().any(|name| name == PART || is_foreign(name)))
    }

    fn partitions(&self) -> Result<Vec<Partition>, StoreError> {
        self.stored_partitions(self.by, |_| true)
    }

    fn partitions_of_other_units(&self) -> Result<Vec<Partition>, StoreError> {
        let others = PeriodUnit::ALL.into_iter().filter(|unit| *unit != self.by);
        let listed: Vec<Vec<Partition>> =
            others.map(|unit| self.stored_partitions(unit, |_| true)).collect::<Result<_, _>>()?;
        Ok(listed.concat())
    }

    fn partitions_of(&self, keys: &HashSet<&str>) -> Result<Vec<Partition>, StoreError> {
        let keys: HashSet<String> = keys.iter().map(|key| key.to_lowercase()).collect();
        self.stored_partitions(self.by, |key| keys.contains(&key.to_lowercase()))
    }

    fn check_outputs(&self, partitions: &[Partition]) -> Result<(), StoreError> {
        if self.is_unnamed {
            warn_of_earlier_jobs(&self.features_dir);
        }
        self.check_lengths(partitions)?;
        check_key_names(&self.features_dir, partitions)?;
        check_unit(&self.features_dir, self.by)?;
        warn_of_strangers(&self.features_dir);
        Ok(())
    }

    fn strangers(&self) -> Vec<Stranger> {
        strangers(&self.features_dir)
    }

    fn claim(&self, partition: &Partition, write: Write) -> Result<Claim<'_>, StoreError> {
        if write != Write::Replace {
            return Ok(Claim::Rewrite("its store cannot add rows".to_owned()));
        }
        let dir = self.partition_dir(partition);
        refuse_linked_dirs(&self.dir, &dir)?;
        self.check_job_dir_in_place()?;
        let lock = match take_lock(&dir, &self.note)? {
            LockAttempt::Taken(lock) => lock,
            LockAttempt::Held(note) => return Ok(Claim::Held(held_by(&note, &dir.join(LOCK)))),
        };
        Ok(Claim::Taken(Box::new(ParquetSlot::new(self, partition, dir, lock))))
    }

    fn tidy(&self, partition: &Partition) {
        let dir = self.partition_dir(partition);
        if [UNFINISHED, LOCK].iter().any(|name| is_there(&dir.join(name)).unwrap_or(false)) {
            // Taking the partition, and giving it back, removes both; where another runner has it they are in use.
            let _ = self.claim(partition, Write::Replace);
        }
    }

    fn read(&self, partition: &Partition) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        Ok(Box::new(ParquetReader::open(&self.part(partition), partition, &self.output(partition), None)?))
    }

    fn read_checked(
        &self,
        partition: &Partition,
        columns: &[usize],
    ) -> Result<Option<Box<dyn FeatureReader + '_>>, StoreError> {
        let (part, output) = (self.part(partition), self.output(partition));
        let reader = ParquetReader::open(&part, partition, &output, Some(columns))?;
        Ok(reader.checksums().is_some().then(|| Box::new(reader) as Box<dyn FeatureReader>))
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    /// Files are written by this machine, wherever the disk is.
    fn is_local(&self) -> Option<bool> {
        Some(true)
    }

    fn place(&self) -> String {
        self.features_dir.display().to_string()
    }

    fn estimate_bytes(&self, _partition: &Partition, rows: u64) -> u64 {
        const FOOTER_BYTES_PER_COLUMN: u64 = 150;
        let columns = self.columns.len() as u64;
        let doubles = rows as f64 * columns as f64 * 8.0;
        ((doubles * stored_share(self.compression)) as u64)
            .saturating_add(rows)
            .saturating_add(columns * FOOTER_BYTES_PER_COLUMN)
    }

    fn free_bytes(&self) -> Option<u64> {
        let status = rustix::fs::statvfs(self.existing_dir()?).ok()?;
        Some(status.f_bavail * status.f_frsize)
    }

    fn device(&self) -> Option<u64> {
        Some(rustix::fs::stat(self.existing_dir()?).ok()?.st_dev)
    }

    fn output(&self, partition: &Partition) -> String {
        format!("{}/{}{}", key_dir(&partition.key), period_prefix(partition.period.unit()), partition.period)
    }
}

pub(super) fn key_dir(key: &str) -> String {
    format!("{KEY_PREFIX}{key}")
}

/// The directories in `dir` that are called `prefix` and a value, with that value; none where there is no `dir`.
pub(super) fn hive_dirs(dir: &Path, prefix: &str) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let names = names_in(dir)?;
    let values = names.iter().filter_map(|name| name.to_str()?.strip_prefix(prefix));
    Ok(values.map(|value| (value.to_owned(), dir.join(format!("{prefix}{value}")))).collect())
}

/// The names in a directory; none where there is none.
pub(super) fn names_in(dir: &Path) -> Result<Vec<OsString>, StoreError> {
    match dir_names(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(|error| file_error("list", dir, error)),
    }
}

/// What a file of others in a partition's directory means, and what to do about it.
pub(crate) fn in_the_way(stranger: &Path) -> String {
    format!(
        "{} was not written by rollfit, and readers would mix it with its features; move it elsewhere",
        stranger.display()
    )
}

/// The files in a partition's directory that are not ours and that a reader of the directory would take for data.
pub(crate) fn foreign_files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(names_in(dir)?.iter().filter(|name| is_foreign(name)).map(|name| dir.join(name)).collect())
}

fn is_foreign(name: &OsString) -> bool {
    is_read(name) && name != PART
}

/// Whether a reader of a directory takes a file of this name for data.
pub(super) fn is_read(name: &OsString) -> bool {
    !name.as_encoded_bytes().starts_with(b".") && !name.as_encoded_bytes().starts_with(b"_")
}
