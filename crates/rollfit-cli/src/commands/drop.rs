//! `rollfit drop`: removes the features and the receipts of partitions, each partition in one commit.
//!
//! Invariants: all partitions are looked at before the first is removed, and what rollfit did not write is removed by nobody here. What was
//! removed is said, also where a later partition fails.

use rollfit_job::config::{JobConfig, Workers};
use rollfit_job::few::few;
use rollfit_job::partition::Partition;
use rollfit_job::period::PeriodUnit;
use rollfit_job::selection::{Selected, Selection};
use rollfit_job::store::{Claim, Found, Purpose, Sink, StoreError, Write};
use rollfit_job::workers::for_each;

use super::question;
use crate::args::{DropArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::{format, logging, open, output, stores};

/// The most partitions that are named one by one.
const NAMED_MAX: usize = 20;

pub(super) fn run(global: &GlobalArguments, arguments: &DropArguments) -> Result<Exit, Failure> {
    let selection = arguments.months.selection(&arguments.partitions)?;
    let config = open::config(&arguments.job)?;
    let purpose = if arguments.dry_run { Purpose::Read } else { Purpose::Write };
    selection.check_unit(config.by).map_err(|error| Failure::usage(error.to_string()))?;
    let store = stores::open_sink(&config, purpose)?;
    if !arguments.dry_run {
        stores::opened(store.check_version())?;
    }
    let named = named(&selection, &config);
    let partitions = match &named {
        Some(partitions) => partitions.clone(),
        None => stored(&selection, store.as_ref(), &config.run.workers)?,
    };
    let workers = config.run.workers.count(partitions.len());
    let rows = check_all(store.as_ref(), &partitions, workers)?;
    let loss = format!(
        "{}, {} rows: {}",
        format::plural(partitions.len(), "partition"),
        format::count(rows),
        few(&partitions)
    );
    if arguments.dry_run {
        output::document(global.json, &partitions, |_| output::line(&format!("would drop {loss}")))?;
        return Ok(Exit::Done);
    }
    if !arguments.yes && !is_confirmed(&loss, (named.is_some(), config.by), &store.place())? {
        logging::info("nothing was dropped");
        return Ok(Exit::Failed);
    }
    let mut dropped = Vec::new();
    let ended = drop_all(store.as_ref(), partitions, &mut dropped);
    let is_silent = matches!(ended, Ok(exit) if output::is_silent(global, exit));
    if !is_silent {
        print(global, &dropped)?;
    }
    ended
}

/// The partitions, if each is named; a store need not list what it has then.
fn named(selection: &Selection, config: &JobConfig) -> Option<Vec<Partition>> {
    let partitions: Option<Vec<Partition>> =
        selection.selectors().iter().map(|selector| selector.partition_by(config.by)).collect();
    let mut partitions = partitions.filter(|_| selection.bounds() == (None, None))?;
    partitions.sort();
    partitions.dedup();
    Some(partitions)
}

/// The partitions with features that are selected, whether or not the job still is about them. Each selector has to match one.
fn stored(selection: &Selection, store: &dyn Sink, workers: &Workers) -> Result<Vec<Partition>, Failure> {
    let mut stored = store.partitions()?;
    stored.sort();
    stored.dedup();
    let Selected { partitions, unmatched } = selection.select(&stored);
    if !unmatched.is_empty() {
        return Err(Failure::failed(format!(
            "nothing was dropped: no partition with features at {} matches {}",
            store.place(),
            few(unmatched.iter().map(|selector| format!("`{selector}`")))
        )));
    }
    if partitions.is_empty() {
        return Err(Failure::failed(format!(
            "nothing was dropped: no partition with features at {} is between --from and --to",
            store.place()
        )));
    }
    // A table may still look as if it had rows when they are gone.
    let is_there = |partition: &Partition| !matches!(store.found(partition), Ok(Found::Nothing));
    let are_there = for_each(&partitions, workers.count(partitions.len()), is_there);
    let partitions: Vec<Partition> =
        partitions.into_iter().zip(are_there).filter_map(|(partition, is)| is.then_some(partition)).collect();
    if partitions.is_empty() {
        return Err(Failure::failed(format!(
            "nothing was dropped: no selected partition has features at {}",
            store.place()
        )));
    }
    Ok(partitions)
}

/// Checks that all partitions may be removed, and returns how many rows they have; damaged ones count as none.
fn check_all(store: &dyn Sink, partitions: &[Partition], workers: usize) -> Result<u64, Failure> {
    let looked = for_each(partitions, workers, |partition| {
        let rows = check(store.found(partition), partition)?;
        check_dependents(&store.dependents(partition)?, partition)?;
        Ok::<u64, Failure>(rows)
    });
    looked.into_iter().sum()
}

/// Asks on a terminal. Elsewhere only what is named partition by partition is dropped without a question.
fn is_confirmed(loss: &str, (is_named, by): (bool, PeriodUnit), place: &str) -> Result<bool, Failure> {
    match question::can_be_asked() {
        false if is_named => Ok(true),
        false => Err(Failure::usage(format!(
            "add --yes to drop more than partitions named as {}; this is {loss}",
            if by.is_month() { "KEY:YYYY-MM".to_owned() } else { format!("KEY:{}", by.example()) }
        ))),
        true => Ok(question::is_agreed(&format!("Drop {loss}, at {place}?"))?),
    }
}

/// Drops one partition after the other, and adds each to `dropped` when it is gone.
fn drop_all(
    store: &dyn Sink,
    partitions: Vec<Partition>,
    dropped: &mut Vec<Partition>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for partition in partitions {
        match drop_one(store, &partition)? {
            None => dropped.push(partition),
            Some(obstacle) => {
                logging::warn(&format!("{partition} is blocked and was not dropped: {obstacle}"));
                exit = Exit::Skipped;
            }
        }
    }
    Ok(exit)
}

fn print(global: &GlobalArguments, dropped: &[Partition]) -> std::io::Result<()> {
    if global.json {
        return output::json(&dropped);
    }
    match (dropped, dropped.len() > NAMED_MAX) {
        ([first, .., last], true) => {
            let partitions = format::plural(dropped.len(), "partition");
            output::line(&format!("dropped {partitions}: {first} .. {last}"))
        }
        _ => dropped.iter().try_for_each(|partition| output::line(&format!("dropped {partition}"))),
    }
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

/// Refuses what rollfit did not write; returns the rows of what it did. Damaged features of its own may be removed.
fn check(found: Result<Found, StoreError>, partition: &Partition) -> Result<u64, Failure> {
    let found = match found {
        Err(error) if error.is_damage() => return Ok(0),
        found => found?,
    };
    match found {
        Found::Ours(receipt) => Ok(receipt.stored.rows),
        Found::Nothing => Err(Failure::failed(format!("{partition} has no features to drop"))),
        Found::Newer(what) | Found::Blocked(what) => {
            Err(Failure::failed(format!("{partition} was not dropped: {what}")))
        }
        Found::Foreign(what) => Err(Failure::failed(format!(
            "{partition} was not dropped: {what}; remove it by hand if you want to"
        ))),
    }
}
