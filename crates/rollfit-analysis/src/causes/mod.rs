//! What costs time: each cause looked for by itself, each with the change that would remove it, ranked by what that gains.
//!
//! Invariants: a gain is what the model says of the whole job with the cause removed, so never more than what would limit it
//! then allows; a cause whose removal gains less than [`GAIN_LEAST`] is none. From a record that
//! predicts nothing, only what was measured to cost time is named, and no gain.

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
use super::ranked_cause::{AfterStep, CombinedGain, LimitingCause, RankedCause, Remedy};
use super::run_facts::RunFacts;
use super::scaling::{self, divided};
use super::scenario::Scenario;
use super::tuning::{GAIN_LEAST, IMPACT_LEAST};

/// Something that costs time.
struct Found {
    cause: LimitingCause,
    impact: f64,
    impact_basis: ImpactBasis,
    evidence: Vec<Observation>,
    setting: Option<Setting>,
    fix: Option<Fix>,
}

/// How an impact is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImpactBasis {
    /// It is the share of the workers' time that they wait for this alone: its removal saves no more.
    Wait,
    /// It was measured.
    Measured,
    /// The model says so.
    Estimated,
}

/// A finding, and the fix behind its remedy.
pub(super) struct Ranked {
    pub(super) finding: RankedCause,
    fix: Option<Fix>,
    /// The impact, where that is the most that can be saved.
    saves_most: Option<f64>,
}

/// What costs time, what gains most, and most surely, first.
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
    if !facts.predicts
        || ranked.is_empty()
        || ranked.iter().any(|ranked| ranked.finding.cause == LimitingCause::Workers)
    {
        return None;
    }
    let then = all_applied(&facts.scenario, ranked, 0.0);
    let mut found = workers::workers(facts, &then)?;
    found.evidence.push(Observation::OnlyAfterOthers);
    found.ranked(facts, &then)
}

impl Found {
    /// With what its remedy gains in a scenario; none where that is not worth it.
    fn ranked(self, facts: &RunFacts<'_>, scenario: &Scenario) -> Option<Ranked> {
        let saves_most = (self.impact_basis == ImpactBasis::Wait).then_some(self.impact);
        let fix = self.fix.as_ref();
        let gain = fix.filter(|_| facts.predicts).map(|fix| fix.gain(scenario, saves_most));
        if !facts.predicts && self.impact_basis == ImpactBasis::Estimated {
            return None;
        }
        // What workers that find their number would gain anyway is no merit of a change.
        let anyway = scenario.gain(scenario).expected.max(1.0);
        // The system's own work for this run counts as others': competing load is named where it is beyond doubt. That `auto` has fewer workers
        // beside half of the others is none.
        let is_certain = || match fix {
            Some(fix) if self.cause == LimitingCause::Cpu => {
                scenario.gain(&fix.applied(scenario, 0.0)).low >= 1.0
            }
            _ => true,
        };
        let pays = |gain: Estimate| gain.expected >= (1.0 + GAIN_LEAST) * anyway && is_certain();
        if !gain.map_or(self.impact >= IMPACT_LEAST, pays) {
            return None;
        }
        let remedy = fix.map(|fix| fix.remedy(facts, scenario, gain));
        let finding = RankedCause {
            cause: self.cause,
            impact: self.impact.clamp(0.0, 1.0),
            evidence: self.evidence,
            setting: self.setting,
            remedy,
        };
        Some(Ranked { finding, fix: self.fix, saves_most })
    }
}

impl Ranked {
    /// Between what is expected and what is sure, since a gain that may as well be half as large is worth less; where no gain is known, what it
    /// costs.
    fn score(&self) -> f64 {
        match self.gain() {
            Some(gain) => 0.5 * (gain.expected - 1.0) + 0.5 * (gain.low - 1.0).max(0.0),
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

/// A scenario with all remedies applied, and this share of each cause left.
fn all_applied<'a>(scenario: &Scenario, ranked: impl IntoIterator<Item = &'a Ranked>, left: f64) -> Scenario {
    let fixes = ranked.into_iter().filter_map(|ranked| ranked.fix.as_ref());
    fixes.fold(scenario.clone(), |scenario, fix| fix.applied(&scenario, left))
}

/// What these remedies gain together: one alone as much as by itself.
fn gain_together(scenario: &Scenario, ranked: &[&Ranked]) -> Estimate {
    let uncertainty = ranked.iter().filter_map(|ranked| ranked.fix.as_ref()).map(|fix| fix.uncertainty).sum();
    let impact: Option<f64> = ranked.iter().map(|ranked| ranked.saves_most).sum();
    let applied = |scenario: &Scenario, left: f64| all_applied(scenario, ranked.iter().copied(), left);
    fix::gain(scenario, applied, uncertainty, impact)
}

/// What all remedies together would gain, and what is expected after each of them.
pub(super) fn combined(facts: &RunFacts<'_>, ranked: &[Ranked]) -> Option<CombinedGain> {
    let mut steps: Vec<(usize, &Ranked)> =
        ranked.iter().enumerate().filter(|(_, ranked)| ranked.gain().is_some()).collect();
    // What takes effect at once first; otherwise what gains most.
    steps.sort_by_key(|(_, ranked)| {
        ranked.finding.remedy.as_ref().is_none_or(|remedy| remedy.applies != AppliesWhen::AtOnce)
    });
    let applied: Vec<&Ranked> = steps.iter().map(|(_, ranked)| *ranked).collect();
    let after: Vec<AfterStep> =
        (0..steps.len()).map(|last| after_step(facts, steps[last].0, &applied[..=last])).collect();
    let gain = after.last()?.gain;
    Some(CombinedGain {
        gain,
        job_s_now: facts.job_s(),
        job_s: divided(facts.job_s(), gain),
        steps: steps.into_iter().map(|(at, _)| at).collect(),
        after,
    })
}

/// What is expected once these remedies are applied, the last of them for the bottleneck at this position.
fn after_step(facts: &RunFacts<'_>, bottleneck: usize, applied: &[&Ranked]) -> AfterStep {
    let gain = gain_together(&facts.scenario, applied);
    let scenario = all_applied(&facts.scenario, applied.iter().copied(), 0.0);
    let workers = scenario.workers_now();
    let job_s = divided(facts.job_s(), gain);
    let left = facts.share_left();
    let left_s = Estimate { low: job_s.low * left, expected: job_s.expected * left, high: job_s.high * left };
    AfterStep {
        bottleneck,
        gain,
        job_s,
        eta_s: facts.record.end.is_none().then_some(left_s),
        workers,
        load: scaling::load(facts, &scenario, workers),
        memory_bytes: scaling::memory_bytes(facts, workers),
        sessions: scaling::sessions(facts, workers),
    }
}
