//! SIGKILL of the executable at every moment of a partition. What it left is all of the old or all of the new; the same
//! command again finishes the work.

use std::os::unix::process::ExitStatusExt;

use rollfit_job::config::Layout;

use crate::checker::{Contents, Undisturbed};
use crate::sandbox::Answer;
use crate::stopped::with_signal;
use crate::workload::Workload;

/// In the second of two partitions, so that there is a first one that is to be left alone.
const BEFORE_IT_WRITES: [&str; 3] = ["connected:2", "locked:2", "receipt-read:2"];
const WHILE_IT_WRITES: [&str; 5] =
    ["deleted:2", "first-copy-byte:3", "middle-of-table-1:5", "between-tables:2", "middle-of-table-2:5"];
const AROUND_THE_COMMIT: [&str; 4] =
    ["receipt-written:2", "commit-sent:2", "commit-answered:2", "vacuumed:2"];
/// In the first partition, where the table of receipts is not there before.
const IN_THE_FIRST: [&str; 5] =
    ["connected:1", "first-copy-byte:1", "receipt-written:1", "commit-answered:1", "vacuumed:1"];

/// What the run was to do when it was killed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    FirstLoad,
    Rewrite,
    ChangedSources,
}

impl Work {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::FirstLoad | Self::ChangedSources => &["run", "--quiet"],
            Self::Rewrite => &["run", "--quiet", "--force"],
        }
    }
}

/// Kills runs at these moments, one after the other, each with all its work before it.
#[track_caller]
fn survives(work: Work, moments: &[&str]) {
    survives_in(Layout::Metrics, work, moments);
}

#[track_caller]
pub(crate) fn survives_in(layout: Layout, work: Work, moments: &[&str]) {
    let (workload, undisturbed) = (Workload::small().in_layout(layout), Undisturbed::small_in(layout));
    let (mut old, mut new) = (Contents::none(), undisturbed.usual.clone());
    if work != Work::FirstLoad {
        workload.done();
        old = new.clone();
    }
    if work == Work::ChangedSources {
        new = undisturbed.changed.clone();
    }
    for moment in moments {
        match work {
            Work::FirstLoad => workload.forget(),
            Work::Rewrite => {}
            Work::ChangedSources => workload.change_sources(),
        }
        kill_at(&workload, moment, work.arguments());
        workload.each_partition_is_old_or_new(&old, &new);
        workload.run(work.arguments()).exits(0);
        workload.is(&new);
        if work == Work::ChangedSources {
            std::mem::swap(&mut old, &mut new);
        }
    }
}

#[track_caller]
fn kill_at(workload: &Workload<'_>, moment: &str, arguments: &[&str]) {
    let variable = with_signal(moment, "KILL");
    let answer: Answer = workload.run_with(&[("ROLLFIT_FAILPOINT", &variable)], arguments);
    assert_eq!(answer.status.signal(), Some(9), "{moment}: {answer}");
}

#[test]
fn killed_before_it_writes_a_first_load_is_finished_by_the_same_command() {
    survives(Work::FirstLoad, &BEFORE_IT_WRITES);
}

#[test]
fn killed_while_it_writes_a_first_load_is_finished_by_the_same_command() {
    survives(Work::FirstLoad, &WHILE_IT_WRITES);
}

#[test]
fn killed_around_the_commit_a_first_load_is_finished_by_the_same_command() {
    survives(Work::FirstLoad, &AROUND_THE_COMMIT);
}

#[test]
fn killed_in_the_very_first_partition_a_first_load_is_finished_by_the_same_command() {
    survives(Work::FirstLoad, &IN_THE_FIRST);
}

#[test]
fn killed_before_it_writes_a_rewrite_leaves_the_old_or_the_new() {
    survives(Work::Rewrite, &BEFORE_IT_WRITES);
}

#[test]
fn killed_while_it_writes_a_rewrite_leaves_the_old_or_the_new() {
    survives(Work::Rewrite, &WHILE_IT_WRITES);
}

#[test]
fn killed_around_the_commit_a_rewrite_leaves_the_old_or_the_new() {
    survives(Work::Rewrite, &AROUND_THE_COMMIT);
}

#[test]
fn killed_before_it_writes_a_run_on_changed_sources_leaves_the_old_or_the_new() {
    survives(Work::ChangedSources, &BEFORE_IT_WRITES);
}

#[test]
fn killed_while_it_writes_a_run_on_changed_sources_leaves_the_old_or_the_new() {
    survives(Work::ChangedSources, &WHILE_IT_WRITES);
}

#[test]
fn killed_around_the_commit_a_run_on_changed_sources_leaves_the_old_or_the_new() {
    survives(Work::ChangedSources, &AROUND_THE_COMMIT);
}
