//! What costs time: each cause looked for by itself, each with the change that would remove it, ranked by what that brings.
//!
//! Holds true: a gain is what the model says of the whole job with the cause removed, so never more than what would limit it
//! then allows; a cause whose removal brings less than [`GAIN_LEAST`] is none.

mod advice;
mod crew;
mod machine;
mod store;
mod trouble;

pub(super) use self::advice::Advice;
use super::case::Case;
use super::evidence::Evidence;
use super::report::{Bottleneck, Cause, Estimate, Remedy};
use super::scaling::divided;
use rollfit_job::spec::Setting;

/// What brings less is not worth naming.
pub(super) const GAIN_LEAST: f64 = 0.05;
/// Where no gain can be told, what costs less is not worth naming.
const IMPACT_LEAST: f64 = 0.1;

/// Something that costs time.
pub(super) struct Found {
    pub(super) cause: Cause,
    pub(super) title: String,
    pub(super) impact: f64,
    pub(super) evidence: Vec<String>,
    pub(super) setting: Option<Setting>,
    pub(super) advice: Option<Advice>,
}

/// A bottleneck, and the change that its remedy makes.
pub(super) struct Ranked {
    pub(super) bottleneck: Bottleneck,
    pub(super) advice: Option<Advice>,
}

/// What costs time, what brings most first.
pub(super) fn ranked(evidence: &Evidence<'_>) -> Vec<Ranked> {
    let found = machine::found(evidence)
        .into_iter()
        .chain(crew::found(evidence))
        .chain(store::found(evidence))
        .chain(trouble::found(evidence));
    let mut ranked: Vec<Ranked> = found.filter_map(|found| found.told(evidence, &evidence.case)).collect();
    ranked.sort_by(|a, b| b.score().total_cmp(&a.score()));
    ranked.extend(workers_then(evidence, &ranked));
    ranked
}

/// Behind a limit it makes no difference how many workers there are; once it is gone it may.
fn workers_then(evidence: &Evidence<'_>, ranked: &[Ranked]) -> Option<Ranked> {
    if ranked.is_empty() || ranked.iter().any(|ranked| ranked.bottleneck.cause == Cause::Workers) {
        return None;
    }
    let then = all_applied(&evidence.case, ranked);
    let mut found = crew::workers(evidence, &then)?;
    found.evidence.push("that brings nothing before what stands above it is done".to_owned());
    found.told(evidence, &then)
}

impl Found {
    /// Told with what its remedy brings in a case; none where that is not worth it.
    fn told(self, evidence: &Evidence<'_>, case: &Case) -> Option<Ranked> {
        let gain = self.advice.as_ref().map(|advice| advice.gain(case));
        // What workers that find their number would gain anyway is no merit of a change.
        let anyway = case.gain(case).expected.max(1.0);
        // The system's own work for this run counts as others': cores that others take are told where that is beyond doubt.
        let is_certain = |gain: Estimate| self.cause != Cause::Cpu || gain.low >= 1.0;
        let pays = |gain: Estimate| is_certain(gain) && gain.expected >= (1.0 + GAIN_LEAST) * anyway;
        let is_worth_it = gain.map_or(self.impact >= IMPACT_LEAST, pays);
        if !is_worth_it {
            return None;
        }
        let remedy = self.advice.as_ref().zip(gain).map(|(advice, gain)| advice.remedy(evidence, case, gain));
        let bottleneck = Bottleneck {
            cause: self.cause,
            title: self.title,
            impact: self.impact.clamp(0.0, 1.0),
            evidence: self.evidence,
            setting: self.setting,
            remedy,
        };
        Some(Ranked { bottleneck, advice: self.advice })
    }
}

impl Ranked {
    /// What is expected, and how sure it is; where no gain is told, what it costs.
    fn score(&self) -> f64 {
        match self.gain() {
            Some(gain) => gain.expected - 1.0 + 0.1 * (gain.low - 1.0).max(0.0),
            None => self.bottleneck.impact,
        }
    }

    pub(super) fn gain(&self) -> Option<Estimate> {
        self.bottleneck.remedy.as_ref().and_then(|remedy: &Remedy| remedy.gain)
    }
}

/// How long the whole job takes with a gain in a case, by how long it takes now.
fn job_s(evidence: &Evidence<'_>, case: &Case, gain: Estimate) -> Estimate {
    let before = evidence.case.gain(case).expected / evidence.case.gain(&evidence.case).expected;
    divided(evidence.job_s() / before, gain)
}

/// A case with all remedies applied.
pub(super) fn all_applied(case: &Case, ranked: &[Ranked]) -> Case {
    let advices = ranked.iter().filter_map(|ranked| ranked.advice.as_ref());
    advices.fold(case.clone(), |case, advice| advice.applied(&case, 0.0))
}
