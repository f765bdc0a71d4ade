//! Findings: what limits a run, in a headline and one by one.

use rollfit_analysis::{Analysis, CombinedGain, Headline, LaneSlice, NoEstimate, RankedCause};
use rollfit_job::config::{Origin, Setting};
use rollfit_job::record::{Header, PartitionOutcome};

use super::cause::title;
use super::limit::limit;
use super::observation::observation;
use super::run::origin;
use super::{Fact, code, early};
use super::{applies_briefly, remedy};
use crate::commands::analyze::run_now::RunNow;
use crate::format::{count, estimated_factor, estimated_time, percent, quantity, time};

/// What limits the run, with what speaks most for it.
pub(in super::super) fn headline(analysis: &Analysis, now: RunNow) -> String {
    let header = &analysis.header;
    match (&analysis.finding, analysis.bottlenecks.first()) {
        (Headline::Limited { gain, .. }, Some(first)) if is_told_first(first, analysis) => {
            let evidence = first.evidence.first().map(|first| format!(": {}", observation(first)));
            let gain = gain
                .as_ref()
                .map(|gain| format!(" Fixing this would make the job {} faster.", estimated_factor(gain)));
            format!("{}{}.{}", title(first), evidence.unwrap_or_default(), gain.unwrap_or_default())
        }
        (Headline::Balanced { cores_busy, activities, gain_max, limit: limited_by }, _)
            if analysis.early.is_none() =>
        {
            let cores = header.machine.cores_allowed;
            let cores = cores
                .map_or_else(|| "the cores".to_owned(), |cores| format!("the {} cores", quantity(cores)));
            let busy = cores_busy.map(|busy| format!("{cores} are {} busy, ", percent(busy)));
            let activities: Vec<&str> = activities.iter().map(|activity| activity.name()).collect();
            format!(
                "Balanced: {}the workers spend their time {}, and no change gains more than {}. The limit is {}.",
                busy.unwrap_or_default(),
                activities.join(" and "),
                percent(*gain_max),
                limit(limited_by)
            )
        }
        _ => match &analysis.early {
            Some(told) => early::headline(told, analysis, now),
            None => nothing_written(analysis),
        },
    }
}

/// Whether a cause says more of a run than how far it came. Where no gain is known, it has to take most of the time of a run that was not
/// killed: below that, full cores may be why a worker waits.
fn is_told_first(first: &RankedCause, analysis: &Analysis) -> bool {
    const MOST: f64 = 0.5;
    let is_killed = analysis.no_estimate == Some(NoEstimate::Killed);
    analysis.early.is_none() || !is_killed && first.impact >= MOST
}

/// Why a run wrote nothing without a failure.
fn nothing_written(analysis: &Analysis) -> String {
    let is_skipped = |slice: &&LaneSlice| slice.outcome == PartitionOutcome::LeftAlone;
    let why = match analysis.lanes.iter().filter(is_skipped).count() {
        0 => "There was nothing to write".to_owned(),
        skipped => {
            let all = count(analysis.progress.partitions);
            format!("Nothing was written: {} of {all} partitions were skipped", count(skipped as u64))
        }
    };
    format!("{why}, so the record does not show what limits the run.")
}

/// What speaks for a finding, a sentence each.
pub(in super::super) fn evidence(finding: &RankedCause) -> Vec<String> {
    finding.evidence.iter().map(observation).collect()
}

/// A finding's setting and remedy.
pub(in super::super) fn facts(finding: &RankedCause, analysis: &Analysis) -> Vec<Fact> {
    let setting =
        finding.setting.as_ref().map(|setting| code("setting", setting_words(setting, &analysis.header)));
    let remedy = remedy::facts(finding, analysis);
    setting.into_iter().chain(remedy).filter(|fact| !fact.text.is_empty()).collect()
}

/// `run.workers = 4 (rollfit.toml, line 31)`.
pub(super) fn setting_words(setting: &Setting, header: &Header) -> String {
    match &setting.value {
        Some(value) => format!("{} = {value} ({})", setting.name, origin(setting, header)),
        None if setting.origin == Origin::Default => format!("{} is not set", setting.name),
        None => format!("{} is not set ({})", setting.name, origin(setting, header)),
    }
}

/// What all remedies together would gain, in one sentence.
pub(in super::super) fn combined(combined: &CombinedGain) -> String {
    format!(
        "{} faster: the whole job in {} instead of {}",
        estimated_factor(&combined.gain),
        estimated_time(&combined.job_s),
        time(combined.job_s_now)
    )
}

/// What to do, in order.
pub(in super::super) fn steps(analysis: &Analysis) -> Vec<String> {
    let steps = analysis.combined.iter().flat_map(|combined| &combined.steps);
    steps.map(|&at| step(analysis, at)).filter(|step| !step.is_empty()).collect()
}

/// What to do about the bottleneck at this position, and when that takes effect.
pub(in super::super) fn step(analysis: &Analysis, at: usize) -> String {
    let Some(finding) = analysis.bottlenecks.get(at) else { return String::new() };
    let told = finding.remedy.as_ref().map(|remedy| {
        let action = remedy::action(finding.cause, &remedy.change);
        format!("{action} (applies {})", applies_briefly(remedy.applies))
    });
    told.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;

    #[test]
    fn a_setting_is_written_with_where_it_came_from() {
        let header = Header { config: "/etc/fx/job.toml".to_owned(), ..Header::default() };
        let told = |value: Option<&str>, origin| {
            let value = value.map(str::to_owned);
            setting_words(&Setting { name: "run.workers".to_owned(), value, origin }, &header)
        };
        assert_eq!(told(Some("4"), Origin::Line(31)), "run.workers = 4 (job.toml, line 31)");
        assert_eq!(told(Some("4"), Origin::Default), "run.workers = 4 (default)");
        assert_eq!(told(Some("4"), Origin::Flag("--workers".to_owned())), "run.workers = 4 (flag --workers)");
        let variable = Origin::Variable("ROLLFIT_RUN__WORKERS".to_owned());
        assert_eq!(told(Some("4"), variable), "run.workers = 4 (variable ROLLFIT_RUN__WORKERS)");
        assert_eq!(told(None, Origin::Default), "run.workers is not set");
    }

    #[test]
    fn a_cause_without_a_gain_comes_first_where_it_takes_most_of_the_time() {
        let told = |impact, why| {
            let mut analysis = example::full();
            analysis.early = example::early().early;
            analysis.no_estimate = Some(why);
            analysis.bottlenecks[0].impact = impact;
            headline(&analysis, RunNow::default())
        };
        let short = || NoEstimate::Short { work_s: 1.6 };
        assert!(told(0.8, short()).starts_with("Fewer workers than would pay"), "{}", told(0.8, short()));
        assert!(told(0.4, short()).contains("partitions done"), "{}", told(0.4, short()));
        assert!(!told(0.8, NoEstimate::Killed).contains("would pay"));
    }

    #[test]
    fn partitions_that_were_skipped_are_not_nothing_to_write() {
        let mut analysis = example::bare();
        let bare = headline(&analysis, RunNow::default());
        assert!(bare.starts_with("There was nothing to write, so"), "{bare}");
        analysis.lanes = example::full().lanes.into_iter().take(6).collect();
        analysis.lanes.iter_mut().for_each(|slice| slice.outcome = PartitionOutcome::LeftAlone);
        analysis.progress.partitions = 6;
        let skipped = headline(&analysis, RunNow::default());
        assert!(skipped.starts_with("Nothing was written: 6 of 6 partitions were skipped, so"), "{skipped}");
    }
}
