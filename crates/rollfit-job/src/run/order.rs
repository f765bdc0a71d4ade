//! The order in which the partitions of a run start.

use crate::Job;
use crate::absence::Absence;
use crate::config::Order;
use crate::partition::Partition;
use crate::workers::for_each;

/// The partitions in the order in which they start.
pub(super) fn sorted(job: &Job<'_>, partitions: &[Partition]) -> Vec<Partition> {
    match job.config.run.order {
        Order::Spread | Order::Plan => partitions.to_vec(),
        Order::LargestFirst => largest_first(job, partitions),
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
