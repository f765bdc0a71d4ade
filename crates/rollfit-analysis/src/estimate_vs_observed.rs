//! [`estimate_vs_observed`]: what an earlier run of the same job let expect of this one, and what came of it.

use super::estimate::Estimate;
use super::run_facts::{RunFacts, workers_set};
use super::scenario::{Scenario, widened};
use super::tuning::{ERRORS_LEAST, ERRORS_TIMES, UNCERTAINTY_BY_ERRORS_LEAST, UNCERTAINTY_BY_ERRORS_MOST};
use rollfit_job::record::Record;
use serde::{Deserialize, Serialize};

/// What an earlier run let expect of this one, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateVsObserved {
    /// The run whose record the estimate is made from.
    pub by_run: String,
    /// What was changed since.
    pub changes: Vec<ChangeSince>,
    /// The rows a second that were estimated.
    pub rows_per_s: Estimate,
    /// The rows a second observed.
    pub observed_rows_per_s: f64,
    /// Observed to expected, less 1.
    pub error: f64,
}

/// Something that is different from an earlier run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ChangeSince {
    /// A setting; none for a value that is not set.
    Setting {
        /// Section and key.
        name: String,
        /// Before.
        before: Option<String>,
        /// Now.
        after: Option<String>,
    },
    /// The cores that the process may use.
    CoresAllowed {
        /// Before.
        before: f64,
        /// Now.
        after: f64,
    },
    /// The sessions that the process may have.
    Sessions {
        /// Before.
        before: u64,
        /// Now.
        after: u64,
    },
}

/// The estimate from an earlier run's record for a run like this one; none where either predicts nothing.
pub(super) fn estimate_vs_observed(now: &RunFacts<'_>, earlier: &Record) -> Option<EstimateVsObserved> {
    let before = RunFacts::from_record(earlier).filter(|before| before.predicts && now.predicts)?;
    let scenario = as_now(&before.scenario, now);
    // What the model did not foresee of the earlier run, it will not foresee of this one either.
    let rows: f64 = scenario.rows.iter().sum();
    let job_s = scenario.job_s();
    let rate = |job_s: f64| rows / (job_s * scenario.missed);
    let estimated = Estimate { low: rate(job_s.high), expected: rate(job_s.expected), high: rate(job_s.low) };
    let rows_per_s = widened(estimated, scenario.uncertainty);
    let compared = EstimateVsObserved {
        by_run: earlier.header.run.clone(),
        changes: changes(earlier, now.record),
        rows_per_s,
        observed_rows_per_s: now.rows_per_s(),
        error: now.rows_per_s() / rows_per_s.expected - 1.0,
    };
    (compared.rows_per_s.high.is_finite() && compared.error.is_finite()).then_some(compared)
}

/// How far from the truth estimates of this job are, relative, by what they said of runs that there were since; none where too few did.
/// `records` are those of its runs, the newest first.
pub(super) fn uncertainty(records: &[&Record]) -> Option<f64> {
    let facts: Vec<RunFacts<'_>> =
        records.iter().filter_map(|record| RunFacts::from_record(record)).collect();
    let compared = std::iter::zip(&facts, facts.iter().skip(1));
    let errors: Vec<f64> = compared
        .filter_map(|(now, before)| estimate_vs_observed(now, before.record))
        .map(|compared| (1.0 + compared.error).ln())
        .filter(|error| error.is_finite())
        .collect();
    let mean_square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    let known = (errors.len() >= ERRORS_LEAST).then(|| ERRORS_TIMES * mean_square.sqrt());
    known.map(|uncertainty| uncertainty.clamp(UNCERTAINTY_BY_ERRORS_LEAST, UNCERTAINTY_BY_ERRORS_MOST))
}

/// The earlier scenario with what is different now and known from the start: settings, limits, partitions.
fn as_now(before: &Scenario, now: &RunFacts<'_>) -> Scenario {
    let limits = now.scenario.likeliest().copied();
    let same_cores = before
        .likeliest()
        .zip(limits.as_ref())
        .is_none_or(|(before, now)| before.cores.own_max == now.cores.own_max);
    let changed = before.with_work(|work| {
        if let Some(limits) = limits {
            if !same_cores {
                work.cores = limits.cores;
            }
            (work.cores_max, work.quota_cores) = (limits.cores_max, limits.quota_cores);
            work.bytes_per_s_max = limits.bytes_per_s_max;
        }
    });
    Scenario {
        workers: workers_set(now.record),
        ceilings: now.scenario.ceilings,
        order: now.scenario.order,
        rows: now.scenario.rows.iter().take(now.demand.partitions).copied().collect(),
        ..changed
    }
}

fn changes(earlier: &Record, now: &Record) -> Vec<ChangeSince> {
    let value = |record: &Record, name: &str| {
        super::run_facts::setting(record, name).and_then(|setting| setting.value.clone())
    };
    let settings = now.header.settings.iter().filter_map(|setting| {
        let (before, after) = (value(earlier, &setting.name), value(now, &setting.name));
        (before != after).then(|| ChangeSince::Setting { name: setting.name.clone(), before, after })
    });
    let cores = earlier.header.machine.cores_allowed.zip(now.header.machine.cores_allowed);
    let cores = cores.filter(|(before, after)| before != after);
    let cores = cores.map(|(before, after)| ChangeSince::CoresAllowed { before, after });
    let sessions = earlier.header.sessions_max.zip(now.header.sessions_max);
    let sessions = sessions.filter(|(before, after)| before != after);
    let sessions = sessions.map(|(before, after)| ChangeSince::Sessions { before, after });
    settings.chain(cores).chain(sessions).collect()
}
