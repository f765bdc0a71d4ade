//! [`Sink`]: where features go, and [`Slot`]: one partition of it that is this runner's alone.

use std::collections::HashSet;
use std::sync::Arc;

use super::{FeatureReader, FeatureTile, Grouping, Rounding, ServerProcess, StoreError, StoreMonitor};
use crate::partition::Partition;
use crate::receipt::{ColumnTypes, Receipt};
use crate::runners::StoreRunner;

const CANNOT_ADOPT: &str = "this store keeps no receipts beside rows and cannot adopt them; rewrite them with \
     `rollfit run --replace foreign`";

/// What a sink holds of a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Features that we wrote.
    Ours(Box<Receipt>),
    /// Something without a receipt of rollfit, and what it is.
    Foreign(String),
    /// Features that a later version of rollfit wrote; which, and what to do. Nothing of them is touched.
    Newer(String),
    /// Something of others where features belong, beside which none are written, adopted or removed; what, and what to do.
    Blocked(String),
}

/// What a sink holds of a partition, for who watches a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// As [`Sink::found`]; that rollfit couldn't write the partition as it is needn't be an error.
    pub found: Found,
    /// Whether there is a receipt that doesn't count: what is foreign was rollfit's.
    pub is_void: bool,
    /// The rows of each of its tables, at the moment of the receipt; none where they weren't counted.
    pub rows: Option<Vec<TableRows>>,
}

/// The rows of a table of features, or of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableRows {
    /// Its name.
    pub table: String,
    /// How many there are.
    pub rows: u64,
}

/// What readers of a partition's features find where a store keeps no features but what they follow from: an object by which
/// they are computed on read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderView {
    /// What belongs there, or nothing of the kind is needed.
    Ready,
    /// Nothing; what is missing.
    Missing(String),
    /// Something else, which is never altered: what it is and the ways out, as a clause that follows "but".
    Foreign(String),
}

/// What a look at a partition shows, see [`Sink::look`].
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Another runner, or somebody else, has it now; what is known of that one.
    Held(String),
    /// Nobody has it. What there is of it.
    Free(Found),
}

/// A mark on what a store holds of a partition, see [`Sink::marks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldingMark {
    /// Another one after each commit, whatever is committed.
    pub mark: String,
    /// When it was committed, in microseconds since 1970 by the store's clock; none where that is not known.
    pub committed_us: Option<i64>,
}

/// Something beside the partitions whose rows readers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The key that it is beside, or its own name.
    pub subject: String,
    /// What it is, and what to do.
    pub message: String,
}

/// Where features go.
pub trait Sink: Send + Sync {
    /// What there is of a partition. Rows whose receipt is of another [`Sink::output`], or was not committed with them, are
    /// foreign.
    ///
    /// # Errors
    /// When the store cannot be read; [`StoreError::is_damage`] where it holds features that rollfit wrote and that are not
    /// as they were written.
    fn found(&self, partition: &Partition) -> Result<Found, StoreError>;

    /// Who has a partition now, and what there is of it if nobody does: in one round trip, without taking it and without a wait.
    ///
    /// # Errors
    /// As [`Sink::found`].
    fn look(&self, partition: &Partition) -> Result<Look, StoreError> {
        self.found(partition).map(Look::Free)
    }

    /// A mark on each of `partitions`, in their order, in few round trips; none of those of which there is nothing. Two marks of a partition
    /// that are equal say that nothing was committed in between. No receipt is read where that can be known without.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn marks(&self, partitions: &[Partition]) -> Result<Vec<Option<HoldingMark>>, StoreError>;

