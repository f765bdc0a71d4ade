//! The status of runs in lines for people.

use rollfit_job::record::PartitionOutcome;

use super::super::cause_groups::{CauseGroup, PartitionCause};
use super::run::{RunState, RunStatus, UndonePartition};
use crate::follow;
use crate::format::{bytes, count, duration, plural};
use crate::view::{self, ScreenSize};

/// How many causes for which partitions were not done are named.
const PROBLEMS_MAX: usize = 10;

/// One run in full; of several what fits.
pub(super) fn runs(runs: &[RunStatus], size: ScreenSize) -> Vec<String> {
    let mut lines: Vec<String> = match runs {
        [run] => one(run, size),
        runs => runs.iter().flat_map(summary_cells).collect(),
    };
    lines.truncate(size.rows);
    lines.iter().map(|line| line.chars().take(size.columns).collect()).collect()
}

fn one(run: &RunStatus, size: ScreenSize) -> Vec<String> {
    let mut lines = vec![heading(run)];
    lines.extend(silence(run));
    let left = ScreenSize { rows: size.rows.saturating_sub(lines.len()), ..size };
    match (&run.live, &run.follow) {
        // What is behind is among the lines.
        (Some(live), Some(state)) => {
            lines.extend(follow::lines(&run.header, live, state, left));
            return lines;
        }
        (Some(live), None) => lines.extend(view::lines(&run.header, live, left)),
        (None, _) => lines.extend(totals(run)),
    }
    lines.extend(problems(run));
    lines
}

fn summary_cells(run: &RunStatus) -> Vec<String> {
    let state = match (&run.live, &run.follow) {
        (Some(live), Some(state)) => {
            follow::lines(&run.header, live, state, ScreenSize::ENOUGH).into_iter().take(2).collect()
        }
        (Some(live), None) => {
            view::lines(&run.header, live, ScreenSize::ENOUGH).into_iter().take(2).collect()
        }
        (None, _) => totals(run),
    };
    std::iter::once(heading(run)).chain(silence(run)).chain(state).collect()
}

/// A run writes its state every second, unless it is stopped or waits for a disk.
fn silence(run: &RunStatus) -> Option<String> {
    const NOTABLE_S: u64 = 5;
    let silent_s = run.silent_s.filter(|&seconds| seconds >= NOTABLE_S)?;
    Some(format!("no update for {silent_s} s; its last known state:"))
}

fn heading(run: &RunStatus) -> String {
    let header = &run.header;
    let state = match (&header.follows, run.state) {
        (Some(_), RunState::Running) => "following",
        (_, state) => state.name(),
    };
    format!(
        "run {}: {state}, process {} on {}, {} to {}",
        run.run, header.pid, header.host, header.config, header.sink
    )
}

/// What a run has done that is not running, or whose state is unknown.
fn totals(run: &RunStatus) -> Vec<String> {
    let (totals, seconds) = (&run.totals, run.took_s.max(1e-3));
    let took = duration(run.took_s);
    let took = match run.state {
        RunState::Running => format!("{took} so far"),
        RunState::Finished | RunState::Interrupted => format!("took {took}"),
        RunState::Killed => format!("{took} until its last update"),
    };
    if run.header.follows.is_some() {
        return vec![followed(run, &took)];
    }
    vec![
        format!(
            "{}/{} partitions, {} written, {} failed, {} retries; started {}, {took}",
            totals.ended,
            totals.partitions,
            totals.written,
            totals.failed,
            totals.retries,
            run.header.started
        ),
        format!(
            "{} rows, {}: {} rows/s, {}/s",
            count(totals.rows),
            bytes(totals.bytes),
            count((totals.rows as f64 / seconds) as u64),
            bytes((totals.bytes as f64 / seconds) as u64)
        ),
    ]
}

/// What a follower has done that is not running, as far as this record of it goes.
fn followed(run: &RunStatus, took: &str) -> String {
    let several = |number: u64, noun: &str| plural(usize::try_from(number).unwrap_or(usize::MAX), noun);
    format!(
        "{} added in {}, {} rewritten, {} behind, {}; started {}, {took}",
        several(run.appended.rows, "row"),
        several(run.appended.times, "addition"),
        several(run.totals.written, "partition"),
        several(run.totals.failed, "partition"),
        bytes(run.totals.bytes),
        run.header.started
    )
}

fn problems(run: &RunStatus) -> Vec<String> {
    let cause = |problem: &UndonePartition| problem.cause.clone().unwrap_or_default();
    let causes: Vec<String> = run.problems.iter().map(cause).collect();
    let told = run.problems.iter().zip(&causes).map(|(problem, cause)| PartitionCause {
        partition: &problem.partition,
        state: match problem.outcome {
            _ if run.header.follows.is_some() => "behind",
            PartitionOutcome::LeftAlone => "skipped",
            outcome => outcome.name(),
        },
        cause,
    });
    let groups = CauseGroup::from_partitions(told);
    let partitions = groups.iter().map(|group| group.line(&causes[group.at], ""));
    let keys = run.waiting.iter().map(|waiting| {
        format!("  {}: behind: {}", waiting.key, waiting.cause.as_deref().unwrap_or_default())
    });
    let more = (groups.len() + run.waiting.len()).saturating_sub(PROBLEMS_MAX);
    partitions
        .chain(keys)
        .take(PROBLEMS_MAX)
        .chain((more > 0).then(|| format!("  and {more} more")))
        .collect()
}
