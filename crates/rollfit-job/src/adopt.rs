//! [`adopt`](fn@adopt): keeps features that are there instead of computing them again. What another program stored gets a
//! receipt if every row agrees with what the source gives, see [`crate::compare`]; what rollfit stored by an earlier
//! definition, and from the same input, gets one of this definition.
//!
//! Invariants: no feature is changed. What is compared cannot change until the receipt is committed.

use crate::Job;
use crate::check::{CheckOutcome, check_each, without_features};
use crate::compare::{Compared, compare_rows};
use crate::features::FeatureEngine;
use crate::features_of_fits::as_features;
use crate::foreign;
use crate::input::InputChange;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::{Definition, Input, Receipt, Stored};
use crate::state::{Assessment, State};
use crate::stop_signal::StopSignal;
use crate::store::{Claim, FeatureTile, Found, Slot, StoreError, Write};
use crate::verify::{check_receipt, stored_difference};

/// The result for the features of a partition.
#[derive(Debug)]
pub enum Adoption {
    /// Another program wrote them; they agree and have a receipt now.
    Adopted {
        /// How many.
        rows: u64,
    },
    /// An earlier definition wrote them; they agree and their receipt is of this definition now.
    Moved {
        /// How many.
        rows: u64,
    },
    /// They have a receipt of this definition already.
    AlreadyOurs,
    /// They have a receipt that cannot be moved, and are as they were; why, and what to do.
    NotAdopted(String),
    /// They do not agree, and are as they were; what differs, for people.
    Differs(Vec<String>),
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
    let definition = Definition::from_config(job.config);
    let found = job.sink.found(partition)?;
    if let Some(outcome) = nothing_to_adopt(job, partition, &found, &definition) {
        return Ok(outcome);
    }
    // Read before the claim: one store session at a time.
    let panel = Panel::read(job.source, job.config, partition)?;
    if let Some(outcome) = of_other_input(job, partition, &found, &panel) {
        return Ok(outcome);
    }
    let mut slot = match job.sink.claim(partition, Write::Replace)? {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) | Claim::Rewrite(holder) => {
            return Ok(CheckOutcome::Checked(Adoption::Held(foreign::message(&holder).into_owned())));
        }
    };
    // Another runner may have changed it since.
    let found = slot.found()?;
    let ended = nothing_to_adopt(job, partition, &found, &definition)
        .or_else(|| of_other_input(job, partition, &found, &panel));
    if let Some(outcome) = ended {
        return Ok(outcome);
    }
    let earlier = if let Found::Ours(receipt) = &found { Some(receipt.as_ref()) } else { None };
    let judged = match earlier {
        None => judge_foreign(job, &panel, slot.as_mut(), stop)?,
        Some(earlier) => judge_earlier(job, &panel, earlier, slot.as_mut(), stop)?,
    };
    if stop.requested() {
        return Ok(CheckOutcome::Skipped);
    }
    let mut stored = match judged {
        Ok(stored) => stored,
        Err(differences) => return Ok(CheckOutcome::Checked(Adoption::Differs(differences))),
    };
    stored.types = slot.column_types();
    let (output, rows) = (job.sink.output(partition), stored.rows);
    slot.adopt(&Receipt { output, definition: definition.into(), input: panel.input(), stored })?;
    let is_moved = earlier.is_some();
    Ok(CheckOutcome::Checked(if is_moved { Adoption::Moved { rows } } else { Adoption::Adopted { rows } }))
}

/// How a partition ends that needs no receipt, or can have none.
fn nothing_to_adopt(
    job: &Job<'_>,
    partition: &Partition,
    found: &Found,
    definition: &Definition,
) -> Option<CheckOutcome<Adoption>> {
    match found {
        Found::Nothing => Some(without_features(job, partition)),
        Found::Newer(what) => Some(CheckOutcome::Newer(what.clone())),
        Found::Blocked(what) => Some(CheckOutcome::Checked(Adoption::NotAdopted(what.clone()))),
        Found::Foreign(_) => None,
        Found::Ours(receipt) if receipt.definition.is_earlier_version_of(definition) => None,
        Found::Ours(receipt) => {
            Some(CheckOutcome::Checked(match receipt.definition.difference(definition) {
                None => Adoption::AlreadyOurs,
                Some(difference) => Adoption::NotAdopted(format!(
                    "{difference}; {}",
                    rewrite(partition, [State::DefinitionChanged])
                )),
            }))
        }
    }
}

/// How a partition ends whose receipt was of another input: its rows may still be within the bounds of what the source
/// gives now, but nobody computed them from it.
fn of_other_input(
    job: &Job<'_>,
    partition: &Partition,
    found: &Found,
    panel: &Panel,
) -> Option<CheckOutcome<Adoption>> {
    let Found::Ours(receipt) = found else { return None };
    if panel.is_input(&receipt.input) {
        return None;
    }
    let remedy = if panel.rows() == 0 {
        format!("it is empty now: `rollfit drop {}:{}` removes them", partition.key, partition.period)
    } else {
        let definition = Definition::from_config(job.config);
        let compare_input = |_: &Input| InputChange::Changed;
        let Assessment { state, also, .. } =
            Assessment::from_found(found, &definition, &panel.input(), compare_input, &job.config.run);
        rewrite(partition, [Some(state), also].into_iter().flatten())
    };
    Some(CheckOutcome::Checked(Adoption::NotAdopted(format!(
        "the source has changed since the features were stored; {remedy}"
    ))))
}

/// What writes the features of a partition again that is in these states.
fn rewrite(partition: &Partition, states: impl IntoIterator<Item = State>) -> String {
    let replace: String = states.into_iter().map(|state| format!("--replace {state} ")).collect();
    format!("`rollfit run {replace}--only {}:{}` rewrites the partition", partition.key, partition.period)
}

/// What a receipt records of the rows of another program, or how they differ.
type Judged = Result<Stored, Vec<String>>;

fn judge_foreign(
    job: &Job<'_>,
    panel: &Panel,
    slot: &mut dyn Slot,
    stop: &StopSignal,
) -> Result<Judged, StoreError> {
    let (compared, stored): (Compared, Stored) =
        compare_rows(job, panel, None, as_features(&job.config.series, slot.read()?).as_mut(), stop)?;
    Ok(if compared.is_clean() { Ok(stored) } else { Err(compared.differences(job.config)) })
}

/// Rows that still are what their receipt says, and that agree. Where they are the bits of this definition, the receipt is
/// that of a run; else they are compared one by one, as those of another program.
fn judge_earlier(
    job: &Job<'_>,
    panel: &Panel,
    earlier: &Receipt,
    slot: &mut dyn Slot,
    stop: &StopSignal,
) -> Result<Judged, StoreError> {
    let rounding = slot.rounding();
    let go_on = |_: FeatureTile<'_>| if stop.requested() { Err(()) } else { Ok(()) };
    let grouping = job.sink.grouping();
    let Ok(computed) = FeatureEngine::new(job.config).compute(panel, grouping, rounding.as_deref(), go_on)
    else {
        return Ok(Err(Vec::new()));
    };
    if (computed.rows, &computed.checksum) == (earlier.stored.rows, &earlier.stored.checksum) {
        let verified = check_receipt(earlier, as_features(&job.config.series, slot.read()?).as_mut(), stop)?;
        return Ok(verified.difference.map_or(Ok(computed), |difference| Err(vec![difference])));
    }
    Ok(judge_foreign(job, panel, slot, stop)?.and_then(|stored| {
        let difference = stored_difference(earlier, stored.rows, &stored.checksum);
        difference.map_or(Ok(stored), |difference| Err(vec![difference]))
    }))
}
