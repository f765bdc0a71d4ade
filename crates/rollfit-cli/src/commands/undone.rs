//! [`UndonePartition`]: a partition that a run did not do, and why.

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::plan::PlannedPartition;
use rollfit_job::run::Outcome;
use rollfit_job::state::State;

use super::cause_groups::{self, CauseGroup, PartitionCause};

/// A partition that was not done, and why.
#[derive(serde::Serialize)]
pub(super) struct UndonePartition {
    pub(super) partition: Partition,
    pub(super) state: &'static str,
    pub(super) cause: String,
    /// The end of the cause that may be the same for many partitions.
    #[serde(skip)]
    pub(super) detail: Option<String>,
    /// The states that --replace has to name for it to be written; none where that does not help.
    #[serde(skip)]
    pub(super) replaceable_as: Vec<State>,
    /// Whether there are features, and the source has no rows any more.
    #[serde(skip)]
    pub(super) is_emptied: bool,
}

impl UndonePartition {
    /// A line for each cause, `cause` being what to say of a partition's and `note` what to say of all.
    pub(super) fn lines(problems: &[&Self], note: &str, cause: impl Fn(&Self) -> String) -> Vec<String> {
        let told = problems.iter().map(|problem| PartitionCause {
            partition: &problem.partition,
            state: problem.state,
            cause: &problem.cause,
        });
        cause_groups::lines(&CauseGroup::from_partitions(told), note, |at| cause(problems[at]))
    }

    /// A planned partition that a run would skip, and why; none where it would not.
    pub(super) fn planned(line: &PlannedPartition) -> Option<Self> {
        let is_skipped = |state: &State| {
            line.write_rows == 0
                && (State::LEFT_ALONE.contains(state) || matches!(state, State::Blocked | State::Newer))
        };
        let state = line.state.filter(is_skipped)?;
        Some(Self {
            partition: line.partition.clone(),
            state: state.name(),
            cause: line.cause.clone(),
            detail: None,
            replaceable_as: line.replaceable_as.clone(),
            is_emptied: line.rows == 0 && State::LEFT_ALONE.contains(&state),
        })
    }

    /// Why a partition with this outcome was not done; none where it was, or was not begun.
    pub(super) fn new(partition: &Partition, outcome: &Outcome) -> Option<Self> {
        let problem = |state, cause| {
            let (partition, detail, replaceable_as) = (partition.clone(), None, Vec::new());
            Some(Self { partition, state, cause, detail, replaceable_as, is_emptied: false })
        };
        match outcome {
            Outcome::Written { .. }
            | Outcome::AlreadyDone
            | Outcome::WrittenByOther
            | Outcome::Unchecked
            | Outcome::Waiting
            | Outcome::Empty
            | Outcome::Abandoned => None,
            Outcome::LeftAlone(assessment) => {
                let skipped = problem(assessment.state.name(), assessment.cause.clone());
                skipped.map(|undone| Self {
                    replaceable_as: assessment.replaceable_as(),
                    is_emptied: assessment.is_without_rows && State::LEFT_ALONE.contains(&assessment.state),
                    ..undone
                })
            }
            Outcome::Held(holder) => problem("held", format!("still in use by {holder}")),
            Outcome::Failed(error) => {
                let detail = error.detail().map(str::to_owned);
                problem("failed", error_chain(error)).map(|undone| Self { detail, ..undone })
            }
            other => problem("failed", format!("{other:?}")),
        }
    }
}
