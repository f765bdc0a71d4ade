//! `rollfit run --follow`: an ordinary run, then the open partitions of the selected keys kept up to date until a signal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use rollfit_job::follow::{FollowEnd, FollowOptions, follow};
use rollfit_job::month::Month;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::receipt::Definition;
use rollfit_job::state::State;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{Found, SeriesOfKey, Sink, StoreError, StoreKind};
use rollfit_job::watch::Machine;

use super::run::{Summary, given_shard, run_open};
use crate::args::{GlobalArguments, RunArguments};
use crate::exit::{Exit, Failure};
use crate::follow::{BehindNow, FollowReporters, FollowState, work};
use crate::given_shard::GivenShard;
use crate::open::OpenJob;
use crate::output::ENTRIES_MAX;
use crate::poll_interval::PollInterval;
use crate::record::header::header;
use crate::{format, logging, output, stores};

/// What a run did, and then a follower.
#[derive(serde::Serialize)]
struct FollowDocument {
    #[serde(flatten)]
    run: Summary,
    /// None where the run was stopped before.
    follow: Option<FollowState>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &RunArguments) -> Result<Exit, Failure> {
    check_options(arguments)?;
    check_share(arguments)?;
    let mut open = OpenJob::new(&arguments.select, None)?;
    let newest = newest_months(&open)?;
    check_open(&open, &newest)?;
    check_followable(&open)?;
    if !arguments.replace.contains(&State::DefinitionChanged) {
        check_definitions(&open)?;
    }
    let selected = open.partitions.clone();
    let has_begun = begun(&open, &newest);
    open.partitions = has_begun;
    let stop = StopSignal::default();
    let (mut summary, reporters) = run_open(global, arguments, &open, &stop)?;
    if !global.json && !output::is_silent(global, arguments.allow_skipped.exit(summary.exit())) {
        summary.print()?;
    }
    if stop.requested() {
        reporters.finish(summary.interrupted());
        let exit = arguments.allow_skipped.exit(summary.exit());
        let refused = summary.refuse_other_configuration();
        print(global, &FollowDocument { run: summary, follow: None }, exit)?;
        return refused.map(|()| exit);
    }
    let header = header(&open, arguments, logging::run_id());
    let reporters = FollowReporters::start(header, reporters, Arc::clone(&open.machine));
    let followed = follow_until_stopped(&open, (&selected, summary.not_done()), arguments, &stop, &reporters);
    let followed_partitions = reporters.up_to_date();
    let state = reporters.finish();
    followed?;
    summary.forget(|partition| followed_partitions.contains(partition));
    let exit = arguments.allow_skipped.exit(exit(&summary, &state, stop.abandon_requested()));
    print(global, &FollowDocument { run: summary, follow: Some(state) }, exit)
}

/// Refuses options that mean nothing to a follower.
fn check_options(arguments: &RunArguments) -> Result<(), Failure> {
    if arguments.force {
        return Err(Failure::usage(
            "--follow writes what is new, and --force what is done too; run once with --force, then follow without it",
        ));
    }
    if arguments.trace.is_some() {
        return Err(Failure::usage(
            "--follow has no end at which --trace could write a trace; use --trace with a run that does not follow",
        ));
    }
    Ok(())
}

/// Refuses to follow a share of the partitions: the next month of a key would be another follower's.
fn check_share(arguments: &RunArguments) -> Result<(), Failure> {
    let shard = match GivenShard::find(arguments.select.shard) {
        Ok(given) => given.filter(|given| given.share().is_some()).map(|given| given.to_string()),
        // What would complete the variables would be refused next.
        Err(_) => Some(format!("from {}", GivenShard::variables().join(" and "))),
    };
    if let Some(shard) = shard {
        return Err(Failure::usage(format!(
            "--follow cannot use a shard ({shard}): use --only KEY for each follower; in an array job also ROLLFIT_SHARD=0/1"
        )));
    }
    given_shard(arguments).map(drop)
}

