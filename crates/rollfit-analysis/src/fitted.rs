//! [`fitted`]: the work of a partition such that the model gives exactly the throughput that was measured. What is not processor time is
//! solved for; how it behaves (nobody waits for another, or a few are served at a time) is what the kind of store usually does, unless the
//! run had several numbers of workers and these say otherwise.
//!
//! Invariants: the first is the likeliest, and the others explain what was measured about as well; with one measured number of workers each
//! gives exactly its throughput.

use super::network::WORKERS_MAX;
use super::tuning::{
    FULL_CORES_IDLE, PLAUSIBLE, SHORTER_WAIT, SLOWER_CORES, SLOWER_WAIT, SYSTEM_SHARE, UNUSUAL, WAIT_ERROR,
    WAIT_NOTABLE,
};
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

impl Measured {
    /// So many workers, each of which took so long for a partition. The model has no more than [`WORKERS_MAX`].
    pub(super) fn new(workers: usize, partition_s: f64, uncertainty: f64, cores: Cores) -> Self {
        let workers = workers.clamp(1, WORKERS_MAX);
        Self { workers, rate: workers as f64 / partition_s.max(1e-6), uncertainty, cores }
    }
}

/// The least share of the processor time that makes a partition take longer: the rest runs beside it.
const ALONE_LEAST: f64 = 0.05;

/// So many times the cores that there seemed to be are looked at.
const CORES_MORE_MOST: f64 = 8.0;

struct Tried {
    work: Work,
    error: f64,
}

/// The works that fit. `work` has what was waited for when it was measured, `usual` how a store like this behaves.
pub(super) fn fitted(work: &Work, measured: &[Measured], usual: Queue) -> Vec<Work> {
    let measured = &telling(measured);
    let has_levels = measured.iter().any(|level| level.workers != measured[0].workers);
    let solver = Solver { measured, system_share: SYSTEM_SHARE };
    let unlikely = |queue: Queue| if queue == usual { 0.0 } else { UNUSUAL };
    let tried = |queue: Queue| solver.tried(work, queue, unlikely(queue));
    let mut tried: Vec<Tried> =
        behaviours(work, measured, usual, has_levels).into_iter().map(tried).collect();
    if has_levels {
        tried.extend(near(&tried).into_iter().map(|queue| solver.tried(work, queue, UNUSUAL)));
    }
    // The system may take nothing for itself.
    let queues: Vec<Queue> = best(&tried).map(|tried| tried.work.queue).collect();
    let whole = Solver { system_share: 0.0, ..solver };
    tried.extend(queues.into_iter().map(|queue| whole.tried(work, queue, UNUSUAL + unlikely(queue))));
    tried.extend(solver.as_waited(work).map(|solved| solver.judged(work, solved, UNUSUAL)));
    tried.sort_by(|a, b| a.error.total_cmp(&b.error));
    let best = tried.first().map_or(0.0, |tried| tried.error);
    // Where even the best is further off than chance would have it, the model is, and it may be so everywhere.
    let scale = (best / measured.len().max(1) as f64).max(1.0);
    let plausible = |tried: &Tried| tried.error <= best + (PLAUSIBLE + UNUSUAL) * scale;
    tried.into_iter().filter(plausible).map(|tried| tried.work).collect()
}

