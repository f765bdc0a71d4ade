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
    let leaves = logging::leaves_ends_to_summary();
    let serious = |text: String| Remark { is_serious: true, text };
    let skipped = |text: String| Remark { is_serious: !(allow_skipped.allow_skipped || leaves), text };
    let Remark { is_serious, text } = match outcome {
        CheckOutcome::Checked(found) => remark(found),
        CheckOutcome::Absent => skipped(NO_FEATURES.to_owned()),
        CheckOutcome::Empty => Remark { is_serious: false, text: EMPTY.to_owned() },
        CheckOutcome::Newer(what) => skipped(what.clone()),
        CheckOutcome::Blocked(what) => serious(format!("blocked: {what}")),
        CheckOutcome::Failed(error) => serious(error_chain(error)),
        CheckOutcome::Skipped => return,
    };
    let cause = PartitionCause { partition, state: command, cause: &text };
    if !(is_serious && leaves) || cause.is_first_of_group() {
        logging::about(partition, command, is_serious, &text);
    }
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
        CheckOutcome::Blocked(what) => ("blocked", Some(what.clone())),
        CheckOutcome::Failed(error) => ("failed", Some(error_chain(error))),
        CheckOutcome::Skipped => ("skipped", None),
    }
}

/// Why the check of a partition ended as it did; nothing where there is nothing to say.
pub(super) struct VerdictCauses<'a> {
    pub(super) partition: &'a Partition,
    pub(super) verdict: &'a str,
    pub(super) causes: &'a [String],
    /// What explains all of them; none where nothing is known to.
    pub(super) reason: Option<String>,
}

impl VerdictCauses<'_> {
    /// What partitions that share a line have in common.
    fn common(&self) -> String {
        let subject = |cause: &String| cause.split(" at ").next().unwrap_or_default().to_owned();
        match (&self.reason, self.causes) {
            (Some(reason), _) => reason.clone(),
            (None, [only]) => only.clone(),
            (None, several) => several.iter().map(subject).collect::<Vec<_>>().join("; "),
        }
    }

    /// Prints the first `most` of its causes, a line each, and how many more there are.
    fn print(&self, most: usize) -> io::Result<()> {
        let Self { partition, verdict, causes, .. } = self;
        for cause in causes.iter().take(most) {
            output::line(&format!("  {partition}: {verdict}: {cause}"))?;
        }
        match causes.len().saturating_sub(most) {
            0 => Ok(()),
            more => output::line(&format!("  {partition}: {}", format::plural(more, "more difference"))),
        }
    }
}

/// Prints a line for the partitions of each cause; of those with several causes or a reason, the first partition's, of which `most` have a
/// line each.
pub(super) fn print_causes(checked: &[VerdictCauses<'_>], most: usize) -> io::Result<()> {
    let checked: Vec<&VerdictCauses<'_>> =
        checked.iter().filter(|one| !one.causes.is_empty() || one.reason.is_some()).collect();
    let common: Vec<String> = checked.iter().map(|one| one.common()).collect();
    let told = checked.iter().zip(&common).map(|(one, cause)| PartitionCause {
        partition: one.partition,
        state: one.verdict,
        cause,
    });
    let groups = CauseGroup::from_partitions(told);
    for group in groups.iter().take(cause_groups::GROUPS_MAX) {
        let first = checked[group.at];
        let cause = match (&first.reason, first.causes) {
            (Some(reason), _) => reason.clone(),
            (None, [only]) => only.clone(),
            (None, several) => format!("{} each", format::plural(several.len(), "difference")),
        };
        let is_short = first.reason.is_none() && first.causes.len() == 1;
        if group.count > 1 || is_short || first.reason.is_some() {
            output::line(&group.line(&cause, ""))?;
        }
        if !is_short {
            first.print(most)?;
        }
    }
    cause_groups::rest_line(&groups).iter().try_for_each(|line| output::line(line))
}

/// The end of a line of counts: how many partitions are empty, if any.
pub(super) fn empty_words(empty: usize) -> String {
    if empty > 0 { format!(", {empty} empty") } else { String::new() }
}

/// The end of a line of counts: how many partitions a later version of rollfit wrote, if any.
pub(super) fn newer_words(newer: usize) -> String {
    if newer > 0 { format!(", {newer} newer") } else { String::new() }
}

/// The end of a line of counts: how many partitions files of others block, if any.
pub(super) fn blocked_words(blocked: usize) -> String {
    if blocked > 0 { format!(", {blocked} blocked") } else { String::new() }
}

/// Prints how many partitions were not done because of a signal, and how many because they are in other shards, if any.
pub(super) fn print_not_done(skipped: usize, share: Option<&Share>, done: &str) -> io::Result<()> {
    if skipped > 0 {
        output::line(&format!("Interrupted: {} not {done}", format::plural(skipped, "partition")))?;
    }
    share::others_sentence(share, done).iter().try_for_each(|others| output::line(others))
}
