//! `rollfit status`: the progress of a running job, or the result of the last run. Without a record here, because another
//! user or another machine ran the job, it counts the receipts in the store. With `--store` it shows what all runners on all machines do.

mod print;
mod receipts;
pub(super) mod run;
mod store;
mod store_document;
mod store_words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rollfit_job::record::Header;
use rollfit_job::stop_signal::StopSignal;

use self::receipts::Receipts;
use self::run::{RunState, RunStatus};
use crate::args::{ConfigArguments, GlobalArguments, StatusArguments};
use crate::config_path::ConfigPath;
use crate::exit::{Exit, Failure};
use crate::job_arguments::JobArguments;
use crate::record::header::given_name;
use crate::screen::Screen;
use crate::state_dir::{StateDir, first_readable, is_running};
use crate::view::ScreenSize;
use crate::{output, signals, state_dir};

/// The status of one run or several, or of the store if there is none.
#[derive(serde::Serialize)]
struct StatusDocument<'a> {
    runs: &'a [RunStatus],
    receipts: Option<Receipts>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &StatusArguments) -> Result<Exit, Failure> {
    if arguments.store {
        return store::run(global, arguments);
    }
    let state = StateDir::open();
    let records = chosen(&state, arguments)?;
    if records.is_empty() {
        let receipts = receipts(&state, arguments)?;
        if !global.json {
            receipts.print()?;
            return Ok(Exit::Done);
        }
        output::json(&StatusDocument { runs: &[], receipts: Some(receipts) })?;
        return Ok(Exit::Done);
    }
    let mut runs = records.iter().map(|path| status(path)).collect::<Result<Vec<_>, _>>()?;
    let stop = StopSignal::default();
    if arguments.watch {
        signals::stop_showing_at_signal(&stop)?;
        runs = watch(global, &state, records, runs, &stop)?;
    }
    if !global.json {
        print::runs(&runs, ScreenSize::ENOUGH).iter().try_for_each(|line| output::line(line))?;
    } else if !arguments.watch {
        output::json(&StatusDocument { runs: &runs, receipts: None })?;
    }
    Ok(if stop.requested() { Exit::Interrupted } else { Exit::Done })
}

/// The job that is meant.
fn job(arguments: &StatusArguments) -> JobArguments {
    let file = ConfigArguments { config: arguments.config.clone() };
    JobArguments { file, name: arguments.name.clone() }
}

/// The records to show: the one named; else, of the configuration's runs or of all where there is none, those that are running; else the
/// newest that can be read.
fn chosen(state: &StateDir, arguments: &StatusArguments) -> Result<Vec<PathBuf>, Failure> {
    if let Some(run) = &arguments.run {
        return Ok(vec![state.find(run)?]);
    }
    let is_named = |path: &PathBuf| {
        arguments.name.is_none()
            || state_dir::header(path).is_some_and(|header| given_name(&header) == arguments.name.as_deref())
    };
    let config = ConfigPath::of_runs(arguments.config.as_deref())?;
    let records = state.records_with_config(config.as_deref());
    let records: Vec<PathBuf> = records.map(|run| run.path).filter(is_named).collect();
    let running: Vec<PathBuf> = records.iter().filter(|path| is_running(path)).cloned().collect();
    if running.is_empty() {
        Ok(first_readable(records.into_iter()).into_iter().collect())
    } else {
        Ok(running)
    }
}

fn status(path: &Path) -> Result<RunStatus, Failure> {
    // Checked first: a run that has ended has written all of its record.
    let is_running = is_running(path);
    Ok(RunStatus::from_record(path, state_dir::read(path)?, is_running))
}

/// Shows the runs every second until none is running, then how they ended; at a stop how they are.
fn watch(
    global: &GlobalArguments,
    state: &StateDir,
    mut records: Vec<PathBuf>,
    first: Vec<RunStatus>,
    stop: &StopSignal,
) -> Result<Vec<RunStatus>, Failure> {
    let screen = if global.json { None } else { Screen::on_stdout() };
    let mut runs = first;
    while runs.iter().any(|run| run.state == RunState::Running) {
        print_runs(global, screen.as_ref(), &runs)?;
        stop.sleep(Duration::from_secs(1));
        if stop.requested() {
            break;
        }
        runs = statuses_after(state, &mut records, &runs)?;
    }
    match &screen {
        Some(screen) => screen.clear(),
        None if global.json && !stop.requested() => print_runs(global, None, &runs)?,
        None => {}
    }
    Ok(runs)
}

/// How the runs of these records are, which were `before` a moment ago. A run that a follower came after is left for that: its
/// record may be gone, where it found everything done. So is a record of a follower for the next one.
fn statuses_after(
    state: &StateDir,
    records: &mut Vec<PathBuf>,
    before: &[RunStatus],
) -> Result<Vec<RunStatus>, Failure> {
    let mut runs = Vec::new();
    for (mut path, before) in std::mem::take(records).into_iter().zip(before) {
        let mut run = status_if_there(&path)?;
        if run.as_ref().is_none_or(|run| run.state != RunState::Running)
            && let Some(next) = last_after(state, &before.run)
        {
            run = status_if_there(&next)?;
            path = next;
        }
        if let Some(run) = run.filter(|_| !records.contains(&path)) {
            records.push(path);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// As [`status`]; none where the record has been taken away.
fn status_if_there(path: &Path) -> Result<Option<RunStatus>, Failure> {
    match status(path) {
        Err(_) if !path.exists() => Ok(None),
        status => status.map(Some),
    }
}

/// The last of the records that came one after the other after this run's; none where no follower came after it.
fn last_after(state: &StateDir, run: &str) -> Option<PathBuf> {
    let with_header = |path: PathBuf| Some((state_dir::header(&path)?, path));
    let mut records: Vec<(Header, PathBuf)> =
        state.runs().into_iter().filter_map(|run| with_header(run.path)).collect();
    let (mut run, mut last) = (run.to_owned(), None);
    // Each is taken once, whatever strange records name.
    while let Some(at) = records.iter().position(|(header, _)| header.follows.as_ref() == Some(&run)) {
        let (header, path) = records.swap_remove(at);
        (run, last) = (header.run, Some(path));
    }
    last
}

/// How the runs are now: in place on a terminal, else one after the other.
fn print_runs(global: &GlobalArguments, screen: Option<&Screen>, runs: &[RunStatus]) -> Result<(), Failure> {
    if let Some(screen) = screen {
        screen.show(&print::runs(runs, screen.size()));
    } else if global.json {
        let document = StatusDocument { runs, receipts: None };
        output::json_line(&document)?;
    } else {
        print::runs(runs, ScreenSize::ENOUGH).iter().try_for_each(|line| output::line(line))?;
        output::line("")?;
    }
    Ok(())
}

/// The receipts in the store; if none is configured, an error says that there is nothing to show.
fn receipts(state: &StateDir, arguments: &StatusArguments) -> Result<Receipts, Failure> {
    Receipts::count(job(arguments)).map_err(|failure| match failure.exit {
        Exit::Usage => failure.after(&format!("found no record of a run{}, and", state.place())),
        _ => failure,
    })
}
