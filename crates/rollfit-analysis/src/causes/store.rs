//! Causes in source and store: reading, round trips, bytes, statements, commits. Each by what workers wait for it, over and above the
//! processor time of a store on this machine, which counts with the cores.

use rollfit_job::activity::Activity;

use super::super::ranked_cause::{Change, LimitingCause, Watch};
use super::super::ranked_cause::{Observation, WaitedFor};
use super::super::run_facts::RunFacts;
use super::super::scenario::Scenario;
use super::super::work::Wait;
use super::{Fix, Found, ImpactBasis};

pub(super) fn found(facts: &RunFacts<'_>) -> Vec<Found> {
    vec![reading(facts), latency(facts), bandwidth(facts), statements(facts), commit(facts)]
}

fn reading(facts: &RunFacts<'_>) -> Found {
    let wait_s = facts.demand.reading_s;
    let change = Change::Wait { waited_for: WaitedFor::Source, wait_s };
    let slow = Slow { cause: LimitingCause::SourceRead, wait: Wait::Source, activity: Activity::Reading };
    slow.found(facts, WaitedFor::Source, wait_s, change)
}

fn latency(facts: &RunFacts<'_>) -> Found {
    let demand = &facts.demand;
    let (asked_s, way_s) = (facts.asked_s(), demand.latency_s);
    let wait_s = asked_s + way_s;
    let near = move |scenario: &Scenario, left: f64| {
        scenario.with_work(|work| {
            *work.wait_mut(Wait::RoundTrips) *= left;
            // What is asked while others hold a lock is a cause of its own.
            let asking_s = work.wait_mut(Wait::Asking);
            *asking_s = (*asking_s - (1.0 - left) * asked_s).max(0.0);
        })
    };
    let trips = demand.sink_trips + demand.source_trips;
    let shortest_s = way_s / trips;
    let known = (trips > 0.0).then_some(Observation::RoundTrips { trips, shortest_s });
    let change = Change::Wait { waited_for: WaitedFor::RoundTrips, wait_s };
    Found {
        cause: LimitingCause::StoreLatency,
        impact: share(facts, wait_s),
        impact_basis: ImpactBasis::Wait,
        evidence: std::iter::once(wait(facts, WaitedFor::RoundTrips, wait_s)).chain(known).collect(),
        setting: None,
        fix: Some(Fix::outside(change, watch(facts, Activity::Querying, wait_s), Box::new(near))),
    }
}

fn bandwidth(facts: &RunFacts<'_>) -> Found {
    let bytes_per_s = facts.bytes_per_s();
    let change = Change::Bandwidth { bytes_per_s };
    let slow = Slow { cause: LimitingCause::StoreBandwidth, wait: Wait::Bytes, activity: Activity::Sending };
    let mut found = slow.found(facts, WaitedFor::Bytes, facts.demand.sending_s, change);
    found.evidence.push(Observation::BytesWritten { bytes_per_s });
    found
}

fn statements(facts: &RunFacts<'_>) -> Found {
    let demand = &facts.demand;
    let kinds = [
        (Activity::Deleting, demand.deleting_s),
        (Activity::Keying, demand.keying_s),
        (Activity::Analyzing, demand.analyzing_s),
        (Activity::Vacuuming, demand.vacuuming_s),
    ];
    let wait_s = kinds.iter().map(|(_, wait_s)| wait_s).sum();
    let longest = kinds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let activity = longest.map_or(Activity::Keying, |(activity, _)| activity);
    let change = Change::Wait { waited_for: WaitedFor::Statements, wait_s };
    let slow = Slow { cause: LimitingCause::StoreWork, wait: Wait::Statements, activity };
    let mut found = slow.found(facts, WaitedFor::Statements, wait_s, change);
    found.evidence.push(Observation::Statements {
        deleting_s: demand.deleting_s,
        keying_s: demand.keying_s,
        analyzing_s: demand.analyzing_s,
        vacuuming_s: demand.vacuuming_s,
    });
    found
}

