//! [`Scenario`]: a job under certain conditions: its work, its workers, its order. What a change would
//! gain is the time of one scenario over that of another.

use std::borrow::Cow;

use super::estimate::Estimate;
use super::network::WORKERS_MAX;
use super::schedule::{largest_first, takes_s};
use super::tuning::{BEYOND_MEASURED, UNCERTAINTY_OF_NO_GAIN};
use super::work::{Cores, Wait, Work};
use rollfit_job::config::{Order, Workers};
use rollfit_job::workers::{is_crowded, mostly_waits, settled_workers, workers_beside, workers_in_a_crowd};

/// So many partitions at the end of a job are played through one by one.
const PLAYED_THROUGH: usize = 2000;

/// A job under certain conditions.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// What the work may be like, the likeliest first.
    pub(super) variants: Vec<Work>,
    /// How uncertain all of it is besides, relative.
    pub(super) uncertainty: f64,
    pub(super) workers: Workers,
    /// The most workers that were measured.
    pub(super) workers_measured: usize,
    /// The rows a second above which a server whose processors are not visible from here may be full; none where they are visible.
    pub(super) unseen_above: Option<f64>,
    /// Whether other runners were at work on the store: what a change gains they may take.
    pub(super) is_beside_runners: bool,
    /// For which shares of its time the run had how many workers.
    pub(super) had: Vec<(usize, f64)>,
    /// The workers that sessions, memory and `auto` allow.
    pub(super) ceilings: Ceilings,
    pub(super) order: Order,
    /// The rows of each partition of the whole job, in the order of the plan.
    pub(super) rows: Vec<f64>,
    /// The share of the round trips and the commit that a partition costs whatever its size.
    pub(super) fixed_share: f64,
    /// How long is waited, at the end, for partitions that others hold.
    pub(super) held_s: f64,
    /// How many times as long as the model says the whole job takes by what was observed.
    pub(super) missed: f64,
}

/// The most workers, by what limits them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ceilings {
    /// Each worker needs a session.
    pub(super) sessions: Option<usize>,
    /// Each worker needs memory.
    pub(super) memory: Option<usize>,
    /// `auto` goes no further.
    pub(super) auto: usize,
}

impl Scenario {
    /// The most workers that can do anything.
    pub(super) fn workers_max(&self) -> usize {
        let Ceilings { sessions, memory, .. } = self.ceilings;
        let most = [sessions, memory, Some(self.rows.len())].into_iter().flatten().min();
        most.unwrap_or(WORKERS_MAX).clamp(1, WORKERS_MAX)
    }

    /// The most workers that are recommended and estimated for, whatever limits their number.
    pub(super) fn workers_known(&self) -> usize {
        (BEYOND_MEASURED * self.workers_measured).min(WORKERS_MAX)
    }

    /// How many workers are enough: the fewest that give about what the best number does, of those that there is room for and that are not
    /// too far from what was measured. The rule of `auto`, of the recommendation and of what is worth it.
    pub(super) fn workers_advised(&self) -> usize {
        self.likeliest()
            .map_or(1, |work| self.enough(work, &work.rows_per_s(self.workers_max()), self.workers_known()))
    }

    /// The most workers that leave other processes the cores that they want, as `auto` has no more; none where nothing limits them.
    pub(super) fn workers_beside(&self) -> Option<usize> {
        self.likeliest().and_then(beside_competing)
    }

    /// The workers that the run had, on average.
    pub(super) fn workers_had(&self) -> f64 {
        let shares: f64 = self.had.iter().map(|(_, share)| share).sum();
        let workers: f64 = self.had.iter().map(|(workers, share)| *workers as f64 * share).sum();
        if shares > 0.0 { workers / shares } else { self.workers_now() as f64 }
    }

    fn enough(&self, work: &Work, rows_per_s: &[f64], most: usize) -> usize {
        let most = most.min(beside_competing(work).unwrap_or(WORKERS_MAX)).min(rows_per_s.len() - 1);
        settled_workers(&rows_per_s[..=most])
    }

    /// How many workers there will be, where n of them do `rows_per_s[n]`. Workers that set themselves are not taken to be more than what
    /// is known.
    fn workers(&self, work: &Work, rows_per_s: &[f64]) -> usize {
        let best = |most: usize| self.enough(work, rows_per_s, most.min(self.workers_known()));
        match self.workers {
            Workers::Fixed(workers) => workers.min(self.workers_max()),
            Workers::Between(least, most) => best(most).max(least).min(self.workers_max()),
            Workers::Auto => best(self.ceilings.auto).min(self.workers_max()),
        }
    }

