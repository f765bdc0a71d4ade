//! `rollfit schema --switch`: prints the transaction that puts views of fits in the place of tables of features, and its
//! reverse. Executes nothing.

use rollfit_job::Job;
use rollfit_job::config::JobConfig;
use rollfit_job::few::few_and;
use rollfit_job::plan::{PlannedPartition, assess};
use rollfit_job::selection::Selection;
use rollfit_job::state::State;
use rollfit_job::store::{Purpose, Switch};

use crate::args::{GlobalArguments, SchemaArguments};
use crate::exit::{Exit, Failure};
use crate::format::plural;
use crate::stores::Stores;
use crate::{machine, open, output};

/// What the text begins with.
const HEADING: &str = "\
-- Execute it as a superuser, or as a role that has the owners' rights: psql -X -v ON_ERROR_STOP=1 -f FILE
-- Where another session holds a table for more than 3 s it changes nothing: execute it again.";

/// What comes between the two transactions.
const REVERSE: &str = "\
-- The reverse. It fits what was there when this was printed; `rollfit schema --switch --back` prints it alone, before the
-- switch is executed.";

pub(super) fn run(global: &GlobalArguments, arguments: &SchemaArguments) -> Result<Exit, Failure> {
    let config = open::config(&arguments.config)?;
    let Some(views_schema) = config.sink.views_schema.as_deref() else {
        return Err(Failure::usage(
            "--switch moves the views of views_schema in the place of the deployed tables: set layout = \"fits\" and \
             views_schema in [store] or [sink], and run `rollfit run` first",
        ));
    };
    let machine = machine::here();
    let stores = Stores::open(&config, Purpose::Read)?;
    let (source, sink) = (stores.source(), stores.sink());
    let partitions = open::planned(&config, source.as_ref(), sink.as_ref(), &Selection::default())?;
    let mut switch = stores.sink_store().switch(&partitions, views_schema)?;
    let job = Job {
        config: &config,
        source: source.as_ref(),
        sink: sink.as_ref(),
        workers: config.run.workers,
        machine: machine.as_ref(),
    };
    let planned = assess(&job, &partitions);
    check_done(&planned)?;
    switch.notes.extend(note_of_grown(&planned));
    switch.notes.push(note_of_configuration(&config, views_schema));
    print(global, arguments, &switch)?;
    Ok(Exit::Done)
}

/// Checks that readers will find all features.
fn check_done(planned: &[PlannedPartition]) -> Result<(), Failure> {
    let is_done = |line: &&PlannedPartition| matches!(line.state, Some(State::Done | State::Grown));
    let open: Vec<String> = planned
        .iter()
        .filter(|line| !is_done(line))
        .map(|line| format!("{} ({})", line.partition, line.state.map_or("failed", State::name)))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "not ready to switch: {} of {} not done: {}; `rollfit plan` says why, `rollfit run` computes what it may",
        open.len(),
        plural(planned.len(), "partition"),
        few_and(&open)
    )))
}

fn note_of_grown(planned: &[PlannedPartition]) -> Option<String> {
    let grown = planned.iter().filter(|line| line.state == Some(State::Grown));
    let grown: Vec<String> = grown.map(|line| line.partition.to_string()).collect();
    (!grown.is_empty()).then(|| {
        format!(
            "the source has later rows than the fits of {}: a run adds them, before or after the switch",
            few_and(&grown)
        )
    })
}

fn note_of_configuration(config: &JobConfig, views_schema: &str) -> String {
    let schema = config.sink.store.schema.as_deref().map(|schema| format!(" {schema}")).unwrap_or_default();
    format!(
        "afterwards take views_schema = \"{views_schema}\" out of the configuration: the views are in the schema{schema} of the \
         tables then. The programs that wrote the deployed tables must not run any more"
    )
}

fn print(global: &GlobalArguments, arguments: &SchemaArguments, switch: &Switch) -> Result<(), Failure> {
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
