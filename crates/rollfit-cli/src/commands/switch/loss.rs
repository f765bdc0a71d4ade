//! [`Loss`]: what readers lose when one set of features takes the place of another. Partitions by the same unit are compared by name;
//! by different units the rows and the stretch of time that they have together are.
//!
//! Invariant: where it is not certain that nothing is lost, the partitions count as lost.

use std::collections::{BTreeMap, HashSet};

use rollfit_job::partition::Partition;
use rollfit_job::period::{Period, PeriodUnit};
use rollfit_job::store::{Found, Sink};

use crate::exit::Failure;

/// The partitions that readers have now and would no longer have, or not all of them.
pub(super) struct Loss {
    /// As texts, in order.
    pub(super) partitions: Vec<String>,
    /// Whether the units differ, so that rows are compared.
    pub(super) is_by_rows: bool,
}

/// The partitions of a key in a period of the longer unit.
#[derive(Default)]
struct Block {
    current: Vec<Partition>,
    next: Vec<Partition>,
}

/// What some partitions have together.
struct Extent {
    rows: u64,
    /// The shorter period that the first row is in, at the earliest.
    first: Period,
    last_us: i64,
}

impl Loss {
    /// Compares the features of `current`, which readers have, with those of `next`.
    ///
    /// # Errors
    /// When a store cannot be listed.
    pub(super) fn new(current: &dyn Sink, next: &dyn Sink) -> Result<Self, Failure> {
        let (old, new) = (of_all_units(current)?, of_all_units(next)?);
        let units = || old.iter().chain(&new).map(|partition| partition.period.unit());
        let (short, long) = (units().min().unwrap_or_default(), units().max().unwrap_or_default());
        if short == long {
            return Ok(Self { partitions: without(old, &new), is_by_rows: false });
        }
        let mut blocks: BTreeMap<(String, Period), Block> = BTreeMap::new();
        let place =
            |partition: &Partition| (partition.key.clone(), long.period_of(partition.period.first_month()));
        for partition in old {
            blocks.entry(place(&partition)).or_default().current.push(partition);
        }
        for partition in new {
            blocks.entry(place(&partition)).or_default().next.push(partition);
        }
        let mut partitions = Vec::new();
        for Block { current: old, next: new } in blocks.into_values() {
            if !is_covered((current, &old), (next, &new), short)? {
                partitions.extend(without(old, &new));
            }
        }
        Ok(Self { partitions, is_by_rows: true })
    }
}

/// The partitions that are not among `others`, as texts in order.
pub(super) fn without(mut partitions: Vec<Partition>, others: &[Partition]) -> Vec<String> {
    let others: HashSet<&Partition> = others.iter().collect();
    partitions.retain(|partition| !others.contains(partition));
    partitions.sort();
    partitions.iter().map(ToString::to_string).collect()
}

/// The partitions that have features, by whatever unit.
fn of_all_units(sink: &dyn Sink) -> Result<Vec<Partition>, Failure> {
    let mut partitions = sink.partitions()?;
    partitions.extend(sink.partitions_of_other_units()?);
    Ok(partitions)
}

/// Whether `next` certainly has the rows that `current` has: no fewer, from no later a period on, and up to no earlier an instant.
fn is_covered(
    current: (&dyn Sink, &[Partition]),
    next: (&dyn Sink, &[Partition]),
    short: PeriodUnit,
) -> Result<bool, Failure> {
    let Some(old) = extent(current, short)? else { return Ok(false) };
    // What has no rows can be lost without a loss.
    let Some(old) = old else { return Ok(true) };
    let new = extent(next, short)?.flatten();
    Ok(new.is_some_and(|new| new.rows >= old.rows && new.first <= old.first && new.last_us >= old.last_us))
}

/// What partitions have together, by their receipts: `Some(None)` where they have no rows, none where a receipt is missing or cannot be read.
fn extent(
    (sink, partitions): (&dyn Sink, &[Partition]),
    short: PeriodUnit,
) -> Result<Option<Option<Extent>>, Failure> {
    let mut extent: Option<Extent> = None;
    for (partition, holding) in partitions.iter().zip(sink.holdings(partitions, false)?) {
        let Ok(Found::Ours(receipt)) = holding.map(|holding| holding.found) else { return Ok(None) };
        let input = &receipt.input;
        if input.rows == 0 {
            continue;
        }
        let (Some(first_us), Some(last_us)) = (input.first_us, input.last_us) else { return Ok(None) };
        // The lookback is before the partition.
        let first_us = first_us.max(partition.period.span_us().start);
        let Ok(first) = short.period_at_us(first_us) else { return Ok(None) };
        let rows = input.rows;
        extent = Some(match extent {
            None => Extent { rows, first, last_us },
            Some(before) => Extent {
                rows: before.rows.saturating_add(rows),
                first: before.first.min(first),
                last_us: before.last_us.max(last_us),
            },
        });
    }
    Ok(Some(extent))
}
