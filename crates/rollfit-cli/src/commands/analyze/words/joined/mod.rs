//! The sentences of several records that are joined.

mod finding;
mod limits;
mod more;
mod slower;

use rollfit_analysis::{JoinedRuns, KilledRunner, RunEnding, RunnerLine};

pub(in super::super) use self::finding::headline;
pub(in super::super) use self::limits::{runner_limit, time_use};
use super::{Fact, fact};
use crate::format::{byte_rate, bytes, count, percent, plural, quantity, rate, time};

/// What a reader needs first, after the headline.
pub(in super::super) fn brief(joined: &JoinedRuns) -> Vec<Fact> {
    let mut facts = vec![fact("whole", whole(joined)), fact("last", last(joined))];
    facts.extend(helped(joined).map(|told| fact("helped", told)));
    facts.push(fact("reads", reads(joined)));
    facts.extend(few_facts("killed", &joined.killed, |killed| killed_runner(killed, joined)));
    facts.extend(few_facts("slower", &joined.slower, slower::host));
    facts.extend(server(joined).map(|told| fact("server", told)));
    facts.extend(more::machines(joined).into_iter().map(|told| fact("more", told)));
    facts.extend(few_facts("gap", &joined.gaps, |gap| {
        format!("no runner was at work for {}, from {} on", time(gap.lasted_s), time(gap.from_s))
    }));
    facts.extend(running(joined).map(|told| fact("running", told)));
    facts.push(fact("clocks", clocks(joined)));
    facts
}

/// The first few of a list, a line each, and how many more there are.
fn few_facts<T>(name: &'static str, all: &[T], told: impl Fn(&T) -> String) -> Vec<Fact> {
    const FEW: usize = 4;
    let mut facts: Vec<Fact> = all.iter().take(FEW).map(|one| fact(name, told(one))).collect();
    if all.len() > FEW {
        facts.push(fact(name, format!("{} more; `--json` lists them", count((all.len() - FEW) as u64))));
    }
    facts
}

/// Where features came from and went to.
pub(in super::super) fn job(joined: &JoinedRuns) -> Vec<Fact> {
    vec![
        fact("started", joined.whole.started.clone()),
        fact("reads from", joined.source.clone()),
        fact("writes to", joined.sink.clone()),
    ]
}

/// A runner by its host and share: `loader-3 (2/4)`.
pub(in super::super) fn runner_name(host: &str, shard: Option<&str>) -> String {
    match shard {
        Some(shard) => format!("{host} ({shard})"),
        None => host.to_owned(),
    }
}

/// How a runner ended, in a word.
pub(in super::super) fn ending(line: &RunnerLine) -> &'static str {
    match line.state {
        RunEnding::Finished => "finished",
        RunEnding::Interrupted => "interrupted",
        RunEnding::Unfinished if line.is_running => "running",
        RunEnding::Unfinished => "no end",
    }
}

fn whole(joined: &JoinedRuns) -> String {
    let whole = &joined.whole;
    let failed = if whole.failed == 0 {
        String::new()
    } else {
        format!("; {} by a runner, see its record", plural(whole.failed as usize, "failure"))
    };
    format!(
        "{} on {}: {}, {} rows, {} in {}; {} rows/s, {}{failed}",
        plural(joined.runners.len(), "runner"),
        plural(joined.hosts.len(), "host"),
        plural(whole.partitions as usize, "partition"),
        count(whole.rows),
        bytes(whole.bytes),
        time(whole.took_s),
        rate(whole.rows_per_s),
        byte_rate(whole.bytes_per_s),
    )
}

fn last(joined: &JoinedRuns) -> String {
    let Some(imbalance) = &joined.imbalance else { return "nothing ran".to_owned() };
    let line = joined.runners.iter().find(|line| line.run == imbalance.last_run);
    let shard = line.and_then(|line| line.shard.as_deref());
    let first = match imbalance.first_ended_s {
        Some(first_s) if time(first_s) != time(joined.whole.took_s) => {
            format!(", the first to finish at {}", time(first_s))
        }
        _ => String::new(),
    };
    format!(
        "{} ended last, at {}{first}; {} of all workers' time was left over at the end: {} of the whole",
        runner_name(&imbalance.last_host, shard),
        time(joined.whole.took_s),
        percent(imbalance.idle_share),
        time(imbalance.lost_s),
    )
}

