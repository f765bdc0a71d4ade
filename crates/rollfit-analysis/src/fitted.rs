//! [`fitted`]: the work of a partition such that the model gives exactly the throughput that was measured. What is not processor time is
//! solved for; how it behaves (nobody waits for another, or a few are served at a time) is what the kind of store usually does, unless the
//! run had several numbers of workers and these say otherwise.
//!
//! Invariants: the first is the likeliest, and the others explain what was measured about as well; with one measured number of workers each
//! gives exactly its throughput.

use super::tuning::{PLAUSIBLE, SYSTEM_SHARE, UNUSUAL, WAIT_NOTABLE};
use super::work::{Cores, Queue, Wait, Work};

/// What a number of workers did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) workers: usize,
    /// Partitions a second.
    pub(super) rate: f64,
    /// How uncertain that is, relative.
    pub(super) uncertainty: f64,
    /// The cores that there were then.
    pub(super) cores: Cores,
}

/// The least share of the processor time that makes a partition take longer: the rest runs beside it.
const ALONE_LEAST: f64 = 0.05;

struct Tried {
    work: Work,
    error: f64,
}

/// The works that fit. `work` has what was waited for when it was measured, `usual` how a store like this behaves.
pub(super) fn fitted(work: &Work, measured: &[Measured], usual: Queue) -> Vec<Work> {
    let has_levels = measured.iter().any(|level| level.workers != measured[0].workers);
    let mut tried: Vec<Tried> = Vec::new();
    for (at, queue) in behaviours(work, measured, usual, has_levels).into_iter().enumerate() {
        for (unlikely, system_share) in [(0.0, SYSTEM_SHARE), (UNUSUAL, 0.0)] {
            let unlikely = unlikely + if at == 0 { 0.0 } else { UNUSUAL };
            tried.push(Solver { measured, system_share }.tried(work, queue, unlikely));
        }
    }
    if has_levels {
        refine(work, &mut tried, measured);
    }
    tried.sort_by(|a, b| a.error.total_cmp(&b.error));
    let best = tried.first().map_or(0.0, |tried| tried.error);
    // Where even the best is further off than chance would have it, the model is, and it may be so everywhere.
    let scale = (best / measured.len().max(1) as f64).max(1.0);
    let plausible = |tried: &Tried| tried.error <= best + (PLAUSIBLE + UNUSUAL) * scale;
    tried.into_iter().filter(plausible).map(|tried| tried.work).collect()
}

/// How what is waited for may behave, the usual first.
fn behaviours(work: &Work, measured: &[Measured], usual: Queue, has_levels: bool) -> Vec<Queue> {
    let mut behaviours = vec![usual, Queue::NONE, Queue::new(1.0, |_| true)];
    if has_levels {
        let most = measured.iter().map(|level| level.workers).max().unwrap_or(1) as f64;
        let numbers = || {
            std::iter::successors(Some(1.0_f64), |servers| Some(servers * 1.5))
                .take_while(|servers| *servers <= 2.0 * most)
        };
        let waits_s: f64 = work.waits_s.iter().sum::<f64>() + work.cpu_s();
        let notable = Wait::ALL.into_iter().filter(|wait| work.wait_s(*wait) > WAIT_NOTABLE * waits_s);
        for wait in notable.filter(|wait| !wait.is_fixed()) {
            behaviours.extend(numbers().map(|servers| Queue::new(servers, |other| other == wait)));
        }
    }
    behaviours
}

/// Tries numbers of servers between those tried, near the best.
fn refine(work: &Work, tried: &mut Vec<Tried>, measured: &[Measured]) {
    const TIMES: [f64; 4] = [0.82, 0.9, 1.11, 1.22];
    const NEAR: usize = 4;
    tried.sort_by(|a, b| a.error.total_cmp(&b.error));
    let near: Vec<Queue> = tried.iter().take(NEAR).map(|tried| tried.work.queue).collect();
    for queue in near.iter().filter(|queue| queue.servers.is_finite()) {
        for times in TIMES {
            let queue = Queue { servers: (queue.servers * times).max(1.0), ..*queue };
            tried.push(Solver { measured, system_share: SYSTEM_SHARE }.tried(work, queue, UNUSUAL));
        }
    }
}

