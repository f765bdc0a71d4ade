//! `rollfit switch` in a directory of files: two jobs exchange their directories, in one rename.
//!
//! Invariants: what was looked at is what is exchanged: marks on the parts are compared once more when no runner can be at work.

use rollfit_job::Job;
use rollfit_job::config::JobConfig;
use rollfit_job::few::few_and;
use rollfit_job::key::check_name;
use rollfit_job::partition::Partition;
use rollfit_job::plan::{PlannedPartition, assess};
use rollfit_job::selection::Selection;
use rollfit_job::store::{Purpose, Sink, Store};

use super::{is_ready, note_of_grown, unready};
use crate::args::GlobalArguments;
use crate::commands::question;
use crate::exit::{Exit, Failure};
use crate::format::plural;
use crate::job_arguments::{JobArguments, SwitchArguments};
use crate::stores::{self, Stores};
use crate::{logging, machine, open, output};

/// What was exchanged, or would be.
#[derive(serde::Serialize)]
struct SwitchDocument {
    /// Where readers look.
    current: String,
    /// Where the features were that are there now, and where those of before are.
    next: String,
    /// Of the job, with features that fit the configuration.
    partitions: usize,
    switched: bool,
}

/// The two jobs.
struct Jobs<'a> {
    arguments: &'a SwitchArguments,
    /// The configuration, with the name that readers use.
    current: &'a JobConfig,
    /// The same with the name of the job that takes the place.
    next: JobConfig,
    current_stores: Stores,
    next_stores: Stores,
    partitions: Vec<Partition>,
}

pub(super) fn run(
    global: &GlobalArguments,
    arguments: &SwitchArguments,
    config: &JobConfig,
) -> Result<Exit, Failure> {
    if arguments.back {
        return Err(Failure::usage(
            "--back is for PostgreSQL: in a directory of files the same command exchanges the names again",
        ));
    }
    let jobs = Jobs::open(arguments, config)?;
    let marks = jobs.next_stores.sink().marks(&jobs.partitions)?;
    let partitions = jobs.check()?;
    let mut document = SwitchDocument {
        current: jobs.current_stores.sink().place(),
        next: jobs.next_stores.sink().place(),
        partitions,
        switched: false,
    };
    let exchange = format!("{} and {}", document.current, document.next);
    if arguments.dry_run {
        output::document(global.json, &document, |_| output::line(&format!("would exchange {exchange}")))?;
        return Ok(Exit::Done);
    }
    let is_agreed = || {
        question::is_agreed(&format!(
            "Exchange {exchange}, so that readers see {}?",
            plural(partitions, "new partition")
        ))
    };
    if !arguments.yes && question::can_be_asked() && !is_agreed()? {
        logging::info("nothing was exchanged");
        return Ok(Exit::Failed);
    }
    let held = stores::opened(jobs.next_store().exchange(config.sink.name.as_deref()))?;
    if jobs.next_stores.sink().marks(&jobs.partitions)? != marks {
        return Err(Failure::passing(format!(
            "{} has changed since it was looked at, so nothing was exchanged; type the command again",
            document.next
        )));
    }
    if !arguments.incomplete {
        jobs.check_lost()?;
    }
    held.commit()?;
    document.switched = true;
    output::result(global, Exit::Done, &document, |document| print(arguments, document))?;
    Ok(Exit::Done)
}

impl<'a> Jobs<'a> {
    /// Checks that there are two jobs and that nobody works on them, before all partitions are looked at.
    fn open(arguments: &'a SwitchArguments, current: &'a JobConfig) -> Result<Self, Failure> {
        check_name(&arguments.next).map_err(|error| Failure::usage(format!("NEXT: {error}")))?;
        let mut next = current.clone();
        next.sink.name = Some(arguments.next.clone());
        let current_stores = Stores::open(current, Purpose::Read)?;
        let next_stores = Stores::open(&next, Purpose::Read)?;
        // Whoever works now will most likely still do so later. The locks are given back.
        drop(stores::opened(next_stores.sink_store().exchange(current.sink.name.as_deref()))?);
        let (source, sink) = (next_stores.source(), next_stores.sink());
        let partitions = open::planned(&next, source.as_ref(), sink.as_ref(), &Selection::default())?;
        Ok(Self { arguments, current, next, current_stores, next_stores, partitions })
    }

