//! [`MemorySink`]: features in memory, committed all or nothing, with partitions that others hold or wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rollfit_job::partition::Partition;
use rollfit_job::receipt::{ColumnTypes, Receipt};
use rollfit_job::runners::StoreRunner;
use rollfit_job::store::{
    Claim, FeatureReader, FeatureTile, Found, Grouping, HoldingMark, Look, Rounding, Sink, Slot, StoreError,
    Write,
};

use super::PlantedFault;
use super::reader::MemoryReader;

/// What is committed of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPartition {
    /// The receipt that was committed with it.
    pub receipt: Receipt,
    /// The time stamps of the rows, in microseconds since 1970.
    pub instants_us: Vec<i64>,
    /// The bits of the features, a vector a row.
    pub rows: Vec<Vec<u64>>,
}

/// Partitions by output.
#[derive(Default)]
pub struct MemorySink {
    /// What is committed.
    pub stored: Mutex<BTreeMap<String, StoredPartition>>,
    /// Outputs that another program wrote.
    pub foreign: Mutex<Vec<String>>,
    /// Outputs that a later version wrote.
    pub newer: Mutex<Vec<String>>,
    /// Outputs that are claimed now.
    pub claimed: Mutex<BTreeSet<String>>,
    /// How many looks and claims of a partition find it held.
    pub held: Mutex<BTreeMap<String, usize>>,
    /// What a look meets.
    pub look_fault: Option<PlantedFault>,
    /// What a claim meets.
    pub claim_fault: Option<PlantedFault>,
    /// What a write of a tile meets.
    pub write_fault: Option<PlantedFault>,
    /// What a commit meets.
    pub commit_fault: Option<PlantedFault>,
    /// The partitions that were claimed, in order.
    pub claims: Mutex<Vec<String>>,
    /// What another runner commits of the partition just before the next claim is granted.
    pub meanwhile: Mutex<Option<StoredPartition>>,
    /// Which features are taken at once; together unless set.
    pub grouping: Option<Grouping>,
    /// What the columns make of values.
    pub rounding: Option<Arc<dyn Rounding>>,
    /// Whether rows can be added to those that are there.
    pub can_append: bool,
    /// Why none can be added now.
    pub rewrite_cause: Option<String>,
    /// The types of the columns of each series.
    pub types: Option<Vec<ColumnTypes>>,
    /// The partitions to which rows were added, in order.
    pub appends: Mutex<Vec<String>>,
    /// How often each output was committed.
    pub commits: Mutex<BTreeMap<String, u64>>,
    /// The runners that are said to be at work.
    pub runners: Mutex<Vec<StoreRunner>>,
    /// How far its clock is, in microseconds since 1970; none where it has none.
    pub clock_us: Option<i64>,
    /// Why it is another store on another machine.
    pub only_here: Option<String>,
    /// What the question for marks meets; the partitions are those that are asked for.
    pub marks_fault: Option<MarksFault>,
    /// What happens before each step of a runner: a look, a claim, what is found under it, a commit.
    pub before_step: Option<Box<dyn Fn() + Send + Sync>>,
}

/// Returns the error that a question for marks meets, if it meets one.
pub type MarksFault = Box<dyn Fn(&[Partition]) -> Result<(), StoreError> + Send + Sync>;

impl MemorySink {
    /// Returns what is committed of a partition, which there must be.
    pub fn stored(&self, partition: &Partition) -> StoredPartition {
        self.stored.lock().unwrap()[&self.output(partition)].clone()
    }

    /// Puts in what another runner commits of a partition.
    pub fn put(&self, partition: &Partition, stored: StoredPartition) {
        self.note_commit(&self.output(partition));
        self.stored.lock().unwrap().insert(self.output(partition), stored);
    }

    /// Returns how often a partition was committed.
    pub fn commits_of(&self, partition: &Partition) -> u64 {
        self.commits.lock().unwrap().get(&self.output(partition)).copied().unwrap_or(0)
    }

    fn note_commit(&self, output: &str) {
        *self.commits.lock().unwrap().entry(output.to_owned()).or_default() += 1;
    }

    fn step(&self) {
        self.before_step.iter().for_each(|act| act());
    }

