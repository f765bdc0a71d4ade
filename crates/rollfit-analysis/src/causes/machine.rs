//! Causes on the machine: cores that other processes take or that a control group withholds, memory, and limits that the
//! configuration sets. Cores that are full with the run's own work are no fault: that is what they are for.

use rollfit_job::workers::memory_reserve_bytes;

use super::super::memory_shortage::MemoryShortage;
use super::super::ranked_cause::Observation;
use super::super::ranked_cause::{Change, LimitingCause, Watch};
use super::super::run_facts::RunFacts;
use super::super::scenario::Scenario;
use super::super::work::{Cores, Wait, Work};
use super::workers::{raised, with_ceiling};
use super::{Fix, Found, ImpactBasis};

/// Cores that others keep busy below this share of all do not count.
const OTHERS_LEAST: f64 = 0.05;

pub(super) fn found(facts: &RunFacts<'_>) -> Vec<Found> {
    let memory = killed_for_memory(facts).or_else(|| memory(facts));
    [others(facts), quota(facts), memory, cpu_max(facts), write_max(facts)].into_iter().flatten().collect()
}

/// Other processes keep cores busy.
fn others(facts: &RunFacts<'_>) -> Option<Found> {
    let all = facts.record.header.machine.cores? as f64;
    let (observed, demand) = (&facts.observed, &facts.demand);
    let stolen = observed.stolen_cores.unwrap_or(0.0);
    let taken = observed.competing_mean + stolen;
    if taken < OTHERS_LEAST * all {
        return None;
    }
    let own_cores = observed.own_cores.unwrap_or(0.0);
    let evidence = [
        Some(Observation::CoresBusy { own_cores, others_cores: taken, cores: all }),
        Some(Observation::CoreWait { seconds_per_s: demand.stretch - 1.0 }),
        observed.waiting_threads.map(|threads| Observation::ThreadsWaiting { threads }),
    ];
    // The store's server on this machine needs some too.
    let cores_wanted = cores_wanted(facts, all, Work::cpu_s);
    // What others may keep, of what they take.
    let kept = ((all - cores_wanted) / taken).clamp(0.0, 1.0);
    // Who waits for a core waits for all who have one, the run's own work too.
    let server_cores = observed.server.cores_busy.filter(|_| observed.server.is_local).unwrap_or(0.0);
    let allowed = facts.cores_allowed(all);
    let by_others = taken / (taken + own_cores + server_cores).max(1e-9);
    let free = move |scenario: &Scenario, left: f64| {
        let left = left + (1.0 - left) * kept;
        scenario.with_work(|work| {
            work.cores.competing_cores *= left;
            *work.wait_mut(Wait::Core) *= 1.0 - by_others * (1.0 - left);
            // What the hypervisor gives back this process may use, as far as it may use the machine at all.
            let all = work.cores.all + stolen * (1.0 - left);
            work.cores = Cores { all, ..work.cores }.allowing(allowed.min(all).max(work.cores.own_max));
        })
    };
    let fix = Fix::outside(
        Change::Cores { cores: (allowed - taken).max(own_cores), cores_wanted },
        Watch::CompetingCores { below: (all - cores_wanted).max(OTHERS_LEAST * all) },
        Box::new(free),
    );
    Some(cpu(facts, evidence.into_iter().flatten().collect(), fix))
}

/// Affinity, or the quota of a control group, allows few of the cores.
fn quota(facts: &RunFacts<'_>) -> Option<Found> {
    let all = facts.record.header.machine.cores? as f64;
    let (observed, demand) = (&facts.observed, &facts.demand);
    let allowed = facts.cores_allowed(all);
    if allowed > (1.0 - OTHERS_LEAST) * all {
        return None;
    }
    let evidence = [
        Some(Observation::CoresAllowed { cores: allowed }),
        observed.quota_reached.map(|share| Observation::QuotaReached { share }),
        observed.own_cores.map(|own_cores| Observation::OwnCores { own_cores, cores: Some(all as usize) }),
        Some(Observation::CoreWait { seconds_per_s: demand.stretch - 1.0 }),
        observed.waiting_threads.map(|threads| Observation::ThreadsWaiting { threads }),
    ];
    let cores_wanted = cores_wanted(facts, all, |work| work.own_cpu_s);
    let raise = move |scenario: &Scenario, left: f64| {
        scenario.with_work(|work| {
            let most = work.cores.all.min(cores_wanted);
            let raised = |cores: f64| cores + (most - cores).max(0.0) * (1.0 - left);
            match &mut work.quota_cores {
                Some(cores) => {
                    *cores = raised(*cores);
                    *work.wait_mut(Wait::Core) *= left;
                }
                None => work.cores = work.cores.allowing(raised(work.cores.own_max)),
            }
        })
    };
    let change = Change::Quota { cores: allowed, cores_wanted };
    let watch = Watch::LoadAverage { cores: facts.record.header.machine.cores };
    let fix = Fix::outside(change, watch, Box::new(raise));
    Some(cpu(facts, evidence.into_iter().flatten().collect(), fix))
}