    /// The runners that are at work on this store, this one included, and which of `partitions` each of them has. Takes no claim.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn runners(&self, _partitions: &[Partition]) -> Result<Vec<StoreRunner>, StoreError> {
        Ok(Vec::new())
    }

    /// The time of the store's clock, in microseconds since 1970; none where it has none of its own, or does not tell without being written.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn clock_us(&self) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    /// Why the same configuration on another machine means another store, as a clause such as "localhost is another server on each machine";
    /// none where it does not, as far as can be told.
    fn only_here(&self) -> Option<String> {
        None
    }

    /// What there is of each of `partitions`, in their order, in few round trips; with rows that were counted where that is wanted
    /// and the store can.
    ///
    /// # Errors
    /// When the store cannot be reached, or hides its receipts. What is wrong with one partition is that one's error.
    fn holdings(
        &self,
        partitions: &[Partition],
        _with_rows: bool,
    ) -> Result<Vec<Result<Holding, StoreError>>, StoreError> {
        let holding = |partition| match self.found(partition) {
            Err(error) if error.is_unconnected() => Err(error),
            found => Ok(found.map(|found| Holding { found, is_void: false, rows: None })),
        };
        partitions.iter().map(holding).collect()
    }

    /// Whether there is nothing of a partition, see [`Sink::found`]. No receipt is read where that can be known without.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn is_missing(&self, partition: &Partition) -> Result<bool, StoreError> {
        Ok(self.found(partition)? == Found::Nothing)
    }

    /// What of others would be lost if the rows of a partition were replaced or removed, with the ways out, as a clause
    /// that follows "but"; none where nothing would.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn obstacle(&self, _partition: &Partition) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// The objects of others that depend on what [`Slot::remove`] removes beside rows, and keep it from doing so.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn dependents(&self, _partition: &Partition) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// What readers find where they look for the features of a partition.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn reader_view(&self, _partition: &Partition) -> Result<ReaderView, StoreError> {
        Ok(ReaderView::Ready)
    }

    /// Makes what is [`ReaderView::Missing`] of a partition whose rows are there. Rows are not touched.
    ///
    /// # Errors
    /// When that cannot be done.
    fn make_reader_view(&self, _partition: &Partition) -> Result<(), StoreError> {
        Ok(())
    }

    /// The features of a partition as readers find them, where a store keeps no features but what they follow from: all rows, or those
    /// with these instants. None where readers find what is stored.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_as_readers(
        &self,
        _partition: &Partition,
        _instants_us: Option<&[i64]>,
    ) -> Result<Option<Box<dyn FeatureReader + '_>>, StoreError> {
        Ok(None)
    }

    /// The partitions that have features, with or without a receipt, in any order.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn partitions(&self) -> Result<Vec<Partition>, StoreError>;

    /// The partitions of the job whose periods are of another unit than the configuration's, in any order: those of before `by` was changed.
    /// None where the store cannot tell; a store with tables, whose names would be others, finds none.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn partitions_of_other_units(&self) -> Result<Vec<Partition>, StoreError> {
        Ok(Vec::new())
    }

    /// Those of [`Sink::partitions`] whose key is one of `keys`, or differs from one only in case; it may return others too.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn partitions_of(&self, _keys: &HashSet<&str>) -> Result<Vec<Partition>, StoreError> {
        self.partitions()
    }

    /// What no job wrote and readers of the features get beside the partitions, as far as the store can have such things.
    fn strangers(&self) -> Vec<Stranger> {
        Vec::new()
    }

    /// Takes a partition for this runner alone, until the slot is dropped. Does not wait. A store that cannot add rows
    /// answers [`Write::Append`] with [`Claim::Rewrite`].
    ///
    /// # Errors
    /// When the store cannot be written, or not in this way.
    fn claim(&self, partition: &Partition, write: Write) -> Result<Claim<'_>, StoreError>;

    /// Whether rows can be added to those of a partition, as far as is known without looking at it.
    fn can_append(&self) -> bool {
        false
    }

    /// Removes what a killed run left of a partition that there is nothing to do about. A failure to do so is not an error.
    fn tidy(&self, _partition: &Partition) {}

    /// The features of a partition, as stored, by any program.
    ///
    /// # Errors
    /// When they are missing or cannot be read.
    fn read(&self, partition: &Partition) -> Result<Box<dyn FeatureReader + '_>, StoreError>;

    /// Some features of a partition that rollfit wrote, whose tiles have these columns alone: their numbers among those of the job, rising.
    /// None where the store does not check all bytes of the partition by checksums of its own: then only [`Sink::read`], whose rows can be
    /// summed, shows whether they are those that were written.
    ///
    /// # Errors
    /// As [`Sink::read`].
    fn read_checked(
        &self,
        _partition: &Partition,
        _columns: &[usize],
    ) -> Result<Option<Box<dyn FeatureReader + '_>>, StoreError> {
        Ok(None)
    }

    /// Which features are written, and read back, at once.
    fn grouping(&self) -> Grouping {
        Grouping::Together
    }

    /// Checks that the outputs of `partitions` can have the names that the patterns give them.
    ///
    /// # Errors
    /// Naming the first that cannot.
    fn check_outputs(&self, _partitions: &[Partition]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Checks that what is stored is of a version that can be written. Asked before the first partition.
    ///
    /// # Errors
    /// With the next step where an earlier version wrote it and something has to be done first.
    fn check_version(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The kind of store, see [`StoreKind::name`](super::StoreKind::name).
    fn kind(&self) -> &'static str;

    /// Where features go, for people, without secrets.
    fn place(&self) -> String;

    /// Whether the store works on this machine, beside the workers; none where that cannot be known.
    fn is_local(&self) -> Option<bool> {
        None
    }

    /// The number that the system has for the device that a store of files is on; none where that cannot be known.
    fn device(&self) -> Option<u64> {
        None
    }

    /// Estimates the bytes of this many rows of a partition. Most exact after [`Sink::found`].
    fn estimate_bytes(&self, partition: &Partition, rows: u64) -> u64;

    /// The bytes that can still be written, where that is known.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// The name of a partition's output in this store: what its receipt belongs to.
    fn output(&self, partition: &Partition) -> String;

    /// The most sessions that this process may have with the store at once, and why; none where there is no limit.
    fn sessions(&self) -> Option<(usize, String)> {
        None
    }

    /// The monitor of the store during a run, within [`Sink::sessions`]; none if the store is not a server, or has
    /// no session to spare.
    fn monitor(&self) -> Option<Box<dyn StoreMonitor>> {
        None
    }

    /// The process of the server that serves the only session, where there is none to spare for a monitor.
    fn server_process(&self) -> Option<ServerProcess> {
        None
    }
}

/// What becomes of the rows that a claimed partition has.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The rows that are written take their place.
    Replace,
    /// The rows that are written come after them; the receipt is still this one.
    Append {
        /// The receipt of the rows that are there.
        after: Box<Receipt>,
    },
}