    fn next_store(&self) -> &dyn Store {
        self.next_stores.sink_store()
    }

    /// The command that somebody may type next about the job that takes the place.
    fn command(&self, words: &str) -> String {
        self.arguments.job.with_name(&self.arguments.next).command(words)
    }

    /// Checks that readers will find what they find now and what the configuration promises, or that this is not asked for. Returns how many
    /// partitions are ready.
    fn check(&self) -> Result<usize, Failure> {
        let planned = assess_in(&self.next, &self.next_stores, &self.partitions);
        let ready = planned.iter().filter(|line| is_ready(line)).count();
        if !self.arguments.incomplete {
            self.check_ready(&planned)?;
            self.check_lost()?;
        }
        note_of_grown(&planned).iter().for_each(|note| logging::warn(note));
        self.warn_of_strays()?;
        Ok(ready)
    }

    fn check_ready(&self, planned: &[PlannedPartition]) -> Result<(), Failure> {
        let unready = unready(planned);
        if unready.is_empty() {
            return Ok(());
        }
        let (current, next) = (self.current_stores.sink().place(), self.next_stores.sink().place());
        let now = assess_in(self.current, &self.current_stores, &self.partitions);
        if now.iter().all(is_ready) {
            return Err(Failure::failed(format!(
                "nothing to switch: the features in {current} fit the configuration already, those in {next} do not; to have those of \
                 before back, change the configuration back and type the same command, or add --incomplete"
            )));
        }
        Err(Failure::failed(format!(
            "not ready to switch: {} of {} not done in {next}: {}; `{}` says why, `{}` computes what it may; --incomplete switches all the \
             same",
            unready.len(),
            plural(planned.len(), "partition"),
            few_and(&unready),
            self.command("plan"),
            self.command("run")
        )))
    }

    /// Checks that no partition is taken from readers.
    fn check_lost(&self) -> Result<(), Failure> {
        let (current, next) = (self.current_stores.sink(), self.next_stores.sink());
        let lost = without(current.as_ref(), &next.partitions()?)?;
        if lost.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "readers of {} would lose {}, which {} lacks: {}; widen [partitions] and type `{}`, or add --incomplete",
            current.place(),
            plural(lost.len(), "partition"),
            next.place(),
            few_and(&lost),
            self.command("run")
        )))
    }

    /// Warns of partitions that readers will find too, and of which nothing was looked at.
    fn warn_of_strays(&self) -> Result<(), Failure> {
        let sink = self.next_stores.sink();
        let strays = without(sink.as_ref(), &self.partitions)?;
        if !strays.is_empty() {
            logging::warn(&format!(
                "{} also has {} that the configuration does not: {}",
                sink.place(),
                plural(strays.len(), "partition"),
                few_and(&strays)
            ));
        }
        Ok(())
    }
}

fn assess_in(config: &JobConfig, stores: &Stores, partitions: &[Partition]) -> Vec<PlannedPartition> {
    let (source, sink, machine) = (stores.source(), stores.sink(), machine::here());
    let (source, sink, machine) = (source.as_ref(), sink.as_ref(), machine.as_ref());
    assess(&Job { config, source, sink, workers: config.run.workers, machine }, partitions)
}

/// The stored partitions that are not among `others`, as texts in order.
fn without(sink: &dyn Sink, others: &[Partition]) -> Result<Vec<String>, Failure> {
    let others: std::collections::HashSet<&Partition> = others.iter().collect();
    let mut left: Vec<Partition> = sink.partitions()?;
    left.retain(|partition| !others.contains(partition));
    left.sort();
    Ok(left.iter().map(ToString::to_string).collect())
}

fn print(arguments: &SwitchArguments, document: &SwitchDocument) -> Result<(), Failure> {
    let SwitchDocument { current, next, .. } = document;
    let old: JobArguments = arguments.job.with_name(&arguments.next);
    let lines = [
        format!("switched: {current} has the new features now, {next} the old ones"),
        format!(
            "go back: {}, with the old configuration",
            arguments.job.command(&format!("switch {}", arguments.next))
        ),
        format!("remove the old ones: {}", old.command("drop '*'")),
    ];
    lines.iter().try_for_each(|line| Ok(output::line(line)?))
}
