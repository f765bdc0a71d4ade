//! [`Headline`]: what limits a run, in one fact.

use rollfit_job::activity::Activity;
use serde::{Deserialize, Serialize};

use super::causes::Ranked;
use super::estimate::Estimate;
use super::limit::Limit;
use super::ranked_cause::LimitingCause;
use super::resources::activities;
use super::run_facts::RunFacts;
use super::tuning::GAIN_LEAST;

/// What limits a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Headline {
    /// Nothing was written, so nothing is known.
    NothingWritten,
    /// No change is worth it.
    Balanced {
        /// The share of the cores that are busy, 0 to 1.
        cores_busy: Option<f64>,
        /// What most of the workers' time goes into.
        activities: Vec<Activity>,
        /// No change gains more than this share.
        gain_max: f64,
        /// What limits the run.
        limit: Limit,
    },
    /// The first of the bottlenecks.
    Limited {
        /// Its cause.
        cause: LimitingCause,
        /// How many times as fast the whole job would be without it.
        gain: Option<Estimate>,
    },
}

/// What limits the run.
pub(super) fn headline(facts: &RunFacts<'_>, ranked: &[Ranked]) -> Headline {
    match ranked.first() {
        Some(first) => Headline::Limited { cause: first.finding.cause, gain: first.gain() },
        None => Headline::Balanced {
            cores_busy: facts.cores_busy(),
            activities: activities(facts.record).iter().take(2).map(|share| share.activity).collect(),
            gain_max: GAIN_LEAST,
            limit: Limit::from_scenario(&facts.scenario),
        },
    }
}
