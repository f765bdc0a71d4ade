//! Remedies: what to change, what that gains, what can go wrong, how to go back.

use rollfit_analysis::{Analysis, Change, LimitingCause, RankedCause, Remedy, Watch};
use rollfit_job::store::AppliesWhen;

use super::cause::outside;
use super::limit::limit;
use super::observation::for_what;
use super::store_advice::store_advice;
use super::trial::trial;
use super::{Fact, code, fact};
use crate::format::{
    between_times, byte_rate, bytes, estimated_factor, estimated_time, factor, percent, plural, quantity,
    time,
};

/// What to do about a finding.
pub(super) fn facts(finding: &RankedCause, analysis: &Analysis) -> Vec<Fact> {
    let Some(remedy) = &finding.remedy else { return Vec::new() };
    let header = &analysis.header;
    let (before, after) = before_and_after(&remedy.change);
    let change = format!("{before} -> {after}; the limit is then {}", limit(&remedy.limit_then));
    let mut facts = vec![fact("remedy", action(finding.cause, &remedy.change))];
    facts.extend(store_advice(finding.cause, header).iter().map(|advice| fact("store", advice.clone())));
    facts.extend([code("change", change), fact("applies", applies(remedy.applies))]);
    facts.extend(gain(remedy));
    facts.extend([
        fact("risk", risk(&remedy.change)),
        fact("effort", effort(&remedy.change)),
        fact("watch", watch(remedy.watch)),
        fact("roll back", roll_back(&remedy.change)),
    ]);
    facts.extend(trial(finding.cause, remedy, analysis));
    facts
}

/// What a remedy gains. Where the server's processors are not visible the ends of the range are all that is known.
fn gain(remedy: &Remedy) -> Vec<Fact> {
    let gain = remedy.gain.as_ref().map(|gain| match remedy.server_unseen {
        true => format!(
            "{} to {} faster: the server's CPU is not visible from here",
            factor(gain.low),
            factor(gain.high)
        ),
        false => format!("{} faster", estimated_factor(gain)),
    });
    let job_s = remedy.job_s.as_ref().map(|job_s| match remedy.server_unseen {
        true => between_times(job_s.low, job_s.high),
        false => estimated_time(job_s),
    });
    [("gain", gain), ("whole job", job_s)]
        .into_iter()
        .filter_map(|(label, text)| Some(fact(label, text?)))
        .collect()
}

/// What to do, as an order.
pub(super) fn action(cause: LimitingCause, change: &Change) -> String {
    match change {
        Change::Setting { after: Some(_), .. } => format!("Set `{}`", set(change)),
        Change::Setting { name, before: Some(before), .. } => {
            format!("Remove `{}`, or raise it", setting(name, before))
        }
        Change::Setting { name, .. } => format!("Remove `{name}`"),
        Change::Quota { .. } => {
            "Allow this process more cores: raise the CPU quota of its control group, or its affinity"
                .to_owned()
        }
        _ => outside(cause).to_owned(),
    }
}

/// The setting as it should be: `run.workers = 4`.
pub(super) fn set(change: &Change) -> String {
    match change {
        Change::Setting { name, after, .. } => setting_or_none(name, after.as_ref()),
        _ => String::new(),
    }
}

/// `run.workers = "auto"`, `run.cpu_max = 2`
fn setting(name: &str, value: &str) -> String {
    match value.parse::<f64>() {
        Ok(_) => format!("{name} = {value}"),
        Err(_) => format!("{name} = \"{value}\""),
    }
}

fn setting_or_none(name: &str, value: Option<&String>) -> String {
    value.map_or_else(|| format!("{name} is not set"), |value| setting(name, value))
}

