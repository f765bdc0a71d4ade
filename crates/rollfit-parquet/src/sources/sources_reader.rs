//! [`SourcesReader`]: reads source tables as they are between two imports. Takes no lock, so that it needs no permission to
//! write, works where the file system has no locks, and keeps no import waiting.
//!
//! Invariants: what is read of several tables was all there at one moment, and at that moment no import was putting files of
//! theirs in place. Where such an import was cut short, the reader finishes it, or fails and says why it cannot.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rollfit_job::activity::waiting;
use rollfit_job::lock::lock;
use rollfit_job::store::{Fault, StoreError};

use crate::fault::file_error;
use crate::file_system::{FileSystem, refresh_dir};
use crate::sources::file_spans::FileIdentity;
use crate::sources::generation::Generation;
use crate::sources::sources_lock::{
    FinishAttempt, PAUSE, SILENT_WAIT, stuck_lock, try_finish, warn_of_finished,
};
use crate::sources::staged::{Staged, has_list, open_list};

/// How long a reader waits for an import that it may not finish, and that nobody seems to be at.
const ABANDONED_WAIT: Duration = Duration::from_secs(5);
/// How long what can be done without, or later, waits for an import to put its files in place.
const BRIEF_WAIT: Duration = Duration::from_secs(1);

/// Reads the source tables of one store.
pub(crate) struct SourcesReader {
    sources_dir: PathBuf,
    files: Arc<dyn FileSystem>,
    unfinished: Mutex<Option<UnfinishedImport>>,
    /// The generation as it was read last.
    generation: Mutex<Option<Arc<Generation>>>,
}

/// An import whose files are not all in place.
#[derive(Clone)]
struct UnfinishedImport {
    list: FileIdentity,
    /// Held open: as long as it is, no other list has its inode.
    _list_file: Arc<File>,
    tables: Arc<BTreeSet<String>>,
    /// When this process first saw it: it is waited for once, not once a partition.
    seen: Instant,
    was_told: bool,
}

/// How long to wait for an import that is putting files in place.
#[derive(Clone, Copy)]
pub(crate) enum ImportWait {
    /// As long as that may take: the lock is held for moments, unless its holder is stuck.
    Full,
    /// A moment only.
    Brief,
}

impl SourcesReader {
    pub(crate) fn new(sources_dir: PathBuf, files: Arc<dyn FileSystem>) -> Self {
        Self { sources_dir, files, unfinished: Mutex::default(), generation: Mutex::default() }
    }

    /// Does `read`, again where an import changed the sources meanwhile. `tables` are those that it reads; `is_current` says
    /// whether what it returned is still what is there.
    ///
    /// # Errors
    /// Those of `read`; [`Fault::Transient`] when imports do not leave the sources alone for as long as it takes.
    pub(crate) fn read<T>(
        &self,
        tables: &[&str],
        wait: ImportWait,
        read: impl Fn() -> Result<T, StoreError>,
        is_current: impl Fn(&T) -> Result<bool, StoreError>,
    ) -> Result<T, StoreError> {
        const ATTEMPTS_MIN: u32 = 3;
        let (started, mut attempts) = (Instant::now(), 0);
        loop {
            // Before the list is looked for: an import that has its list changes the generation after that.
            refresh_dir(&self.sources_dir);
            let generation = self.generation()?;
            if self.known_unfinished(tables)?.is_some() {
                self.wait(tables, wait)?;
                continue;
            }
            attempts += 1;
            let is_often = attempts >= ATTEMPTS_MIN;
            let found = read();
            let is_undisturbed =
                self.unfinished(tables)?.is_none() && generation.is_current(&self.sources_dir)?;
            match found {
                Ok(found) if is_undisturbed && is_current(&found)? => return Ok(found),
                // A file that somebody else replaced meanwhile is there again at once.
                Err(error) if is_undisturbed && (error.fault() != Fault::Transient || is_often) => {
                    return Err(error);
                }
                _ => {}
            }
            if is_often && started.elapsed() > self.files.lock_patience() {
                return Err(self.never_at_rest(attempts));
            }
            waiting(|| std::thread::sleep(PAUSE));
        }
    }

    /// The generation as it is now: the one that was read last, if it still is.
    fn generation(&self) -> Result<Arc<Generation>, StoreError> {
        let known = lock(&self.generation).clone();
        if let Some(known) = known.filter(|known| known.is_current(&self.sources_dir).unwrap_or(false)) {
            return Ok(known);
        }
        let read = Arc::new(Generation::read(&self.sources_dir)?);
        *lock(&self.generation) = Some(read.clone());
        Ok(read)
    }

    /// Who is putting files of these tables in place, after a moment in which it could have finished; none if nobody is.
    pub(crate) fn holder(&self, tables: &[&str]) -> Result<Option<String>, StoreError> {
        let end = Instant::now() + BRIEF_WAIT.min(self.files.lock_patience());
        let blocked = self.wait_until(tables, |_, _| end)?;
        Ok(blocked.map(|obstacle| self.holder_name(&obstacle)))
    }

