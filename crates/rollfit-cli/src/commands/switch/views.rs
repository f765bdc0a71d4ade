//! `rollfit switch` in PostgreSQL: prints the transaction that puts views of fits in the place of tables of features, and its reverse.
//! Executes nothing.

use rollfit_job::Job;
use rollfit_job::config::JobConfig;
use rollfit_job::few::few_and;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::partition::Partition;
use rollfit_job::plan::{PlannedPartition, assess};
use rollfit_job::selection::Selection;
use rollfit_job::state::State;
use rollfit_job::store::{Purpose, Switch};

use super::{note_of_grown, unready};
use crate::args::GlobalArguments;
use crate::exit::{Exit, Failure};
use crate::format::plural;
use crate::job_arguments::SwitchArguments;
use crate::stores::Stores;
use crate::{machine, open, output};

/// What the text begins with.
const HEADING: &str = "\
-- Execute it as a superuser, or as a role that has the owners' rights: psql -X -v ON_ERROR_STOP=1 -f FILE
-- Where another session holds a table for more than 3 s it changes nothing: execute it again.";

/// What comes between the two transactions.
const REVERSE: &str = "\
-- The reverse. It fits what was there when this was printed; with --back `rollfit switch` prints it alone, before the switch is
-- executed.";

pub(super) fn run(
    global: &GlobalArguments,
    arguments: &SwitchArguments,
    config: &JobConfig,
) -> Result<Exit, Failure> {
    let views_schema = views_schema(arguments, config)?;
    let machine = machine::here();
    let stores = Stores::open(config, Purpose::Read)?;
    let (source, sink) = (stores.source(), stores.sink());
    let partitions = open::planned(config, source.as_ref(), sink.as_ref(), &Selection::default())?;
    let job = Job {
        config,
        source: source.as_ref(),
        sink: sink.as_ref(),
        workers: config.run.workers,
        machine: machine.as_ref(),
    };
    let planned = assess(&job, &partitions);
    // One without a row has no view and needs none.
    let has_view = |line: &&PlannedPartition| line.state != Some(State::Empty);
    let shown: Vec<Partition> = planned.iter().filter(has_view).map(|line| line.partition.clone()).collect();
    let mut switch = stores.sink_store().switch(&shown, views_schema)?;
    check_done(&planned)?;
    switch.notes.extend(note_of_grown(&planned));
    switch.notes.push(note_of_configuration(config, views_schema));
    print(global, arguments, &switch)?;
    Ok(Exit::Done)
}

/// The schema of the views, which has to be the one that was typed.
fn views_schema<'a>(arguments: &SwitchArguments, config: &'a JobConfig) -> Result<&'a str, Failure> {
    if arguments.incomplete {
        return Err(Failure::usage(
            "--incomplete is for directories of files: in PostgreSQL views replace tables only where all are there",
        ));
    }
    let next = arguments.next.as_str();
    match config.sink.views_schema.as_deref() {
        Some(schema) if schema == next => Ok(schema),
        Some(schema) => Err(Failure::usage(format!(
            "`{next}` is not the views_schema of the configuration, {schema:?}; {}name that one",
            did_you_mean(next, [schema])
        ))),
        None => Err(Failure::usage(
            "in PostgreSQL a switch moves the views of views_schema in the place of the deployed tables: set layout = \"fits\" and \
             views_schema in [store] or [sink], and run `rollfit run` first",
        )),
    }
}

/// Checks that readers will find all features.
fn check_done(planned: &[PlannedPartition]) -> Result<(), Failure> {
    let unready = unready(planned);
    if unready.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "not ready to switch: {} of {} not done: {}; `rollfit plan` says why, `rollfit run` computes what it may",
        unready.len(),
        plural(planned.len(), "partition"),
        few_and(&unready)
    )))
}

fn note_of_configuration(config: &JobConfig, views_schema: &str) -> String {
    let schema = config.sink.store.schema.as_deref().map(|schema| format!(" {schema}")).unwrap_or_default();
    format!(
        "afterwards take views_schema = \"{views_schema}\" out of the configuration: the views are in the schema{schema} of the \
         tables then. The programs that wrote the deployed tables must not run any more"
    )
}

fn print(global: &GlobalArguments, arguments: &SwitchArguments, switch: &Switch) -> Result<(), Failure> {
    if global.json {
        return Ok(output::json(switch)?);
    }
    output::lines(HEADING)?;
    if arguments.back {
        return switch.back.iter().try_for_each(|statement| Ok(output::lines(&format!("{statement};"))?));
    }
    switch.notes.iter().try_for_each(|note| output::lines(&comment(note)))?;
    switch.statements.iter().try_for_each(|statement| output::lines(&format!("{statement};")))?;
    output::lines(&format!("\n{REVERSE}\n--"))?;
    switch.back.iter().try_for_each(|statement| output::lines(&comment(&format!("{statement};"))))?;
    Ok(())
}

/// A comment, also where names have line breaks.
fn comment(text: &str) -> String {
    format!("-- {}", text.replace('\n', "\n-- "))
}

#[cfg(test)]
mod tests {
    use super::comment;

    #[test]
    fn a_name_with_a_line_break_does_not_end_a_comment() {
        assert_eq!(comment("GRANT \"a\ndrop table b;\""), "-- GRANT \"a\n-- drop table b;\"");
    }
}