/// The state as it is, and as it should be.
fn before_and_after(change: &Change) -> (String, String) {
    match change {
        Change::Setting { name, before, after } => {
            (setting_or_none(name, before.as_ref()), setting_or_none(name, after.as_ref()))
        }
        Change::Cores { cores, cores_wanted } => (
            format!("{} cores for this run", quantity(*cores)),
            format!("{} cores for this run", quantity(*cores_wanted)),
        ),
        Change::Quota { cores, cores_wanted } => (
            format!("{} cores allowed", quantity(*cores)),
            format!("{} cores allowed", quantity(*cores_wanted)),
        ),
        Change::Memory { bytes: held, bytes_wanted, workers, workers_wanted } => {
            let room = |held: f64, workers: usize| {
                format!("{} for this process, room for {}", bytes(held as u64), plural(workers, "worker"))
            };
            (room(*held, *workers), room(*bytes_wanted, *workers_wanted))
        }
        Change::Sessions { sessions, sessions_wanted } => {
            (plural(*sessions as usize, "session"), plural(*sessions_wanted, "session"))
        }
        Change::Wait { waited_for, wait_s } => (
            format!("a partition waits {} {}", time(*wait_s), for_what(*waited_for)),
            format!("hardly any wait {}", for_what(*waited_for)),
        ),
        Change::Bandwidth { bytes_per_s } => (
            format!("the store takes {}", byte_rate(*bytes_per_s)),
            "the store takes bytes as fast as they come".to_owned(),
        ),
        Change::Locks => (
            "others hold partitions or locks that this run needs".to_owned(),
            "nobody else holds them".to_owned(),
        ),
        Change::Attempts { failed } => {
            (format!("{} failed and were retried", plural(*failed, "attempt")), "no attempt fails".to_owned())
        }
    }
}

/// When a change takes effect.
pub(super) const fn applies(applies: AppliesWhen) -> &'static str {
    match applies {
        AppliesWhen::AtOnce => "at once; rollfit needs no restart",
        AppliesWhen::NewSessions => "to sessions that begin later",
        AppliesWhen::NextRun => "with the next run; you can stop this one and run it again to continue",
        AppliesWhen::StoreRestart => "with the next run after a restart of the store",
    }
}

fn risk(change: &Change) -> &'static str {
    let Change::Setting { name, .. } = change else {
        return "none for what is stored: every partition is committed whole or not at all";
    };
    match name.as_str() {
        "run.workers" => {
            "more load on machine and store; cpu_max and store_sessions_max keep it within bounds"
        }
        "run.order" => "partitions end in another order; what is stored is the same",
        "run.store_sessions_max" => "the store has fewer sessions left for others",
        "run.cpu_max" => "less is left for other processes on this machine",
        "run.store_write_mb_per_s_max" => "other users of the store notice more of this run",
        _ => "",
    }
}

const fn effort(change: &Change) -> &'static str {
    match change {
        Change::Setting { .. } => "one setting",
        _ => "outside rollfit",
    }
}

fn roll_back(change: &Change) -> String {
    match change {
        Change::Setting { name, before: Some(before), .. } => {
            format!("set `{}` again", setting(name, before))
        }
        Change::Setting { name, .. } => format!("remove `{name}`"),
        _ => "undo it outside rollfit; nothing that rollfit stores depends on it".to_owned(),
    }
}

fn watch(watch: Watch) -> String {
    match watch {
        Watch::LoadAverage { cores: Some(cores) } => {
            format!("load average: not above {cores}, the cores, for long")
        }
        Watch::LoadAverage { cores: None } => {
            "load average: not above the number of cores for long".to_owned()
        }
        Watch::CompetingCores { below } => {
            format!("cores that other processes keep busy: below {}", quantity(below))
        }
        Watch::FreeMemory { bytes: worker } => {
            format!("free memory: at least {} for one more worker", bytes(worker as u64))
        }
        Watch::ActivityShare { activity, share } => {
            format!("the share of {} in the workers' time: now {}", activity.name(), percent(share))
        }
        Watch::SessionsOfAll => "sessions of everybody: at most one less than the store allows".to_owned(),
        Watch::StoreForOthers => "answers of the store to others: as fast as before".to_owned(),
        Watch::Throughput => "rows/s: more than before".to_owned(),
        Watch::HeldPartitions => "partitions that end as held: none".to_owned(),
        Watch::Retries => "retried attempts: none".to_owned(),
        Watch::EndOfRun => "the end of the run: all workers busy until shortly before it".to_owned(),
    }
}
