//! [`Fact`]: a part of an analysis as a label and a text, the same in the terminal, in Markdown and in HTML.

use std::path::Path;

use rollfit_analysis::{Analysis, Bottleneck, Combined, Foretold, Predicted, Remedy, Worth};
use rollfit_job::record::Header;
use rollfit_job::spec::{Origin, Setting};

use super::figures::{byte_rate, estimated_gain, estimated_rate, estimated_time, quantity, rate, share};
use crate::output::{bytes, count, plural, time};

/// A label and what there is to say under it.
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) text: String,
    pub(super) form: Form,
}

/// How a text is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Prose.
    Prose,
    /// Letter by letter.
    Code,
    /// To be typed into a shell.
    Command,
}

fn fact(label: &'static str, text: impl Into<String>) -> Fact {
    Fact { label, text: text.into(), form: Form::Prose }
}

fn code(label: &'static str, text: impl Into<String>) -> Fact {
    Fact { label, text: text.into(), form: Form::Code }
}

/// A text in its parts; those between backticks are code. Where the backticks make no pairs all of it is text.
pub(super) fn parts(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let is_paired = text.matches('`').count().is_multiple_of(2);
    let parts = text.splitn(if is_paired { usize::MAX } else { 1 }, '`');
    parts.enumerate().map(|(at, part)| (at % 2 == 1, part)).filter(|(_, part)| !part.is_empty())
}

