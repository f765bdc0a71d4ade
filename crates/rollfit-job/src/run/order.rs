//! The order in which the partitions of a run start.

use std::hash::{BuildHasher, RandomState};

use crate::Job;
use crate::absence::Absence;
use crate::config::Order;
use crate::partition::Partition;
use crate::workers::for_each;

/// The partitions in the order in which they start.
pub(super) fn sorted(job: &Job<'_>, partitions: Vec<Partition>) -> Vec<Partition> {
    match job.config.run.order {
        Order::Spread => spread(job, partitions),
        Order::Plan => partitions,
        // Equal ones begin elsewhere in each runner.
        Order::LargestFirst => largest_first(job, &spread(job, partitions)),
    }
}

/// Begins elsewhere in each runner. One with a share of its own begins at the first: nobody else begins in it, and who helps with it comes
/// from the other side.
fn spread(job: &Job<'_>, mut partitions: Vec<Partition>) -> Vec<Partition> {
    if job.config.run.shard.is_none() {
        rotate(&mut partitions);
    }
    partitions
}

/// The order in which a runner helps with the partitions of other shares: from another one on in each runner, so that several meet seldom,
/// and backwards, so that they meet the runner of a share, who goes forward, once.
pub(super) fn helping(mut partitions: Vec<Partition>) -> Vec<Partition> {
    rotate(&mut partitions);
    partitions.reverse();
    partitions
}

/// Begins the list at a place that is another one in each run: containers may have equal names, and processes in them equal numbers.
fn rotate(partitions: &mut [Partition]) {
    if !partitions.is_empty() {
        let hash = RandomState::new().hash_one(std::process::id());
        partitions.rotate_left((hash % partitions.len() as u64) as usize);
    }
}

/// Those with the most rows first. One that the source cannot count keeps its place: its error is reported when it is processed.
fn largest_first(job: &Job<'_>, partitions: &[Partition]) -> Vec<Partition> {
    let series = &job.config.series[0];
    let workers = job.workers.count(partitions.len());
    let absence = Absence::new(job.config.run.retry_for);
    let rows = for_each(partitions, workers, |partition| {
        let estimate = || job.source.estimate_rows(&series.of_key(&partition.key), partition.period);
        absence.look(estimate).ok()
    });
    let known: Vec<usize> = (0..partitions.len()).filter(|&at| rows[at].is_some()).collect();
    let mut sorted = known.clone();
    sorted.sort_by_key(|&at| std::cmp::Reverse(rows[at]));
    let mut ordered = partitions.to_vec();
    for (place, at) in known.into_iter().zip(sorted) {
        ordered[place] = partitions[at].clone();
    }
    ordered
}