/// The works where nothing was measured that no limit throttled: what was waited for, or where a partition kept the disk busy for `disk_s`, one
/// partition at a time so long, and the rest for others at the disk.
pub(super) fn as_met(work: &Work, usual: Queue, disk_s: Option<f64>) -> Vec<Work> {
    let served = disk_s.map(|disk_s| {
        // Who waits for a core keeps no disk busy.
        let mut queue = usual;
        queue.waits[Wait::Core as usize] = false;
        let mut served = Work { queue, ..*work };
        let share = (disk_s / served.queued_s().max(1e-9)).min(1.0);
        for wait in Wait::ALL.into_iter().filter(|wait| queue.waits[*wait as usize]) {
            *served.wait_mut(wait) *= share;
        }
        served
    });
    let whole = Work { cores: work.cores.less_system(0.0), ..*work };
    served.into_iter().chain([*work, whole]).collect()
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

/// Those that fit best.
fn best(tried: &[Tried]) -> impl Iterator<Item = &Tried> {
    const BEST: usize = 3;
    let mut sorted: Vec<&Tried> = tried.iter().collect();
    sorted.sort_by(|a, b| a.error.total_cmp(&b.error));
    sorted.into_iter().take(BEST)
}

/// Numbers of servers between those tried, near the best.
fn near(tried: &[Tried]) -> Vec<Queue> {
    const TIMES: [f64; 4] = [0.82, 0.9, 1.11, 1.22];
    let queues = best(tried).map(|tried| tried.work.queue).filter(|queue| queue.servers.is_finite());
    let times = |queue: Queue| TIMES.map(|times| queue.serving(times * queue.servers));
    queues.flat_map(times).collect()
}

/// The levels that say most: the lowest, the highest, and the most certain.
fn telling(measured: &[Measured]) -> Vec<Measured> {
    const LEVELS: usize = 6;
    let mut certain: Vec<&Measured> = measured.iter().collect();
    certain.sort_by(|a, b| a.uncertainty.total_cmp(&b.uncertainty));
    let mut chosen: Vec<Measured> = Vec::new();
    for level in measured.first().into_iter().chain(measured.last()).chain(certain) {
        if chosen.len() < LEVELS && chosen.iter().all(|other| other.workers != level.workers) {
            chosen.push(*level);
        }
    }
    chosen
}

/// Meets what was measured.
#[derive(Clone, Copy)]
struct Solver<'a> {
    measured: &'a [Measured],
    system_share: f64,
}

