//! `rollfit runs`: the runs that left a record, the newest first. One whose record is damaged is listed as such, by the name of its file;
//! a file that has neither the name nor the beginning of a record isn't.

use std::path::PathBuf;

use rollfit_job::foreign;

use super::status::run::{RunState, RunStatus};
use crate::args::{GlobalArguments, RunsArguments};
use crate::exit::{Exit, Failure};
use crate::state_dir::{self, RunFile, StateDir};
use crate::{format, output};

/// The most runs that are listed unless all are asked for.
const LISTED_MAX: usize = 20;

/// The runs that are listed.
#[derive(serde::Serialize)]
struct RunsDocument {
    runs: Vec<RunLine>,
    /// Whether there are earlier ones.
    has_more: bool,
}

/// A run.
#[derive(serde::Serialize)]
struct RunLine {
    run: String,
    /// RFC 3339; as `config` none where the beginning of the record is damaged.
    started: Option<String>,
    /// `running`, `following`, `finished`, `interrupted`, `killed`, or `damaged`.
    state: &'static str,
    /// How long it took, or has taken; as all that follows none of a damaged record.
    took_s: Option<f64>,
    written: Option<u64>,
    failed: Option<u64>,
    /// Rows of features written or added.
    rows: Option<u64>,
    config: Option<String>,
    record: PathBuf,
}

pub(super) fn run(global: &GlobalArguments, arguments: &RunsArguments) -> Result<Exit, Failure> {
    let state = StateDir::open();
    let listed_max = if arguments.all { usize::MAX } else { LISTED_MAX };
    let mut records = state.records_with_config(arguments.config.as_deref());
    let runs = records.by_ref().filter_map(line).take(listed_max).collect();
    let document = RunsDocument { runs, has_more: records.next().is_some() };
    if document.runs.is_empty() && !global.json {
        output::line(&format!("no run has left a record{}", state.place()))?;
        return Ok(Exit::Done);
    }
    output::document(global.json, &document, RunsDocument::print)?;
    Ok(Exit::Done)
}

/// The run of a record; none where it is gone by now.
fn line(RunFile { run, path: record, .. }: RunFile) -> Option<RunLine> {
    // Checked first: a run that has ended has written all of its record.
    let is_running = state_dir::is_running(&record);
    let header = state_dir::header(&record);
    if header.is_none() && !record.exists() {
        return None;
    }
    let (run, started, config) = match header {
        Some(header) => (header.run, Some(header.started), Some(header.config)),
        None => (foreign::name(&run).into_owned(), None, None),
    };
    let line = RunLine {
        run,
        started,
        state: "damaged",
        took_s: None,
        written: None,
        failed: None,
        rows: None,
        config,
        record: record.clone(),
    };
    let Ok(whole) = state_dir::read(&record) else { return Some(line) };
    let status = RunStatus::from_record(&record, whole, is_running);
    let follows = status.header.follows.is_some();
    Some(RunLine {
        state: if follows && status.state == RunState::Running { "following" } else { status.state.name() },
        took_s: Some(status.took_s),
        written: Some(status.totals.written),
        failed: Some(status.totals.failed),
        rows: Some(if follows { status.appended.rows } else { status.totals.rows }),
        ..line
    })
}

impl RunsDocument {
    fn print(&self) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = self.runs.iter().map(RunLine::cells).collect();
        output::table(&["run", "started", "state", "took", "written", "failed", "rows"], &rows)?;
        if self.has_more {
            output::line(&format!(
                "... and earlier ones; --all lists all, these are the newest {LISTED_MAX}"
            ))?;
        }
        Ok(())
    }
}

impl RunLine {
    fn cells(&self) -> Vec<String> {
        let count = |number: Option<u64>| number.map_or(format::UNKNOWN.to_owned(), format::count);
        vec![
            self.run.clone(),
            self.ago().unwrap_or_else(|| format::UNKNOWN.to_owned()),
            self.state.to_owned(),
            self.took_s.map_or(format::UNKNOWN.to_owned(), format::duration),
            count(self.written),
            count(self.failed),
            count(self.rows),
        ]
    }

    /// `3.1 h ago`; none where its start is no instant, or is still to come.
    fn ago(&self) -> Option<String> {
        let started: jiff::Timestamp = self.started.as_ref()?.parse().ok()?;
        let seconds = jiff::Timestamp::now().duration_since(started).as_secs_f64();
        (seconds >= 0.0).then(|| format!("{} ago", format::age(seconds)))
    }
}