/// Meets what was measured.
#[derive(Clone, Copy)]
struct Solver<'a> {
    measured: &'a [Measured],
    system_share: f64,
}

impl Solver<'_> {
    fn tried(self, work: &Work, queue: Queue, unlikely: f64) -> Tried {
        let work = self.solved(&Work { queue, ..*work });
        let error = |level: &Measured| (self.ratio(&work, level).ln() / level.uncertainty).powi(2);
        let error = self.measured.iter().map(error).sum::<f64>() + unlikely;
        Tried { work, error }
    }

    /// The work that gives the measured throughput, on average over the levels.
    fn solved(self, work: &Work) -> Work {
        let work = self.with_cores(work);
        let overlapping = |alone_share: f64| Work { alone_share, ..with_rest(&work, 0.0) };
        if self.surplus(&overlapping(1.0)) <= 0.0 {
            // Even without a wait it is too slow: parts of a partition run beside each other.
            let hidden =
                falling_root(0.0, 1.0 - ALONE_LEAST, |hidden| -self.surplus(&overlapping(1.0 - hidden)));
            return overlapping(1.0 - hidden);
        }
        let most = 2.0 + self.longest_s();
        with_rest(&work, falling_root(0.0, most, |rest| self.surplus(&with_rest(&work, rest))))
    }

    /// With at least the cores that were evidently to be had.
    fn with_cores(self, work: &Work) -> Work {
        let mut work = Work { cores: work.cores.less_system(self.system_share), ..*work };
        let bare = |work: &Work| Work { alone_share: ALONE_LEAST, ..with_rest(work, 0.0) };
        let lack = |work: &Work| {
            let lacking =
                self.measured.iter().map(|level| 1.0 / self.ratio_on(&bare(work), level, work.cores.allowed));
            lacking.fold(1.0, f64::max)
        };
        for _ in 0..3 {
            work.cores.allowed *= lack(&work);
        }
        work
    }

    /// How long a partition took at most.
    fn longest_s(self) -> f64 {
        self.measured.iter().map(|level| level.workers as f64 / level.rate).fold(0.0, f64::max)
    }

    /// By how much the model is faster than measured, as a logarithm: the mean over the levels.
    fn surplus(self, work: &Work) -> f64 {
        let weight = |level: &Measured| level.uncertainty.powi(-2);
        let sum = self.measured.iter().map(|level| weight(level) * self.ratio(work, level).ln()).sum::<f64>();
        sum / self.measured.iter().map(weight).sum::<f64>()
    }

    fn ratio(self, work: &Work, level: &Measured) -> f64 {
        self.ratio_on(work, level, work.cores.allowed)
    }

    /// The model's throughput of a level over the measured one.
    fn ratio_on(self, work: &Work, level: &Measured, allowed: f64) -> f64 {
        let cores = Cores { allowed, competing_cores: level.cores.competing_cores, ..work.cores };
        let rates = Work { cores, ..*work }.network().rates(level.workers);
        rates[level.workers] / level.rate
    }
}

/// The work with a part of its waits: up to 1 of those that take their time anyway, up to 2 of the others too, and beyond that so many seconds
/// that no activity shows.
fn with_rest(work: &Work, rest: f64) -> Work {
    let mut with = *work;
    for wait in Wait::ALL {
        let share = if wait.is_fixed() { rest.min(1.0) } else { (rest - 1.0).clamp(0.0, 1.0) };
        *with.wait_mut(wait) *= share;
    }
    *with.wait_mut(Wait::Unexplained) += (rest - 2.0).max(0.0);
    with
}

/// Where a falling function is 0, or the nearer end: by bisection.
fn falling_root(low: f64, high: f64, value: impl Fn(f64) -> f64) -> f64 {
    const STEPS: usize = 30;
    let (mut low, mut high) = (low, high);
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        if value(middle) > 0.0 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}
