//! [`adopt`](fn@adopt): trusts features that another program stored. Where every row of a partition agrees with what the
//! source gives, see [`crate::compare`], they get a receipt and are from then on done as if they were ours.
//!
//! Holds true: no feature is changed. What is compared cannot change until the receipt is committed.

use crate::Job;
use crate::compare::{Compared, compare_rows};
use crate::foreign;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::{Definition, Input, Receipt};
use crate::stop::Stop;
use crate::store::{Claim, Found, StoreError, Write};
use crate::workers::for_each;

/// How a partition ended.
#[derive(Debug)]
pub enum Verdict {
    /// It agrees and has a receipt now.
    Adopted(Compared),
    /// It has a receipt already.
    AlreadyOurs,
    /// It does not agree.
    LeftAlone(Compared),
    /// There are no features.
    Absent,
    /// Another session has it, which is told.
    Held(String),
    /// It could not be compared, or the receipt not be written.
    Failed(StoreError),
    /// A stop was wanted before its end.
    Skipped,
}

/// Adopts what agrees of `partitions`, with a verdict for each in their order. `told` is told each as it ends.
pub fn adopt(
    job: &Job<'_>,
    partitions: &[Partition],
    stop: &Stop,
    told: &(dyn Fn(&Partition, &Verdict) + Sync),
) -> Vec<Verdict> {
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        if stop.is_wanted() {
            return Verdict::Skipped;
        }
        let verdict = adopt_one(job, partition, stop).unwrap_or_else(Verdict::Failed);
        told(partition, &verdict);
        verdict
    })
}

fn adopt_one(job: &Job<'_>, partition: &Partition, stop: &Stop) -> Result<Verdict, StoreError> {
    if let Some(verdict) = nothing_to_adopt(&job.sink.found(partition)?) {
        return Ok(verdict);
    }
    // Read before the claim: one store session at a time.
    let panel = Panel::read(job.source, job.spec, partition)?;
    let mut slot = match job.sink.claim(partition, Write::Replace)? {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) => return Ok(Verdict::Held(foreign::name(&holder).into_owned())),
    };
    if let Some(verdict) = nothing_to_adopt(&slot.found()?) {
        return Ok(verdict);
    }
    let (compared, stored) = compare_rows(job, &panel, None, slot.read()?.as_mut(), stop)?;
    if stop.is_wanted() {
        return Ok(Verdict::Skipped);
    }
    if !compared.is_clean() {
        return Ok(Verdict::LeftAlone(compared));
    }
    let definition = Definition::of(job.spec);
    let output = job.sink.output(partition);
    slot.adopt(&Receipt { output, definition, input: Input::of(&panel), stored })?;
    Ok(Verdict::Adopted(compared))
}

/// How a partition ends that needs no receipt.
fn nothing_to_adopt(found: &Found) -> Option<Verdict> {
    match found {
        Found::Nothing => Some(Verdict::Absent),
        Found::Ours(_) => Some(Verdict::AlreadyOurs),
        Found::Foreign(_) => None,
    }
}