    /// How long the whole job takes if the work is like this.
    fn takes_s(&self, work: &Work) -> f64 {
        let rows_per_s = work.rows_per_s(self.workers_max());
        self.takes_with_s(work, self.workers(work, &rows_per_s), &rows_per_s)
    }

    /// How long the whole job takes with the workers that the run had.
    fn took_s(&self, work: &Work) -> f64 {
        if self.had.is_empty() {
            return self.takes_s(work);
        }
        // Memory may have had room for more workers than it has in the end; without a session they did nothing.
        let had = self.had.iter().map(|(workers, _)| *workers).max().unwrap_or(1);
        let with_session = self.ceilings.sessions.unwrap_or(WORKERS_MAX).min(WORKERS_MAX);
        let rows_per_s = work.rows_per_s(had.min(with_session).max(self.workers_max()));
        let rate = |workers: usize| rows_per_s[workers.min(rows_per_s.len() - 1)];
        let (mean, speed) = self.had.iter().fold((0.0, 0.0), |(mean, speed), &(workers, share)| {
            (mean + workers as f64 * share, speed + rate(workers) * share)
        });
        let mean = (mean.round() as usize).clamp(1, rows_per_s.len() - 1);
        let times = speed / rate(mean);
        let as_had: Vec<f64> = rows_per_s.iter().map(|rows_per_s| rows_per_s * times).collect();
        self.takes_with_s(work, mean, &as_had)
    }

    fn takes_with_s(&self, work: &Work, workers: usize, rows_per_s: &[f64]) -> f64 {
        let ordered = match self.order {
            Order::Spread | Order::Plan => Cow::Borrowed(&self.rows),
            Order::LargestFirst => Cow::Owned(largest_first(&self.rows)),
        };
        const FIXED: [Wait; 4] = [Wait::RoundTrips, Wait::Asking, Wait::Statements, Wait::Commit];
        // What does not grow with its rows makes a small partition as long as one of a few rows more.
        let fixed_s = self.fixed_share * FIXED.into_iter().map(|wait| work.wait_s(wait)).sum::<f64>();
        let fixed = fixed_s / work.alone_s();
        let alike = |rows: &f64| rows * (1.0 - fixed) + work.rows * fixed;
        // While thousands are left, every worker has one: only the last have to be played through.
        let (steady, last) = ordered.split_at(ordered.len().saturating_sub(PLAYED_THROUGH));
        let speed = rows_per_s[workers.clamp(1, rows_per_s.len() - 1)];
        let steady_rows =
            steady.iter().sum::<f64>() * (1.0 - fixed) + steady.len() as f64 * work.rows * fixed;
        let steady_s = if steady.is_empty() { 0.0 } else { steady_rows / speed };
        let last: Vec<f64> = last.iter().map(alike).collect();
        steady_s + takes_s(&last, workers, rows_per_s) + self.held_s
    }

    /// How long the whole job takes.
    pub(super) fn job_s(&self) -> Estimate {
        around(self.variants.iter().map(|work| self.takes_s(work)))
    }

    /// How long the whole job takes with the workers that the run had.
    pub(super) fn job_as_had_s(&self) -> Estimate {
        around(self.variants.iter().map(|work| self.took_s(work)))
    }

    /// What the whole job takes at least: processor time over cores, and own limits.
    fn least_s(&self, work: &Work) -> f64 {
        self.rows.iter().sum::<f64>() / (work.rate_max() * work.rows)
    }

    /// How many times as fast as it was the job is in another scenario, of which the variants are the same.
    pub(super) fn gain(&self, changed: &Scenario) -> Estimate {
        let took_s: Vec<f64> = self.variants.iter().map(|now| self.took_s(now)).collect();
        let pairs = || std::iter::zip(&took_s, &changed.variants);
        let bounds = pairs().map(|(took_s, then)| self.missed * took_s / changed.least_s(then));
        let bound = bounds.fold(0.0, f64::max);
        let missed = self.missed / changed.missed;
        let gain = around(pairs().map(|(took_s, then)| missed * took_s / changed.takes_s(then)));
        // A gain near 1 is as certain as it is small.
        let uncertainty = self.uncertainty * (1.0 - 1.0 / gain.expected).abs().max(UNCERTAINTY_OF_NO_GAIN);
        let gain = widened(gain, uncertainty);
        let gain = at_most(gain, bound);
        // A server that cannot be seen may be full already, and what others share may be theirs.
        if self.unseen_above.is_some() || self.is_beside_runners {
            Estimate { low: gain.low.min(1.0), ..gain }
        } else {
            gain
        }
    }

