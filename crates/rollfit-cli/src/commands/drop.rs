//! `rollfit drop`: removes the features and the receipt of partitions, each in one commit.

use rollfit_job::few::few;
use rollfit_job::partition::{Partition, Selector};
use rollfit_job::store::{Claim, Found, Purpose, Sink, StoreError, Write};

use crate::args::{DropArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::{logging, open, output, stores};

pub(super) fn run(global: &GlobalArguments, arguments: &DropArguments) -> Result<Exit, Failure> {
    let partitions = arguments.partitions.iter().map(partition).collect::<Result<Vec<_>, _>>()?;
    let config = open::config(&arguments.config)?;
    let store = stores::open_sink(&config, Purpose::Write)?;
    stores::opened(store.check_version())?;
    // All are looked at before the first is removed.
    for partition in &partitions {
        check(store.found(partition), partition)?;
        check_dependents(&store.dependents(partition)?, partition)?;
    }
    let mut dropped = Vec::new();
    let mut exit = Exit::Done;
    for partition in partitions {
        match drop_one(store.as_ref(), &partition)? {
            None => dropped.push(partition),
            Some(obstacle) => {
                logging::warn(&format!("{partition} is blocked and was not dropped: {obstacle}"));
                exit = Exit::Skipped;
            }
        }
    }
    if global.json {
        output::json(&dropped)?;
    } else {
        for partition in &dropped {
            output::line(&format!("dropped {partition}"))?;
        }
    }
    Ok(exit)
}

fn partition(selector: &Selector) -> Result<Partition, Failure> {
    let month = selector.month.ok_or_else(|| {
        Failure::usage(format!("`{selector}` names no month; write it as {selector}:2017-01"))
    })?;
    Ok(Partition::new(selector.key.clone(), month.into()))
}

/// Drops a partition. Returns the obstacle instead if rows of others would be lost with it.
fn drop_one(sink: &dyn Sink, partition: &Partition) -> Result<Option<String>, Failure> {
    check(sink.found(partition), partition)?;
    if let Some(obstacle) = sink.obstacle(partition)? {
        return Ok(Some(obstacle));
    }
    let mut slot = match sink.claim(partition, Write::Replace)? {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) | Claim::Rewrite(holder) => {
            return Err(Failure::failed(format!("{partition}: in use by {holder}; try again later")));
        }
    };
    check(slot.found(), partition)?;
    if let Some(obstacle) = slot.obstacle()? {
        return Ok(Some(obstacle));
    }
    slot.remove()?;
    Ok(None)
}

/// Refuses what others still use.
fn check_dependents(dependents: &[String], partition: &Partition) -> Result<(), Failure> {
    if dependents.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{partition} was not dropped: its views would be dropped too, and other objects depend on them: {}; drop these first, or \
         have them read something else",
        few(dependents)
    )))
}

/// Refuses what rollfit did not write. Damaged features of its own may be removed.
fn check(found: Result<Found, StoreError>, partition: &Partition) -> Result<(), Failure> {
    let found = match found {
        Err(error) if error.is_damage() => return Ok(()),
        found => found?,
    };
    match found {
        Found::Ours(_) => Ok(()),
        Found::Nothing => Err(Failure::failed(format!("{partition} has no features to drop"))),
        Found::Newer(what) => Err(Failure::failed(format!("{partition} was not dropped: {what}"))),
        Found::Foreign(what) => Err(Failure::failed(format!(
            "{partition} was not dropped: {what}; remove it by hand if you want to"
        ))),
    }
}
