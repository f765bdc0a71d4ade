//! [`compare`](fn@compare): whether features, whoever stored them, are those that the source gives. Rows are matched by
//! their instants, and each stored value is held against the range that another program's rounding explains, see
//! [`rollfit::agreement`]; what the source gives is computed in memory.
//!
//! Holds true: nothing is written; and a value that cannot be told to agree is counted apart from those that do.

mod comparison;
mod tally;

pub(crate) use self::comparison::compare_rows;
pub use self::tally::{Cell, Compared, MatchedRows, Tally};
use crate::Job;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::stop::Stop;
use crate::store::{Found, StoreError};
use crate::workers::for_each;

/// How comparing a partition ended.
#[derive(Debug)]
pub enum Verdict {
    /// It was compared.
    Compared(Compared),
    /// There are no features.
    Absent,
    /// It could not be read.
    Failed(StoreError),
    /// A stop was wanted before its end.
    Skipped,
}

/// Compares `partitions`, with a verdict for each in their order; of each, `sample` rows evenly spread, or all. `told` is
/// told each as it ends.
pub fn compare(
    job: &Job<'_>,
    partitions: &[Partition],
    sample: Option<usize>,
    stop: &Stop,
    told: &(dyn Fn(&Partition, &Verdict) + Sync),
) -> Vec<Verdict> {
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        if stop.is_wanted() {
            return Verdict::Skipped;
        }
        let verdict = compare_one(job, partition, sample, stop).unwrap_or_else(Verdict::Failed);
        told(partition, &verdict);
        verdict
    })
}

fn compare_one(
    job: &Job<'_>,
    partition: &Partition,
    sample: Option<usize>,
    stop: &Stop,
) -> Result<Verdict, StoreError> {
    if job.sink.found(partition)? == Found::Nothing {
        return Ok(Verdict::Absent);
    }
    // Read before the reader is opened: one store session at a time.
    let panel = Panel::read(job.source, job.spec, partition)?;
    let mut reader = job.sink.read(partition)?;
    let (compared, _) = compare_rows(job, &panel, sample, reader.as_mut(), stop)?;
    Ok(if stop.is_wanted() { Verdict::Skipped } else { Verdict::Compared(compared) })
}
