//! [`Fix`]: what to do about a cause, with the effect that it has on the [`Scenario`].

use rollfit_job::config::Setting;
use rollfit_job::partition::Partition;
use rollfit_job::record::Record;
use rollfit_job::store::AppliesWhen;

use super::super::demand::written;
use super::super::estimate::Estimate;
use super::super::limit::Limit;
use super::super::ranked_cause::{Change, Remedy, Watch};
use super::super::run_facts::RunFacts;
use super::super::scenario::Scenario;
use super::job_s;

/// The scenario in which this share of a cause remains: 0 for none.
pub(super) type Effect = Box<dyn Fn(&Scenario, f64) -> Scenario>;

/// What to do about a cause.
pub(in super::super) struct Fix {
    pub(super) change: Change,
    pub(super) applies: AppliesWhen,
    pub(super) watch: Watch,
    pub(super) effect: Effect,
    /// How uncertain its gain is besides, relative.
    pub(super) uncertainty: f64,
}

impl Fix {
    /// To give a setting another value, or none.
    pub(super) fn set(
        setting: Option<&Setting>,
        name: &str,
        after: Option<String>,
        watch: Watch,
        effect: Effect,
    ) -> Self {
        let before = setting.and_then(|setting| setting.value.clone());
        let change = Change::Setting { name: name.to_owned(), before, after };
        Self { change, applies: AppliesWhen::NextRun, watch, effect, uncertainty: 0.0 }
    }

    /// To change something outside rollfit.
    pub(super) fn outside(change: Change, watch: Watch, effect: Effect) -> Self {
        Self { change, applies: AppliesWhen::AtOnce, watch, effect, uncertainty: 0.0 }
    }

    /// The scenario with so much of the cause left.
    pub(in super::super) fn applied(&self, scenario: &Scenario, left: f64) -> Scenario {
        (self.effect)(scenario, left)
    }

    /// What it gains.
    pub(super) fn gain(&self, scenario: &Scenario, impact: Option<f64>) -> Estimate {
        gain(scenario, |scenario, left| self.applied(scenario, left), self.uncertainty, impact)
    }

    /// The remedy in a scenario, where it has this gain; none where nothing is estimated.
    pub(super) fn remedy(&self, facts: &RunFacts<'_>, scenario: &Scenario, gain: Option<Estimate>) -> Remedy {
        let limit_then = |_| Limit::from_scenario(&self.applied(scenario, 0.0));
        Remedy {
            change: self.change.clone(),
            applies: self.applies,
            gain,
            job_s: gain.map(|gain| job_s(facts, scenario, gain)),
            limit_then: gain.map_or(Limit::Unknown, limit_then),
            server_unseen: scenario.unseen_above.is_some() && gain.is_some_and(|gain| gain.expected > 1.0),
            watch: self.watch,
            try_on: median_partition(facts.record),
        }
    }
}

/// What changes gain: expected where their causes are gone, at least where half of each is left. Where the causes are waits of a share `impact` of
/// the workers' time, so much time is saved at most, by Little's law, times the workers that there are more of then.
pub(super) fn gain(
    scenario: &Scenario,
    applied: impl Fn(&Scenario, f64) -> Scenario,
    uncertainty: f64,
    impact: Option<f64>,
) -> Estimate {
    let gone = applied(scenario, 0.0);
    let gain = scenario.gain(&gone);
    let half = scenario.gain(&applied(scenario, 0.5));
    let low = gain.low.min(half.low) / (1.0 + uncertainty);
    let high = gain.high * (1.0 + uncertainty);
    let saved = |impact: f64| {
        let workers = (gone.workers_now() as f64 / scenario.workers_had()).max(1.0);
        workers / (1.0 - impact.min(0.999))
    };
    let most = impact.map_or(f64::INFINITY, saved).max(1.0);
    Estimate { low: low.min(most), expected: gain.expected.min(most), high: high.min(most) }
}

/// The written partition that took neither long nor short.
fn median_partition(record: &Record) -> Option<Partition> {
    let mut written: Vec<_> = written(record).collect();
    written.sort_by_key(|end| end.wall_us.total_us());
    written.get(written.len() / 2).map(|end| end.partition.clone())
}