impl Solver<'_> {
    fn tried(self, work: &Work, queue: Queue, unlikely: f64) -> Tried {
        // Where the system takes nothing, nothing is the faster for few workers either.
        let ease = if self.system_share > 0.0 { work.ease } else { 1.0 };
        let base = Work { cores: work.cores.less_system(self.system_share), queue, ease, ..*work };
        self.judged(work, self.solved(&base), unlikely)
    }

    /// How far a solution is from what was measured, in variances.
    fn judged(self, met: &Work, work: Work, unlikely: f64) -> Tried {
        let rate = |level: &Measured| (self.ratio(&work, level).ln() / level.uncertainty).powi(2);
        let error = self.measured.iter().map(rate).sum::<f64>();
        Tried { work, error: error + self.longer_queue(met, &work) + unlikely }
    }

    /// Nobody can have waited in a queue for longer than was waited at all.
    fn longer_queue(self, met: &Work, work: &Work) -> f64 {
        if !work.queue.servers.is_finite() {
            return 0.0;
        }
        let waited_s = Work { queue: work.queue, ..*met }.queued_s() + work.wait_s(Wait::Unexplained);
        let of_level = |level: &Measured| {
            let there = self.at_level(work, level).network().at(Work::QUEUE, level.workers);
            let partition_s = level.workers as f64 / level.rate;
            let longer_s = (there / level.rate - waited_s).max(0.0);
            (longer_s / partition_s / WAIT_ERROR).powi(2)
        };
        self.measured.iter().map(of_level).sum::<f64>() / self.measured.len() as f64
    }

    /// The work that gives the measured throughput, on average over the levels.
    fn solved(self, work: &Work) -> Work {
        const SLOWER_MOST: f64 = 60.0;
        if self.surplus(&with_rest(work, 2.0)) > 0.0 {
            let slower = falling_root(0.0, SLOWER_MOST, |by| self.surplus(&self.slower(work, by)));
            return self.slower(work, slower);
        }
        if self.surplus(&with_rest(work, 0.0)) >= 0.0 {
            return self.rested(work, falling_root(0.0, 2.0, |rest| self.surplus(&with_rest(work, rest))));
        }
        self.faster(&with_rest(work, 0.0))
    }

    /// The work with so much of its waits. Beside full cores hardly anything shows how long they are: they may as well be shorter, and the cores
    /// fewer by next to nothing.
    fn rested(self, work: &Work, rest: f64) -> Work {
        const CORES_FEWER_MOST: f64 = 0.7;
        let most = self.measured.iter().map(|level| level.rate).fold(0.0, f64::max);
        let idle = (1.0 - most * work.cpu_s() / work.cores.allowed).max(0.0);
        let doubt = SHORTER_WAIT * (1.0 - idle / FULL_CORES_IDLE).max(0.0);
        let shorter = with_rest(work, rest.min(1.0) + (rest - 1.0).max(0.0) * (1.0 - doubt));
        let fewer = |by: f64| {
            let mut fewer = shorter;
            fewer.cores.allowed *= (-by).exp();
            fewer
        };
        fewer(falling_root(0.0, CORES_FEWER_MOST, |by| self.surplus(&fewer(by))))
    }

    /// The work that is slower than what was waited for explains: fewer cores, where they are in demand, and a wait that no activity shows.
    fn slower(self, work: &Work, by: f64) -> Work {
        let mut slower = *work;
        slower.cores.allowed *= (-SLOWER_CORES * by).exp();
        *slower.wait_mut(Wait::Unexplained) += SLOWER_WAIT * by * self.longest_s();
        slower
    }

    /// The work that is faster than without any wait: there were more cores, or parts of a partition ran beside each other.
    fn faster(self, work: &Work) -> Work {
        let with = |more: f64, hidden: f64| {
            let mut faster = Work { alone_share: 1.0 - hidden, ..*work };
            faster.cores.allowed *= more;
            faster
        };
        let lacks = |more: f64, hidden: f64| -self.surplus(&with(more, hidden));
        if lacks(CORES_MORE_MOST, 0.0) <= 0.0 {
            return with(falling_root(1.0, CORES_MORE_MOST, |more| lacks(more, 0.0)), 0.0);
        }
        let more = falling_root(1.0, CORES_MORE_MOST, |more| lacks(more, 1.0 - ALONE_LEAST));
        with(more, falling_root(0.0, 1.0 - ALONE_LEAST, |hidden| lacks(more, hidden)))
    }

    /// The work with all that was waited for, and as many cores as that needs; none where no number of cores is enough.
    fn as_waited(self, work: &Work) -> Option<Work> {
        let work = Work { cores: work.cores.less_system(self.system_share), queue: Queue::NONE, ..*work };
        let with = |more: f64| {
            let mut faster = work;
            faster.cores.allowed *= more;
            faster
        };
        let lacks = |more: f64| -self.surplus(&with(more));
        (lacks(CORES_MORE_MOST) <= 0.0).then(|| with(falling_root(1.0, CORES_MORE_MOST, lacks)))
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

    /// The model's throughput of a level over the measured one.
    fn ratio(self, work: &Work, level: &Measured) -> f64 {
        let rate = self.at_level(work, level).network().rate(level.workers);
        rate.min(work.own_limit()) / level.rate
    }

    /// The work beside what competed with it at a level.
    fn at_level(self, work: &Work, level: &Measured) -> Work {
        let mut there = *work;
        there.cores.competing_cores = level.cores.competing_cores;
        there
    }
}

/// The work with a part of its waits: up to 1 of those that take their time anyway, up to 2 of the others too.
fn with_rest(work: &Work, rest: f64) -> Work {
    let mut with = *work;
    for wait in Wait::ALL {
        *with.wait_mut(wait) *= if wait.is_fixed() { rest.min(1.0) } else { (rest - 1.0).clamp(0.0, 1.0) };
    }
    with
}