    /// How many workers there will be, by the likeliest variant.
    pub(super) fn workers_now(&self) -> usize {
        self.likeliest().map_or(1, |work| self.workers(work, &work.rows_per_s(self.workers_max())))
    }

    /// Rows a second of `workers` workers for a long time, whatever else limits their number; `uncertainty` comes to that of the scenario.
    pub(super) fn rows_per_s(&self, workers: usize, uncertainty: f64) -> Estimate {
        let of = |work: &Work| work.rows_per_s(workers)[workers.min(WORKERS_MAX)];
        let estimate = widened(around(self.variants.iter().map(of)), self.uncertainty + uncertainty);
        let bound = self.variants.iter().map(|work| work.rate_max() * work.rows).fold(0.0, f64::max);
        let estimate = at_most(estimate, bound);
        match self.unseen_above {
            Some(above) if estimate.expected > above => Estimate { low: estimate.low.min(above), ..estimate },
            _ => estimate,
        }
    }

    /// The likeliest work.
    pub(super) fn likeliest(&self) -> Option<&Work> {
        self.variants.first()
    }

    /// The same with another work in each variant.
    pub(super) fn with_work(&self, change: impl Fn(&mut Work)) -> Self {
        let mut changed = self.clone();
        changed.variants.iter_mut().for_each(change);
        changed
    }

    /// The same where earlier estimates say how far from the truth the likeliest variant is, relative.
    pub(super) fn with_uncertainty(mut self, uncertainty: f64) -> Self {
        self.variants.truncate(1);
        Self { uncertainty, ..self }
    }
}

/// The first of some values, as they lie from low to high.
fn around(values: impl Iterator<Item = f64>) -> Estimate {
    // Records may say anything; what is told is a number.
    let number = |value: f64| if value.is_nan() { 1.0 } else { value.clamp(1e-9, 1e15) };
    let values: Vec<f64> = values.map(number).collect();
    let expected = values.first().copied().unwrap_or(1.0);
    Estimate {
        low: values.iter().copied().fold(expected, f64::min),
        expected,
        high: values.iter().copied().fold(expected, f64::max),
    }
}

/// An estimate that is no more than a bound.
pub(super) fn at_most(estimate: Estimate, bound: f64) -> Estimate {
    let Estimate { low, expected, high } = estimate;
    Estimate { low: low.min(bound), expected: expected.min(bound), high: high.min(bound) }
}

/// An estimate with more uncertainty about it.
pub(super) fn widened(estimate: Estimate, uncertainty: f64) -> Estimate {
    Estimate {
        low: estimate.low / (1.0 + uncertainty),
        high: estimate.high * (1.0 + uncertainty),
        ..estimate
    }
}

/// How many workers leave other processes the cores that they want: `auto` has no more. None where nothing limits them: others want next to
/// nothing, or workers mostly wait.
fn beside_competing(work: &Work) -> Option<usize> {
    let Cores { own_max, all, competing_cores, .. } = work.cores;
    let alone_s = work.alone_s();
    if competing_cores <= 0.0 || mostly_waits(work.own_cpu_s / alone_s) {
        return None;
    }
    // Those that this process may not use are theirs, and were left out.
    let workers = if is_crowded(competing_cores + (all - own_max), all) {
        workers_in_a_crowd(own_max)
    } else {
        workers_beside(competing_cores, own_max - competing_cores, work.cpu_s() / alone_s)?
    };
    Some(workers.clamp(1, WORKERS_MAX))
}

#[cfg(test)]
mod tests {
    use super::super::run_facts::RunFacts;
    use super::*;
    use rollfit_testkit::record::made;

    #[test]
    fn what_a_run_had_is_no_less_because_memory_has_less_room_in_the_end() {
        let record = made(40, 3);
        let scenario = RunFacts::from_record(&record).unwrap().scenario;
        let in_memory = |memory| Scenario {
            ceilings: Ceilings { memory, ..scenario.ceilings },
            had: vec![(3, 1.0)],
            ..scenario.clone()
        };
        let (narrow, wide) = (in_memory(Some(1)), in_memory(None));
        assert_eq!(narrow.job_as_had_s().expected, wide.job_as_had_s().expected);
        assert!((narrow.gain(&wide).expected - wide.gain(&wide).expected).abs() < 1e-9);
        assert!(narrow.job_s().expected > 1.5 * wide.job_s().expected);
        // Workers without a session did nothing.
        let few = Scenario { ceilings: Ceilings { sessions: Some(1), ..wide.ceilings }, ..wide.clone() };
        assert!(few.gain(&wide).expected > 1.5, "{:?}", few.gain(&wide));
    }
}
