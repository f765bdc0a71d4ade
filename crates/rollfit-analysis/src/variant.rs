//! [`plausible`]: all that a partition's way through the stations may be like, by what was measured. How many workers the
//! source and the store serve at once as fast as one is not observed directly: it shows in how waits grew with the workers.
//! Where the run had one number of workers only, everything from "one at a time" to "any number" is plausible.
//!
//! Invariants: each variant explains the measured levels about as well as the best does.

use super::concurrency_level::ConcurrencyLevel;
use super::work::{Station, Work};

/// One way it may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// How well it explains what was measured, against the best: 0 to 1.
    pub(super) weight: f64,
    pub(super) work: Work,
}

/// A level as the model sees it.
struct Measured {
    workers: usize,
    /// What partitions cost then, waits for each other included.
    work: Work,
    rate: f64,
    uncertainty: f64,
}

/// A variant and how far it is from what was measured.
#[derive(Clone, Copy)]
struct Tried {
    work: Work,
    error: f64,
}

/// The most variants that are kept, and levels that are looked at.
const KEPT: usize = 40;
const LEVELS: usize = 6;

/// The ways it may be, the likeliest first. `work_at` returns a level's costs; `start` those of all together.
pub(super) fn plausible(
    start: Work,
    levels: &[ConcurrencyLevel],
    work_at: impl Fn(&ConcurrencyLevel) -> Work,
) -> Vec<Variant> {
    let measured: Vec<Measured> = telling(levels)
        .into_iter()
        .map(|level| Measured {
            workers: level.active,
            work: work_at(level),
            rate: level.rate(),
            uncertainty: level.uncertainty(),
        })
        .collect();
    let unknown = shared_places(&start, &measured);
    let mut tried: Vec<Tried> =
        combinations(&unknown, &measured).iter().map(|servers| attempt(start, servers, &measured)).collect();
    refine(&mut tried, &unknown, &measured);
    weighed(tried, measured.len())
}

/// The levels that say most: the lowest, the highest, and those with the most partitions.
fn telling(levels: &[ConcurrencyLevel]) -> Vec<&ConcurrencyLevel> {
    let mut by_count: Vec<&ConcurrencyLevel> = levels.iter().collect();
    by_count.sort_by_key(|level| std::cmp::Reverse(level.demand.partitions));
    let ends = levels.first().into_iter().chain(levels.last());
    let mut chosen: Vec<&ConcurrencyLevel> = ends.chain(by_count).collect();
    let mut observed = std::collections::BTreeSet::new();
    chosen.retain(|level| observed.insert(level.workers));
    chosen.truncate(LEVELS);
    chosen
}

/// The places where workers spend enough time to matter.
fn shared_places(start: &Work, measured: &[Measured]) -> Vec<Station> {
    let share = |work: &Work, place: Station| work.at(place).demand_s / work.alone_s();
    let matters = |place: &Station| {
        std::iter::once(start)
            .chain(measured.iter().map(|level| &level.work))
            .any(|work| share(work, *place) > 0.03)
    };
    Station::ALL.into_iter().filter(matters).collect()
}

type Servers = Vec<(Station, f64)>;

/// Every combination of a few numbers of servers, one to any number.
fn combinations(unknown: &[Station], measured: &[Measured]) -> Vec<Servers> {
    let most = measured.iter().map(|level| level.workers).max().unwrap_or(1) as f64;
    let doublings = std::iter::successors(Some(1.0), |servers| Some(servers * 2.0));
    let numbers: Vec<f64> =
        doublings.take_while(|servers| *servers <= 2.0 * most).chain([f64::INFINITY]).collect();
    unknown.iter().fold(vec![Vec::new()], |combinations, place| {
        let with = |servers: &Servers, number: f64| {
            servers.iter().copied().chain([(*place, number)]).collect::<Servers>()
        };
        combinations.iter().flat_map(|servers| numbers.iter().map(|number| with(servers, *number))).collect()
    })
}

/// What the costs without waits must be for these numbers of servers, and how far the result is from what was measured.
fn attempt(start: Work, servers: &Servers, measured: &[Measured]) -> Tried {
    const ROUNDS: usize = 8;
    let mut work = start;
    for (place, number) in servers {
        work.at_mut(*place).servers = *number;
    }
    let mut before: Option<[f64; Station::ALL.len()]> = None;
    let mut steps = [0.0; Station::ALL.len()];
    for _ in 0..ROUNDS {
        let shortages = shortages(&work, measured);
        for (place, _) in servers {
            let at = *place as usize;
            // How much more than its cost the time at a place grows: 1 where nobody waits, more where it is full.
            let growth = before.map_or(1.5, |before| (before[at] - shortages[at]) / steps[at]);
            steps[at] = shortages[at] / if growth.is_finite() { growth.clamp(1.0, 30.0) } else { 1.0 };
            work.at_mut(*place).demand_s *= steps[at].exp();
        }
        before = Some(shortages);
    }
    Tried { work, error: measured.iter().map(|level| error(&work, level)).sum() }
}

