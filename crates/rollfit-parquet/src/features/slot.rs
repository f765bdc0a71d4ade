//! [`ParquetSlot`]: one partition being written: `.part.tmp` first, then `part.parquet` by one rename.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rollfit_job::activity::sending;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::state::State;
use rollfit_job::store::{Fault, FeatureReader, FeatureTile, Found, Sink, Slot, StoreError};

use crate::ParquetStore;
use crate::direct::store_file::StoreFile;
use crate::encode::FeatureWriter;
use crate::fault::{file_error, parquet_error};
use crate::features::key_lock::KeyLock;
use crate::features::new_receipt::{cannot_adopt, check_copy, copy_with_receipt};
use crate::features::read_back::{ParquetReader, RECEIPT_KEY};
use crate::features::sink::{LOCK, UNFINISHED, foreign_files, in_the_way};
use crate::features::unit_check::check_unit_of_key;
use crate::file_system::{FileSystem, OutputFile, refresh_dir};
use crate::lock::ExclusiveLock;
use rollfit_files::parquet_file::Checksums;
use rollfit_files::regular_file::is_there;

/// A features file; what the encoder waits for it is time spent sending.
struct Sending(StoreFile);

impl std::io::Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        sending(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        sending(|| self.0.flush())
    }
}

impl OutputFile for Sending {
    fn reserve(&mut self, bytes: u64) -> std::io::Result<()> {
        sending(|| self.0.reserve(bytes))
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
}

/// A partition that this process holds the lock of.
///
/// Invariants: nothing is put in place, and nothing removed, once another process has taken the partition although it is locked, as it can
/// where the file system's locks do not work between machines: of the two only that one commits which finds what it wrote.
pub(super) struct ParquetSlot<'a> {
    store: &'a ParquetStore,
    partition: Partition,
    dir: PathBuf,
    is_prepared: bool,
    writer: Option<FeatureWriter<Sending>>,
    /// Which file was created to be put in place.
    created: Option<(u64, u64)>,
    /// The checksums of the file whose rows were read since the claim.
    read: Option<Checksums>,
    lock: Option<ExclusiveLock>,
}

impl<'a> ParquetSlot<'a> {
    /// The slot of a partition whose lock was just taken; what a stopped run left there is removed.
    pub(super) fn new(
        store: &'a ParquetStore,
        partition: &Partition,
        dir: PathBuf,
        lock: ExclusiveLock,
    ) -> Self {
        let partition = partition.clone();
        let slot = Self {
            store,
            partition,
            dir,
            is_prepared: false,
            writer: None,
            created: None,
            read: None,
            lock: Some(lock),
        };
        slot.discard_unfinished();
        slot
    }
}

impl ParquetSlot<'_> {
    fn files(&self) -> &dyn FileSystem {
        self.store.files.as_ref()
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join(UNFINISHED)
    }

    fn open_writer(&mut self) -> Result<FeatureWriter<Sending>, StoreError> {
        self.prepare()?;
        let (path, file) = (self.unfinished(), self.create()?);
        let columns: Vec<&str> = self.store.columns.iter().map(String::as_str).collect();
        FeatureWriter::new(Sending(file), &columns, self.store.compression, &self.store.buffers)
            .map_err(|error| parquet_error("write", &path, error))
    }

    /// Creates the file that is put in place when it is complete.
    fn create(&mut self) -> Result<StoreFile, StoreError> {
        self.check_lock()?;
        let path = self.unfinished();
        let file = self.store.create_features(&path).map_err(|error| file_error("create", &path, error))?;
        self.created = Some(file.id().map_err(|error| file_error("look at", &path, error))?);
        Ok(file)
    }

    /// Whether the unfinished file is the one that was created here.
    fn has_unfinished(&self) -> bool {
        let found = std::fs::symlink_metadata(self.unfinished());
        self.created.is_some() && self.created == found.ok().map(|found| (found.dev(), found.ino()))
    }

    /// Checks that nobody took the lock away. Another machine may have, without this one's cache of the directory knowing.
    fn check_lock(&self) -> Result<(), StoreError> {
        refresh_dir(&self.dir);
        match &self.lock {
            Some(lock) if lock.is_in_place() => Ok(()),
            _ => Err(self.lost(LOCK)),
        }
    }

    /// Checks that the lock and the unfinished file are still this slot's. Only as long as that file is open is its inode no other file's.
    fn check_claim(&self) -> Result<(), StoreError> {
        self.check_lock()?;
        if self.has_unfinished() { Ok(()) } else { Err(self.lost(UNFINISHED)) }
    }

    /// The error of a claim whose file of this name is no longer this slot's.
    fn lost(&self, name: &str) -> StoreError {
        let message = format!(
            "{} was removed or replaced while this process had the partition, so nothing was put in place; another process may work on \
             the same partition (see `rollfit status --store`): the file system's locks may not work between machines, see \
             docs/parquet.md",
            self.dir.join(name).display()
        );
        StoreError::new(Fault::Transient, message)
    }

    /// Checks that what there is of the partition is a file of ours, and alone.
    fn check_adoptable(&self) -> Result<(), StoreError> {
        match self.store.found(&self.partition)? {
            Found::Foreign(what) => Err(cannot_adopt(&what, State::Foreign, &self.partition)),
            Found::Blocked(what) => Err(StoreError::permanent(what)),
            Found::Nothing | Found::Ours(_) | Found::Newer(_) => Ok(()),
        }
    }

    fn writer(&mut self) -> Result<&mut FeatureWriter<Sending>, StoreError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.open_writer()?,
        };
        Ok(self.writer.insert(writer))
    }

    /// Removes what this or a stopped run did not finish. It is never read, so a failure does not matter.
    fn discard_unfinished(&self) {
        let path = self.unfinished();
        if is_there(&path).unwrap_or(false) {
            let _ = self.files().remove(&path);
        }
    }

    fn finish_file(&mut self, receipt: &Receipt) -> Result<u64, StoreError> {
        let path = self.unfinished();
        let receipt = serde_json::to_string(receipt).map_err(|error| {
            StoreError::permanent(format!("the receipt cannot be written as JSON: {error}"))
        })?;
        // A partition of no rows has no writer yet.
        let writer = self.writer()?;
        let bytes =
            writer.finish(RECEIPT_KEY, receipt).map_err(|error| parquet_error("write", &path, error))?;
        // Syncing writes what is left.
        writer.output().sync().map_err(|error| file_error("write", &path, error))?;
        self.check_claim()?;
        self.writer = None;
        Ok(bytes)
    }
}

