//! [`DurableDirs`]: which directories' names this process made durable, so that each is synced once and not once a partition.
//!
//! Invariants: a directory is never taken for durable because another one was that had its name: runners remove directories
//! that are empty. Whoever made a directory may have been stopped before it was durable, so that what others made counts
//! only once this process has synced it.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use rollfit_job::lock::lock;
use rollfit_job::store::StoreError;

use crate::fault::file_error;
use crate::file_system::FileSystem;

/// What no other directory has, not even one that is made when this one is gone, once the clock has gone on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct DirId {
    device: u64,
    inode: u64,
    created: SystemTime,
}

impl DirId {
    /// `None` where the file system does not tell.
    fn new(status: &Metadata) -> Option<Self> {
        Some(Self { device: status.dev(), inode: status.ino(), created: status.created().ok()? })
    }
}

/// The directories above partitions that are durable, and those that this process synced.
#[derive(Default)]
pub(crate) struct DurableDirs {
    durable: Mutex<HashSet<DirId>>,
    synced: Mutex<HashSet<DirId>>,
}

impl DurableDirs {
    /// Makes the name of a partition's directory durable, and those above it, up to `root`. Where the directory holds
    /// features (`has_part`), whoever committed them made all names durable first: one sync of the directory above by this
    /// process is enough for all partitions in it, in case they were copied there.
    pub(crate) fn ensure(
        &self,
        files: &dyn FileSystem,
        root: &Path,
        dir: &Path,
        has_part: bool,
    ) -> Result<(), StoreError> {
        for (level, dir) in
            dir.ancestors().take_while(|dir| dir.starts_with(root) && *dir != root).enumerate()
        {
            let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let is_partition = level == 0;
            let is_durable = if is_partition {
                has_part && self.is_synced(above)?
            } else {
                let id = id_of(dir)?;
                id.is_some_and(|id| lock(&self.durable).contains(&id))
            };
            if !is_durable {
                self.sync(files, above, (!is_partition).then_some(dir))?;
            }
        }
        Ok(())
    }

    /// Removes a directory if it is empty.
    pub(crate) fn remove(&self, dir: &Path) {
        let id = std::fs::metadata(dir).ok().and_then(|status| DirId::new(&status));
        if std::fs::remove_dir(dir).is_ok()
            && let Some(id) = id
        {
            // One that is made in the same tick of the clock may have the same id.
            lock(&self.durable).remove(&id);
            lock(&self.synced).remove(&id);
        }
    }

    fn is_synced(&self, dir: &Path) -> Result<bool, StoreError> {
        Ok(id_of(dir)?.is_some_and(|id| lock(&self.synced).contains(&id)))
    }

    /// Syncs a directory. The first time, all names in it become durable, else that of `dir`. Partitions are not remembered:
    /// there may be very many.
    fn sync(&self, files: &dyn FileSystem, above: &Path, dir: Option<&Path>) -> Result<(), StoreError> {
        let above_id = id_of(above)?;
        let is_first = !above_id.is_some_and(|id| lock(&self.synced).contains(&id));
        let own = dir.map(id_of).transpose()?.flatten();
        let beside = if is_first && dir.is_some() { dirs_in(above)? } else { Vec::new() };
        files.sync_dir(above).map_err(|error| file_error("sync", above, error))?;
        lock(&self.synced).extend(above_id);
        lock(&self.durable).extend(own.into_iter().chain(beside));
        Ok(())
    }
}

fn id_of(dir: &Path) -> Result<Option<DirId>, StoreError> {
    let status = std::fs::metadata(dir).map_err(|error| file_error("read", dir, error))?;
    Ok(DirId::new(&status))
}

/// The directories in a directory. Left out is what another runner removes meanwhile, or made just now and may remove and
/// make again before the clock goes on.
fn dirs_in(dir: &Path) -> Result<Vec<DirId>, StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|error| file_error("list", dir, error))?;
    let found = entries.filter_map(|entry| entry.ok()?.metadata().ok()).filter(Metadata::is_dir);
    const TICKS: Duration = Duration::from_millis(50);
    let is_old = |id: &DirId| id.created.elapsed().is_ok_and(|age| age > TICKS);
    Ok(found.filter_map(|status| DirId::new(&status)).filter(is_old).collect())
}
