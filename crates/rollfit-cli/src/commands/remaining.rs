//! [`Remaining`]: what an interrupted run has not rewritten that was to rewrite everything. The same command would begin anew, and
//! nothing in the store tells what it had done: this says it as selectors, in the record of the run and, where they are few, in a command.

use std::collections::HashSet;

use rollfit_job::partition::Partition;
use rollfit_job::run::{Outcome, RunReport};

use crate::format::plural;

/// The most selectors that a command to copy has.
const SELECTORS_MAX: usize = 20;

/// The partitions that were not rewritten, in the order of the plan.
#[derive(Default, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Remaining {
    partitions: Vec<Partition>,
    /// The run whose record lists them; none where there is no record.
    #[serde(skip)]
    run: Option<String>,
}

impl Remaining {
    /// Those of a run's own partitions that it has not ended; none where it was not interrupted.
    pub(super) fn new(partitions: &[Partition], report: &RunReport) -> Self {
        if !report.interrupted {
            return Self::default();
        }
        let ended = report.outcomes.iter().filter(|(_, outcome)| !matches!(outcome, Outcome::Abandoned));
        let ended: HashSet<&Partition> = ended.map(|(partition, _)| partition).collect();
        let left = partitions.iter().filter(|partition| !ended.contains(partition)).cloned();
        Self { partitions: left.collect(), run: None }
    }

    /// The same, which the record of `run` lists; none where it has no record.
    pub(super) fn recorded_by(self, run: Option<&str>) -> Self {
        Self { run: run.map(str::to_owned), ..self }
    }

    /// As selectors.
    pub(super) fn selectors(&self) -> Vec<String> {
        selectors(&self.partitions)
    }

    /// How to continue; none where nothing is left.
    pub(super) fn sentence(&self) -> Option<String> {
        if self.partitions.is_empty() {
            return None;
        }
        let selectors = self.selectors();
        Some(match &self.run {
            Some(run) if selectors.len() > SELECTORS_MAX => format!(
                "Interrupted. With --force the same command begins anew; to rewrite only the {} that are left, add --continue {run} to it",
                plural(self.partitions.len(), "partition")
            ),
            _ => format!(
                "Interrupted. With --force the same command begins anew; to rewrite only what is left, run it with --only {} in place \
                 of any other --only",
                selectors.join(",")
            ),
        })
    }
}

/// The partitions as selectors: the periods of a key that follow each other in one.
fn selectors(partitions: &[Partition]) -> Vec<String> {
    let follows = |a: &Partition, b: &Partition| a.key == b.key && a.period.next() == Some(b.period);
    let runs = partitions.chunk_by(follows);
    let selector = |run: &[Partition]| {
        let (first, last) = (run.first()?, run.last()?.period);
        let from = first.period;
        let periods = if from == last { from.to_string() } else { format!("{from}..{last}") };
        Some(format!("{}:{periods}", first.key))
    };
    runs.filter_map(selector).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(key: &str, month: &str) -> Partition {
        Partition::new(key, month.parse().unwrap())
    }

    #[test]
    fn months_that_follow_each_other_are_one_selector() {
        let left = ["2017-11", "2017-12", "2018-01", "2018-03"].map(|month| partition("eurusd", month));
        let quarters = ["2017-Q4", "2018-Q1"].map(|quarter| partition("eurusd", quarter));
        assert_eq!(selectors(&quarters), ["eurusd:2017-Q4..2018-Q1"]);
        let left = [&left[..], &[partition("gbpusd", "2018-04")]].concat();
        assert_eq!(selectors(&left), ["eurusd:2017-11..2018-01", "eurusd:2018-03", "gbpusd:2018-04"]);
        let of_eurusd = left.iter().filter(|partition| partition.key == "eurusd");
        let outcomes = of_eurusd.map(|partition| (partition.clone(), Outcome::AlreadyDone)).collect();
        let report = RunReport { outcomes, interrupted: true, ..RunReport::default() };
        let sentence = Remaining::new(&left, &report).sentence().unwrap();
        assert!(sentence.contains("with --only gbpusd:2018-04 in place"), "{sentence}");
        assert_eq!(Remaining::new(&left, &RunReport { interrupted: false, ..report }).sentence(), None);
    }

    #[test]
    fn a_long_list_is_in_the_record_and_in_the_command_where_there_is_none() {
        let partitions = (0..100).map(|key| partition(&format!("key{key}"), "2017-01")).collect();
        let left = Remaining { partitions, run: None }.recorded_by(Some("20261129T100000Z-7"));
        let sentence = left.sentence().unwrap();
        assert!(
            sentence
                .ends_with("only the 100 partitions that are left, add --continue 20261129T100000Z-7 to it"),
            "{sentence}"
        );
        let sentence = left.recorded_by(None).sentence().unwrap();
        assert!(sentence.contains("--only key0:2017-01,key1:2017-01,"), "{sentence}");
        assert!(sentence.contains(",key99:2017-01 in place"), "{sentence}");
    }
}
