//! [`adopt`](fn@adopt): adopts features that another program stored. If every row of a partition agrees with what the
//! source gives, see [`crate::compare`], the partition gets a receipt and counts as done from then on.
//!
//! Invariants: no feature is changed. What is compared cannot change until the receipt is committed.

use crate::Job;
use crate::check::{CheckOutcome, check_each};
use crate::compare::{Compared, compare_rows};
use crate::foreign;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::{Definition, Receipt};
use crate::stop_signal::StopSignal;
use crate::store::{Claim, Found, StoreError, Write};

/// The result for the features of another program.
#[derive(Debug)]
pub enum Adoption {
    /// They agree and have a receipt now.
    Adopted(Compared),
    /// They have a receipt already.
    AlreadyOurs,
    /// They do not agree, and are as they were.
    Differs(Compared),
    /// Another session, which is named, has the partition.
    Held(String),
}

/// Adopts what agrees of `partitions`, with an outcome for each in their order. Calls `ended` as each ends.
pub fn adopt(
    job: &Job<'_>,
    partitions: &[Partition],
    stop: &StopSignal,
    ended: &(dyn Fn(&Partition, &CheckOutcome<Adoption>) + Sync),
) -> Vec<CheckOutcome<Adoption>> {
    check_each(job, partitions, stop, ended, |partition| adopt_one(job, partition, stop))
}

fn adopt_one(
    job: &Job<'_>,
    partition: &Partition,
    stop: &StopSignal,
) -> Result<CheckOutcome<Adoption>, StoreError> {
    if let Some(outcome) = nothing_to_adopt(&job.sink.found(partition)?) {
        return Ok(outcome);
    }
    // Read before the claim: one store session at a time.
    let panel = Panel::read(job.source, job.config, partition)?;
    let mut slot = match job.sink.claim(partition, Write::Replace)? {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) => {
            return Ok(CheckOutcome::Checked(Adoption::Held(foreign::message(&holder).into_owned())));
        }
    };
    if let Some(outcome) = nothing_to_adopt(&slot.found()?) {
        return Ok(outcome);
    }
    let (compared, stored) = compare_rows(job, &panel, None, slot.read()?.as_mut(), stop)?;
    if stop.requested() {
        return Ok(CheckOutcome::Skipped);
    }
    if !compared.is_clean() {
        return Ok(CheckOutcome::Checked(Adoption::Differs(compared)));
    }
    let definition = Definition::from_config(job.config);
    let output = job.sink.output(partition);
    slot.adopt(&Receipt { output, definition, input: panel.input(), stored })?;
    Ok(CheckOutcome::Checked(Adoption::Adopted(compared)))
}

/// How a partition ends that needs no receipt.
fn nothing_to_adopt(found: &Found) -> Option<CheckOutcome<Adoption>> {
    match found {
        Found::Nothing => Some(CheckOutcome::Absent),
        Found::Ours(_) => Some(CheckOutcome::Checked(Adoption::AlreadyOurs)),
        Found::Newer(what) => Some(CheckOutcome::Newer(what.clone())),
        Found::Foreign(_) => None,
    }
}
