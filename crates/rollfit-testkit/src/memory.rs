//! A store in memory: [`MemorySource`] and [`MemorySink`].

mod reader;
mod sink;
mod source;

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

pub use self::sink::{MarksFault, MemorySink, StoredPartition};
pub use self::source::MemorySource;

/// Returns the error that a partition meets, if it meets one.
pub type PlantedFault = Box<dyn Fn(&Partition) -> Result<(), StoreError> + Send + Sync>;