/// The newest month of each key that can be read, of any series; none where it has no rows yet.
fn newest_months(open: &OpenJob) -> Result<BTreeMap<String, Option<Month>>, Failure> {
    let mut newest = BTreeMap::new();
    for key in keys(&open.partitions) {
        let months = |series| patiently(|| open.source.months(series));
        let found: Result<Vec<_>, StoreError> = open.config.series_of_key(key).iter().map(months).collect();
        match found {
            Ok(months) => {
                let last = months.into_iter().flatten().map(|(_, last)| last).max();
                newest.insert(key.to_owned(), last);
            }
            Err(error) if error.is_unconnected() => return Err(error.into()),
            // The run says what is wrong with it.
            Err(_) => {}
        }
    }
    Ok(newest)
}

/// The keys of these partitions.
fn keys(partitions: &[Partition]) -> BTreeSet<&str> {
    partitions.iter().map(|partition| partition.key.as_str()).collect()
}

/// The partitions but for those of periods that have not begun: they have no rows, which is no failure.
fn begun(open: &OpenJob, newest: &BTreeMap<String, Option<Month>>) -> Vec<Partition> {
    let has_begun = |partition: &&Partition| match newest.get(&partition.key) {
        Some(newest) if newest.is_none_or(|newest| newest < partition.period.first_month()) => {
            // The run reports features without rows.
            !matches!(open.sink.is_missing(partition), Ok(true))
        }
        _ => true,
    };
    open.partitions.iter().filter(has_begun).cloned().collect()
}

/// Refuses to follow where every selected period is over.
fn check_open(open: &OpenJob, newest: &BTreeMap<String, Option<Month>>) -> Result<(), Failure> {
    let mut over = None;
    for key in keys(&open.partitions) {
        let last =
            [open.selection.last_month(key, open.config.by), open.config.to].into_iter().flatten().min();
        match (last, newest.get(key).copied().flatten()) {
            (Some(last), Some(newest)) if last < newest => over = Some((key, last, newest)),
            _ => return Ok(()),
        }
    }
    let Some((key, last, newest)) = over else { return Ok(()) };
    let by = open.config.by;
    let (unit, last, newest) = (by.noun(), by.period_of(last), by.period_of(newest));
    Err(Failure::usage(format!(
        "no {unit} is open: {key} has rows in {newest}, and {last} is the last {unit} selected; select later {unit}s ([partitions] \
         to = \"latest\", or --only {key}), or run without --follow"
    )))
}

/// Refuses a source that cannot be asked for what is new without reading much of it. What is wrong with the tables of one key
/// does not keep the others from being followed.
fn check_followable(open: &OpenJob) -> Result<(), Failure> {
    let of_keys: Vec<_> =
        keys(&open.partitions).into_iter().map(|key| open.config.series_of_key(key)).collect();
    let mut heads = patiently(|| open.source.heads(&of_keys.concat()))?.into_iter();
    let mut is_readable = |series: &&Vec<SeriesOfKey<'_>>| {
        // All of them, so that the next key begins with its own.
        heads.by_ref().take(series.len()).filter(Result::is_err).count() == 0
    };
    let readable: Vec<_> = of_keys.iter().filter(&mut is_readable).collect();
    let series = if readable.is_empty() {
        of_keys.concat()
    } else {
        readable.into_iter().flatten().cloned().collect()
    };
    stores::opened(patiently(|| open.source.check_followable(&series)))
}

/// Refuses to follow where features are of another definition: rows of two definitions would stand in one table.
fn check_definitions(open: &OpenJob) -> Result<(), Failure> {
    let definition = Definition::from_config(&open.config);
    let mut others = 0;
    let mut first = None;
    for partition in &open.partitions {
        match patiently(|| open.sink.found(partition)) {
            Ok(Found::Ours(receipt)) => {
                if let Some(difference) = receipt.definition.difference(&definition) {
                    others += 1;
                    first.get_or_insert_with(|| format!("{partition}: {difference}"));
                }
            }
            Err(error) if error.is_unconnected() => return Err(error.into()),
            // The run says what is wrong with it.
            _ => {}
        }
    }
    let Some(first) = first else { return Ok(()) };
    let are = if others == 1 { "is" } else { "are" };
    Err(Failure::skipped(format!(
        "{} {are} of another definition ({first}); a follower needs one: run `rollfit adopt`, which keeps what an earlier version \
         wrote if it matches, or add --replace definition-changed, which writes them again",
        format::plural(others, "partition")
    )))
}

