//! What an earlier run of the same job predicted for this one, beside what came of it.

use super::case::{Case, widened};
use super::evidence::{Evidence, workers_set};
use super::report::{Estimate, Predicted};
use super::words::number;
use rollfit_job::record::Record;

/// The prediction of an earlier run's record for a run like this one; none where either wrote nothing.
pub(super) fn predicted(now: &Evidence<'_>, earlier: &Record) -> Option<Predicted> {
    let before = Evidence::of(earlier)?;
    let case = as_now(&before.case, now);
    // What the model did not foresee of the earlier run, it will not foresee of this one either.
    let rows: f64 = case.rows.iter().sum();
    let job_s = case.job_s();
    let missed = before.job_s() / before.case.job_as_had_s().expected;
    let rate = |job_s: f64| rows / (job_s * missed);
    let foretold = Estimate { low: rate(job_s.high), expected: rate(job_s.expected), high: rate(job_s.low) };
    let rows_per_s = widened(foretold, case.doubt);
    Some(Predicted {
        by_run: earlier.header.run.clone(),
        changes: changes(earlier, now.record),
        rows_per_s,
        observed_rows_per_s: now.rows_per_s(),
        error: now.rows_per_s() / rows_per_s.expected - 1.0,
    })
}

/// The earlier case with what is different now and known from the start: settings, limits, partitions.
fn as_now(before: &Case, now: &Evidence<'_>) -> Case {
    let limits = now.case.likeliest().copied();
    let changed = before.with_work(|work| {
        if let Some(limits) = limits {
            work.cores.allowed = limits.cores.allowed;
            (work.cores_max, work.bytes_per_s_max) = (limits.cores_max, limits.bytes_per_s_max);
        }
    });
    Case {
        workers: workers_set(now.record),
        ceilings: now.case.ceilings,
        order: now.case.order,
        rows: now.case.rows.iter().take(now.demand.partitions).copied().collect(),
        ..changed
    }
}

fn changes(earlier: &Record, now: &Record) -> Vec<String> {
    let value = |record: &Record, name: &str| {
        super::evidence::setting(record, name)
            .and_then(|setting| setting.value.clone())
            .unwrap_or_else(|| "not set".to_owned())
    };
    let settings = now.header.settings.iter().filter_map(|setting| {
        let (was, is) = (value(earlier, &setting.name), value(now, &setting.name));
        (was != is).then(|| format!("{}: {was} -> {is}", setting.name))
    });
    let cores = |record: &Record| record.header.machine.cores_allowed;
    let machine = cores(earlier).zip(cores(now)).filter(|(was, is)| was != is);
    let machine = machine.map(|(was, is)| format!("cores allowed: {} -> {}", number(was), number(is)));
    let sessions = (earlier.header.sessions_max, now.header.sessions_max);
    let sessions = match sessions {
        (Some(was), Some(is)) if was != is => Some(format!("sessions: {was} -> {is}")),
        _ => None,
    };
    settings.chain(machine).chain(sessions).collect()
}
