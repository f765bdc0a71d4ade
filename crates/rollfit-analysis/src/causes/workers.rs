//! Causes in how the work is shared out: too few workers, too few sessions for them, one partition that outlasts the others.

use rollfit_job::config::{Order, Workers};
use rollfit_job::store::AppliesWhen;

use super::super::demand::written;
use super::super::ranked_cause::Observation;
use super::super::ranked_cause::{Change, LimitingCause, Watch};
use super::super::run_facts::RunFacts;
use super::super::scenario::{Ceilings, Scenario};
use super::super::schedule::largest_first;
use super::{Fix, Found, ImpactBasis};

pub(super) fn found(facts: &RunFacts<'_>) -> Vec<Found> {
    [workers(facts, &facts.scenario), sessions(facts), oversized(facts)].into_iter().flatten().collect()
}

/// Whether more workers would pay in a scenario.
pub(super) fn workers(facts: &RunFacts<'_>, scenario: &Scenario) -> Option<Found> {
    let wanted = scenario.workers_advised();
    if scenario.workers == Workers::Auto || wanted <= scenario.workers_now() {
        return None;
    }
    let more =
        move |scenario: &Scenario, _: f64| Scenario { workers: Workers::Fixed(wanted), ..scenario.clone() };
    let gain = scenario.gain(&more(scenario, 0.0));
    let setting = facts.setting("run.workers");
    let cores = facts.record.header.machine.cores;
    let watch = if cores.is_some() { Watch::LoadAverage { cores } } else { Watch::Throughput };
    let own = facts.observed.own_cores.filter(|_| cores.is_some());
    Some(Found {
        cause: LimitingCause::Workers,
        impact: 1.0 - 1.0 / gain.expected,
        impact_basis: ImpactBasis::Estimated,
        evidence: [
            Some(Observation::WorkersAtOnce { workers: facts.workers_max(), workers_wanted: wanted }),
            own.map(|own_cores| Observation::OwnCores { own_cores, cores }),
            Some(Observation::WorkerWaits { share: waiting_share(facts) }),
        ]
        .into_iter()
        .flatten()
        .collect(),
        setting: setting.cloned(),
        fix: Some(Fix::set(setting, "run.workers", Some(wanted.to_string()), watch, Box::new(more))),
    })
}

/// The share of its time that a worker neither computes nor waits for a core.
fn waiting_share(facts: &RunFacts<'_>) -> f64 {
    let demand = &facts.demand;
    (1.0 - demand.cpu_s * demand.stretch / demand.wall_s).max(0.0)
}

fn sessions(facts: &RunFacts<'_>) -> Option<Found> {
    let (scenario, header) = (&facts.scenario, &facts.record.header);
    let most = scenario.ceilings.sessions?;
    // As many as the run as it is has use for: once other causes are gone, more may pay, but this change does not bring them.
    let wanted = with_ceiling(scenario, scenario.workers_known(), |ceilings| &mut ceilings.sessions)
        .workers_now()
        .max(most);
    let more = move |scenario: &Scenario, left: f64| {
        with_ceiling(scenario, raised(most, wanted, left), |ceilings| &mut ceilings.sessions)
    };
    let sessions = header.sessions_max.unwrap_or_default();
    let name = "run.store_sessions_max";
    let setting = facts.setting(name).filter(|setting| setting.value.is_some());
    let (watch, effect) = (Watch::SessionsOfAll, Box::new(more));
    let fix = match setting {
        Some(_) => Fix::set(setting, name, Some((wanted + 1).to_string()), watch, effect),
        None => Fix {
            applies: AppliesWhen::StoreRestart,
            ..Fix::outside(Change::Sessions { sessions, sessions_wanted: wanted + 1 }, watch, effect)
        },
    };
    Some(Found {
        cause: LimitingCause::Sessions,
        impact: 1.0 - 1.0 / scenario.gain(&more(scenario, 0.0)).expected,
        impact_basis: ImpactBasis::Estimated,
        evidence: vec![
            Observation::SessionsAllowed { sessions, workers: most, why: header.sessions_why.clone() },
            Observation::SessionWait { share: facts.demand.waiting_s / facts.demand.wall_s },
            Observation::WorkersWanted { workers: wanted },
        ],
        setting: setting.cloned(),
        fix: Some(fix),
    })
}

/// A scenario with another ceiling.
pub(super) fn with_ceiling(
    scenario: &Scenario,
    workers: usize,
    which: impl Fn(&mut Ceilings) -> &mut Option<usize>,
) -> Scenario {
    let mut changed = scenario.clone();
    *which(&mut changed.ceilings) = Some(workers);
    changed
}

/// A ceiling on its way from `most` to `wanted`, where this share of what keeps it down is left.
pub(super) fn raised(most: usize, wanted: usize, left: f64) -> usize {
    most + (wanted.saturating_sub(most) as f64 * (1.0 - left)).round() as usize
}

/// One partition that starts late and is much larger than the others.
fn oversized(facts: &RunFacts<'_>) -> Option<Found> {
    const TIMES: f64 = 3.0;
    let scenario = &facts.scenario;
    let largest = written(facts.record).max_by_key(|end| end.rows)?;
    let mean = facts.demand.rows;
    if (largest.rows as f64) < TIMES * mean || scenario.workers_now() < 2 {
        return None;
    }
    let idle = facts.idle_share();
    let took_s = largest.at_ms.saturating_sub(largest.begun_ms) as f64 / 1e3;
    let alone_s =
        facts.in_progress.above_s(0.5, 0.0, facts.took_s) - facts.in_progress.above_s(1.5, 0.0, facts.took_s);
    let first = |scenario: &Scenario, _: f64| Scenario { order: Order::LargestFirst, ..scenario.clone() };
    let setting = facts.setting("run.order");
    let fix = (scenario.order != Order::LargestFirst).then(|| {
        let after = Some("largest-first".to_owned());
        Fix::set(setting, "run.order", after, Watch::EndOfRun, Box::new(first))
    });
    let times_mean = largest_first(&scenario.rows).first().copied().unwrap_or(mean) / mean;
    Some(Found {
        cause: LimitingCause::OversizedPartition,
        impact: idle,
        impact_basis: ImpactBasis::Measured,
        evidence: vec![
            Observation::LargestPartition { partition: largest.partition.clone(), times_mean, took_s },
            Observation::OneWorkerBusy { seconds: alone_s },
            Observation::WorkersIdle { share: idle },
        ],
        setting: setting.cloned(),
        fix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::{made, setting};

    #[test]
    fn a_giant_partition_has_a_remedy_unless_the_largest_come_first_already() {
        for (order, has_remedy) in [("plan", true), ("spread", true), ("largest-first", false)] {
            let mut record = made(40, 2);
            record.header.settings.push(setting("run.order", order));
            let facts = RunFacts::from_record(&record).unwrap();
            assert_eq!(oversized(&facts).unwrap().fix.is_some(), has_remedy, "{order}");
        }
    }
}
