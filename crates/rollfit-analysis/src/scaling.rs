//! What N workers would give, and beyond how many it is not worth it.
//!
//! Invariants: throughput is estimated for numbers of workers that the run had, and up to twice the most of them; beyond that
//! only hard limits are, with their arithmetic.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::concurrency_level::ConcurrencyLevel;
use super::estimate::Estimate;
use super::limit::{Capacity, WorkersLimit};
use super::run_facts::RunFacts;
use super::scenario::{Scenario, widened};
use super::tuning::{UNCERTAINTY_A_DOUBLING, WORTH};

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
    /// So many workers would bring so much more, 0 to 1, by taking cores that others want.
    CompetingLoad { workers: usize, gain: f64, competing_cores: f64 },
    /// More is too far from the most that were measured: try these.
    NotMeasured { workers: usize },
    /// The record does not show it.
    Unknown,
}

/// The numbers of workers in every table.
const NUMBERS: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// The table of N workers: it ends where something limits their number, beyond the most that were measured.
pub(super) fn table(facts: &RunFacts<'_>) -> Vec<Scaling> {
    let measured = facts.levels.iter().filter(|level| is_measured(facts, level));
    let least = facts.scenario.workers_measured;
    let mut numbers: BTreeSet<usize> =
        NUMBERS.into_iter().chain(measured.map(|level| level.workers)).collect();
    let most = facts.scenario.workers_max();
    if most < NUMBERS[NUMBERS.len() - 1] {
        numbers.insert(most);
    }
    let mut lines: Vec<Scaling> = numbers.into_iter().map(|workers| line(facts, workers)).collect();
    // A run that predicts nothing says only what it did.
    lines.retain(|line| facts.predicts || line.basis == Basis::Measured);
    let last = lines.iter().position(|line| line.workers >= least && line.limit.is_some());
    lines.truncate(last.map_or(lines.len(), |last| last + 1));
    lines
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
        None if workers <= facts.scenario.workers_known() => Basis::Modelled,
        None => Basis::Ceiling,
    };
    let rows_per_s = match (basis, measured) {
        (Basis::Ceiling, _) => None,
        (_, Some(level)) => Some(observed(level)),
        (_, None) => Some(modelled(facts, workers)),
    };
    Scaling {
        workers,
        basis,
        rows_per_s,
        job_s: rows_per_s.and_then(|rows_per_s| job_s(facts, workers, rows_per_s)),
        sessions: sessions(facts, workers),
        memory_bytes: memory_bytes(facts, workers),
        load: load(facts, &facts.scenario, workers).filter(|_| basis != Basis::Ceiling),
        limit: limit(facts, workers),
        server_unseen: basis == Basis::Modelled
            && rows_per_s.zip(facts.scenario.unseen_above).is_some_and(|(rate, above)| rate.expected > above),
    }
}

fn observed(level: &ConcurrencyLevel) -> Estimate {
    let expected = level.rate() * level.demand.rows;
    widened(Estimate { low: expected, expected, high: expected }, 2.0 * level.uncertainty())
}

/// What the model says, the less sure the further from what was measured.
fn modelled(facts: &RunFacts<'_>, workers: usize) -> Estimate {
    let scenario = &facts.scenario;
    let doublings = |measured: usize| (workers as f64 / measured as f64).log2().abs();
    let levels = facts.levels.iter().map(|level| level.workers);
    let far = levels.map(doublings).fold(doublings(scenario.workers_measured), f64::min);
    scenario.rows_per_s(workers.min(scenario.workers_max()), UNCERTAINTY_A_DOUBLING * far)
}

/// How long the whole job would take, by what it took and the model's difference; as uncertain as what is written a second.
fn job_s(facts: &RunFacts<'_>, workers: usize, rows_per_s: Estimate) -> Option<Estimate> {
    let scenario = &facts.scenario;
    let there = Scenario { workers: rollfit_job::config::Workers::Fixed(workers), ..scenario.clone() };
    let expected = facts.job_s() / scenario.gain(&there).expected;
    let times = |rate: f64| expected * rows_per_s.expected / rate;
    let job_s = Estimate { low: times(rows_per_s.high), expected, high: times(rows_per_s.low) };
    Some(job_s).filter(|job_s| job_s.expected.is_finite())
}

/// A time divided by a gain.
pub(super) fn divided(time_s: f64, gain: Estimate) -> Estimate {
    Estimate { low: time_s / gain.high, expected: time_s / gain.expected, high: time_s / gain.low }
}

/// The load average to expect: those who want a core, ours and others.
pub(super) fn load(facts: &RunFacts<'_>, scenario: &Scenario, workers: usize) -> Option<f64> {
    facts.observed.own_cores?;
    let work = scenario.likeliest()?;
    let effective = workers.min(scenario.workers_max());
    let wanting = work.network().at_stations(effective)[0].min(effective as f64);
    Some(wanting + work.cores.competing_cores)
}

/// The memory that this process takes with this number of workers.
pub(super) fn memory_bytes(facts: &RunFacts<'_>, workers: usize) -> Option<u64> {
    let (base, each) = facts.observed.base_bytes.zip(facts.observed.worker_bytes)?;
    Some((base + each * workers as f64) as u64)
}

/// The sessions that this number of workers takes, one of them to watch the store.
pub(super) fn sessions(facts: &RunFacts<'_>, workers: usize) -> Option<usize> {
    facts.record.header.sessions_max.map(|_| workers + 1)
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
    if reached.last()? / before.last()? < 1.0 + WORTH && workers > 1 {
        return Some(WorkersLimit::Capacity { capacity: Capacity::from_work(work) });
    }
    let workers_max = scenario.workers_beside().filter(|most| workers > *most)?;
    Some(WorkersLimit::CompetingLoad { competing_cores: work.cores.competing_cores, workers_max })
}

/// How many workers are enough, and why no more.
pub(super) fn worth(facts: &RunFacts<'_>) -> Option<Worth> {
    let scenario = &facts.scenario;
    let work = scenario.likeliest().filter(|_| facts.predicts)?;
    let (workers, most) = (scenario.workers_advised(), scenario.workers_max());
    let known = scenario.workers_known();
    // What the run had is compared with, where it had more; else the next larger number.
    let more = facts.workers_max().min(known).max(workers * 4 / 3).max(workers + 1).min(most);
    let rows_per_s = work.rows_per_s(more);
    let gain = rows_per_s[more] / rows_per_s[workers] - 1.0;
    let pays = gain >= WORTH;
    let why = if workers >= most {
        limit(facts, most + 1).map_or(WorthReason::Unknown, |limit| WorthReason::Limit { limit })
    } else if pays && scenario.workers_beside().is_some_and(|beside| beside <= workers) {
        let competing_cores = work.cores.competing_cores;
        WorthReason::CompetingLoad { workers: more, gain, competing_cores }
    } else if pays && workers >= known {
        WorthReason::NotMeasured { workers }
    } else {
        WorthReason::LittleGain { workers: more, gain, capacity: Capacity::from_work(work) }
    };
    Some(Worth { workers, why })
}
