//! Causes that should not be: locks and partitions that others hold, attempts that fail.

use std::collections::BTreeMap;

use super::super::case::Case;
use super::super::demand::{Demand, written};
use super::super::evidence::{Evidence, held};
use super::super::report::Cause;
use super::super::words::{counted, duration, percent};
use super::super::work::Work;
use super::{Advice, Found};

pub(super) fn found(evidence: &Evidence<'_>) -> Vec<Found> {
    [locks(evidence), retries(evidence)].into_iter().flatten().collect()
}

fn locks(evidence: &Evidence<'_>) -> Option<Found> {
    let locked_s = evidence.locked_s();
    let held = held(evidence.record);
    if held.is_empty() && locked_s <= 0.0 {
        return None;
    }
    let free = move |case: &Case, left: f64| {
        let changed = case.with_work(|work| {
            let taken_s = (1.0 - left) * locked_s;
            let from_pauses_s = taken_s.min(work.pausing_s);
            work.pausing_s -= from_pauses_s;
            work.asking_s = (work.asking_s - (taken_s - from_pauses_s)).max(0.0);
        });
        Case { held_s: case.held_s * left, ..changed }
    };
    let case = &evidence.case;
    let holders: Vec<&str> = evidence.seen.lock_holders.iter().map(String::as_str).take(5).collect();
    let causes = evidence.record.partitions.iter().filter(|end| held.contains(&end.partition));
    let said = causes.filter_map(|end| end.cause.as_deref()).next();
    let told = [
        (!held.is_empty()).then(|| format!("{} held by others when it was their turn", were(held.len()))),
        (case.held_s > 0.0)
            .then(|| format!("for {} at the end nothing else was left to do", duration(case.held_s))),
        (locked_s > 0.0).then(|| {
            format!(
                "a partition waits {} for locks, {} of its time",
                duration(locked_s),
                percent(locked_s / evidence.demand.wall_s)
            )
        }),
        (!holders.is_empty()).then(|| format!("the locks are held by {}", holders.join(", "))),
        said.map(|said| format!("it was told: {said}")),
    ];
    let advice = Advice::outside(
        "Let whoever holds them finish, or end them; do not run two jobs over the same partitions at once",
        "others hold partitions or locks that this run needs".to_owned(),
        "nobody else holds them".to_owned(),
        Box::new(free),
    )
    .watching("partitions that end as held: none".to_owned());
    Some(Found {
        cause: Cause::Locks,
        title: "others hold locks or partitions".to_owned(),
        impact: (locked_s / evidence.demand.wall_s).max(case.held_s / evidence.took_s.max(1e-3)),
        evidence: told.into_iter().flatten().collect(),
        setting: None,
        advice: Some(advice),
    })
}

fn were(partitions: usize) -> String {
    let verb = if partitions == 1 { "was" } else { "were" };
    format!("{} {verb}", counted(partitions, "partition"))
}

fn retries(evidence: &Evidence<'_>) -> Option<Found> {
    let record = evidence.record;
    if record.retries.is_empty() {
        return None;
    }
    let all = evidence.demand;
    let clean = Demand::of(written(record).filter(|end| end.attempt == 1))?.sized(all.rows);
    // What partitions cost without repeats is known only of those that went well at once, which may be easier ones.
    const DOUBT: f64 = 0.15;
    let pausing_s = all.pausing_s;
    let once = move |case: &Case, left: f64| case.with_work(|work| without_repeats(work, &clean, &all, left));
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for retry in &record.retries {
        *causes.entry(&retry.cause).or_default() += 1;
    }
    let (cause, times) = causes.into_iter().max_by_key(|(_, times)| *times)?;
    let advice = Advice::outside(
        "Remove what makes attempts fail",
        format!("{} failed and were repeated", counted(record.retries.len(), "attempt")),
        "no attempt fails".to_owned(),
        Box::new(once),
    )
    .doubted(DOUBT)
    .watching("attempts that were repeated: none".to_owned());
    Some(Found {
        cause: Cause::Retries,
        title: "attempts fail and are repeated".to_owned(),
        impact: 1.0 - clean.wall_s / all.wall_s,
        evidence: vec![
            format!(
                "{} failed and were repeated, {times} of them so: {cause}",
                counted(record.retries.len(), "attempt")
            ),
            format!(
                "a partition pauses {} before another attempt, {} of its time",
                duration(pausing_s),
                percent(pausing_s / all.wall_s)
            ),
        ],
        setting: evidence.setting("run.attempts").cloned(),
        advice: Some(advice),
    })
}

/// What partitions cost that went well at once, in proportion to what all cost.
fn without_repeats(work: &mut Work, clean: &Demand, all: &Demand, left: f64) {
    let eased =
        |clean: f64, all: f64| if all > 0.0 { left + (1.0 - left) * (clean / all).min(1.0) } else { 1.0 };
    work.own_cpu_s *= eased(clean.cpu_s, all.cpu_s);
    work.asking_s *= eased(clean.asking_s, all.asking_s);
    work.pausing_s = (work.pausing_s - (1.0 - left) * all.pausing_s).max(0.0);
    let places = [
        (clean.reading_s, all.reading_s),
        (clean.sending_s, all.sending_s),
        (clean.committing_s, all.committing_s),
    ];
    for (shared, (clean, all)) in work.shared.iter_mut().zip(places) {
        shared.demand_s *= eased(clean, all);
    }
}