    /// Who has a partition; one less finds it held from now on.
    fn holder(&self, output: &str) -> Option<String> {
        if let Some(left) = self.held.lock().unwrap().get_mut(output)
            && *left > 0
        {
            *left -= 1;
            return Some("another runner".to_owned());
        }
        self.claimed.lock().unwrap().contains(output).then(|| "another worker".to_owned())
    }

    /// Returns all that is committed, by output.
    pub fn all(&self) -> BTreeMap<String, StoredPartition> {
        self.stored.lock().unwrap().clone()
    }
}

impl Sink for MemorySink {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn found(&self, partition: &Partition) -> Result<Found, StoreError> {
        let output = self.output(partition);
        if self.foreign.lock().unwrap().contains(&output) {
            return Ok(Found::Foreign("somebody else's".to_owned()));
        }
        if self.newer.lock().unwrap().contains(&output) {
            return Ok(Found::Newer("written by a later version of rollfit".to_owned()));
        }
        let stored = self.stored.lock().unwrap();
        Ok(stored.get(&output).map_or(Found::Nothing, |stored| Found::Ours(Box::new(stored.receipt.clone()))))
    }

    fn marks(&self, partitions: &[Partition]) -> Result<Vec<Option<HoldingMark>>, StoreError> {
        self.marks_fault.as_ref().map_or(Ok(()), |fault| fault(partitions))?;
        let stored = self.stored.lock().unwrap();
        let mark = |partition| {
            let receipt = &stored.get(&self.output(partition))?.receipt;
            Some(HoldingMark {
                mark: format!("{} {receipt:?}", self.commits_of(partition)),
                committed_us: None,
            })
        };
        Ok(partitions.iter().map(mark).collect())
    }

    fn look(&self, partition: &Partition) -> Result<Look, StoreError> {
        self.step();
        self.look_fault.as_ref().map_or(Ok(()), |fault| fault(partition))?;
        match self.holder(&self.output(partition)) {
            Some(holder) => Ok(Look::Held(holder)),
            None => self.found(partition).map(Look::Free),
        }
    }

    fn runners(&self, _: &[Partition]) -> Result<Vec<StoreRunner>, StoreError> {
        Ok(self.runners.lock().unwrap().clone())
    }

    fn clock_us(&self) -> Result<Option<i64>, StoreError> {
        Ok(self.clock_us)
    }

    fn only_here(&self) -> Option<String> {
        self.only_here.clone()
    }

    fn partitions(&self) -> Result<Vec<Partition>, StoreError> {
        let stored = self.stored.lock().unwrap();
        let partition = |output: &String| {
            let (key, month) = output.split_once('/').unwrap();
            Partition::new(key.to_owned(), month.parse().unwrap())
        };
        Ok(stored.keys().map(partition).collect())
    }

    fn claim(&self, partition: &Partition, write: Write) -> Result<Claim<'_>, StoreError> {
        let after = match write {
            Write::Replace => None,
            Write::Append { .. } if !self.can_append => {
                return Ok(Claim::Rewrite("its store cannot add rows".to_owned()));
            }
            Write::Append { .. } if self.rewrite_cause.is_some() => {
                return Ok(Claim::Rewrite(self.rewrite_cause.clone().unwrap_or_default()));
            }
            Write::Append { after } => Some(after),
        };
        self.claims.lock().unwrap().push(partition.to_string());
        self.claim_fault.as_ref().map_or(Ok(()), |fault| fault(partition))?;
        self.step();
        let output = self.output(partition);
        if let Some(holder) = self.holder(&output) {
            return Ok(Claim::Held(holder));
        }
        if !self.claimed.lock().unwrap().insert(output.clone()) {
            return Ok(Claim::Held("another worker".to_owned()));
        }
        let lock = OutputLock { sink: self, output };
        if let Some(other) = self.meanwhile.lock().unwrap().take() {
            self.put(partition, other);
        }
        let slot = MemorySlot {
            sink: self,
            _lock: lock,
            partition: partition.clone(),
            after,
            instants_us: Vec::new(),
            rows: Vec::new(),
            group: 0,
            group_rows: 0,
        };
        Ok(Claim::Taken(Box::new(slot)))
    }

    fn can_append(&self) -> bool {
        self.can_append
    }

    fn read(&self, partition: &Partition) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        Ok(Box::new(MemoryReader::new(self.stored(partition), self.grouping())))
    }

    fn grouping(&self) -> Grouping {
        self.grouping.unwrap_or(Grouping::Together)
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn estimate_bytes(&self, _partition: &Partition, rows: u64) -> u64 {
        rows * 10
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }

    fn output(&self, partition: &Partition) -> String {
        format!("{}/{}", partition.key, partition.period)
    }
}

