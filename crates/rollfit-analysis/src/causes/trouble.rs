//! Causes that should not be: locks and partitions that others hold, attempts that fail.

use std::collections::{BTreeMap, HashSet};

use rollfit_job::activity::Activity;
use rollfit_job::partition::Partition;
use rollfit_job::record::{Record, Retry};

use super::super::demand::{Demand, RoundTripTimes, written};
use super::super::ranked_cause::Observation;
use super::super::ranked_cause::{Change, LimitingCause, Watch};
use super::super::run_facts::{RunFacts, held};
use super::super::scenario::Scenario;
use super::super::work::{Wait, Work};
use super::{Fix, Found, ImpactBasis};

pub(super) fn found(facts: &RunFacts<'_>) -> Vec<Found> {
    [locks(facts), retries(facts)].into_iter().flatten().collect()
}

fn locks(facts: &RunFacts<'_>) -> Option<Found> {
    let wait_s = facts.locked_s() + paused_for_locks_s(facts.record) / facts.demand.partitions as f64;
    let held = held(facts.record);
    if held.is_empty() && wait_s <= 0.0 {
        return None;
    }
    let free = move |scenario: &Scenario, left: f64| {
        let changed = scenario.with_work(|work| {
            let taken_s = (1.0 - left) * wait_s;
            let pause_s = work.wait_mut(Wait::Pause);
            let from_pauses_s = taken_s.min(*pause_s);
            *pause_s -= from_pauses_s;
            let asking_s = work.wait_mut(Wait::Asking);
            *asking_s = (*asking_s - (taken_s - from_pauses_s)).max(0.0);
        });
        Scenario { held_s: scenario.held_s * left, ..changed }
    };
    let (held_s, share) = (facts.scenario.held_s, wait_s / facts.demand.wall_s);
    let holders: Vec<String> = facts.observed.lock_holders.iter().take(5).cloned().collect();
    let ends = facts.record.partitions.iter().filter(|end| held.contains(&end.partition));
    let message = ends.filter_map(|end| end.cause.clone()).next();
    let evidence = [
        (!held.is_empty()).then_some(Observation::PartitionsHeld { partitions: held.len() }),
        (held_s > 0.0).then_some(Observation::HeldAtEnd { seconds: held_s }),
        (wait_s > 0.0).then_some(Observation::LockWait { wait_s, share }),
        (!holders.is_empty()).then_some(Observation::LockHolders { holders }),
        message.map(|message| Observation::HeldMessage { message }),
    ];
    Some(Found {
        cause: LimitingCause::Locks,
        impact: share.max(held_s / facts.took_s.max(1e-3)),
        impact_basis: ImpactBasis::Measured,
        evidence: evidence.into_iter().flatten().collect(),
        setting: None,
        fix: Some(Fix::outside(Change::Locks, Watch::HeldPartitions, Box::new(free))),
    })
}

/// For how long partitions that waited for a lock paused before another attempt, all of them together.
fn paused_for_locks_s(record: &Record) -> f64 {
    let locked = written(record).filter(|end| end.locked_by.is_some());
    locked.map(|end| end.wall_us.get(Activity::Pausing)).sum::<u64>() as f64 / 1e6
}

/// Attempts that failed, of partitions that waited for no lock: those failed for the lock.
fn retries(facts: &RunFacts<'_>) -> Option<Found> {
    let record = facts.record;
    let locked: HashSet<&Partition> =
        record.partitions.iter().filter(|end| end.locked_by.is_some()).map(|end| &end.partition).collect();
    let retries: Vec<&Retry> =
        record.retries.iter().filter(|retry| !locked.contains(&retry.partition)).collect();
    if retries.is_empty() {
        return None;
    }
    let locks_s = paused_for_locks_s(record) / facts.demand.partitions as f64;
    // As measured: those that went well at once are held against them.
    let times = RoundTripTimes::from_record(record);
    let all = Demand::from_ends(written(record), times)?;
    let locks_s = locks_s.min(all.pausing_s);
    let all = Demand { pausing_s: all.pausing_s - locks_s, wall_s: all.wall_s - locks_s, ..all };
    let clean = Demand::from_ends(written(record).filter(|end| end.attempt == 1), times);
    // Where none went well at once, the pauses at least are known.
    let unpaused = Demand { wall_s: all.wall_s - all.pausing_s, pausing_s: 0.0, ..all };
    let clean = clean.map_or(unpaused, |clean| clean.sized(all.rows));
    // What partitions cost without retries is known only of those that went well at once, which may be easier ones.
    const UNCERTAINTY: f64 = 0.15;
    let wait_s = all.pausing_s;
    let once = move |scenario: &Scenario, left: f64| {
        // Partitions that were tried again for long outlast the numbers of workers that rates are known of: what the model lacks is theirs.
        let missed = 1.0 + (scenario.missed - 1.0).max(0.0) * left;
        let missed = missed.min(scenario.missed);
        Scenario { missed, ..scenario.with_work(|work| without_retries(work, &clean, &all, left)) }
    };
    let mut messages: BTreeMap<&str, usize> = BTreeMap::new();
    for retry in &retries {
        *messages.entry(&retry.cause).or_default() += 1;
    }
    let (message, times) = messages.into_iter().max_by_key(|(_, times)| *times)?;
    let attempts = retries.len();
    let fix = Fix::outside(Change::Attempts { failed: attempts }, Watch::Retries, Box::new(once));
    Some(Found {
        cause: LimitingCause::Retries,
        impact: 1.0 - clean.wall_s / all.wall_s,
        impact_basis: ImpactBasis::Measured,
        evidence: vec![
            Observation::FailedAttempts { attempts, message: message.to_owned(), times },
            Observation::RetryPause { wait_s, share: wait_s / all.wall_s },
        ],
        setting: facts.setting("run.attempts").cloned(),
        fix: Some(Fix { uncertainty: UNCERTAINTY, ..fix }),
    })
}

