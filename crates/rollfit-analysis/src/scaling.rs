//! What N workers would give, and beyond how many it is not worth it.
//!
//! Invariants: throughput is estimated for numbers of workers that the run had, and up to twice the most of them; beyond that
//! only hard limits are, with their arithmetic.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::concurrency_level::ConcurrencyLevel;
use super::estimate::Estimate;
use super::limit::{Capacity, WORTH, WorkersLimit};
use super::run_facts::RunFacts;
use super::scenario::{Scenario, widened};

/// How a line of the table of workers is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The run had this many workers for long enough.
    Measured,
    /// The model says so.
    Modelled,
    /// Too far from what was measured: only hard limits are known.
    Ceiling,
}

/// What N workers would give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// N.
    pub workers: usize,
    /// How it is known.
    pub basis: Basis,
    /// Rows a second; none where only ceilings are known.
    pub rows_per_s: Option<Estimate>,
    /// How long the whole job would take, in seconds.
    pub job_s: Option<Estimate>,
    /// Sessions with the sink's store; none where it has none.
    pub sessions: Option<usize>,
    /// Memory of this process.
    pub memory_bytes: Option<u64>,
    /// The load average to expect.
    pub load: Option<f64>,
    /// What limits them.
    pub limit: Option<WorkersLimit>,
    /// Whether this is more than was measured of a server whose processors are not visible from here: the low end takes them to be full
    /// already, the high end takes them never to be.
    #[serde(default)]
    pub server_unseen: bool,
}

/// Beyond how many workers it is not worth it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// Up to this many.
    pub workers: usize,
    /// Why no more.
    pub why: WorthReason,
}

/// Why more workers are not worth it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each variant says what its figures are.
pub enum WorthReason {
    /// Something limits their number.
    Limit { limit: WorkersLimit },
    /// So many workers would bring so little more, 0 to 1, because of the capacity.
    LittleGain { workers: usize, gain: f64, capacity: Capacity },
    /// More is too far from the most that were measured: try these.
    NotMeasured { workers: usize },
    /// The record does not show it.
    Unknown,
}

/// The numbers of workers in every table.
const NUMBERS: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// The table of N workers.
pub(super) fn table(facts: &RunFacts<'_>) -> Vec<Scaling> {
    let measured = facts.levels.iter().filter(|level| is_measured(facts, level));
    let most = facts.scenario.workers_max();
    let mut numbers: BTreeSet<usize> =
        NUMBERS.into_iter().chain(measured.map(|level| level.workers)).collect();
    if most < NUMBERS[NUMBERS.len() - 1] {
        numbers.insert(most);
    }
    numbers.into_iter().map(|workers| line(facts, workers)).collect()
}

/// Whether a level lasted long enough to say what its workers give.
fn is_measured(facts: &RunFacts<'_>, level: &ConcurrencyLevel) -> bool {
    const SHARE: f64 = 0.05;
    let lasted_s = level.demand.wall_s * level.demand.partitions as f64 / level.workers as f64;
    level.demand.partitions >= 3 * level.workers && lasted_s >= SHARE * facts.took_s
}

fn line(facts: &RunFacts<'_>, workers: usize) -> Scaling {
    let level = facts.levels.iter().find(|level| level.workers == workers);
    let measured = level.filter(|level| is_measured(facts, level));
    let basis = match measured {
        Some(_) => Basis::Measured,
        None if workers <= modelled_max(facts) => Basis::Modelled,
        None => Basis::Ceiling,
    };
    let rows_per_s = match (basis, measured) {
        (Basis::Ceiling, _) => None,
        (_, Some(level)) => Some(observed(level)),
        (_, None) => Some(modelled(facts, workers)),
    };
    let observed = &facts.observed;
    Scaling {
        workers,
        basis,
        rows_per_s,
        job_s: rows_per_s.and_then(|_| job_s(facts, workers)),
        sessions: facts.record.header.sessions_max.map(|_| workers + 1),
        memory_bytes: observed
            .base_bytes
            .zip(observed.worker_bytes)
            .map(|(base, each)| (base + each * workers as f64) as u64),
        load: load(facts, workers).filter(|_| basis != Basis::Ceiling),
        limit: limit(facts, workers),
        server_unseen: false,
    }
}

fn observed(level: &ConcurrencyLevel) -> Estimate {
    let expected = level.rate() * level.demand.rows;
    widened(Estimate { low: expected, expected, high: expected }, 2.0 * level.uncertainty())
}

