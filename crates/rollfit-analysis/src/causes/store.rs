//! Causes in source and store: reading, round trips, bytes, commits. Each by what workers wait for it, over and above the
//! processor time of a store on this machine, which counts with the cores.

use rollfit_job::activity::Activity;

use super::super::ranked_cause::{Change, LimitingCause, Watch};
use super::super::ranked_cause::{Observation, WaitedFor};
use super::super::run_facts::RunFacts;
use super::super::scenario::Scenario;
use super::super::work::Station;
use super::fix::Effect;
use super::{Fix, Found};

pub(super) fn found(facts: &RunFacts<'_>) -> Vec<Found> {
    vec![reading(facts), latency(facts), bandwidth(facts), commit(facts)]
}

fn reading(facts: &RunFacts<'_>) -> Found {
    let wait_s = facts.demand.reading_s;
    let change = Change::Wait { waited_for: WaitedFor::Source, wait_s };
    let fix = Fix::outside(change, watch(facts, Activity::Reading, wait_s), removing(Station::Reading));
    shared(facts, LimitingCause::SourceRead, Station::Reading, wait_s, fix)
}

fn latency(facts: &RunFacts<'_>) -> Found {
    let wait_s = facts.asked_s();
    let gone = move |scenario: &Scenario, left: f64| {
        scenario.with_work(|work| work.querying_s = (work.querying_s - (1.0 - left) * wait_s).max(0.0))
    };
    let change = Change::Wait { waited_for: WaitedFor::RoundTrips, wait_s };
    Found {
        cause: LimitingCause::StoreLatency,
        impact: share(facts, wait_s),
        evidence: vec![wait(facts, WaitedFor::RoundTrips, wait_s)],
        setting: None,
        fix: Some(Fix::outside(change, watch(facts, Activity::Querying, wait_s), Box::new(gone))),
    }
}

fn bandwidth(facts: &RunFacts<'_>) -> Found {
    let wait_s = facts.demand.sending_s;
    let bytes_per_s = facts.bytes_per_s();
    let change = Change::Bandwidth { bytes_per_s };
    let fix = Fix::outside(change, watch(facts, Activity::Sending, wait_s), removing(Station::Sending));
    let mut found = shared(facts, LimitingCause::StoreBandwidth, Station::Sending, wait_s, fix);
    found.evidence.push(Observation::BytesWritten { bytes_per_s });
    found
}

fn commit(facts: &RunFacts<'_>) -> Found {
    let wait_s = facts.demand.committing_s;
    let change = Change::Wait { waited_for: WaitedFor::Commit, wait_s };
    let fix = Fix::outside(change, watch(facts, Activity::Committing, wait_s), removing(Station::Committing));
    shared(facts, LimitingCause::Commit, Station::Committing, wait_s, fix)
}

fn shared(facts: &RunFacts<'_>, cause: LimitingCause, station: Station, wait_s: f64, fix: Fix) -> Found {
    /// Fewer sessions that waited do not count.
    const NOTABLE: f64 = 0.1;
    let waited_for = match station {
        Station::Reading => WaitedFor::Source,
        Station::Sending => WaitedFor::Bytes,
        Station::Committing => WaitedFor::Commit,
    };
    let known = facts.scenario.likeliest().map(|work| work.at(station));
    let served = known
        .filter(|known| known.servers.is_finite() && facts.levels.len() > 1)
        .map(|known| Observation::ServedAtOnce { workers: known.servers, each_s: known.demand_s });
    let waits = facts.store_waits(NOTABLE);
    let waits = (!waits.is_empty()).then_some(Observation::StoreWaits { waits });
    Found {
        cause,
        impact: share(facts, wait_s),
        evidence: std::iter::once(wait(facts, waited_for, wait_s)).chain(served).chain(waits).collect(),
        setting: None,
        fix: Some(fix),
    }
}

fn removing(station: Station) -> Effect {
    Box::new(move |scenario, left| scenario.with_work(|work| work.at_mut(station).demand_s *= left))
}

fn share(facts: &RunFacts<'_>, wait_s: f64) -> f64 {
    wait_s / facts.demand.wall_s
}

fn watch(facts: &RunFacts<'_>, activity: Activity, wait_s: f64) -> Watch {
    Watch::ActivityShare { activity, share: share(facts, wait_s) }
}

fn wait(facts: &RunFacts<'_>, waited_for: WaitedFor, wait_s: f64) -> Observation {
    let partition_s = facts.demand.wall_s;
    Observation::PartitionWait { waited_for, wait_s, share: share(facts, wait_s), partition_s }
}