/// The title of a bottleneck as a heading.
pub(super) fn title(bottleneck: &Bottleneck) -> String {
    let mut letters = bottleneck.title.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// What the run is: where, when, from where to where.
pub(super) fn run(header: &Header) -> Vec<Fact> {
    let sessions = header.sessions_max.map(|sessions| match &header.sessions_why {
        Some(why) => fact("sessions", format!("at most {}: {why}", count(sessions))),
        None => fact("sessions", format!("at most {}", count(sessions))),
    });
    let mut facts = vec![
        fact("run", format!("{} of rollfit {}", header.run, header.version)),
        fact("began", header.started.clone()),
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
    [host, cores, memory, kernel].into_iter().flatten().collect::<Vec<_>>().join(", ")
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
pub(super) fn outcome(analysis: &Analysis) -> Vec<Fact> {
    let (run, totals) = (&analysis.run, &analysis.run.totals);
    let partitions = format!(
        "{} of {} written, {} failed, {} repeated",
        count(totals.written),
        count(totals.partitions),
        count(totals.failed),
        plural(totals.retries as usize, "attempt")
    );
    let mut facts = vec![
        fact("state", format!("{}, {}", run.state, time(run.took_s))),
        fact("partitions", partitions),
        fact("rows", format!("{}, {} a second", count(totals.rows), rate(run.rows_per_s))),
        fact("bytes", format!("{}, {}", bytes(totals.bytes), byte_rate(run.bytes_per_s))),
        fact(
            "workers",
            format!("{} on average, {} at most", quantity(run.workers), count(run.workers_max as u64)),
        ),
    ];
    facts.extend(run.memory_bytes_max.map(|memory| fact("memory", format!("{} at most", bytes(memory)))));
    facts.extend(
        run.job_s.map(|job_s| fact("whole job", format!("{} at this pace, from nothing", time(job_s)))),
    );
    facts.extend(analysis.foretold.as_ref().map(|foretold| fact("foretold", rest(foretold))));
    facts
}

/// What was said about the rest of the run, and what came of it.
fn rest(foretold: &Foretold) -> String {
    format!(
        "after {} that {} were left; it took {}",
        time(foretold.at_s),
        estimated_time(&foretold.told_s),
        time(foretold.left_s)
    )
}

/// A bottleneck's setting and remedy; its evidence stands apart.
pub(super) fn bottleneck(bottleneck: &Bottleneck, header: &Header) -> Vec<Fact> {
    let setting = bottleneck.setting.as_ref().map(|setting| code("setting", setting_told(setting, header)));
    let remedy = bottleneck.remedy.iter().flat_map(remedy);
    setting.into_iter().chain(remedy).filter(|fact| !fact.text.is_empty()).collect()
}

/// `run.workers = 4 (rollfit.toml, line 31)`.
fn setting_told(setting: &Setting, header: &Header) -> String {
    match &setting.value {
        Some(value) => format!("{} = {value} ({})", setting.name, origin(setting, header)),
        None if setting.origin == Origin::Default => format!("{} is not set", setting.name),
        None => format!("{} is not set ({})", setting.name, origin(setting, header)),
    }
}

/// Where a setting came from.
pub(super) fn origin(setting: &Setting, header: &Header) -> String {
    let file =
        || Path::new(&header.config).file_name().map_or("rollfit.toml".into(), |name| name.to_string_lossy());
    match &setting.origin {
        Origin::Default => "default".to_owned(),
        Origin::Flag(flag) => format!("flag {flag}"),
        Origin::Variable(variable) => format!("variable {variable}"),
        Origin::Line(line) => format!("{}, line {line}", file()),
    }
}

fn remedy(remedy: &Remedy) -> Vec<Fact> {
    let mut facts = vec![
        fact("remedy", remedy.action.clone()),
        code("change", change(remedy)),
        fact("applies", remedy.applies.clone()),
    ];
    facts.extend(remedy.gain.as_ref().map(|gain| fact("gain", estimated_gain(gain))));
    facts.extend(remedy.job_s.as_ref().map(|job_s| fact("whole job", estimated_time(job_s))));
    facts.extend([
        fact("risk", remedy.risk.clone()),
        fact("effort", remedy.effort.clone()),
        fact("watch", remedy.watch.clone()),
        fact("roll back", remedy.roll_back.clone()),
        Fact { label: "try on one", text: remedy.try_on_one.clone(), form: Form::Command },
    ]);
    facts
}

fn change(remedy: &Remedy) -> String {
    match (remedy.before.is_empty(), remedy.after.is_empty()) {
        (false, false) => format!("{} -> {}", remedy.before, remedy.after),
        _ => format!("{}{}", remedy.before, remedy.after),
    }
}

/// What all remedies together would give, in one sentence.
pub(super) fn combined(combined: &Combined) -> String {
    format!(
        "{}: the whole job in {} instead of {}",
        estimated_gain(&combined.gain),
        estimated_time(&combined.job_s),
        time(combined.job_s_now)
    )
}

/// Beyond how many workers it is not worth it, in one sentence.
pub(super) fn worth(worth: &Worth) -> String {
    format!("Worth it up to {}: {}", plural(worth.workers, "worker"), worth.why)
}

/// A prediction beside what came of it.
pub(super) fn predicted(predicted: &Predicted) -> Vec<Fact> {
    let direction = if predicted.error < 0.0 { "less" } else { "more" };
    let observed = format!(
        "{} rows/s, {} {direction} than predicted",
        rate(predicted.observed_rows_per_s),
        share(predicted.error.abs())
    );
    vec![
        fact("by the analysis of", predicted.by_run.clone()),
        fact(
            "changed since",
            if predicted.changes.is_empty() { "nothing".to_owned() } else { predicted.changes.join("; ") },
        ),
        fact("predicted", format!("{} rows/s", estimated_rate(&predicted.rows_per_s))),
        fact("observed", observed),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        let told: Vec<(bool, &str)> = parts("set `a = 1` again").collect();
        assert_eq!(told, [(false, "set "), (true, "a = 1"), (false, " again")]);
        assert_eq!(parts("it`s").collect::<Vec<_>>(), [(false, "it`s")]);
    }

    #[test]
    fn a_setting_is_told_with_where_it_came_from() {
        let header = Header { config: "/etc/fx/job.toml".to_owned(), ..Header::default() };
        let told = |value: Option<&str>, origin| {
            let value = value.map(str::to_owned);
            setting_told(&Setting { name: "run.workers".to_owned(), value, origin }, &header)
        };
        assert_eq!(told(Some("4"), Origin::Line(31)), "run.workers = 4 (job.toml, line 31)");
        assert_eq!(told(Some("4"), Origin::Default), "run.workers = 4 (default)");
        assert_eq!(told(Some("4"), Origin::Flag("--workers".to_owned())), "run.workers = 4 (flag --workers)");
        let variable = Origin::Variable("ROLLFIT_RUN__WORKERS".to_owned());
        assert_eq!(told(Some("4"), variable), "run.workers = 4 (variable ROLLFIT_RUN__WORKERS)");
        assert_eq!(told(None, Origin::Default), "run.workers is not set");
    }
}