/// Follows until a signal, or until no selected month is open any more.
fn follow_until_stopped(
    open: &OpenJob,
    (selected, behind): (&[Partition], Vec<Partition>),
    arguments: &RunArguments,
    stop: &StopSignal,
    reporters: &FollowReporters,
) -> Result<(), Failure> {
    let default = || stores::kind_named(open.sink.kind()).map(StoreKind::poll_interval);
    let poll_interval = arguments.poll_interval.map(|PollInterval(time)| time).or_else(default);
    let options = FollowOptions {
        poll_interval: poll_interval.unwrap_or(Duration::from_secs(1)),
        replace: arguments.replace.clone(),
        only: open.selection.clone(),
        behind,
    };
    logging::info(&format!(
        "following {}: the source is asked every {}; SIGINT (Ctrl-C) or SIGTERM ends this",
        format::plural(keys(selected).len(), "key"),
        format::time(options.poll_interval.as_secs_f64())
    ));
    std::thread::scope(|scope| {
        // Gone when the follower has returned, in whatever way.
        let (_end, ended) = mpsc::channel();
        let writer = std::thread::Builder::new().name("reporters".to_owned());
        writer.spawn_scoped(scope, move || reporters.write_until(&ended))?;
        let (_end, ended) = mpsc::channel();
        let (sink, machine) = (Arc::downgrade(&open.sink), Arc::clone(&open.machine));
        let watch = std::thread::Builder::new().name("server watch".to_owned());
        // Nobody waits for it: a server that is away may take a while to say so.
        watch.spawn(move || watch_server(&sink, machine.as_ref(), &ended))?;
        if follow(&open.job(), selected, &options, stop, reporters) == FollowEnd::NothingLeft {
            logging::info(&format!(
                "nothing is left to follow: the last selected {} is over",
                open.config.by.noun()
            ));
        }
        Ok(())
    })
}

/// Has the machine watch the server of the sink as the run before did, also after a restart, until `ended`.
fn watch_server(sink: &Weak<dyn Sink>, machine: &dyn Machine, ended: &Receiver<()>) {
    const PERIOD: Duration = Duration::from_secs(30);
    let ask = || {
        let sink = sink.upgrade()?;
        let mut monitor = sink.monitor()?;
        monitor.sample().ok()?;
        monitor.server_process()
    };
    let Some(mut process) = ask() else { return };
    // A server of another machine stays there.
    if machine.watch_server(&process).is_err() {
        return;
    }
    while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        if machine.watch_server(&process).is_err()
            && let Some(next) = ask()
        {
            process = next;
            let _ = machine.watch_server(&process);
        }
    }
}

/// A follower that was stopped has done its work, unless something is behind. What the run skipped is behind for that reason.
fn exit(summary: &Summary, state: &FollowState, was_abandoned: bool) -> Exit {
    let is_failure = |behind: &BehindNow| !summary.has_skipped(&behind.what);
    match summary.exit() {
        _ if was_abandoned => Exit::Interrupted,
        _ if state.store_lost.is_some() => Exit::Unreachable,
        Exit::Done | Exit::Skipped if state.behind.iter().any(is_failure) => Exit::Failed,
        exit => exit,
    }
}

/// Prints the document, or what the follower did. What the run did is printed before it follows.
fn print(global: &GlobalArguments, document: &FollowDocument, exit: Exit) -> Result<Exit, Failure> {
    output::result(global, exit, document, |document| {
        document.follow.as_ref().map_or(Ok(()), print_followed)
    })?;
    Ok(exit)
}

fn print_followed(state: &FollowState) -> Result<(), Failure> {
    output::line(&format!("followed {}", work(state)))?;
    for BehindNow { what, cause } in state.behind.iter().take(ENTRIES_MAX) {
        output::line(&format!("  {what}: behind: {cause}"))?;
    }
    output::rest(state.behind.len(), "partition")?;
    if let Some(cause) = &state.store_lost {
        output::line(&format!("A store did not answer at the end: {cause}"))?;
    }
    Ok(())
}
