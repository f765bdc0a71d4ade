//! [`check_before_work`]: what a runner should know of a store before it works on it, where others may be at work too. Facts, without a
//! sentence.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{RunnerName, StoreRunner};
use crate::Job;
use crate::canonical_json::definition_hash;
use crate::partition::Partition;
use crate::receipt::Definition;
use crate::store::{Found, Holding, StoreError};

/// How many receipts are looked at.
const RECEIPTS_MAX: usize = 64;
/// Among how many partitions those that have receipts are looked for.
const CANDIDATES_MAX: usize = 4096;

/// What a store shows before a runner begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BeforeWork {
    /// The runners that are at work on the store, without this process.
    pub others: Vec<StoreRunner>,
    /// Those of [`BeforeWork::others`] that compute something else than this job. Where [`StoreRunner::held`] is not empty they do so
    /// on partitions of this job; else they may be at work on other outputs of the store.
    pub other_definitions: Vec<StoreRunner>,
    /// That stored partitions of this job have receipts of another definition; none where none of those looked at has one, and where this
    /// process has neither a share of the job nor other runners beside it: then none is looked at.
    pub stored_otherwise: Option<StoredOtherwise>,
    /// How far the store's clock is ahead of this machine's, in microseconds, to about half a round trip; negative where it is behind.
    /// None where the store has no clock of its own.
    pub clock_ahead_us: Option<i64>,
    /// Why the same configuration on another machine means another store, see [`Sink::only_here`](crate::store::Sink::only_here).
    pub only_here: Option<String>,
}

/// Receipts of another definition than the job's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOtherwise {
    /// The first partition that has one.
    pub partition: Partition,
    /// What differs, for people.
    pub difference: String,
    /// How many receipts were looked at, spread over the job.
    pub checked: usize,
    /// How many of them are of another definition.
    pub differ: usize,
}

/// Looks at the store of a job before work on `partitions`, in a few round trips: takes no claim and reads no source.
///
/// # Errors
/// When the store cannot be read. What is wrong with one partition is left to who works on it.
pub fn check_before_work(job: &Job<'_>, partitions: &[Partition]) -> Result<BeforeWork, StoreError> {
    let definition = Definition::from_config(job.config);
    let own = own_name(job, &definition);
    let mut others = job.sink.runners(partitions)?;
    others.retain(|runner| !is_this_process(runner, &own));
    let other_definitions =
        others.iter().filter(|runner| computes_otherwise(&runner.name, &own)).cloned().collect();
    let is_shared = job.config.run.shard.is_some() || !others.is_empty();
    let stored_otherwise = if is_shared { stored_otherwise(job, &definition, partitions)? } else { None };
    Ok(BeforeWork {
        others,
        other_definitions,
        stored_otherwise,
        clock_ahead_us: clock_ahead_us(job)?,
        only_here: job.sink.only_here(),
    })
}

fn own_name(job: &Job<'_>, definition: &Definition) -> RunnerName {
    let definition = serde_json::to_value(definition).unwrap_or_default();
    RunnerName::of_this_process(&definition_hash(&definition), job.config.run.shard)
}

/// Whether a runner is this process, which has no partition yet. Containers may share the name of a host and the number of a process. Of a
/// long name the end of the host may be cut.
fn is_this_process(runner: &StoreRunner, own: &RunnerName) -> bool {
    let RunnerName { pid, host, definition, shard } = &runner.name;
    runner.held.is_empty()
        && *pid == own.pid
        && own.host.starts_with(host)
        && *definition == own.definition
        && *shard == own.shard
}

/// Whether a runner says that it computes something else.
fn computes_otherwise(runner: &RunnerName, own: &RunnerName) -> bool {
    runner.definition.is_some() && runner.definition != own.definition
}

fn stored_otherwise(
    job: &Job<'_>,
    definition: &Definition,
    partitions: &[Partition],
) -> Result<Option<StoredOtherwise>, StoreError> {
    let candidates = spread(partitions, CANDIDATES_MAX);
    let marks = job.sink.marks(&candidates)?;
    let stored: Vec<Partition> =
        candidates.into_iter().zip(marks).filter_map(|(partition, mark)| mark.map(|_| partition)).collect();
    let definitions = sampled_definitions(job, &stored)?;
    let mut others = definitions
        .iter()
        .filter_map(|(partition, stored)| Some((partition, stored.difference(definition)?)));
    let Some((partition, difference)) = others.next() else { return Ok(None) };
    let differ = 1 + others.count();
    Ok(Some(StoredOtherwise { partition: partition.clone(), difference, checked: definitions.len(), differ }))
}

/// The definitions of at most 64 of `partitions`, spread over them; of those that have features.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn sampled_definitions(
    job: &Job<'_>,
    partitions: &[Partition],
) -> Result<Vec<(Partition, Arc<Definition>)>, StoreError> {
    let sample = spread(partitions, RECEIPTS_MAX);
    let holdings = job.sink.holdings(&sample, false)?;
    let definitions = sample.into_iter().zip(holdings).filter_map(|(partition, holding)| match holding {
        Ok(Holding { found: Found::Ours(receipt), .. }) => Some((partition, receipt.definition)),
        _ => None,
    });
    Ok(definitions.collect())
}

/// At most so many of `partitions`, the first of equal stretches.
fn spread(partitions: &[Partition], most: usize) -> Vec<Partition> {
    let stretches = partitions.len().min(most);
    (0..stretches).map(|at| partitions[at * partitions.len() / stretches].clone()).collect()
}

fn clock_ahead_us(job: &Job<'_>) -> Result<Option<i64>, StoreError> {
    let before_us = now_us();
    let Some(store_us) = job.sink.clock_us()? else { return Ok(None) };
    let after_us = now_us();
    // The store looked at its clock at some time in between.
    let here_us = before_us.midpoint(after_us);
    Ok(Some(store_us.saturating_sub(here_us)))
}

/// The time of this machine's clock, in microseconds since 1970.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
