//! Causes on the machine: cores that others take or that a control group withholds, memory, and limits that the
//! configuration sets. Cores that are full with the run's own work are no fault: that is what they are for.

use super::super::evidence::Evidence;
use super::super::report::Cause;
use super::super::words::{bytes, duration, number, percent};
use super::{Advice, Found};

/// Cores that others keep busy below this share of all are nobody's fault.
const OTHERS_LEAST: f64 = 0.05;

pub(super) fn found(evidence: &Evidence<'_>) -> Vec<Found> {
    [cores(evidence), memory(evidence), cpu_max(evidence), write_max(evidence)]
        .into_iter()
        .flatten()
        .collect()
}

fn cores(evidence: &Evidence<'_>) -> Option<Found> {
    let machine = &evidence.record.header.machine;
    let all = machine.cores? as f64;
    let (seen, demand) = (&evidence.seen, &evidence.demand);
    let allowed = machine.cores_allowed.unwrap_or(all).min(all);
    let taken = seen.neighbours_mean + seen.stolen_cores.unwrap_or(0.0);
    if taken < OTHERS_LEAST * all && allowed > (1.0 - OTHERS_LEAST) * all {
        return None;
    }
    let own = seen.own_cores.unwrap_or(0.0);
    let mut told = vec![format!(
        "this process kept {} of {} cores busy, others {}",
        number(own),
        number(all),
        number(taken)
    )];
    told.extend(
        (allowed < all)
            .then(|| format!("affinity or a control group allows this process {} cores", number(allowed))),
    );
    told.push(format!(
        "for each second of its own work a worker waited {} for a core",
        duration(demand.stretch - 1.0)
    ));
    told.extend(
        seen.waiting_threads
            .map(|threads| format!("{} threads waited for a core, on average", number(threads))),
    );
    let free = move |case: &super::Case, left: f64| {
        case.with_work(|work| {
            work.cores.rivals *= left;
            work.cores.allowed += (all - work.cores.allowed).max(0.0) * (1.0 - left);
        })
    };
    let advice = Advice::outside(
        "Leave the cores to this run: move the other work away, run when it rests, or raise the control group's limit",
        format!("{} of {} cores for this run", number((allowed - taken).max(own)), number(all)),
        format!("all {} cores for this run", number(all)),
        Box::new(free),
    )
    .watching(format!("cores kept busy by others: below {}", number(OTHERS_LEAST * all)));
    Some(Found {
        cause: Cause::Cpu,
        title: if taken >= OTHERS_LEAST * all {
            "others keep the cores busy"
        } else {
            "few of the cores are allowed"
        }
        .to_owned(),
        impact: 1.0 - 1.0 / evidence.case.gain(&free(&evidence.case, 0.0)).expected,
        evidence: told,
        setting: None,
        advice: Some(advice),
    })
}

fn memory(evidence: &Evidence<'_>) -> Option<Found> {
    let (seen, case) = (&evidence.seen, &evidence.case);
    let most = case.ceilings.memory?;
    let (room, base, each) = (seen.room_bytes?, seen.base_bytes?, seen.worker_bytes?);
    let more = |case: &super::Case, left: f64| {
        let mut changed = case.clone();
        let half = |memory: usize| if left > 0.0 { Some(memory * 2) } else { None };
        changed.ceilings.memory = changed.ceilings.memory.and_then(half);
        changed
    };
    let wanted = more(case, 0.0).workers_now();
    let need = base + each * wanted as f64;
    let advice = Advice::outside(
        "Give this process more memory: raise the limit of its control group, or free what others hold",
        format!("{} for this process, room for {most} workers", bytes(room)),
        format!("{} for this process, room for {wanted} workers", bytes(need)),
        Box::new(more),
    )
    .watching(format!("memory that is free: at least {} for one more worker", bytes(each)));
    Some(Found {
        cause: Cause::Memory,
        title: "memory has room for few workers".to_owned(),
        impact: 1.0 - 1.0 / case.gain(&more(case, 0.0)).expected,
        evidence: vec![
            format!(
                "({} that this process could hold - {} without workers) / {} a worker = {most} workers",
                bytes(room),
                bytes(base),
                bytes(each)
            ),
            format!("{} workers would be faster", number(wanted as f64)),
        ],
        setting: None,
        advice: Some(advice),
    })
}

fn cpu_max(evidence: &Evidence<'_>) -> Option<Found> {
    let limit = evidence.case.likeliest()?.cores_max?;
    let own = evidence.seen.own_cores.map(|cores| format!("this process kept {} cores busy", number(cores)));
    let setting = evidence.setting("run.cpu_max");
    let lift = |case: &super::Case, left: f64| {
        case.with_work(|work| {
            work.cores_max = work.cores_max.filter(|_| left > 0.0).map(|cores| cores / left);
        })
    };
    let advice = Advice::set(setting, "run.cpu_max", "", Box::new(lift))
        .risks("less is left for others on this machine")
        .watching("load average: not above the number of cores for long".to_owned());
    Some(own_limit(
        evidence,
        "the limit cpu_max holds the workers back",
        format!("cpu_max allows {} cores", number(limit)),
        own,
        advice,
        "run.cpu_max",
    ))
}

fn write_max(evidence: &Evidence<'_>) -> Option<Found> {
    let limit = evidence.case.likeliest()?.bytes_per_s_max?;
    let name = "run.store_write_mb_per_s_max";
    let wrote = evidence.demand.bytes * evidence.demand.partitions as f64 / evidence.took_s;
    let lift = |case: &super::Case, left: f64| {
        case.with_work(|work| {
            work.bytes_per_s_max = work.bytes_per_s_max.filter(|_| left > 0.0).map(|limit| limit / left);
        })
    };
    let advice = Advice::set(evidence.setting(name), name, "", Box::new(lift))
        .risks("others who use the store feel more of this run")
        .watching("answers of the store to others: as quick as before".to_owned());
    let told = format!("the limit is {} a second, {} a second were written", bytes(limit), bytes(wrote));
    Some(own_limit(
        evidence,
        "the limit store_write_mb_per_s_max holds the workers back",
        told,
        None,
        advice,
        name,
    ))
}

fn own_limit(
    evidence: &Evidence<'_>,
    title: &str,
    limit: String,
    more: Option<String>,
    advice: Advice,
    name: &str,
) -> Found {
    let impact = evidence.demand.braking_s / evidence.demand.wall_s;
    let braked = format!("workers held themselves back {} of their time", percent(impact));
    Found {
        cause: Cause::OwnLimit,
        title: title.to_owned(),
        impact,
        evidence: [Some(limit), more, Some(braked)].into_iter().flatten().collect(),
        setting: evidence.setting(name).cloned(),
        advice: Some(advice),
    }
}
