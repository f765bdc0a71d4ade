//! `rollfit switch`: the features of a job that was written beside another take its place, so that readers see the one definition or the
//! other. Directories exchange their names; for views in PostgreSQL it prints the transaction.

mod directories;
mod loss;
mod views;

use rollfit_job::few::few_and;
use rollfit_job::plan::PlannedPartition;
use rollfit_job::state::State;

use crate::args::GlobalArguments;
use crate::exit::{Exit, Failure};
use crate::job_arguments::SwitchArguments;
use crate::{open, stores};

pub(super) fn run(global: &GlobalArguments, arguments: &SwitchArguments) -> Result<Exit, Failure> {
    let config = open::config(&arguments.job)?;
    if stores::kind_of(&config.sink.store)?.has_tables() {
        views::run(global, arguments, &config)
    } else {
        directories::run(global, arguments, &config)
    }
}

/// Whether readers find the features of a partition, if it has rows.
fn is_ready(partition: &PlannedPartition) -> bool {
    matches!(partition.state, Some(State::Done | State::Grown | State::Empty))
}

/// The partitions of which readers would not find the features, each with its state.
fn unready(planned: &[PlannedPartition]) -> Vec<String> {
    let unready = planned.iter().filter(|line| !is_ready(line));
    unready.map(|line| format!("{} ({})", line.partition, line.state.map_or("failed", State::name))).collect()
}

/// What to know about partitions whose source has grown meanwhile.
fn note_of_grown(planned: &[PlannedPartition]) -> Option<String> {
    let grown = planned.iter().filter(|line| line.state == Some(State::Grown));
    let grown: Vec<String> = grown.map(|line| line.partition.to_string()).collect();
    (!grown.is_empty()).then(|| {
        format!(
            "the source has later rows than the features of {}: a run adds them, before or after the switch",
            few_and(&grown)
        )
    })
}
