//! What a run is, and how it went.

use std::path::Path;

use rollfit_analysis::{
    Analysis, ChangeSince, Durations, EstimateVsObserved, EtaVsObserved, LaneSlice, RunEnding,
};
use rollfit_job::config::{Origin, Setting};
use rollfit_job::record::{Header, PartitionOutcome};

use super::{Fact, fact, joined};
use crate::commands::analyze::run_now::RunNow;
use crate::format::{
    byte_rate, bytes, count, estimated_rate, estimated_time, percent, plural, quantity, rate, time,
};

/// What the run is: where, when, from where to where.
pub(in super::super) fn run(header: &Header) -> Vec<Fact> {
    let sessions = header.sessions_max.map(|sessions| match &header.sessions_why {
        Some(why) => fact("sessions", format!("at most {}: {why}", count(sessions))),
        None => fact("sessions", format!("at most {}", count(sessions))),
    });
    let mut facts = vec![
        fact("run", format!("{} of rollfit {}", header.run, header.version)),
        fact("started", header.started.clone()),
        fact("machine", machine(header)),
        fact("reads from", header.source.clone()),
        fact("writes to", header.sink.clone()),
        fact("job", work(header)),
    ];
    facts.extend(sessions);
    facts.retain(|fact| !fact.text.is_empty());
    facts
}

fn machine(header: &Header) -> String {
    let limits = &header.machine;
    let cores = match (limits.cores, limits.cores_allowed) {
        (Some(cores), Some(allowed)) if allowed < cores as f64 => {
            Some(format!("{} of {} allowed", quantity(allowed), plural(cores, "core")))
        }
        (Some(cores), _) => Some(plural(cores, "core")),
        (None, allowed) => allowed.map(|allowed| format!("{} cores allowed", quantity(allowed))),
    };
    let memory = match (limits.memory_bytes, limits.memory_allowed_bytes) {
        (Some(memory), Some(allowed)) => {
            Some(format!("{} of {} memory allowed", bytes(allowed), bytes(memory)))
        }
        (Some(memory), None) => Some(format!("{} memory", bytes(memory))),
        (None, allowed) => allowed.map(|allowed| format!("{} memory allowed", bytes(allowed))),
    };
    let kernel = (!header.kernel.is_empty()).then(|| format!("kernel on {}", header.kernel));
    let host = (!header.host.is_empty()).then(|| header.host.clone());
    joined([host, cores, memory, kernel], ", ").unwrap_or_default()
}

fn work(header: &Header) -> String {
    format!(
        "{} of {} from {} a row",
        plural(header.partitions as usize, "partition"),
        plural(header.features as usize, "feature"),
        plural(header.fits as usize, "fit")
    )
}

/// How the run went.
pub(in super::super) fn outcome(analysis: &Analysis, now: RunNow) -> Vec<Fact> {
    let (run, totals) = (&analysis.run, &analysis.run.totals);
    let partitions = format!(
        "{} of {} written, {} failed, {} retried",
        count(totals.written),
        count(totals.partitions),
        count(totals.failed),
        plural(totals.retries as usize, "attempt")
    );
    let mut facts = vec![
        fact("state", format!("{}, {}", ending(run.state, now), time(run.took_s))),
        fact("partitions", partitions),
        fact("rows", rows(analysis)),
    ];
    if totals.written > 0 {
        let workers =
            format!("{} on average, {} at most", quantity(run.workers), count(run.workers_max as u64));
        facts.extend([
            fact("bytes", format!("{}, {}", bytes(totals.bytes), byte_rate(run.bytes_per_s))),
            fact("workers", workers),
        ]);
    }
    facts.extend(run.memory_bytes_max.map(|memory| fact("memory", format!("{} at most", bytes(memory)))));
    facts.extend(
        run.job_s.map(|job_s| fact("whole job", format!("{} at this rate, from nothing", time(job_s)))),
    );
    let compared = analysis.eta_vs_observed.as_ref().filter(|_| totals.written > 0);
    facts.extend(compared.map(|compared| fact("ETA", eta(compared))));
    facts
}

/// The rows written; where there are none, those on their way.
fn rows(analysis: &Analysis) -> String {
    let (run, totals) = (&analysis.run, &analysis.run.totals);
    match totals.written {
        0 => format!("{} handed over, none committed", count(totals.rows)),
        _ => format!("{}, {} rows/s", count(totals.rows), rate(run.rows_per_s)),
    }
}

const fn ending(state: RunEnding, now: RunNow) -> &'static str {
    match state {
        RunEnding::Finished => "finished",
        RunEnding::Interrupted => "interrupted",
        RunEnding::Unfinished if now.is_running => "running",
        RunEnding::Unfinished => "killed",
    }
}

/// `after 30.0 s: 88.0 s (80.0–95.0 s); actual: 90.1 s`
fn eta(compared: &EtaVsObserved) -> String {
    format!(
        "after {}: {}; actual: {}",
        time(compared.at_s),
        estimated_time(&compared.eta_s),
        time(compared.left_s)
    )
}

/// `half of 335 partitions took at most 1.2 s, 90 % 1.5 s, 99 % 2.9 s; the slowest, eurusd 2017-03, took 4.1 s`
pub(in super::super) fn durations(durations: &Durations, analysis: &Analysis) -> String {
    let is_slowest = |slice: &&LaneSlice| slice.outcome == PartitionOutcome::Written;
    let slowest = analysis.slowest.iter().find(is_slowest);
    let name = slowest.map(|slice| format!(", {},", slice.partition)).unwrap_or_default();
    format!(
        "Half of {} took at most {}, 90 % {}, 99 % {}; the slowest{name} took {}",
        plural(durations.partitions, "written partition"),
        time(durations.p50_s),
        time(durations.p90_s),
        time(durations.p99_s),
        time(durations.max_s)
    )
}

/// What an earlier run let expect, and what came of it.
pub(in super::super) fn estimate_vs_observed(compared: &EstimateVsObserved) -> Vec<Fact> {
    let direction = if compared.error < 0.0 { "less" } else { "more" };
    let observed = format!(
        "{} rows/s, {} {direction} than estimated",
        rate(compared.observed_rows_per_s),
        percent(compared.error.abs())
    );
    let changes: Vec<String> = compared.changes.iter().map(change).collect();
    vec![
        fact("from run", compared.by_run.clone()),
        fact("changes", if changes.is_empty() { "none".to_owned() } else { changes.join("; ") }),
        fact("estimated", format!("{} rows/s", estimated_rate(&compared.rows_per_s))),
        fact("observed", observed),
    ]
}

fn change(change: &ChangeSince) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
    match change {
        ChangeSince::Setting { name, before, after } => {
            format!("{name}: {} -> {}", value(before), value(after))
        }
        ChangeSince::CoresAllowed { before, after } => {
            format!("cores allowed: {} -> {}", quantity(*before), quantity(*after))
        }
        ChangeSince::Sessions { before, after } => {
            format!("sessions: {} -> {}", count(*before), count(*after))
        }
    }
}

/// Where a setting came from.
pub(in super::super) fn origin(setting: &Setting, header: &Header) -> String {
    let file =
        || Path::new(&header.config).file_name().map_or("rollfit.toml".into(), |name| name.to_string_lossy());
    match &setting.origin {
        Origin::Default => "default".to_owned(),
        Origin::Flag(flag) => format!("flag {flag}"),
        Origin::Variable(variable) => format!("variable {variable}"),
        Origin::Line(line) => format!("{}, line {line}", file()),
    }
}