/// By how much the times at each place are shorter than measured, as logarithms, all levels together.
fn shortages(work: &Work, measured: &[Measured]) -> [f64; Station::ALL.len()] {
    let mut sums = [0.0; Station::ALL.len()];
    let mut weights = [1e-9; Station::ALL.len()];
    for level in measured {
        let residences_s = residences_s(work, level);
        for (at, residence_s) in residences_s.into_iter().enumerate() {
            let wanted_s = level.work.shared[at].demand_s;
            if wanted_s > 0.0 && residence_s > 0.0 {
                sums[at] += (wanted_s / residence_s).ln() / level.uncertainty;
                weights[at] += 1.0 / level.uncertainty;
            }
        }
    }
    std::array::from_fn(|at| sums[at] / weights[at])
}

/// The work of a variant under a level's circumstances: its cores, its pauses.
fn at_level(work: &Work, level: &Measured) -> Work {
    Work { shared: work.shared, ..level.work }
}

/// How long a partition is at each place, waits for others included.
fn residences_s(work: &Work, level: &Measured) -> [f64; Station::ALL.len()] {
    let network = at_level(work, level).network();
    let there = network.at_stations(level.workers);
    let round_s = level.workers as f64 / network.rates(level.workers)[level.workers];
    Station::ALL.map(|place| there[place.station()] / level.workers as f64 * round_s)
}

/// How far a variant is from what was measured at a level, in standard deviations, squared.
fn error(work: &Work, level: &Measured) -> f64 {
    let rate = at_level(work, level).network().rates(level.workers)[level.workers];
    let residences_s = residences_s(work, level);
    let share = |place: Station| level.work.at(place).demand_s * level.rate / level.workers as f64;
    let of_place = |place: Station| {
        let (got_s, wanted_s) = (residences_s[place as usize], level.work.at(place).demand_s);
        if got_s > 0.0 && wanted_s > 0.0 { share(place) * (got_s / wanted_s).ln() } else { 0.0 }
    };
    let places: f64 = Station::ALL.into_iter().map(|place| of_place(place).powi(2)).sum();
    ((rate / level.rate).ln().powi(2) + places) / level.uncertainty.powi(2)
}

/// Tries numbers of servers between those tried, near the best.
fn refine(tried: &mut Vec<Tried>, unknown: &[Station], measured: &[Measured]) {
    const TIMES: [f64; 4] = [0.71, 0.84, 1.19, 1.41];
    const NEAR: f64 = 12.0;
    const PASSES: usize = 2;
    for _ in 0..PASSES {
        let best = tried.iter().map(|tried| tried.error).fold(f64::INFINITY, f64::min);
        let mut near: Vec<Tried> =
            tried.iter().copied().filter(|tried| tried.error <= best + NEAR * best.max(1.0)).collect();
        near.sort_by(|a, b| a.error.total_cmp(&b.error));
        near.truncate(KEPT / 4);
        for Tried { work, .. } in near {
            for place in unknown.iter().filter(|place| work.at(**place).servers.is_finite()) {
                for times in TIMES {
                    let number =
                        |other: &Station| work.at(*other).servers * if other == place { times } else { 1.0 };
                    let servers: Servers =
                        unknown.iter().map(|other| (*other, number(other).max(1.0))).collect();
                    tried.push(attempt(work, &servers, measured));
                }
            }
        }
    }
}

/// Those about as good as the best.
fn weighed(mut tried: Vec<Tried>, levels: usize) -> Vec<Variant> {
    tried.sort_by(|a, b| a.error.total_cmp(&b.error));
    let best = tried.first().map_or(0.0, |tried| tried.error);
    // Where even the best is further off than chance would have it, the model is, and it may be so everywhere.
    let scale = (best / levels.max(1) as f64).max(1.0);
    let weight = |tried: &Tried| (-0.5 * (tried.error - best) / scale).exp();
    let mut variants: Vec<Variant> =
        tried.iter().map(|tried| Variant { weight: weight(tried), work: tried.work }).collect();
    variants.retain(|variant| variant.weight > 0.1);
    thinned(variants)
}

/// Few enough: the best, and of the others some of each kind, the slowest and the fastest for one worker among them.
fn thinned(mut variants: Vec<Variant>) -> Vec<Variant> {
    if variants.len() <= KEPT {
        return variants;
    }
    let best = variants.remove(0);
    variants.sort_by(|a, b| a.work.alone_s().total_cmp(&b.work.alone_s()));
    let last = variants.len() - 1;
    let evenly = (0..KEPT - 1).map(|at| variants[at * last / (KEPT - 2)]);
    std::iter::once(best).chain(evenly).collect()
}
