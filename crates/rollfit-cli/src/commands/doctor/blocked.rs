//! [`Obstacles`]: partitions whose rows cannot be replaced without loss to others, and which of them a run would have to
//! replace now.

use std::collections::BTreeMap;

use rollfit_job::Job;
use rollfit_job::config::JobConfig;
use rollfit_job::partition::Partition;
use rollfit_job::plan::assess;
use rollfit_job::state::State;
use rollfit_job::store::Problem;

use super::StoreReport;
use crate::format::count;
use crate::machine;
use crate::stores::Stores;

/// Partitions by what is in the way of replacing them.
type ByObstacle = BTreeMap<String, Vec<Partition>>;

/// What is in the way of replacing partitions.
#[derive(Default)]
pub(super) struct Obstacles {
    /// A run would have to replace these now.
    blocked: ByObstacle,
    /// These stay as they are until they have to be replaced.
    dormant: ByObstacle,
}

impl Obstacles {
    /// Reads the source of the partitions with an obstacle, and of no other.
    pub(super) fn new(config: &JobConfig, stores: &Stores, reports: &[StoreReport]) -> Self {
        let partitions = reports.iter().flat_map(|report| &report.diagnosis.partitions);
        let (partitions, obstacles): (Vec<Partition>, Vec<String>) =
            partitions.filter_map(|found| Some((found.partition.clone(), found.obstacle.clone()?))).unzip();
        let mut found = Self::default();
        if partitions.is_empty() {
            return found;
        }
        let (source, sink, machine) = (stores.source(), stores.sink(), machine::here());
        let job = Job {
            config,
            source: source.as_ref(),
            sink: sink.as_ref(),
            workers: config.run.workers,
            machine: machine.as_ref(),
        };
        for (planned, obstacle) in assess(&job, &partitions).into_iter().zip(obstacles) {
            let is_blocked = planned.state == Some(State::Blocked);
            let by_obstacle = if is_blocked { &mut found.blocked } else { &mut found.dormant };
            by_obstacle.entry(obstacle).or_default().push(planned.partition);
        }
        found
    }

    /// What a run would skip.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        let blocked = |(obstacle, partitions): (&String, &Vec<Partition>)| {
            Problem::new(format!("{}: blocked, because {obstacle}", partitions_text(partitions)))
        };
        self.blocked.iter().map(blocked)
    }

    /// What a run would skip if it had to replace it.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.dormant.iter().map(|(obstacle, partitions)| {
            format!("{}: cannot be replaced or dropped, because {obstacle}", partitions_text(partitions))
        })
    }
}

/// The first of partitions, and how many more there are.
fn partitions_text(partitions: &[Partition]) -> String {
    match partitions {
        [] => String::new(),
        [partition] => partition.to_string(),
        [first, others @ ..] => format!("{first} and {} more", count(others.len() as u64)),
    }
}