impl Slot for ParquetSlot<'_> {
    fn found(&mut self) -> Result<Found, StoreError> {
        self.store.found(&self.partition)
    }

    /// Makes the directory's name durable, before it has contents.
    fn prepare(&mut self) -> Result<(), StoreError> {
        if !self.is_prepared {
            let (store, part) = (self.store, self.store.part(&self.partition));
            let has_part = is_there(&part).map_err(|error| file_error("read", &part, error))?;
            store.durable_dirs.ensure(store.files.as_ref(), &store.dir, &self.dir, has_part)?;
            self.is_prepared = true;
        }
        Ok(())
    }

    fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), StoreError> {
        let path = self.unfinished();
        self.writer()?.write(tile).map_err(|error| parquet_error("write", &path, error))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let path = self.unfinished();
        // A partition of no rows has no writer yet.
        self.writer()?.flush().map_err(|error| parquet_error("write", &path, error))
    }

    fn bytes_written(&self) -> u64 {
        self.writer.as_ref().map_or(0, FeatureWriter::bytes_written)
    }

    fn memory_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, FeatureWriter::memory_bytes)
    }

    /// The rows of a file of ours, whose bytes are checked.
    fn read(&mut self) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        self.check_adoptable()?;
        let part = self.store.part(&self.partition);
        let reader = ParquetReader::open(&part, &self.partition, &self.store.output(&self.partition), None)?;
        self.read = reader.checksums();
        if self.read.is_none() {
            let cause = format!("{} has no checksums", part.display());
            return Err(cannot_adopt(&cause, State::DefinitionChanged, &self.partition));
        }
        Ok(Box::new(reader))
    }

    /// Puts a copy of the file that was read, with another receipt, in its place.
    fn adopt(mut self: Box<Self>, receipt: &Receipt) -> Result<(), StoreError> {
        let (unfinished, part) = (self.unfinished(), self.store.part(&self.partition));
        let unread = || StoreError::permanent(format!("{}: its rows were not read", part.display()));
        let checksums = self.read.ok_or_else(unread)?;
        self.check_adoptable()?;
        self.prepare()?;
        let mut file = Sending(self.create()?);
        copy_with_receipt((&part, &self.partition), checksums, receipt, (&unfinished, &mut file))?;
        file.0.sync().map_err(|error| file_error("write", &unfinished, error))?;
        self.check_claim()?;
        drop(file);
        check_copy(&unfinished, (&self.partition, &self.store.output(&self.partition)), receipt)?;
        self.files().rename(&unfinished, &part).map_err(|error| file_error("put in place", &part, error))?;
        self.files().sync_dir(&self.dir).map_err(|error| file_error("sync", &self.dir, error))
    }

    fn commit(mut self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError> {
        if let Some(stranger) = foreign_files(&self.dir)?.first() {
            return Err(StoreError::permanent(in_the_way(stranger)));
        }
        let bytes = self.finish_file(receipt)?;
        // A run by other periods may have begun at the same moment: one of the two finds what the other put in place.
        let lock = self
            .dir
            .parent()
            .map(|key_dir| KeyLock::take(key_dir, self.files().lock_patience()))
            .transpose()?;
        check_unit_of_key(&self.store.features_dir, &self.partition.key, self.store.by)?;
        let (from, to) = (self.unfinished(), self.store.part(&self.partition));
        self.files().rename(&from, &to).map_err(|error| file_error("put in place", &to, error))?;
        drop(lock);
        self.files().sync_dir(&self.dir).map_err(|error| file_error("sync", &self.dir, error))?;
        Ok(bytes)
    }

    fn remove(self: Box<Self>) -> Result<(), StoreError> {
        self.check_lock()?;
        let part = self.store.part(&self.partition);
        self.files().remove(&part).map_err(|error| file_error("remove", &part, error))?;
        self.files().sync_dir(&self.dir).map_err(|error| file_error("sync", &self.dir, error))
    }
}

impl Drop for ParquetSlot<'_> {
    fn drop(&mut self) {
        // While it is open: see `check_claim`.
        if self.has_unfinished() {
            self.discard_unfinished();
        }
        self.writer = None;
        self.lock = None;
        // Removes the directory if nothing was committed and it is empty.
        if std::fs::remove_dir(&self.dir).is_ok()
            && let Some(key_dir) = self.dir.parent()
        {
            self.store.durable_dirs.remove(key_dir);
        }
    }
}
