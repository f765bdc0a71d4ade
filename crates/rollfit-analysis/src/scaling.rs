//! What N workers would give, and beyond how many it is not worth it.
//!
//! Holds true: throughput is told for numbers of workers that the run had, and up to twice the most of them; beyond that
//! only hard limits are, with their arithmetic.

use std::collections::BTreeSet;

use super::case::{Case, Ceilings, widened};
use super::evidence::Evidence;
use super::level::Level;
use super::report::{Basis, Estimate, Scaling, Worth};
use super::words::{bytes, duration, number, percent};
use super::work::{Place, Work};

/// The numbers of workers that are told in any case.
const NUMBERS: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// A step that brings less than this is not worth it.
const WORTH: f64 = 0.05;

/// The table of N workers.
pub(super) fn table(evidence: &Evidence<'_>) -> Vec<Scaling> {
    let measured = evidence.levels.iter().filter(|level| is_measured(evidence, level));
    let most = evidence.case.workers_max();
    let mut numbers: BTreeSet<usize> =
        NUMBERS.into_iter().chain(measured.map(|level| level.workers)).collect();
    if most < NUMBERS[NUMBERS.len() - 1] {
        numbers.insert(most);
    }
    numbers.into_iter().map(|workers| line(evidence, workers)).collect()
}

/// Whether so many workers were there for long enough to say what they give.
fn is_measured(evidence: &Evidence<'_>, level: &Level) -> bool {
    const SHARE: f64 = 0.05;
    let lasted_s = level.demand.wall_s * level.demand.partitions as f64 / level.workers as f64;
    level.demand.partitions >= 3 * level.workers && lasted_s >= SHARE * evidence.took_s
}

fn line(evidence: &Evidence<'_>, workers: usize) -> Scaling {
    let level = evidence.levels.iter().find(|level| level.workers == workers);
    let measured = level.filter(|level| is_measured(evidence, level));
    let basis = match measured {
        Some(_) => Basis::Measured,
        None if workers <= modelled_max(evidence) => Basis::Modelled,
        None => Basis::Ceiling,
    };
    let rows_per_s = match (basis, measured) {
        (Basis::Ceiling, _) => None,
        (_, Some(level)) => Some(observed(level)),
        (_, None) => Some(modelled(evidence, workers)),
    };
    let seen = &evidence.seen;
    Scaling {
        workers,
        basis,
        rows_per_s,
        job_s: rows_per_s.and_then(|_| job_s(evidence, workers)),
        sessions: evidence.record.header.sessions_max.map(|_| workers + 1),
        memory_bytes: seen
            .base_bytes
            .zip(seen.worker_bytes)
            .map(|(base, each)| (base + each * workers as f64) as u64),
        load: load(evidence, workers).filter(|_| basis != Basis::Ceiling),
        limit: limit(evidence, workers),
    }
}

fn observed(level: &Level) -> Estimate {
    let expected = level.rate() * level.demand.rows;
    widened(Estimate { low: expected, expected, high: expected }, 2.0 * level.doubt())
}

/// What the model says, the less sure the further from what was measured.
fn modelled(evidence: &Evidence<'_>, workers: usize) -> Estimate {
    const A_DOUBLING: f64 = 0.03;
    let doublings = |level: &Level| (workers as f64 / level.workers as f64).log2().abs();
    let far = evidence.levels.iter().map(doublings).fold(f64::INFINITY, f64::min);
    let rows_per_s = evidence.case.rows_per_s(workers.min(evidence.case.workers_max()));
    widened(rows_per_s, A_DOUBLING * far.min(10.0))
}

/// The most workers for which a throughput is told.
fn modelled_max(evidence: &Evidence<'_>) -> usize {
    2 * evidence.levels.iter().map(|level| level.workers).max().unwrap_or(1)
}

/// How long the whole job would take, by what it took and the model's difference.
fn job_s(evidence: &Evidence<'_>, workers: usize) -> Option<Estimate> {
    let case = &evidence.case;
    let there = Case { workers: rollfit_job::spec::Workers::Fixed(workers), ..case.clone() };
    Some(divided(evidence.job_s(), case.gain(&there))).filter(|job_s| job_s.expected.is_finite())
}

/// A time that is so many times as fast.
pub(super) fn divided(time_s: f64, gain: Estimate) -> Estimate {
    Estimate { low: time_s / gain.high, expected: time_s / gain.expected, high: time_s / gain.low }
}

/// The load average to expect: those who want a core, ours and others.
fn load(evidence: &Evidence<'_>, workers: usize) -> Option<f64> {
    evidence.seen.own_cores?;
    let work = evidence.case.likeliest()?;
    let effective = workers.min(evidence.case.workers_max());
    let wanting = work.network().at_stations(effective)[0].min(effective as f64);
    Some(wanting + work.cores.rivals)
}

/// What stands against so many workers.
fn limit(evidence: &Evidence<'_>, workers: usize) -> Option<String> {
    let ceilings = evidence.case.ceilings;
    let header = &evidence.record.header;
    let seen = &evidence.seen;
    if let Some(most) = ceilings.sessions.filter(|most| workers > *most) {
        let why = header.sessions_why.as_deref().unwrap_or("the store allows no more");
        return Some(format!(
            "no gain: limited by sessions: {workers} workers and the probe need {}, there are {} for {most} workers ({why})",
            workers + 1,
            header.sessions_max.unwrap_or_default(),
        ));
    }
    if let (Some(most), Some(room), Some(base), Some(each)) =
        (ceilings.memory, seen.room_bytes, seen.base_bytes, seen.worker_bytes)
        && workers > most
    {
        return Some(format!(
            "no gain: limited by memory: ({} - {}) / {} a worker = {most} workers",
            bytes(room),
            bytes(base),
            bytes(each)
        ));
    }
    limit_of(&evidence.case, workers)
}

