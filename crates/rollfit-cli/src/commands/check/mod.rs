//! `rollfit check`: are the features of a job fresh, complete and vouched for? For monitors: exit codes and output are those of
//! monitoring plugins, one line each check, the first one the summary.
//!
//! Invariants: nothing is written. Whatever keeps anything from being checked is UNKNOWN on stdout: a monitor reads nothing else.

mod words;

use rollfit_bars::Zone;
use rollfit_job::foreign;
use rollfit_job::health::{Aspect, HealthFinding, HealthOptions, HealthReport, Verdict, examine};
use rollfit_job::patience::patiently;
use rollfit_job::period::PeriodUnit;

use crate::args::{CheckArguments, GlobalArguments, SelectArguments};
use crate::exit::{Exit, Failure};
use crate::open::OpenJob;
use crate::output;

/// What was checked, for programs.
#[derive(serde::Serialize)]
struct CheckDocument<'a> {
    status: Verdict,
    message: String,
    now_us: Option<i64>,
    max_lag_s: Option<f64>,
    keys: usize,
    partitions: usize,
    features_until_us: Option<i64>,
    checks: Vec<CheckLine<'a>>,
}

/// One check.
#[derive(serde::Serialize)]
struct CheckLine<'a> {
    check: Aspect,
    status: Verdict,
    message: String,
    findings: Vec<&'a HealthFinding>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &CheckArguments) -> Result<Exit, Failure> {
    let printed = match check(arguments) {
        Ok(checked) => checked.print(global),
        Err(failure) => unknown(global.json, &failure.lines().join("; ")),
    };
    printed.map_err(|error| Failure::from(error).with_exit(exit(Verdict::Unknown)))
}

/// Says that wrong usage of the command kept everything from being checked.
pub(crate) fn refused(is_json: bool, error: &str) -> Exit {
    // Nothing can be printed if the reader is gone.
    unknown(is_json, error).unwrap_or(exit(Verdict::Unknown))
}

fn unknown(is_json: bool, message: &str) -> std::io::Result<Exit> {
    let message = plain(message);
    let document = CheckDocument {
        status: Verdict::Unknown,
        message: message.clone(),
        now_us: None,
        max_lag_s: None,
        keys: 0,
        partitions: 0,
        features_until_us: None,
        checks: Vec::new(),
    };
    output::document(is_json, &document, |_| output::line(&format!("UNKNOWN: {message}")))?;
    Ok(exit(Verdict::Unknown))
}

/// Monitoring plugins give the exit codes meanings of their own: 0 OK, 1 warning, 2 problem, 3 unknown.
const fn exit(status: Verdict) -> Exit {
    match status {
        Verdict::Ok => Exit::Done,
        Verdict::Warning => Exit::Failed,
        Verdict::Problem => Exit::Usage,
        Verdict::Unknown => Exit::Unreachable,
    }
}

/// A message on one line. What is after a bar would be figures for a monitor.
fn plain(message: &str) -> String {
    foreign::message(message).replace('|', "/")
}

/// What was found, and by which clock.
struct Checked {
    report: HealthReport,
    now_us: i64,
    max_lag_s: Option<f64>,
    join_loss_max: f64,
    by: PeriodUnit,
}

fn check(arguments: &CheckArguments) -> Result<Checked, Failure> {
    let select = SelectArguments {
        job: arguments.job.clone(),
        selection: arguments.selection.clone(),
        workers: None,
        shard: None,
    };
    let open = OpenJob::to_read(&select, None)?;
    let check = &open.config.check;
    let zone: Zone = check
        .timezone
        .parse()
        .map_err(|error| Failure::usage(format!("[check] timezone: {}", rollfit_job::error_chain(&error))))?;
    let now = arguments.now.unwrap_or_else(jiff::Timestamp::now);
    let max_lag = arguments.max_lag.map(|max_lag| max_lag.0).or(check.max_lag);
    let options = HealthOptions {
        now_us: now.as_microsecond(),
        max_lag,
        counts_all: arguments.counts,
        offset_at: &|instant_us| zone.offset_us(instant_us),
        only: &open.selection,
    };
    let report = patiently(|| examine(&open.job(), &open.partitions, &options))?;
    let (now_us, max_lag_s) = (options.now_us, max_lag.map(|max_lag| max_lag.as_secs_f64()));
    Ok(Checked {
        report,
        now_us,
        max_lag_s,
        join_loss_max: open.config.run.join_loss_max,
        by: open.config.by,
    })
}

impl Checked {
    /// A line each check, the worst first.
    fn lines(&self) -> Vec<CheckLine<'_>> {
        let line = |check: Aspect| {
            let findings: Vec<&HealthFinding> =
                self.report.findings.iter().filter(|finding| finding.aspect == check).collect();
            let message = match findings.as_slice() {
                [] => self.nothing_found(check),
                findings => words::clauses(findings),
            };
            CheckLine { check, status: self.report.status_of(check), message: plain(&message), findings }
        };
        let mut lines: Vec<CheckLine<'_>> = Aspect::ALL.into_iter().map(line).collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.status));
        lines
    }

    fn print(&self, global: &GlobalArguments) -> std::io::Result<Exit> {
        let lines = self.lines();
        let status = self.report.status();
        if output::is_silent(global, exit(status)) {
            return Ok(exit(status));
        }
        let message = self.summary(&lines);
        if global.json {
            output::json(&CheckDocument {
                status,
                message,
                now_us: Some(self.now_us),
                max_lag_s: self.max_lag_s,
                keys: self.report.keys,
                partitions: self.report.partitions,
                features_until_us: self.report.features_until_us,
                checks: lines,
            })?;
            return Ok(exit(status));
        }
        output::line(&format!("{}: {message}", words::label(status)))?;
        for CheckLine { check, status, message, .. } in &lines {
            output::line(&format!("{} {}: {message}", words::label(*status), check.name()))?;
        }
        Ok(exit(status))
    }
}