/// Where a falling function is 0, or the nearer end: by the rule of false position, which keeps the root between its ends.
fn falling_root(low: f64, high: f64, value: impl Fn(f64) -> f64) -> f64 {
    const STEPS: usize = 40;
    const NEAR: f64 = 1e-6;
    let (mut low, mut high) = ((low, value(low)), (high, value(high)));
    if low.1 <= NEAR {
        return low.0;
    }
    if high.1 >= 0.0 {
        return high.0;
    }
    for step in 0..STEPS {
        let straight = low.0 + (high.0 - low.0) * low.1 / (low.1 - high.1);
        // Every third step halves, where one end never moves.
        let at = if step % 3 == 2 || !straight.is_finite() { 0.5 * (low.0 + high.0) } else { straight };
        let here = (at, value(at));
        if here.1.abs() < NEAR {
            return at;
        }
        if here.1 > 0.0 { low = here } else { high = here }
    }
    0.5 * (low.0 + high.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Demand;
    use rollfit_job::watch::MachineLimits;

    /// A partition of 0.05 s of ours and 0.47 s of a server on the same two cores, which waits `wait_s` besides.
    fn work(wait_s: f64) -> Work {
        let limits = MachineLimits { cores: Some(2), ..MachineLimits::default() };
        let met =
            Demand { rows: 1.0, cpu_s: 0.05, stretch: 1.0, sending_s: 0.47 + wait_s, ..Demand::default() };
        Work::new(&met, 0.47, None, Cores::new(&limits, 0.0, 0.0, 1.0))
    }

    fn measured(work: &Work, workers: usize, rate: f64) -> Measured {
        Measured { workers, rate, uncertainty: 0.02, cores: work.cores }
    }

    #[test]
    fn every_solution_gives_exactly_what_was_measured() {
        let all_files = Queue::new(1.0, |_| true);
        for (usual, wait_s, workers, rate) in [
            (Queue::NONE, 0.1, 2, 3.03),
            (Queue::NONE, 0.4, 1, 1.2),
            (Queue::NONE, 0.0, 1, 3.1),
            (Queue::NONE, 0.1, 4, 3.7),
            (Queue::NONE, 0.1, 4, 2.4),
            (all_files, 0.3, 2, 2.2),
            (all_files, 0.1, 1, 0.9),
        ] {
            let work = work(wait_s);
            for solved in fitted(&work, &[measured(&work, workers, rate)], usual) {
                let got = solved.network().rate(workers);
                assert!(
                    (got / rate - 1.0).abs() < 1e-3,
                    "{workers} workers give {got}, not {rate}: {solved:?}"
                );
            }
        }
    }

    #[test]
    fn a_full_machine_gives_no_more_to_more_workers_and_an_idle_one_does() {
        let full = work(0.1);
        let solved = fitted(&full, &[measured(&full, 2, 3.03)], Queue::NONE)[0];
        assert!(solved.network().rate(4) < 1.25 * 3.03, "{solved:?}");
        // Of the processor time alone two cores do no more than this.
        assert!(solved.network().rate(100) <= 2.0 / 0.52, "{solved:?}");
        let idle = work(4.0);
        let solved = fitted(&idle, &[measured(&idle, 2, 2.0 / 4.52)], Queue::NONE)[0];
        assert!(solved.network().rate(4) > 1.9 * 2.0 / 4.52, "{solved:?}");
    }

    #[test]
    fn several_levels_tell_a_queue_from_a_delay() {
        let work = work(1.5);
        let queued = Work { queue: Queue::new(1.0, |wait| wait == Wait::Bytes), ..work };
        for truth in [work, queued] {
            let levels = [1, 2, 4].map(|workers| measured(&work, workers, truth.network().rate(workers)));
            let solved = fitted(&work, &levels, Queue::NONE)[0];
            let (got, wanted) = (solved.network().rate(8), truth.network().rate(8));
            assert!((got / wanted - 1.0).abs() < 0.15, "{got}, not {wanted}: {solved:?}");
        }
    }
}