/// What stands against so many workers beside sessions and memory.
fn limit_of(case: &Case, workers: usize) -> Option<String> {
    if workers > case.rows.len() {
        return Some(format!("no gain: there are {} partitions", case.rows.len()));
    }
    let work = case.likeliest()?;
    let most = Most::of(work);
    let reached = work.rows_per_s(workers);
    let before = work.rows_per_s((workers / 2).max(1));
    let gains_little = reached.last()? / before.last()? < 1.0 + WORTH && workers > 1;
    gains_little.then(|| format!("no gain: limited by {}", most.arithmetic(work)))
}

/// What lets no more partitions a second through, however many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Most {
    Cores,
    Place(Place),
    CpuMax,
    BytesMax,
    /// Nothing that is known.
    Nothing,
}

impl Most {
    /// That of the work.
    pub(super) fn of(work: &Work) -> Self {
        let places = Place::ALL.into_iter().map(|place| (Most::Place(place), work.at(place)));
        let places = places.map(|(most, shared)| (most, shared.servers / shared.demand_s));
        let rates = [
            (Most::Cores, work.cores.allowed / work.cpu_s()),
            (Most::CpuMax, work.cores_max.map_or(f64::INFINITY, |cores| cores / work.own_cpu_s)),
            (
                Most::BytesMax,
                work.bytes_per_s_max.map_or(f64::INFINITY, |bytes_per_s| bytes_per_s / work.bytes),
            ),
        ];
        let least = rates.into_iter().chain(places).min_by(|a, b| a.1.total_cmp(&b.1));
        least.filter(|(_, rate)| rate.is_finite()).map_or(Most::Nothing, |(most, _)| most)
    }

    /// In a few words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Most::Cores => "the cores",
            Most::Place(Place::Reading) => "the source",
            Most::Place(Place::Sending) => "the bytes a second that the store takes",
            Most::Place(Place::Committing) => "the commits that the store makes at once",
            Most::CpuMax => "cpu_max",
            Most::BytesMax => "store_write_mb_per_s_max",
            Most::Nothing => "nothing that this record shows",
        }
    }

    /// With its arithmetic.
    fn arithmetic(self, work: &Work) -> String {
        let over = |servers: f64, what: &str, demand_s: f64| {
            let rows_per_s = servers / demand_s * work.rows;
            format!(
                "{}: {} {what} / {} a partition = {} rows/s",
                self.name(),
                number(servers),
                duration(demand_s),
                number(rows_per_s)
            )
        };
        match self {
            Most::Cores => over(work.cores.allowed, "cores", work.cpu_s()),
            Most::Place(place) => over(work.at(place).servers, "at once", work.at(place).demand_s),
            Most::CpuMax => over(work.cores_max.unwrap_or_default(), "cores", work.own_cpu_s),
            Most::BytesMax => format!(
                "{}: {} a second / {} a row",
                self.name(),
                bytes(work.bytes_per_s_max.unwrap_or_default()),
                bytes(work.bytes / work.rows)
            ),
            Most::Nothing => self.name().to_owned(),
        }
    }
}

/// What limits a case, in a few words.
pub(super) fn binding(case: &Case) -> String {
    let Some(work) = case.likeliest() else { return Most::Nothing.name().to_owned() };
    let workers = case.workers_now();
    let rows_per_s = work.rows_per_s((2 * workers).min(super::network::WORKERS_MAX));
    let is_free = rows_per_s.last().copied().unwrap_or(0.0) >= (1.0 + WORTH) * rows_per_s[workers];
    match case.ceilings {
        Ceilings { sessions: Some(most), .. } if is_free && workers >= most => {
            format!("sessions, {most} workers")
        }
        Ceilings { memory: Some(most), .. } if is_free && workers >= most => {
            format!("memory, {most} workers")
        }
        _ if is_free => format!("the number of workers, {workers}"),
        _ => Most::of(work).name().to_owned(),
    }
}

/// Beyond how many workers it is not worth it: the first number that a third or half more of brings less than 5%.
pub(super) fn worth(evidence: &Evidence<'_>) -> Option<Worth> {
    let case = &evidence.case;
    let work = case.likeliest()?;
    let most = case.workers_max();
    let rows_per_s = work.rows_per_s(most);
    let next = |workers: usize| (workers * 4 / 3).max(workers + 1).min(most);
    let gain = |workers: usize| rows_per_s[next(workers)] / rows_per_s[workers] - 1.0;
    let workers = (1..=most).find(|workers| *workers == most || gain(*workers) < WORTH)?;
    let why = if workers == most {
        limit(evidence, most + 1).unwrap_or_else(|| "no more can be told".to_owned())
    } else {
        format!(
            "{} workers would bring {} more; {}",
            next(workers),
            percent(gain(workers)),
            Most::of(work).arithmetic(work)
        )
    };
    Some(Worth { workers, why })
}
