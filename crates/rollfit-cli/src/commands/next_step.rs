//! How to replace a definition that has readers: a run says which command comes next.

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
    let is_of_files = stores::kind_of(&job.config.sink.store).is_ok_and(|kind| !kind.has_tables());
    if !is_of_files || job.share.is_some() || !job.selection.is_all() {
        return;
    }
    let typed = &arguments.select.job;
    match &typed.name {
        None if summary.has_skipped_in(State::DefinitionChanged) => logging::info(&format!(
            "to replace them while others read them: `{}` writes the new features beside them, `rollfit switch NEXT` puts these in their place",
            typed.command("run --name NEXT")
        )),
        Some(name) if summary.exit() == Exit::Done && readers_have_another(typed, job).unwrap_or(false) => {
            let current = JobArguments::of_config(typed.file.clone());
            logging::info(&format!("next: {}", current.command(&format!("switch {name}"))));
        }
        _ => {}
    }
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
