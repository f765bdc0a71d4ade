//! Causes in how the work is given out: too few workers, too few sessions for them, one partition that the last worker is
//! left alone with.

use super::super::case::Case;
use super::super::evidence::Evidence;
use super::super::report::Cause;
use super::super::schedule::largest_first;
use super::super::words::{counted, number, percent};
use super::{Advice, Found};
use rollfit_job::spec::{Order, Workers};

pub(super) fn found(evidence: &Evidence<'_>) -> Vec<Found> {
    [workers(evidence, &evidence.case), sessions(evidence), giant(evidence)].into_iter().flatten().collect()
}

/// Whether more workers would pay in a case.
pub(super) fn workers(evidence: &Evidence<'_>, case: &Case) -> Option<Found> {
    if case.workers == Workers::Auto {
        return None;
    }
    let by_itself = |case: &Case, _: f64| Case { workers: Workers::Auto, ..case.clone() };
    let then = by_itself(case, 0.0).workers_now();
    let gain = case.gain(&by_itself(case, 0.0));
    let setting = evidence.setting("run.workers");
    let own = evidence.seen.own_cores;
    let advice = Advice::set(setting, "run.workers", "auto", Box::new(by_itself))
        .risks("more load on machine and store; limits such as cpu_max and store_sessions_max keep it within bounds")
        .watching(watched(evidence));
    let busy = own.zip(evidence.record.header.machine.cores);
    let busy = busy.map(|(own, cores)| format!("they kept {} of {cores} cores busy", number(own)));
    let now = evidence.workers_max();
    Some(Found {
        cause: Cause::Workers,
        title: "fewer workers than would pay".to_owned(),
        impact: 1.0 - 1.0 / gain.expected,
        evidence: [
            Some(format!("{} worked at once, about {then} would pay", counted(now, "worker"))),
            busy,
            Some(format!("{} of a partition's time a worker only waits", percent(waiting_share(evidence)))),
        ]
        .into_iter()
        .flatten()
        .collect(),
        setting: setting.cloned(),
        advice: Some(advice),
    })
}

fn watched(evidence: &Evidence<'_>) -> String {
    match evidence.record.header.machine.cores {
        Some(cores) => format!("load average: not above {cores}, the cores, for long"),
        None => "rows a second: more than before".to_owned(),
    }
}

/// The share of its time that a worker neither computes nor waits for a core.
fn waiting_share(evidence: &Evidence<'_>) -> f64 {
    let demand = &evidence.demand;
    (1.0 - demand.cpu_s * demand.stretch / demand.wall_s).max(0.0)
}

fn sessions(evidence: &Evidence<'_>) -> Option<Found> {
    let (case, header) = (&evidence.case, &evidence.record.header);
    let most = case.ceilings.sessions?;
    let more = |case: &Case, left: f64| {
        let mut changed = case.clone();
        let half = |sessions: usize| if left > 0.0 { Some(sessions * 2) } else { None };
        changed.ceilings.sessions = changed.ceilings.sessions.and_then(half);
        changed
    };
    let wanted = more(case, 0.0).workers_now();
    let name = "run.store_sessions_max";
    let setting = evidence.setting(name).filter(|setting| setting.value.is_some());
    let before = format!("{} sessions", header.sessions_max.unwrap_or_default());
    let after = format!("{} sessions: {wanted} workers and one that watches", wanted + 1);
    let advice = match setting {
        Some(_) => Advice { after, ..Advice::set(setting, name, &(wanted + 1).to_string(), Box::new(more)) }
            .risks("the store has fewer sessions left for others"),
        None => Advice::outside(
            "Allow this process more sessions: raise the store's limit, or end sessions of others",
            before,
            after,
            Box::new(more),
        )
        .applying("when the store has been restarted with the new limit (PostgreSQL: max_connections), then next run"),
    };
    let waited = evidence.demand.waiting_s / evidence.demand.wall_s;
    Some(Found {
        cause: Cause::Sessions,
        title: "few sessions with the store".to_owned(),
        impact: 1.0 - 1.0 / case.gain(&more(case, 0.0)).expected,
        evidence: vec![
            format!(
                "there are {} sessions for this process, which is {}: {}",
                header.sessions_max.unwrap_or_default(),
                counted(most, "worker"),
                header.sessions_why.as_deref().unwrap_or("the store allows no more")
            ),
            format!("workers waited for one {} of their time", percent(waited)),
            format!("about {} would pay", counted(wanted, "worker")),
        ],
        setting: setting.cloned(),
        advice: Some(
            advice.watching("sessions of everybody: one less than the store allows, at most".to_owned()),
        ),
    })
}

/// One partition that is begun late and much larger than the others.
fn giant(evidence: &Evidence<'_>) -> Option<Found> {
    const TIMES: f64 = 3.0;
    let case = &evidence.case;
    let largest = super::super::demand::written(evidence.record).max_by_key(|end| end.rows)?;
    let mean = evidence.demand.rows;
    if (largest.rows as f64) < TIMES * mean || case.workers_now() < 2 {
        return None;
    }
    let idle = evidence.idle_share();
    let took_s = largest.at_ms.saturating_sub(largest.begun_ms) as f64 / 1e3;
    let alone_s = evidence.in_hand.above_s(0.5, 0.0, evidence.took_s)
        - evidence.in_hand.above_s(1.5, 0.0, evidence.took_s);
    let first = |case: &Case, _: f64| Case { order: Order::LargestFirst, ..case.clone() };
    let advice = (case.order == Order::Plan).then(|| {
        Advice::set(evidence.setting("run.order"), "run.order", "largest-first", Box::new(first))
            .risks("partitions end in another order; what is stored is the same")
            .watching("the end of the run: all workers busy until shortly before it".to_owned())
    });
    let bound = largest_first(&case.rows).first().copied().unwrap_or(mean) / mean;
    Some(Found {
        cause: Cause::GiantPartition,
        title: "one partition is much larger than the others".to_owned(),
        impact: idle,
        evidence: vec![
            format!(
                "{} has {} times the rows of the mean partition and took {}",
                largest.partition,
                number(bound),
                super::super::words::duration(took_s)
            ),
            format!("for {} one worker alone had something to do", super::super::words::duration(alone_s)),
            format!("workers had nothing to do {} of the run", percent(idle)),
        ],
        setting: evidence.setting("run.order").cloned(),
        advice,
    })
}