/// What the model says, the less sure the further from what was measured.
fn modelled(facts: &RunFacts<'_>, workers: usize) -> Estimate {
    const A_DOUBLING: f64 = 0.03;
    let doublings = |level: &ConcurrencyLevel| (workers as f64 / level.workers as f64).log2().abs();
    let far = facts.levels.iter().map(doublings).fold(f64::INFINITY, f64::min);
    let rows_per_s = facts.scenario.rows_per_s(workers.min(facts.scenario.workers_max()));
    widened(rows_per_s, A_DOUBLING * far.min(10.0))
}

/// The most workers for which a throughput is estimated.
fn modelled_max(facts: &RunFacts<'_>) -> usize {
    2 * facts.levels.iter().map(|level| level.workers).max().unwrap_or(1)
}

/// How long the whole job would take, by what it took and the model's difference.
fn job_s(facts: &RunFacts<'_>, workers: usize) -> Option<Estimate> {
    let scenario = &facts.scenario;
    let there = Scenario { workers: rollfit_job::config::Workers::Fixed(workers), ..scenario.clone() };
    Some(divided(facts.job_s(), scenario.gain(&there))).filter(|job_s| job_s.expected.is_finite())
}

/// A time divided by a gain.
pub(super) fn divided(time_s: f64, gain: Estimate) -> Estimate {
    Estimate { low: time_s / gain.high, expected: time_s / gain.expected, high: time_s / gain.low }
}

/// The load average to expect: those who want a core, ours and others.
fn load(facts: &RunFacts<'_>, workers: usize) -> Option<f64> {
    facts.observed.own_cores?;
    let work = facts.scenario.likeliest()?;
    let effective = workers.min(facts.scenario.workers_max());
    let wanting = work.network().at_stations(effective)[0].min(effective as f64);
    Some(wanting + work.cores.competing_cores)
}

/// What limits this many workers.
fn limit(facts: &RunFacts<'_>, workers: usize) -> Option<WorkersLimit> {
    let ceilings = facts.scenario.ceilings;
    let header = &facts.record.header;
    let observed = &facts.observed;
    if let Some(most) = ceilings.sessions.filter(|most| workers > *most) {
        return Some(WorkersLimit::Sessions {
            workers,
            sessions_wanted: workers + 1,
            sessions: header.sessions_max.unwrap_or_default(),
            workers_max: most,
            why: header.sessions_why.clone(),
        });
    }
    if let (Some(most), Some(room), Some(base), Some(each)) =
        (ceilings.memory, observed.room_bytes, observed.base_bytes, observed.worker_bytes)
        && workers > most
    {
        return Some(WorkersLimit::Memory {
            room_bytes: room,
            base_bytes: base,
            worker_bytes: each,
            workers_max: most,
        });
    }
    limit_besides(&facts.scenario, workers)
}

/// What limits this many workers beside sessions and memory.
fn limit_besides(scenario: &Scenario, workers: usize) -> Option<WorkersLimit> {
    if workers > scenario.rows.len() {
        return Some(WorkersLimit::Partitions { partitions: scenario.rows.len() });
    }
    let work = scenario.likeliest()?;
    let reached = work.rows_per_s(workers);
    let before = work.rows_per_s((workers / 2).max(1));
    let gains_little = reached.last()? / before.last()? < 1.0 + WORTH && workers > 1;
    gains_little.then(|| WorkersLimit::Capacity { capacity: Capacity::from_work(work) })
}

/// Beyond how many workers it is not worth it: the first number that a third or half more of brings less than 5%.
pub(super) fn worth(facts: &RunFacts<'_>) -> Option<Worth> {
    let scenario = &facts.scenario;
    let work = scenario.likeliest()?;
    let most = scenario.workers_max();
    let rows_per_s = work.rows_per_s(most);
    let next = |workers: usize| (workers * 4 / 3).max(workers + 1).min(most);
    let gain = |workers: usize| rows_per_s[next(workers)] / rows_per_s[workers] - 1.0;
    let workers = (1..=most).find(|workers| *workers == most || gain(*workers) < WORTH)?;
    let why = if workers == most {
        limit(facts, most + 1).map_or(WorthReason::Unknown, |limit| WorthReason::Limit { limit })
    } else {
        WorthReason::LittleGain {
            workers: next(workers),
            gain: gain(workers),
            capacity: Capacity::from_work(work),
        }
    };
    Some(Worth { workers, why })
}