fn commit(facts: &RunFacts<'_>) -> Found {
    let wait_s = facts.demand.committing_s;
    let change = Change::Wait { waited_for: WaitedFor::Commit, wait_s };
    let slow = Slow { cause: LimitingCause::Commit, wait: Wait::Commit, activity: Activity::Committing };
    let disk_s = facts.disk_s.unwrap_or(0.0);
    let quick = move |scenario: &Scenario, left: f64| {
        scenario.with_work(|work| {
            // However quickly a disk syncs, it has to take the bytes.
            let taking_s = disk_s - work.wait_s(Wait::Bytes);
            let commit_s = work.wait_mut(Wait::Commit);
            *commit_s = (*commit_s * left).max(taking_s).min(*commit_s);
        })
    };
    let fix = Fix::outside(change.clone(), watch(facts, slow.activity, wait_s), Box::new(quick));
    Found { fix: Some(fix), ..slow.found(facts, WaitedFor::Commit, wait_s, change) }
}

/// A wait that may be too long.
struct Slow {
    cause: LimitingCause,
    wait: Wait,
    activity: Activity,
}

impl Slow {
    fn found(self, facts: &RunFacts<'_>, waited_for: WaitedFor, wait_s: f64, change: Change) -> Found {
        /// Fewer sessions that waited do not count.
        const NOTABLE: f64 = 0.1;
        let queue = facts.scenario.likeliest().filter(|work| work.queue.waits[self.wait as usize]);
        let served =
            queue.filter(|work| work.queue.servers.is_finite() && facts.levels.len() > 1).map(|work| {
                Observation::ServedAtOnce { workers: work.queue.servers, each_s: work.wait_s(self.wait) }
            });
        let waits = facts.store_waits(NOTABLE);
        let waits = (!waits.is_empty()).then_some(Observation::StoreWaits { waits });
        let which = self.wait;
        let quick =
            move |scenario: &Scenario, left: f64| scenario.with_work(|work| *work.wait_mut(which) *= left);
        Found {
            cause: self.cause,
            impact: share(facts, wait_s),
            impact_basis: ImpactBasis::Wait,
            evidence: std::iter::once(wait(facts, waited_for, wait_s)).chain(served).chain(waits).collect(),
            setting: None,
            fix: Some(Fix::outside(change, watch(facts, self.activity, wait_s), Box::new(quick))),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::Record;
    use rollfit_testkit::record::made;

    /// A run into files whose partitions each connected and asked for 3 s.
    fn asking(source_kind: &str) -> Record {
        let mut record = made(40, 2);
        record.header.source_kind = source_kind.to_owned();
        for end in &mut record.partitions {
            end.wall_us.add(Activity::Connecting, 2_000_000);
            end.wall_us.add(Activity::Querying, 1_000_000);
        }
        record
    }

    #[test]
    fn what_a_job_into_files_asks_of_a_server_is_waiting_for_the_source() {
        let record = asking("postgres");
        let facts = RunFacts::from_record(&record).unwrap();
        assert!(facts.demand.reading_s >= 3.0, "{:?}", facts.demand);
        assert_eq!((facts.demand.querying_s, facts.asked_s()), (0.0, 0.0));
        assert!(reading(&facts).impact > latency(&facts).impact);
        let of_files = asking("parquet");
        let facts = RunFacts::from_record(&of_files).unwrap();
        assert!(facts.demand.querying_s >= 3.0 && facts.demand.reading_s < 3.0, "{:?}", facts.demand);
    }

    #[test]
    fn quicker_syncs_leave_the_disk_what_kept_it_busy() {
        let mut record = made(40, 4);
        for end in &mut record.partitions {
            end.wall_us.add(Activity::Committing, 2_000_000);
        }
        for busy in [0.0, 0.25, 1.0] {
            record.samples.iter_mut().for_each(|sample| sample.machine.disk_busy = Some(busy));
            let facts = RunFacts::from_record(&record).unwrap();
            let writing_s = |scenario: &Scenario| {
                let work = scenario.likeliest().unwrap();
                work.wait_s(Wait::Bytes) + work.wait_s(Wait::Commit)
            };
            let before_s = writing_s(&facts.scenario);
            let after_s = writing_s(&commit(&facts).fix.unwrap().applied(&facts.scenario, 0.0));
            let bytes_s = facts.scenario.likeliest().unwrap().wait_s(Wait::Bytes);
            let disk_s = busy * facts.took_s / facts.demand.partitions as f64;
            assert!(before_s > disk_s && after_s < before_s, "{busy}: {before_s} {after_s}");
            assert!((after_s - disk_s.max(bytes_s)).abs() < 1e-9, "{busy}: {after_s} {disk_s} {bytes_s}");
        }
    }
}
