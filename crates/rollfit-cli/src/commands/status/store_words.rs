//! A job as its store shows it, in lines for people.

use rollfit_analysis::Estimate;
use rollfit_job::runners::{HeldPartition, StoreRunner};
use rollfit_job::store_progress::{HoldingCounts, RemainingTime, StoreProgress};

use super::receipts::counted;
use super::store::Shown;
use crate::format::{age, bytes, count, estimated_time, plural, rate, time};
use crate::view::ScreenSize;

/// How many partitions of one runner are named.
const HELD_MAX: usize = 4;

/// The whole job first, then what may be wrong, then each runner, as far as there is room.
pub(super) fn lines(shown: &Shown<'_>, size: ScreenSize) -> Vec<String> {
    let progress = shown.progress;
    let mut lines = vec![counted(&progress.counts, shown.sink), pace(progress), at_work(progress)];
    lines.extend(clock(progress));
    lines.extend(progress.runners.iter().flat_map(|runner| held_long(progress, runner)));
    lines.extend(progress.runners.iter().map(|runner| runner_line(shown, runner)));
    let hidden = (lines.len() + 1).saturating_sub(size.rows);
    if lines.len() > size.rows {
        lines.truncate(size.rows.saturating_sub(1));
        lines.push(format!("and {} more", plural(hidden, "line")));
    }
    lines.iter().map(|line| line.chars().take(size.columns).collect()).collect()
}

/// `120 partitions in the last 10.0 min, 12.0 a minute, 310,233 rows/s; ETA 18.0 min (15.0–22.0 min)`
fn pace(progress: &StoreProgress) -> String {
    let Some(pace) = &progress.pace else { return format!("speed not known; {}", eta(progress)) };
    let rows = pace.rows_per_s.map(|rows| format!(", {} rows/s", rate(rows))).unwrap_or_default();
    format!(
        "{} in the last {}, {} a minute{rows}; {}",
        plural(usize::try_from(pace.commits).unwrap_or(usize::MAX), "partition"),
        time(pace.span_s),
        rate(pace.partitions_per_s * 60.0),
        eta(progress)
    )
}

/// The time that is left, or why it is not known.
fn eta(progress: &StoreProgress) -> String {
    let counts = &progress.counts;
    let eta = match &progress.remaining {
        Some(RemainingTime { low_s, expected_s, high_s }) => {
            estimated_time(&Estimate { low: *low_s, expected: *expected_s, high: *high_s })
        }
        None if counts.unread == 0 && counts.missing == 0 => return nothing_missing(counts),
        None if !progress.is_at_work() => "not known: nobody works on it".to_owned(),
        None if progress.is_stalled => "not known: all that is missing has been held for too long".to_owned(),
        None => "not known: too few partitions were committed lately".to_owned(),
    };
    format!("ETA {eta}")
}

/// A run writes what is missing; what is there and not of this definition it leaves, unless it is told to replace it.
fn nothing_missing(counts: &HoldingCounts) -> String {
    let others = [
        (counts.definition_changed, "of another definition"),
        (counts.foreign, "foreign"),
        (counts.newer, "of a later version"),
        (counts.unreadable, "unreadable"),
    ];
    let others = others.iter().filter(|(number, _)| *number > 0).map(|&(number, what)| {
        let be = if number == 1 { "is" } else { "are" };
        format!("{} {be} {what}", plural(usize::try_from(number).unwrap_or(usize::MAX), "partition"))
    });
    let others: Vec<String> = others.collect();
    match others.is_empty() {
        true => "ETA 0 s: nothing is missing".to_owned(),
        false => format!("nothing is missing; {}", others.join(", ")),
    }
}

fn at_work(progress: &StoreProgress) -> String {
    let ago = progress.last_commit_us.map(|at| progress.now_us.saturating_sub(at).max(0) as f64 / 1e6);
    let last = ago.map_or("no commit yet".to_owned(), |s| format!("last commit {} ago", age(s)));
    let held: usize = progress.runners.iter().map(|runner| runner.held.len()).sum();
    let runners = progress.runners.len();
    match runners {
        0 if progress.is_at_work() => format!("no runner has a partition at this moment; {last}"),
        0 => format!("no runner is at work; {last}"),
        _ if held == 0 => format!("{}, idle; {last}", plural(runners, "runner")),
        _ => {
            let have = if runners == 1 { "has" } else { "have" };
            format!("{} {have} {}; {last}", plural(runners, "runner"), plural(held, "partition"))
        }
    }
}

/// A clock that is ahead makes every time here wrong.
fn clock(progress: &StoreProgress) -> Option<String> {
    let ahead = time(progress.clock_ahead_s()?);
    Some(format!(
        "warning: the last commit is {ahead} in the future: set the clocks of all machines (NTP); times and the ETA are off"
    ))
}

fn held_long(progress: &StoreProgress, runner: &StoreRunner) -> Vec<String> {
    let long = |held: &&HeldPartition| progress.is_held_long(held);
    let warning = |held: &HeldPartition| {
        let held_for = time(progress.held_s(held).unwrap_or_default());
        format!(
            "warning: {} has had {} for {held_for}: check that it is alive; a partition is free as soon as its process ends",
            name(runner),
            held.partition
        )
    };
    runner.held.iter().filter(long).map(warning).collect()
}

/// `rollfit 4711@worker-3, shard 3/8, since 12.0 min, 4 sessions: eurusd 2017-01 for 12.3 s, 36.1 MB`
fn runner_line(shown: &Shown<'_>, runner: &StoreRunner) -> String {
    let progress = shown.progress;
    let mut what = vec![name(runner)];
    what.extend(runner.name.shard.map(|shard| format!("shard {shard}")));
    what.extend(
        shown.other_definition(&runner.name).map(|other| format!("computes another definition, {other}")),
    );
    what.extend(runner.address.as_ref().map(|address| format!("from {address}")));
    let since_s = runner.since_us.map(|since| progress.now_us.saturating_sub(since).max(0) as f64 / 1e6);
    what.extend(since_s.map(|s| format!("at work for {}", time(s))));
    what.extend(runner.sessions.map(|sessions| plural(sessions as usize, "session")));
    let held: Vec<String> = runner.held.iter().take(HELD_MAX).map(|held| held_line(progress, held)).collect();
    let more = runner.held.len().saturating_sub(HELD_MAX);
    let more = if more > 0 { format!(" and {} more", count(more as u64)) } else { String::new() };
    let held = if held.is_empty() { "no partition".to_owned() } else { held.join("; ") };
    format!("  {}: {held}{more}", what.join(", "))
}

fn held_line(progress: &StoreProgress, held: &HeldPartition) -> String {
    let held_for = progress.held_s(held).map(|s| format!(" for {}", time(s))).unwrap_or_default();
    let written = held.bytes.filter(|&written| written > 0);
    let written = written.map(|written| format!(", {} written", bytes(written))).unwrap_or_default();
    format!("{}{held_for}{written}", held.partition)
}

/// A runner as people name it.
fn name(runner: &StoreRunner) -> String {
    match runner.name.is_unknown() {
        true => "another process".to_owned(),
        false => format!("rollfit {}@{}", runner.name.pid, runner.name.host),
    }
}
