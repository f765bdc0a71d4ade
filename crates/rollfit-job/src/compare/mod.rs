//! [`compare`](fn@compare): checks whether stored features are those that the source gives. Rows are matched by
//! their instants, and each stored value is compared with the range that another program's rounding explains, see
//! [`rollfit::agreement`]; what the source gives is computed in memory.
//!
//! Invariants: nothing is written; and a value that cannot be judged is counted apart from those that agree.

mod comparison;
mod tally;

pub(crate) use self::comparison::compare_rows;
pub use self::tally::{Cell, Compared, MatchedRows, Tally};
use crate::Job;
use crate::check::{CheckOutcome, check_each, without_features};
use crate::features_of_fits::as_features;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::Definition;
use crate::stop_signal::StopSignal;
use crate::store::{Found, StoreError};

/// Compares `partitions`, with an outcome for each in their order; of each, `sample` rows evenly spread, or all. Calls
/// `ended` as each ends.
pub fn compare(
    job: &Job<'_>,
    partitions: &[Partition],
    sample: Option<usize>,
    stop: &StopSignal,
    ended: &(dyn Fn(&Partition, &CheckOutcome<Compared>) + Sync),
) -> Vec<CheckOutcome<Compared>> {
    check_each(job, partitions, stop, ended, |partition| compare_one(job, partition, sample, stop))
}

fn compare_one(
    job: &Job<'_>,
    partition: &Partition,
    sample: Option<usize>,
    stop: &StopSignal,
) -> Result<CheckOutcome<Compared>, StoreError> {
    let definition_change = match job.sink.found(partition)? {
        Found::Nothing => return Ok(without_features(job, partition)),
        Found::Newer(what) => return Ok(CheckOutcome::Newer(what)),
        Found::Blocked(what) => return Ok(CheckOutcome::Blocked(what)),
        Found::Ours(receipt) => receipt.definition.difference(&Definition::from_config(job.config)),
        Found::Foreign(_) => None,
    };
    // Read before the reader is opened: one store session at a time.
    let panel = Panel::read(job.source, job.config, partition)?;
    let mut reader = as_features(&job.config.series, job.sink.read(partition)?);
    let (compared, _) = compare_rows(job, &panel, sample, reader.as_mut(), stop)?;
    let compared = Compared { definition_change, ..compared };
    Ok(if stop.requested() { CheckOutcome::Skipped } else { CheckOutcome::Checked(compared) })
}