/// The cores that as many workers as a gain is estimated for keep busy, and no more, where each needs so much processor time for a partition.
fn cores_wanted(facts: &RunFacts<'_>, all: f64, cpu_s: impl Fn(&Work) -> f64) -> f64 {
    // Who waits for a core does so no longer.
    let each = |work: &Work| cpu_s(work) / (work.alone_s() - work.wait_s(Wait::Core));
    let each = facts.scenario.likeliest().map_or(1.0, each);
    all.min((facts.scenario.workers_known() as f64 * each).max(facts.cores_allowed(all)))
}

fn cpu(facts: &RunFacts<'_>, evidence: Vec<Observation>, fix: Fix) -> Found {
    let gain = facts.scenario.gain(&fix.applied(&facts.scenario, 0.0));
    Found {
        cause: LimitingCause::Cpu,
        impact: 1.0 - 1.0 / gain.expected,
        impact_basis: ImpactBasis::Estimated,
        evidence,
        setting: None,
        fix: Some(fix),
    }
}

/// A run that the system ended for want of memory tells nothing else.
fn killed_for_memory(facts: &RunFacts<'_>) -> Option<Found> {
    MemoryShortage::from_record(facts.record)?;
    let found = memory(facts)?;
    Some(Found { impact: 1.0, impact_basis: ImpactBasis::Measured, ..found })
}

fn memory(facts: &RunFacts<'_>) -> Option<Found> {
    let (observed, scenario) = (&facts.observed, &facts.scenario);
    let workers = scenario.ceilings.memory?;
    let (room_bytes, base_bytes, worker_bytes) =
        (observed.room_bytes?, observed.base_bytes?, observed.worker_bytes?);
    let workers_wanted = with_ceiling(scenario, scenario.workers_known(), |ceilings| &mut ceilings.memory)
        .workers_now()
        .max(workers);
    let more = move |scenario: &Scenario, left: f64| {
        with_ceiling(scenario, raised(workers, workers_wanted, left), |ceilings| &mut ceilings.memory)
    };
    let reserve_bytes = memory_reserve_bytes(&facts.record.header.machine) as f64;
    let bytes_wanted = base_bytes + worker_bytes * workers_wanted as f64 + reserve_bytes;
    let fix = Fix::outside(
        Change::Memory { bytes: room_bytes, bytes_wanted, workers, workers_wanted },
        Watch::FreeMemory { bytes: worker_bytes },
        Box::new(more),
    );
    Some(Found {
        cause: LimitingCause::Memory,
        impact: 1.0 - 1.0 / scenario.gain(&more(scenario, 0.0)).expected,
        impact_basis: ImpactBasis::Estimated,
        evidence: vec![
            Observation::MemoryRoom { room_bytes, base_bytes, worker_bytes, workers },
            Observation::WorkersWanted { workers: workers_wanted },
        ],
        setting: None,
        fix: Some(fix),
    })
}

fn cpu_max(facts: &RunFacts<'_>) -> Option<Found> {
    let limit = facts.scenario.likeliest()?.cores_max?;
    let own = facts.observed.own_cores.map(|own_cores| Observation::OwnCores { own_cores, cores: None });
    let name = "run.cpu_max";
    let lift = |scenario: &Scenario, left: f64| {
        scenario.with_work(|work| {
            work.cores_max = work.cores_max.filter(|_| left > 0.0).map(|cores| cores / left);
        })
    };
    let watch = Watch::LoadAverage { cores: facts.record.header.machine.cores };
    let fix = Fix::set(facts.setting(name), name, None, watch, Box::new(lift));
    let evidence = [Some(Observation::CpuMax { cores: limit }), own];
    Some(own_limit(facts, evidence.into_iter().flatten().collect(), fix, name))
}

fn write_max(facts: &RunFacts<'_>) -> Option<Found> {
    let bytes_per_s_max = facts.scenario.likeliest()?.bytes_per_s_max?;
    let name = "run.store_write_mb_per_s_max";
    let lift = |scenario: &Scenario, left: f64| {
        scenario.with_work(|work| {
            work.bytes_per_s_max = work.bytes_per_s_max.filter(|_| left > 0.0).map(|limit| limit / left);
        })
    };
    let fix = Fix::set(facts.setting(name), name, None, Watch::StoreForOthers, Box::new(lift));
    let observation = Observation::WriteMax { bytes_per_s_max, bytes_per_s: facts.bytes_per_s() };
    Some(own_limit(facts, vec![observation], fix, name))
}

fn own_limit(facts: &RunFacts<'_>, mut evidence: Vec<Observation>, fix: Fix, name: &str) -> Found {
    let impact = facts.demand.throttled_s / facts.demand.wall_s;
    evidence.push(Observation::Throttled { share: impact });
    Found {
        cause: LimitingCause::OwnLimit,
        impact,
        impact_basis: ImpactBasis::Wait,
        evidence,
        setting: facts.setting(name).cloned(),
        fix: Some(fix),
    }
}