/// Keeps others from claiming an output.
struct OutputLock<'a> {
    sink: &'a MemorySink,
    output: String,
}

impl Drop for OutputLock<'_> {
    fn drop(&mut self) {
        self.sink.claimed.lock().unwrap().remove(&self.output);
    }
}

struct MemorySlot<'a> {
    sink: &'a MemorySink,
    /// Given back with the slot, after what it commits.
    _lock: OutputLock<'a>,
    partition: Partition,
    /// The receipt of the rows that the new ones come after; none where they take the place of all.
    after: Option<Box<Receipt>>,
    instants_us: Vec<i64>,
    rows: Vec<Vec<u64>>,
    /// The first column of the group that is written, and its rows so far.
    group: usize,
    group_rows: usize,
}

impl Slot for MemorySlot<'_> {
    fn found(&mut self) -> Result<Found, StoreError> {
        self.sink.step();
        self.sink.found(&self.partition)
    }

    fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), StoreError> {
        self.sink.write_fault.as_ref().map_or(Ok(()), |fault| fault(&self.partition))?;
        if tile.first_column != self.group {
            // The next group begins at the first row again.
            (self.group, self.group_rows) = (tile.first_column, 0);
        }
        if tile.first_column == 0 {
            self.instants_us.extend_from_slice(tile.instants_us);
            self.rows.resize(self.instants_us.len(), Vec::new());
        }
        let rows = &mut self.rows[self.group_rows..];
        for column in tile.columns() {
            rows.iter_mut().zip(column).for_each(|(row, value)| row.push(value.to_bits()));
        }
        self.group_rows += tile.rows();
        Ok(())
    }

    fn bytes_written(&self) -> u64 {
        self.memory_bytes()
    }

    fn memory_bytes(&self) -> u64 {
        self.rows.iter().map(|row| 8 * row.len() as u64).sum()
    }

    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        self.sink.rounding.clone()
    }

    fn column_types(&self) -> Option<Vec<ColumnTypes>> {
        self.sink.types.clone()
    }

    fn read(&mut self) -> Result<Box<dyn FeatureReader + '_>, StoreError> {
        self.sink.read(&self.partition)
    }

    fn adopt(self: Box<Self>, receipt: &Receipt) -> Result<(), StoreError> {
        self.sink.commit_fault.as_ref().map_or(Ok(()), |fault| fault(&self.partition))?;
        let output = self.sink.output(&self.partition);
        self.sink.foreign.lock().unwrap().retain(|other| *other != output);
        self.sink.stored.lock().unwrap().get_mut(&output).unwrap().receipt = receipt.clone();
        self.sink.note_commit(&output);
        Ok(())
    }

    fn commit(self: Box<Self>, receipt: &Receipt) -> Result<u64, StoreError> {
        self.sink.commit_fault.as_ref().map_or(Ok(()), |fault| fault(&self.partition))?;
        let output = self.sink.output(&self.partition);
        self.sink.foreign.lock().unwrap().retain(|other| *other != output);
        self.sink.step();
        let bytes = 8 * self.rows.len() as u64;
        let mut new =
            StoredPartition { receipt: receipt.clone(), instants_us: self.instants_us, rows: self.rows };
        let mut stored = self.sink.stored.lock().unwrap();
        if let Some(after) = self.after {
            let before = stored.remove(&output).unwrap();
            assert_eq!(before.receipt, *after, "rows are added to what was claimed");
            self.sink.appends.lock().unwrap().push(self.partition.to_string());
            new.instants_us.splice(0..0, before.instants_us);
            new.rows.splice(0..0, before.rows);
        }
        self.sink.note_commit(&output);
        stored.insert(output, new);
        Ok(bytes)
    }

    fn remove(self: Box<Self>) -> Result<(), StoreError> {
        self.sink.stored.lock().unwrap().remove(&self.sink.output(&self.partition));
        Ok(())
    }
}
