//! Problems with the tables of partitions: those that are fixed at the same table are merged into one, with each
//! statement once.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Fault, StoreError};

use super::targets::Target;
use super::{Findings, Problem};
use crate::tables::problem::TableProblem;

impl Findings {
    /// Notes what prevents a run from writing a partition. A lost connection is an error, not a finding.
    pub(super) fn record_obstacle(
        &mut self,
        target: &mut Target,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if error.fault() != Fault::Permanent {
            return Err(error);
        }
        target.cause = Some(error_chain(&error));
        match error.source().and_then(<dyn Error>::downcast_ref::<TableProblem>) {
            Some(problem) => {
                let each = problem.clone().each().into_iter();
                self.of_tables.extend(each.map(|problem| (target.partition.clone(), problem)));
            }
            None => {
                let what = format!("{}: {}", target.partition, error_chain(&error));
                self.problems.push(Problem::new(what));
            }
        }
        Ok(())
    }

    /// Adds the problems noted about tables.
    pub(super) fn report_table_problems(&mut self) {
        let mut groups: Vec<Vec<(Partition, TableProblem)>> = Vec::new();
        let mut positions = HashMap::new();
        for (partition, problem) in std::mem::take(&mut self.of_tables) {
            let at = *positions.entry((problem.at.clone(), problem.kind)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push((partition, problem));
        }
        self.problems.extend(groups.iter().filter_map(|group| merged(group)));
    }
}

fn merged(group: &[(Partition, TableProblem)]) -> Option<Problem> {
    let ((first, problem), (last, _)) = (group.first()?, group.last()?);
    if group.len() == 1 && problem.is_long() {
        let what = format!("{first}: {}: {}", problem.table, problem.what);
        return Some(Problem { what, statements: problem.statements.clone() });
    }
    if group.len() == 1 {
        let alone = TableProblem { printed_for: None, ..problem.clone() };
        return Some(Problem::new(format!("{first}: {}: {alone}", problem.table)));
    }
    Some(Problem {
        what: format!("{} partitions, {first} to {last}: {}: {}", group.len(), problem.table, problem.what),
        statements: in_order(group.iter().map(|(_, problem)| problem.statements.as_slice())),
    })
}

/// The first statements of all problems, then the second ones, and so on, each once: a table can take bounds only
/// after another table has released them.
fn in_order<'a>(problems: impl Iterator<Item = &'a [String]> + Clone) -> Vec<String> {
    let steps = problems.clone().map(<[String]>::len).max().unwrap_or(0);
    let step = |step: usize| problems.clone().filter_map(move |statements| statements.get(step));
    let mut seen = HashSet::new();
    (0..steps).flat_map(step).filter(|statement| seen.insert(*statement)).cloned().collect()
}