fn helped(joined: &JoinedRuns) -> Option<String> {
    let imbalance = joined.imbalance.as_ref()?;
    let helped = imbalance.helped.filter(|helped| *helped > 0)?;
    let by: Vec<String> = joined
        .runners
        .iter()
        .filter_map(|line| Some((line, line.helped.filter(|helped| *helped > 0)?)))
        .map(|(line, helped)| format!("{} {}", runner_name(&line.host, line.shard.as_deref()), count(helped)))
        .collect();
    Some(format!(
        "{} of other shares written, {} of workers' time: {}",
        plural(helped as usize, "partition"),
        time(imbalance.helped_worker_s),
        first_few(&by),
    ))
}

fn reads(joined: &JoinedRuns) -> String {
    let twice = &joined.duplicates;
    let beyond = match twice.reads_beyond() {
        0 => "none was read twice".to_owned(),
        beyond => format!("{} more than one for each", count(beyond)),
    };
    let written = match twice.written_twice {
        0 => String::new(),
        written => format!("; {} written by more than one runner", plural(written as usize, "partition")),
    };
    format!(
        "{} of {}: {beyond}; {} seen held by another runner{written}",
        plural(twice.source_reads as usize, "source read"),
        plural(twice.partitions_read as usize, "partition"),
        count(twice.seen_held),
    )
}

fn killed_runner(killed: &KilledRunner, joined: &JoinedRuns) -> String {
    let name = runner_name(&killed.host, killed.shard.as_deref());
    let lost = plural(killed.in_progress, "partition");
    let left = killed
        .left
        .filter(|left| *left > 0)
        .map(|left| format!(", up to {} of its share not done", count(left)))
        .unwrap_or_default();
    let seen: Vec<String> =
        killed.seen.iter().map(|seen| format!("{} by {}", seen.partition, seen.by_host)).collect();
    let seen = if seen.is_empty() { String::new() } else { format!("; written then: {}", first_few(&seen)) };
    let helpers = joined.runners.iter().any(|line| line.helped.is_some_and(|helped| helped > 0));
    let helpers = if helpers { "; what others wrote of it is counted under `helped`" } else { "" };
    format!(
        "the record of {name} has no end: killed, or copied while it ran; it breaks off at {} with {lost} in progress{left}{seen}{helpers}; \
         what it did in its last second may not be in there",
        time(killed.at_s)
    )
}

fn server(joined: &JoinedRuns) -> Option<String> {
    use rollfit_analysis::ServerCpuBasis;
    let server = &joined.server;
    if server.basis == ServerCpuBasis::NoServer {
        return None;
    }
    let cores = match (server.cores_busy, server.cores) {
        (Some(busy), Some(cores)) => format!("{} of {} cores busy", quantity(busy), quantity(cores)),
        (Some(busy), None) => format!("{} cores busy", quantity(busy)),
        (None, _) => {
            "its CPU is not visible in any of these records: set `server_cores` and `server_metrics_command`"
                .to_owned()
        }
    };
    let waits: Vec<String> =
        server.waits.iter().map(|wait| format!("{} {}", wait.event, quantity(wait.sessions))).collect();
    let waits = if waits.is_empty() {
        String::new()
    } else {
        format!("; sessions of all runners that waited in it: {}", first_few(&waits))
    };
    Some(format!("{cores}{waits}"))
}

fn running(joined: &JoinedRuns) -> Option<String> {
    let names: Vec<String> = joined
        .runners
        .iter()
        .filter(|line| line.is_running)
        .map(|line| runner_name(&line.host, line.shard.as_deref()))
        .collect();
    (!names.is_empty()).then(|| format!("{}: figures are those so far", first_few(&names)))
}

fn clocks(joined: &JoinedRuns) -> String {
    let Some(most) = joined.clocks.first() else {
        return "times are those of each host's clock; none of these records contradicts another".to_owned();
    };
    let pairs: Vec<String> = joined
        .clocks
        .iter()
        .map(|pair| {
            format!("{} is ahead of {} by {} or more", pair.ahead, pair.behind, time(pair.at_least_s))
        })
        .collect();
    format!(
        "{}, or a source changed meanwhile: times of different hosts are off by that much ({}); synchronize the clocks",
        first_few(&pairs),
        time(most.at_least_s)
    )
}

/// The first few of a list, and how many more there are.
fn first_few(texts: &[String]) -> String {
    const FEW: usize = 5;
    let first = texts[..texts.len().min(FEW)].join(", ");
    if texts.len() > FEW { format!("{first} and {} more", count((texts.len() - FEW) as u64)) } else { first }
}
