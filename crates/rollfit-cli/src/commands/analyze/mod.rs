//! `rollfit analyze`: what limits a run and what each fix would gain, from the run's record: on a terminal, as JSON, as
//! Markdown, as an HTML file.

mod document;
#[cfg(test)]
mod example;
mod html;
mod joined;
mod joined_tables;
mod markdown;
mod run_analysis;
mod run_now;
mod tables;
mod terminal;
mod words;

use std::io;
use std::path::{Path, PathBuf};

use rollfit_analysis::Analysis;
use rollfit_job::record::{Header, PartitionOutcome, Record};

use self::document::Document;
pub use self::run_analysis::RunAnalysis;
use self::run_now::RunNow;
use crate::args::{AnalyzeArguments, GlobalArguments};
use crate::config_path::ConfigPath;
use crate::exit::{Exit, Failure};
use crate::replace::replace;
use crate::state_dir::{self, RunFile, StateDir};
use crate::{output, trace};

pub(super) fn run(global: &GlobalArguments, arguments: &AnalyzeArguments) -> Result<Exit, Failure> {
    let files = joined::files(&arguments.runs.iter().map(PathBuf::from).collect::<Vec<_>>())?;
    if files.len() > 1 {
        return joined::run(global, arguments, &files);
    }
    let run = files.first().map(PathBuf::as_path);
    let config = if run.is_none() { ConfigPath::of_runs(arguments.config.as_deref())? } else { None };
    let (record, analysis, now) = load(run, config.as_deref())?;
    if let Some(file) = &arguments.trace {
        written("--trace", file, trace::save(&record, file))?;
    }
    if let Some(file) = &arguments.html {
        written("--html", file, replace(file, html::render(&analysis, now).as_bytes()))?;
    }
    print(global, arguments, &analysis, now)?;
    Ok(Exit::Done)
}

/// The record of a run, or of the newest one of a configuration or at all, and what it says.
fn load(run: Option<&Path>, config: Option<&Path>) -> Result<(Record, Analysis, RunNow), Failure> {
    let state = StateDir::open();
    let path = match run {
        Some(run) => record_path(&state, run)?,
        None => state.newest(config)?,
    };
    let record = state_dir::read(&path)?;
    let now = RunNow::new(&path, &record);
    not_a_follower(&record)?;
    let analysis = Analysis::new(&record, &earlier(&state, &record));
    Ok((record, analysis, now))
}

/// The record that is meant by a run's name, the beginning of one, or a file.
fn record_path(state: &StateDir, run: &Path) -> Result<PathBuf, Failure> {
    // A name is text; what is not is a path.
    run.to_str().map_or_else(|| Ok(run.to_owned()), |name| state.find(name))
}

/// An error where a record is a follower's.
fn not_a_follower(record: &Record) -> Result<(), Failure> {
    if record.header.follows.is_none() {
        return Ok(());
    }
    let run = &record.header.run;
    Err(Failure::usage(format!(
        "{run} is the record of a follower: it waits for rows, and nothing limits it that could be analyzed; `rollfit status \
         {run}` shows what it did"
    )))
}

fn written(flag: &str, file: &Path, written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| Failure::usage(format!("{flag}: cannot write {}: {error}", file.display())))
}

/// Prints the analysis, or only the names of the files where files alone were asked for.
fn print(
    global: &GlobalArguments,
    arguments: &AnalyzeArguments,
    analysis: &Analysis,
    now: RunNow,
) -> io::Result<()> {
    let mut files = [&arguments.html, &arguments.trace].into_iter().flatten().peekable();
    if global.json {
        output::json(analysis)
    } else if arguments.markdown {
        output::lines(&markdown::render(&Document::new(analysis, now)))
    } else if files.peek().is_some() {
        files.try_for_each(|file| output::line(&format!("wrote {}", file.display())))
    } else {
        output::lines(&terminal::render_to_fit(&Document::new(analysis, now)))
    }
}

/// The runs of the same job that began before this one and wrote something, the newest first. What cannot be read is passed over.
fn earlier(state: &StateDir, record: &Record) -> Vec<Record> {
    const MOST: usize = 8;
    let Header { job, started, .. } = &record.header;
    let is_earlier = |_: &RunFile, header: &Header| header.job == *job && header.started < *started;
    let wrote = |other: &Record| other.partitions.iter().any(|end| end.outcome == PartitionOutcome::Written);
    state.records_of(is_earlier).filter(wrote).take(MOST).collect()
}
