//! The finding: what limits a run, in one sentence with its evidence. And what all remedies together would give.

use super::causes::{GAIN_LEAST, Ranked, all_applied};
use super::evidence::Evidence;
use super::report::{Combined, Estimate};
use super::resources::activities;
use super::scaling::{binding, divided};
use super::words::{number, percent};
use rollfit_job::activity::Activity;

/// What limits the run.
pub(super) fn finding(evidence: &Evidence<'_>, ranked: &[Ranked]) -> String {
    let Some(first) = ranked.first() else { return balanced(evidence) };
    let bottleneck = &first.bottleneck;
    let evidence = bottleneck.evidence.first().map(String::as_str).unwrap_or_default();
    let told = format!("{}: {evidence}.", capital(&bottleneck.title));
    match bottleneck.remedy.as_ref().and_then(|remedy| remedy.gain) {
        Some(gain) => {
            let (times, range) = (number(gain.expected), range(gain));
            format!("{told} Its remedy would make the whole job {times} times as fast ({range}).")
        }
        None => told,
    }
}

/// Nothing stands out: what is used fully, and what it is used for.
fn balanced(evidence: &Evidence<'_>) -> String {
    let shares = activities(evidence.record);
    let name = |activity: Activity| activity.name();
    let most: Vec<&str> = shares.iter().take(2).map(|share| name(share.activity)).collect();
    let busy = evidence.cores_busy().map(|busy| {
        let cores = evidence.record.header.machine.cores_allowed;
        let cores =
            cores.map_or_else(|| "the cores".to_owned(), |cores| format!("the {} cores", number(cores)));
        format!("{cores} are {} busy, ", percent(busy))
    });
    format!(
        "Balanced: {}the workers' time goes into {}; nothing to change brings more than {}. The limit is {}.",
        busy.unwrap_or_default(),
        most.join(" and "),
        percent(GAIN_LEAST),
        binding(&evidence.case)
    )
}

/// What is told of a run that wrote nothing.
pub(super) fn nothing_written() -> String {
    "Nothing was written, so nothing can be told about what limits it.".to_owned()
}

fn range(gain: Estimate) -> String {
    format!("{} to {}", number(gain.low), number(gain.high))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What all remedies together would give.
pub(super) fn combined(evidence: &Evidence<'_>, ranked: &[Ranked]) -> Option<Combined> {
    let mut steps: Vec<(&str, &str)> = ranked
        .iter()
        .filter_map(|ranked| ranked.bottleneck.remedy.as_ref())
        .map(|remedy| (remedy.applies.as_str(), remedy.action.as_str()))
        .collect();
    if steps.is_empty() {
        return None;
    }
    // What takes effect at once first; otherwise what brings most.
    steps.sort_by_key(|(applies, _)| !applies.starts_with("at once"));
    let gain = evidence.case.gain(&all_applied(&evidence.case, ranked));
    Some(Combined {
        gain,
        job_s_now: evidence.job_s(),
        job_s: divided(evidence.job_s(), gain),
        steps: steps.into_iter().map(|(applies, action)| format!("{action} (applies {applies})")).collect(),
    })
}
