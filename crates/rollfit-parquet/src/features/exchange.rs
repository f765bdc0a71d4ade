//! [`ParquetExchange`]: two jobs of a store exchange their directories, in one rename.
//!
//! Invariants: a receipt's output begins below its job's directory, so it is valid wherever that lies. Nobody who writes features of
//! either job is at work when the names are exchanged. There is no second step: a crash leaves the names as they were or exchanged.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rollfit_files::path::shell_word;
use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::store::{Fault, JobExchange, StoreError};
use rustix::io::Errno;

use crate::ParquetStore;
use crate::fault::file_error;
use crate::features::claims::first_claim;
use crate::features::job_dir::{job_dir_name, job_names};
use crate::features::job_lock::SoleLock;
use crate::file_system::refuse_linked_dirs;
use crate::own_disk::file_system_name;

/// The directories of two jobs, while nobody else writes there.
pub(crate) struct ParquetExchange<'a> {
    store: &'a ParquetStore,
    other: PathBuf,
    _locks: Vec<File>,
}

impl ParquetStore {
    /// See [`Store::exchange`](rollfit_job::store::Store::exchange).
    pub(crate) fn begin_exchange(&self, other: Option<&str>) -> Result<ParquetExchange<'_>, StoreError> {
        let other = self.dir.join(job_dir_name(other));
        self.check_there(&other)?;
        // That of the store first: it keeps other exchanges away, and those who write the first features of a job.
        let dirs = [&self.dir, &self.features_dir, &other];
        let locks = dirs.iter().map(|dir| take(dir)).collect::<Result<Vec<File>, _>>()?;
        // Also those of machines that share no such locks.
        for dir in &dirs[1..] {
            first_claim(dir)?.map_or(Ok(()), |holder| Err(in_use(dir, &holder)))?;
        }
        Ok(ParquetExchange { store: self, other, _locks: locks })
    }

    /// Checks that both jobs have a directory.
    fn check_there(&self, other: &Path) -> Result<(), StoreError> {
        let ours = &self.features_dir;
        if ours == other {
            return Err(StoreError::permanent(format!(
                "{} is where both jobs have their features",
                ours.display()
            )));
        }
        for dir in [ours, other] {
            refuse_linked_dirs(&self.dir, dir)?;
        }
        if !is_dir(ours)? {
            return Err(self.no_such_job());
        }
        if !is_dir(other)? {
            return Err(StoreError::permanent(format!(
                "{} is not there, so nothing can be exchanged with it: mv {} {}",
                other.display(),
                shell_word(&ours.display().to_string()),
                shell_word(&other.display().to_string())
            )));
        }
        Ok(())
    }

    /// What to say of a job that has no directory.
    fn no_such_job(&self) -> StoreError {
        let names = job_names(&self.dir);
        let dir_name = self.features_dir.file_name().unwrap_or_default().to_string_lossy();
        let wanted = dir_name.split_once('.').map_or("", |(_, name)| name);
        let nearest = did_you_mean(wanted, names.iter().map(String::as_str));
        let there = match names.len() {
            0 => "no job there has a name".to_owned(),
            _ => format!("jobs with a name: {}", few(&names)),
        };
        StoreError::permanent(format!("{} is not there; {nearest}{there}", self.features_dir.display()))
    }

    /// What to say where the file system cannot do it in one step.
    fn cannot_exchange(&self, other: &Path, error: io::Error) -> StoreError {
        let word = |path: &Path| shell_word(&path.display().to_string());
        let (ours, theirs, aside) =
            (word(&self.features_dir), word(other), word(&self.dir.join(".features.aside")));
        let kind = file_system_name(&self.dir).map(|name| format!(" ({name})")).unwrap_or_default();
        StoreError::caused_by(
            Fault::Permanent,
            format!(
                "the file system of {}{kind} cannot exchange two directories in one step, so nothing was changed; while nobody reads: \
                 mv {theirs} {aside} && mv {ours} {theirs} && mv {aside} {ours}",
                self.dir.display()
            ),
            error,
        )
    }
}

impl JobExchange for ParquetExchange<'_> {
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let (store, ours) = (self.store, &self.store.features_dir);
        store.files.exchange(ours, &self.other).map_err(|error| match is_unknown(&error) {
            true => store.cannot_exchange(&self.other, error),
            false => file_error(&format!("exchange {} with", self.other.display()), ours, error),
        })?;
        store.files.sync_dir(&store.dir).map_err(|error| {
            let what = format!(
                "make sure that {} stays exchanged after a power failure: cannot sync",
                ours.display()
            );
            file_error(&what, &store.dir, error)
        })
    }
}

/// Whether an error says that the file system has no such operation, for these directories at least.
fn is_unknown(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    error.kind() == ErrorKind::Unsupported
        || matches!(number, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV))
}

fn is_dir(path: &Path) -> Result<bool, StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(status) if status.is_dir() => Ok(true),
        Ok(_) => {
            Err(StoreError::permanent(format!("{} is not a directory; move it elsewhere", path.display())))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file_error("look at", path, error)),
    }
}

/// Has a directory alone.
fn take(dir: &Path) -> Result<File, StoreError> {
    let holder = match SoleLock::try_take(dir).map_err(|error| file_error("lock", dir, error))? {
        SoleLock::Taken(lock) => return Ok(lock),
        SoleLock::Held(process) => process.map(|process| format!("process {process}")),
    };
    let holder = first_claim(dir)?.or(holder);
    Err(in_use(dir, &holder.unwrap_or_else(|| "another process".to_owned())))
}

fn in_use(dir: &Path, holder: &str) -> StoreError {
    StoreError::new(
        Fault::Transient,
        format!(
            "the directory {} is in use by {holder}; wait until it has ended, or stop it, and type the command again",
            dir.display()
        ),
    )
}
