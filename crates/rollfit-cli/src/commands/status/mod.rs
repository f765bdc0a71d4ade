//! `rollfit status`: the progress of a running job, or the result of the last run. Without a record here, because another
//! user or another machine ran the job, it counts the receipts in the store.

mod print;
mod receipts;
mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::receipts::Receipts;
use self::run::{RunState, RunStatus};
use crate::args::{ConfigArguments, GlobalArguments, StatusArguments};
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::state_dir::{StateDir, is_running};
use crate::view::ScreenSize;
use crate::{output, state_dir};

/// The status of one run or several, or of the store if there is none.
#[derive(serde::Serialize)]
struct StatusDocument<'a> {
    runs: &'a [RunStatus],
    receipts: Option<Receipts>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &StatusArguments) -> Result<Exit, Failure> {
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
    if arguments.watch {
        runs = watch(global, &state, records, runs)?;
    }
    if !global.json {
        print::runs(&runs, ScreenSize::ENOUGH).iter().try_for_each(|line| output::line(line))?;
    } else if !arguments.watch {
        output::json(&StatusDocument { runs: &runs, receipts: None })?;
    }
    Ok(Exit::Done)
}

/// The records to show: the one named; else those of running runs; else the newest.
fn chosen(state: &StateDir, arguments: &StatusArguments) -> Result<Vec<PathBuf>, Failure> {
    if let Some(run) = &arguments.run {
        return Ok(vec![state.find(run)?]);
    }
    let mut records: Vec<PathBuf> = state.records_with_config(arguments.config.as_deref()).collect();
    let running: Vec<PathBuf> = records.iter().filter(|path| is_running(path)).cloned().collect();
    if running.is_empty() {
        records.truncate(1);
        Ok(records)
    } else {
        Ok(running)
    }
}

fn status(path: &Path) -> Result<RunStatus, Failure> {
    // Checked first: a run that has ended has written all of its record.
    let is_running = is_running(path);
    Ok(RunStatus::from_record(path, state_dir::read(path)?, is_running))
}

/// Shows the runs every second until none is running, then how they ended.
fn watch(
    global: &GlobalArguments,
    state: &StateDir,
    mut records: Vec<PathBuf>,
    first: Vec<RunStatus>,
) -> Result<Vec<RunStatus>, Failure> {
    let screen = if global.json { None } else { Screen::on_stdout() };
    let mut runs = first;
    while runs.iter().any(|run| run.state == RunState::Running) {
        print_runs(global, screen.as_ref(), &runs)?;
        std::thread::sleep(Duration::from_secs(1));
        // A run that found everything done has taken its record away.
        records.retain(|path| path.exists());
        runs = records.iter().map(|path| status(path)).collect::<Result<_, _>>()?;
        if let Some(followers) = followers(state, &runs) {
            records = followers;
            runs = records.iter().map(|path| status(path)).collect::<Result<_, _>>()?;
        }
    }
    match &screen {
        Some(screen) => screen.clear(),
        None if global.json => print_runs(global, None, &runs)?,
        None => {}
    }
    Ok(runs)
}

/// The records that go on where those of these runs ended: of a follower, whose record is a new file each day. None where none
/// of them is running, and where one of these is.
fn followers(state: &StateDir, ended: &[RunStatus]) -> Option<Vec<PathBuf>> {
    if ended.iter().any(|run| run.state == RunState::Running) {
        return None;
    }
    let follows_one = |path: &PathBuf| {
        let before = state_dir::header(path).and_then(|header| header.follows);
        before.is_some_and(|before| ended.iter().any(|run| run.run == before))
    };
    let running = state.runs().into_iter().map(|run| run.path).filter(|path| is_running(path));
    let followers: Vec<PathBuf> = running.filter(follows_one).collect();
    (!followers.is_empty()).then_some(followers)
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
    let config = arguments.config.clone().unwrap_or_else(|| PathBuf::from("rollfit.toml"));
    Receipts::count(ConfigArguments { config }).map_err(|failure| match failure.exit {
        Exit::Usage => failure.after(&format!("found no record of a run{}, and", state.place())),
        _ => failure,
    })
}
