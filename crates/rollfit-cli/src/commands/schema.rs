//! `rollfit schema`: prints the statements that create the tables a run needs and that are missing, for a role that may
//! create tables: `rollfit schema | psql -1`. Executes nothing.

use std::collections::HashMap;

use rollfit_job::partition::Partition;
use rollfit_job::period::Period;
use rollfit_job::store::Purpose;

use crate::args::{GlobalArguments, SchemaArguments};
use crate::exit::{Exit, Failure};
use crate::stores::{self, Stores};
use crate::{open, output};

#[derive(serde::Serialize)]
struct SchemaDocument {
    statements: Vec<String>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &SchemaArguments) -> Result<Exit, Failure> {
    if arguments.switch || arguments.back {
        return Err(Failure::usage(
            "the switch has a command of its own now: rollfit switch NEXT, where NEXT is the views_schema; --back is an option of it",
        ));
    }
    let config = open::config(&arguments.job)?;
    let kind = stores::kind_of(&config.sink.store)?;
    if !kind.has_tables() {
        return Err(Failure::usage(format!(
            "{} stores need no schema; nothing to print, `rollfit run` makes the files",
            kind.name()
        )));
    }
    let stores = Stores::open(&config, Purpose::Read)?;
    let (source, sink) = (stores.source(), stores.sink());
    let mut partitions =
        open::planned(&config, source.as_ref(), sink.as_ref(), &arguments.selection.selection()?)?;
    partitions.extend(months_ahead(&partitions, arguments.months_ahead.into()));
    config.check_outputs(partitions.iter())?;
    let mut statements = stores.sink_store().ddl(&partitions)?;
    // They are executed in one database.
    if config.source.url == config.sink.store.url {
        statements.extend(stores.source_store().source_ddl(&partitions)?);
    }
    if global.json {
        output::json(&SchemaDocument { statements })?;
    } else if statements.is_empty() {
        output::line("-- nothing is missing")?;
    } else {
        statements.iter().try_for_each(|statement| output::lines(&format!("{statement};")))?;
    }
    Ok(Exit::Done)
}

/// The periods that begin in the months after the last one of each key.
fn months_ahead(partitions: &[Partition], count: usize) -> Vec<Partition> {
    let mut last_of_key: HashMap<&str, Period> = HashMap::new();
    for partition in partitions {
        let last = last_of_key.entry(&partition.key).or_insert(partition.period);
        *last = partition.period.max(*last);
    }
    let is_last = |partition: &&Partition| last_of_key.get(partition.key.as_str()) == Some(&partition.period);
    let after = |last: &Partition| {
        let end = last.period.last_month().after(count);
        let periods = std::iter::successors(last.period.next(), |period| period.next());
        // One that begins within these months is there when they are over.
        let ahead = periods.take_while(|period| period.first_month() <= end);
        ahead.map(|period| Partition::new(last.key.clone(), period)).collect::<Vec<_>>()
    };
    partitions.iter().filter(is_last).flat_map(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(key: &str, month: &str) -> Partition {
        Partition::new(key.to_owned(), month.parse().unwrap())
    }

    #[test]
    fn months_ahead_follow_the_last_of_each_key() {
        let planned = [partition("a", "2017-12"), partition("a", "2017-11"), partition("b", "9998-11")];
        let ahead = [partition("a", "2018-01"), partition("a", "2018-02"), partition("b", "9998-12")];
        assert_eq!(months_ahead(&planned, 2), ahead);
        assert!(months_ahead(&planned, 0).is_empty());
        let quarters = [partition("a", "2017-Q3")];
        assert_eq!(months_ahead(&quarters, 4), [partition("a", "2017-Q4"), partition("a", "2018-Q1")]);
        assert!(months_ahead(&[partition("a", "all")], 12).is_empty());
    }
}
