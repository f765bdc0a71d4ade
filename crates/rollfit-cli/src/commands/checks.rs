//! What verify, compare and adopt share: they log, name and print how the check of each partition ended.

use std::io;

use rollfit_job::check::CheckOutcome;
use rollfit_job::error_chain;
use rollfit_job::partition::Partition;

use super::cause_groups::{self, CauseGroup, PartitionCause};
use crate::allow_skipped::AllowSkipped;
use crate::share::{self, Share};
use crate::{format, logging, output};

pub(super) const NO_FEATURES: &str = "there are no features";
const EMPTY: &str = "no features, and no series has a row";

/// A message about a partition, and whether the user should know of it.
pub(super) struct Remark {
    pub(super) is_serious: bool,
    pub(super) text: String,
}

/// Logs how the check of a partition ended; `remark` says what it showed.
pub(super) fn log<T>(
    command: &str,
    partition: &Partition,
    outcome: &CheckOutcome<T>,
    allow_skipped: AllowSkipped,
    remark: impl FnOnce(&T) -> Remark,
) {
    let serious = |text: String| Remark { is_serious: true, text };
    let skipped = |text: String| Remark { is_serious: !allow_skipped.allow_skipped, text };
    let Remark { is_serious, text } = match outcome {
        CheckOutcome::Checked(found) => remark(found),
        CheckOutcome::Absent => skipped(NO_FEATURES.to_owned()),
        CheckOutcome::Empty => Remark { is_serious: false, text: EMPTY.to_owned() },
        CheckOutcome::Newer(what) => skipped(what.clone()),
        CheckOutcome::Failed(error) => serious(error_chain(error)),
        CheckOutcome::Skipped => return,
    };
    logging::about(partition, command, is_serious, &text);
}

/// Returns the word for how a check ended, and why where nothing could be checked; `word` says it of what was checked.
pub(super) fn verdict<T>(
    outcome: &CheckOutcome<T>,
    word: impl FnOnce(&T) -> &'static str,
) -> (&'static str, Option<String>) {
    match outcome {
        CheckOutcome::Checked(found) => (word(found), None),
        CheckOutcome::Absent => ("absent", Some(NO_FEATURES.to_owned())),
        CheckOutcome::Empty => ("empty", Some(EMPTY.to_owned())),
        CheckOutcome::Newer(what) => ("newer", Some(what.clone())),
        CheckOutcome::Failed(error) => ("failed", Some(error_chain(error))),
        CheckOutcome::Skipped => ("skipped", None),
    }
}

/// Why the check of a partition ended as it did; nothing where there is nothing to say.
pub(super) struct VerdictCauses<'a> {
    pub(super) partition: &'a Partition,
    pub(super) verdict: &'a str,
    pub(super) causes: &'a [String],
}

/// Prints a line for each cause that partitions have alone, and of those with several causes the first `most`, a line each, and how
/// many more there are.
pub(super) fn print_causes(checked: &[VerdictCauses<'_>], most: usize) -> io::Result<()> {
    let told: Vec<PartitionCause<'_>> = checked
        .iter()
        .filter_map(|VerdictCauses { partition, verdict, causes }| match causes {
            [cause] => Some(PartitionCause { partition, state: verdict, cause }),
            _ => None,
        })
        .collect();
    let groups = CauseGroup::from_partitions(told.iter().copied());
    let lines = cause_groups::lines(&groups, "", |at| told[at].cause.to_owned());
    lines.iter().try_for_each(|line| output::line(line))?;
    for VerdictCauses { partition, verdict, causes } in checked.iter().filter(|one| one.causes.len() > 1) {
        let more = causes.len().saturating_sub(most);
        for cause in causes.iter().take(most) {
            output::line(&format!("  {partition}: {verdict}: {cause}"))?;
        }
        if more > 0 {
            output::line(&format!("  {partition}: {}", format::plural(more, "more difference")))?;
        }
    }
    Ok(())
}

/// The end of a line of counts: how many partitions are empty, if any.
pub(super) fn empty_words(empty: usize) -> String {
    if empty > 0 { format!(", {empty} empty") } else { String::new() }
}

/// The end of a line of counts: how many partitions a later version of rollfit wrote, if any.
pub(super) fn newer_words(newer: usize) -> String {
    if newer > 0 { format!(", {newer} newer") } else { String::new() }
}

/// Prints how many partitions were not done because of a signal, and how many because they are in other shards, if any.
pub(super) fn print_not_done(skipped: usize, share: Option<&Share>, done: &str) -> io::Result<()> {
    if skipped > 0 {
        output::line(&format!("Interrupted: {} not {done}", format::plural(skipped, "partition")))?;
    }
    share::others_sentence(share, done).iter().try_for_each(|others| output::line(others))
}
