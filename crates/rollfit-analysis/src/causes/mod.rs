//! What costs time: each cause looked for by itself, each with the change that would remove it, ranked by what that gains.
//!
//! Invariants: a gain is what the model says of the whole job with the cause removed, so never more than what would limit it
//! then allows; a cause whose removal gains less than [`GAIN_LEAST`] is none.

mod fix;
mod machine;
mod store;
mod trouble;
mod workers;

use rollfit_job::config::Setting;
use rollfit_job::store::AppliesWhen;

use self::fix::Fix;
use super::estimate::Estimate;
use super::ranked_cause::Observation;
use super::ranked_cause::{CombinedGain, LimitingCause, RankedCause, Remedy};
use super::run_facts::RunFacts;
use super::scaling::divided;
use super::scenario::Scenario;

/// What gains less is not worth naming.
pub(super) const GAIN_LEAST: f64 = 0.05;
/// Where no gain is known, what costs less is not worth naming.
const IMPACT_LEAST: f64 = 0.1;

/// Something that costs time.
struct Found {
    cause: LimitingCause,
    impact: f64,
    evidence: Vec<Observation>,
    setting: Option<Setting>,
    fix: Option<Fix>,
}

/// A finding, and the fix behind its remedy.
pub(super) struct Ranked {
    pub(super) finding: RankedCause,
    fix: Option<Fix>,
}

/// What costs time, what gains most first.
pub(super) fn ranked(facts: &RunFacts<'_>) -> Vec<Ranked> {
    let found = machine::found(facts)
        .into_iter()
        .chain(workers::found(facts))
        .chain(store::found(facts))
        .chain(trouble::found(facts));
    let mut ranked: Vec<Ranked> = found.filter_map(|found| found.ranked(facts, &facts.scenario)).collect();
    ranked.sort_by(|a, b| b.score().total_cmp(&a.score()));
    ranked.extend(workers_then(facts, &ranked));
    ranked
}

/// Behind a limit it makes no difference how many workers there are; once it is gone it may.
fn workers_then(facts: &RunFacts<'_>, ranked: &[Ranked]) -> Option<Ranked> {
    if ranked.is_empty() || ranked.iter().any(|ranked| ranked.finding.cause == LimitingCause::Workers) {
        return None;
    }
    let then = all_applied(&facts.scenario, ranked);
    let mut found = workers::workers(facts, &then)?;
    found.evidence.push(Observation::OnlyAfterOthers);
    found.ranked(facts, &then)
}

impl Found {
    /// With what its remedy gains in a scenario; none where that is not worth it.
    fn ranked(self, facts: &RunFacts<'_>, scenario: &Scenario) -> Option<Ranked> {
        let gain = self.fix.as_ref().map(|fix| fix.gain(scenario));
        // What workers that find their number would gain anyway is no merit of a change.
        let anyway = scenario.gain(scenario).expected.max(1.0);
        // The system's own work for this run counts as others': competing load is named where it is beyond doubt.
        let is_certain = |gain: Estimate| self.cause != LimitingCause::Cpu || gain.low >= 1.0;
        let pays = |gain: Estimate| is_certain(gain) && gain.expected >= (1.0 + GAIN_LEAST) * anyway;
        if !gain.map_or(self.impact >= IMPACT_LEAST, pays) {
            return None;
        }
        let remedy = self.fix.as_ref().zip(gain).map(|(fix, gain)| fix.remedy(facts, scenario, gain));
        let finding = RankedCause {
            cause: self.cause,
            impact: self.impact.clamp(0.0, 1.0),
            evidence: self.evidence,
            setting: self.setting,
            remedy,
        };
        Some(Ranked { finding, fix: self.fix })
    }
}

impl Ranked {
    /// What is expected, and how sure it is; where no gain is known, what it costs.
    fn score(&self) -> f64 {
        match self.gain() {
            Some(gain) => gain.expected - 1.0 + 0.1 * (gain.low - 1.0).max(0.0),
            None => self.finding.impact,
        }
    }

    pub(super) fn gain(&self) -> Option<Estimate> {
        self.finding.remedy.as_ref().and_then(|remedy: &Remedy| remedy.gain)
    }
}

/// How long the whole job takes with a gain in a scenario, by how long it takes now.
fn job_s(facts: &RunFacts<'_>, scenario: &Scenario, gain: Estimate) -> Estimate {
    let before = facts.scenario.gain(scenario).expected / facts.scenario.gain(&facts.scenario).expected;
    divided(facts.job_s() / before, gain)
}

/// A scenario with all remedies applied.
fn all_applied(scenario: &Scenario, ranked: &[Ranked]) -> Scenario {
    let fixes = ranked.iter().filter_map(|ranked| ranked.fix.as_ref());
    fixes.fold(scenario.clone(), |scenario, fix| fix.applied(&scenario, 0.0))
}

/// What all remedies together would gain.
pub(super) fn combined(facts: &RunFacts<'_>, ranked: &[Ranked]) -> Option<CombinedGain> {
    let remedies =
        ranked.iter().enumerate().filter_map(|(at, ranked)| Some((at, ranked.finding.remedy.as_ref()?)));
    let mut steps: Vec<(usize, &Remedy)> = remedies.collect();
    if steps.is_empty() {
        return None;
    }
    // What takes effect at once first; otherwise what gains most.
    steps.sort_by_key(|(_, remedy)| remedy.applies != AppliesWhen::AtOnce);
    let gain = facts.scenario.gain(&all_applied(&facts.scenario, ranked));
    Some(CombinedGain {
        gain,
        job_s_now: facts.job_s(),
        job_s: divided(facts.job_s(), gain),
        steps: steps.into_iter().map(|(at, _)| at).collect(),
        after: Vec::new(),
    })
}