    fn wait(&self, tables: &[&str], wait: ImportWait) -> Result<(), StoreError> {
        let patience = self.files.lock_patience();
        let end = |import: &UnfinishedImport, obstacle: &FinishAttempt| {
            import.seen
                + match (wait, obstacle) {
                    (ImportWait::Brief, _) => patience.min(BRIEF_WAIT),
                    (ImportWait::Full, FinishAttempt::Forbidden(_)) => patience.min(ABANDONED_WAIT),
                    (ImportWait::Full, _) => patience,
                }
        };
        match self.wait_until(tables, end)? {
            None => Ok(()),
            Some(obstacle) => Err(self.still_unfinished(obstacle)),
        }
    }

    /// Waits for the import that is putting files of `tables` in place, or finishes it. Returns what is in the way when the
    /// time is over.
    fn wait_until(
        &self,
        tables: &[&str],
        end: impl Fn(&UnfinishedImport, &FinishAttempt) -> Instant,
    ) -> Result<Option<FinishAttempt>, StoreError> {
        while let Some(import) = self.unfinished(tables)? {
            let obstacle = match try_finish(&self.sources_dir, self.files.as_ref())? {
                FinishAttempt::Finished(count) => {
                    warn_of_finished(&self.sources_dir, count);
                    continue;
                }
                FinishAttempt::Nothing => continue,
                obstacle => obstacle,
            };
            let left = end(&import, &obstacle).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Some(obstacle));
            }
            if import.seen.elapsed() > SILENT_WAIT && left > SILENT_WAIT {
                self.warn_once(&obstacle);
            }
            waiting(|| std::thread::sleep(PAUSE));
        }
        Ok(None)
    }

    /// The import that has committed and has not put all files of these tables in place.
    ///
    /// # Errors
    /// When its list is not one that an import wrote.
    fn unfinished(&self, tables: &[&str]) -> Result<Option<UnfinishedImport>, StoreError> {
        refresh_dir(&self.sources_dir);
        self.known_unfinished(tables)
    }

    /// As [`Self::unfinished`], just after the directory was refreshed.
    fn known_unfinished(&self, tables: &[&str]) -> Result<Option<UnfinishedImport>, StoreError> {
        let mut known = lock(&self.unfinished);
        let Some(file) = open_list(&self.sources_dir)? else {
            *known = None;
            return Ok(None);
        };
        let status = file.metadata().map_err(|error| file_error("read", &self.sources_dir, error))?;
        let list = FileIdentity::from_metadata(&status);
        if known.as_ref().is_none_or(|known| known.list != list) {
            let staged = match Staged::read_from(&file, &self.sources_dir) {
                Ok(staged) => staged,
                // Whoever finished this import may have moved its files meanwhile: it is gone, or another one is there.
                Err(_) if !has_list(&self.sources_dir)? => return Ok(None),
                Err(error) => return Err(error),
            };
            let (tables, seen) = (Arc::new(staged.tables()), Instant::now());
            *known =
                Some(UnfinishedImport { list, _list_file: Arc::new(file), tables, seen, was_told: false });
        }
        Ok(known.clone().filter(|import| tables.iter().any(|table| import.tables.contains(*table))))
    }

    fn warn_once(&self, obstacle: &FinishAttempt) {
        if let Some(import) = lock(&self.unfinished).as_mut()
            && !std::mem::replace(&mut import.was_told, true)
        {
            tracing::warn!(
                "waiting up to {} s for {}",
                self.files.lock_patience().as_secs(),
                self.holder_name(obstacle)
            );
        }
    }

    fn holder_name(&self, obstacle: &FinishAttempt) -> String {
        match obstacle {
            FinishAttempt::Locked(path) => format!("an import that has locked {}", path.display()),
            _ => {
                let place = self.sources_dir.display();
                format!("an import into {place} that is not finished, and that this user cannot finish")
            }
        }
    }

    fn still_unfinished(&self, obstacle: FinishAttempt) -> StoreError {
        let place = self.sources_dir.display();
        match obstacle {
            FinishAttempt::Locked(path) => stuck_lock(&path, self.files.lock_patience()),
            FinishAttempt::Forbidden(error) => StoreError::caused_by(
                Fault::Transient,
                format!(
                    "an import into {place} was cut short; run `rollfit plan` as a user who can write there to finish it"
                ),
                error,
            ),
            // Not what anybody waits for.
            FinishAttempt::Finished(_) | FinishAttempt::Nothing => self.never_at_rest(1),
        }
    }

    fn never_at_rest(&self, attempts: u32) -> StoreError {
        StoreError::new(
            Fault::Transient,
            format!(
                "{}: the sources changed each of the {attempts} times they were read; try again when no import is running",
                self.sources_dir.display()
            ),
        )
    }
}
