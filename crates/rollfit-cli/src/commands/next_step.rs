//! How to replace a definition that has readers: a run says which command comes next, and so does a plan.

use rollfit_job::receipt::Definition;
use rollfit_job::state::State;
use rollfit_job::store::{Found, Purpose};

use super::run::Summary;
use crate::args::RunArguments;
use crate::exit::{Exit, Failure};
use crate::job_arguments::JobArguments;
use crate::logging;
use crate::open::{self, OpenJob};
use crate::stores;

/// Says what comes next after a run whose definition is not that of the features that readers use.
pub(super) fn tell(arguments: &RunArguments, job: &OpenJob, summary: &Summary) {
    if !can_switch(job) {
        return;
    }
    let typed = &arguments.select.job;
    match &typed.name {
        None if summary.has_skipped_in(State::DefinitionChanged) => tell_beside(typed, job),
        Some(name) if summary.exit() == Exit::Done && readers_have_another(typed, job).unwrap_or(false) => {
            let current = JobArguments::of_config(typed.file.clone());
            logging::info(&format!("next: {}", current.command(&format!("switch {name}"))));
        }
        _ => {}
    }
}

/// Says how to write the features of a changed definition beside those that are there, where that is possible.
pub(super) fn tell_beside(typed: &JobArguments, job: &OpenJob) {
    if can_switch(job) && typed.name.is_none() {
        logging::info(&format!(
            "to replace them while others read them: `{}` writes the new features beside them, `rollfit switch NEXT` puts these in their place",
            typed.command("run --name NEXT")
        ));
    }
}

/// Whether what this run is about can take the place of other features as a whole.
fn can_switch(job: &OpenJob) -> bool {
    let is_of_files = stores::kind_of(&job.config.sink.store).is_ok_and(|kind| !kind.has_tables());
    is_of_files && job.share.is_none() && job.selection.is_all()
}

/// Whether the configuration's own job has features of another definition.
fn readers_have_another(typed: &JobArguments, job: &OpenJob) -> Result<bool, Failure> {
    let config = open::config(&JobArguments::of_config(typed.file.clone()))?;
    let sink = stores::open_sink(&config, Purpose::Read)?;
    let Some(first) = sink.partitions()?.into_iter().min() else { return Ok(false) };
    let found = sink.found(&first)?;
    let definition = Definition::from_config(&job.config);
    Ok(config.sink.name != job.config.sink.name
        && matches!(found, Found::Ours(receipt) if *receipt.definition != definition))
}