/// What partitions cost that went well at once, in proportion to what all cost.
fn without_retries(work: &mut Work, clean: &Demand, all: &Demand, left: f64) {
    let eased =
        |clean: f64, all: f64| if all > 0.0 { left + (1.0 - left) * (clean / all).min(1.0) } else { 1.0 };
    work.own_cpu_s *= eased(clean.cpu_s, all.cpu_s);
    let pause_s = work.wait_mut(Wait::Pause);
    *pause_s = (*pause_s - (1.0 - left) * all.pausing_s).max(0.0);
    let statements_s = |demand: &Demand| demand.making_durable_s() - demand.committing_s;
    let waits = [
        (Wait::Source, clean.reading_s, all.reading_s),
        (Wait::RoundTrips, clean.latency_s, all.latency_s),
        (Wait::Asking, clean.querying_s, all.querying_s),
        (Wait::Bytes, clean.sending_s, all.sending_s),
        (Wait::Statements, statements_s(clean), statements_s(all)),
        (Wait::Commit, clean.committing_s, all.committing_s),
    ];
    for (wait, clean_s, all_s) in waits {
        *work.wait_mut(wait) *= eased(clean_s, all_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::PartitionOutcome;
    use rollfit_job::store::{StoreSample, StoreWait, WaitKind};
    use rollfit_testkit::record::made;

    /// A run whose partitions each waited 2 s for something, while samples saw this number of sessions wait for locks.
    fn waiting(locked: u32) -> Record {
        let mut record = made(40, 2);
        record.header.sessions_max = Some(17);
        for end in &mut record.partitions {
            end.wall_us.add(Activity::Waiting, 2_000_000);
        }
        for sample in &mut record.samples {
            let wait =
                StoreWait { kind: WaitKind::Lock, event: "Lock:relation".to_owned(), sessions: locked };
            let waits = if locked > 0 { vec![wait] } else { Vec::new() };
            sample.store = Some(StoreSample { own_sessions: 2, waits, ..StoreSample::default() });
        }
        record
    }

    fn locks_of(record: &Record) -> Option<Found> {
        locks(&RunFacts::from_record(record).unwrap())
    }

    #[test]
    fn sessions_that_were_seen_waiting_for_locks_are_evidence() {
        let found = locks_of(&waiting(2)).unwrap();
        assert!(found.impact > 0.05, "{}", found.impact);
        assert!(matches!(found.evidence[0], Observation::LockWait { .. }), "{:?}", found.evidence);
    }

    #[test]
    fn waiting_without_evidence_is_nobodys_lock() {
        assert!(locks_of(&waiting(0)).is_none());
    }

    #[test]
    fn one_look_that_met_a_lock_does_not_make_all_waiting_one_for_locks() {
        let (mut once, all) = (waiting(0), waiting(2));
        once.samples[0].store = all.samples[0].store.clone();
        let (once, all) = (locks_of(&once).unwrap(), locks_of(&all).unwrap());
        assert!(once.impact < 0.5 * all.impact, "{} {}", once.impact, all.impact);
    }

    /// A run whose partitions each paused for 2 s, from this one on.
    fn retried(from: usize) -> Record {
        let mut record = made(40, 2);
        for end in &mut record.partitions[from..] {
            end.attempt = 3;
            end.wall_us.add(Activity::Pausing, 2_000_000);
        }
        record
    }

    #[test]
    fn attempts_that_fail_cost_time_whether_or_not_a_partition_went_well_at_once() {
        for from in [0, 4] {
            let record = retried(from);
            let found = retries(&RunFacts::from_record(&record).unwrap()).unwrap();
            assert!(found.impact > 0.4, "{from}: {}", found.impact);
        }
        let without = Record { retries: Vec::new(), ..retried(0) };
        assert!(retries(&RunFacts::from_record(&without).unwrap()).is_none());
    }

    #[test]
    fn a_partition_that_others_held_is_evidence() {
        let mut record = waiting(0);
        record.partitions[5].outcome = PartitionOutcome::Held;
        let found = locks_of(&record).unwrap();
        assert_eq!(found.evidence[0], Observation::PartitionsHeld { partitions: 1 });
        // One that failed was held where who held it is known.
        record.partitions[5].outcome = PartitionOutcome::Failed;
        assert!(locks_of(&record).is_none());
        record.partitions[5].locked_by = Some("the old job".to_owned());
        let found = locks_of(&record).unwrap();
        assert_eq!(found.evidence[0], Observation::PartitionsHeld { partitions: 1 });
    }
}