/// The answer to [`Sink::claim`].
pub enum Claim<'a> {
    /// The partition is this runner's.
    Taken(Box<dyn Slot + 'a>),
    /// Another runner has it; what is known of that one.
    Held(String),
    /// Rows cannot be added to what is there, and why: it has to be replaced. Never the answer to [`Write::Replace`].
    Rewrite(String),
}

/// A partition that is this runner's alone. Dropped without a commit it leaves everything as it was.
pub trait Slot {
    /// What there is of the partition, now that nobody else can change it.
    ///
    /// # Errors
    /// As [`Sink::found`].
    fn found(&mut self) -> Result<Found, StoreError>;

    /// As [`Sink::obstacle`], now that nobody can add to it. Where there is one, [`Slot::commit`] and [`Slot::remove`] fail.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn obstacle(&mut self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// What the columns make of values; none where they hold every double. Known from [`Slot::found`] on.
    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        None
    }

    /// The types of the columns of each series, as a receipt records them; none where the store has none. Known from
    /// [`Slot::found`] on.
    fn column_types(&self) -> Option<Vec<ColumnTypes>> {
        None
    }

    /// Makes room for the rows that are to be written: makes the tables that are missing, removes the rows that are to be
    /// replaced. Others see nothing of it before the commit.
    ///
    /// # Errors
    /// When that cannot be done; where there is an [`Slot::obstacle`].
    fn prepare(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Adds rows to a partition that is prepared, group by group as [`Sink::grouping`] says, within a group in order of
    /// their instants. They are not rounded yet. A partition without rows gets none before its commit.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), StoreError>;

    /// Hands over what is still held of the rows; called once after the last of them.
    ///
    /// # Errors
    /// When they cannot be written.
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The bytes handed to the store so far.
    fn bytes_written(&self) -> u64;

    /// What is kept in memory of the rows that are not handed over yet.
    fn memory_bytes(&self) -> u64;

    /// Reads the rows that are there, by any program, while nobody else can change them.
    ///
    /// # Errors
    /// When the store cannot vouch for rows that it did not write, or they cannot be read.
    fn read(&mut self) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        Err(StoreError::permanent(CANNOT_ADOPT))
    }

    /// Makes this the receipt of the rows that are there.
    ///
    /// # Errors
    /// As [`Slot::read`]; when the commit fails, and then nothing has changed.
    fn adopt(self: Box<Self>, _receipt: &Receipt) -> Result<(), StoreError> {
        Err(StoreError::permanent(CANNOT_ADOPT))
    }

    /// Makes the rows written since the claim, and this receipt, all there is of the partition. Returns the bytes
    /// stored.
    ///
    /// # Errors
    /// When the commit fails; then nothing has changed, or, where the fault came after the change itself, everything.
    fn commit(self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError>;

    /// Removes the partition's features and receipt in one commit.
    ///
    /// # Errors
    /// When the commit fails; then nothing has changed.
    fn remove(self: Box<Self>) -> Result<(), StoreError>;
}
