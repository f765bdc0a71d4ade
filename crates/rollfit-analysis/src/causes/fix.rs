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

    /// What it gains: expected where the cause is gone, at least where half of it is left.
    pub(super) fn gain(&self, scenario: &Scenario) -> Estimate {
        let gone = scenario.gain(&self.applied(scenario, 0.0));
        let half = scenario.gain(&self.applied(scenario, 0.5));
        let low = gone.low.min(half.low) / (1.0 + self.uncertainty);
        Estimate { low, high: gone.high * (1.0 + self.uncertainty), ..gone }
    }

    /// The remedy in a scenario, where it has this gain.
    pub(super) fn remedy(&self, facts: &RunFacts<'_>, scenario: &Scenario, gain: Estimate) -> Remedy {
        Remedy {
            change: self.change.clone(),
            applies: self.applies,
            gain: Some(gain),
            job_s: Some(job_s(facts, scenario, gain)),
            limit_then: Limit::from_scenario(&self.applied(scenario, 0.0)),
            server_unseen: false,
            watch: self.watch,
            try_on: median_partition(facts.record),
        }
    }
}

/// The written partition that took neither long nor short.
fn median_partition(record: &Record) -> Option<Partition> {
    let mut written: Vec<_> = written(record).collect();
    written.sort_by_key(|end| end.wall_us.total_us());
    written.get(written.len() / 2).map(|end| end.partition.clone())
}
