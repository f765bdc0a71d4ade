//! [`Remaining`]: how long the partitions that are left take, given to the workers one by one as each gets free.
//!
//! Invariants: the same input gives the same answer; the work is bounded, however many partitions are left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::estimate::Estimate;
use super::schedule::Ordered;

/// A partition in progress that is much larger than the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large {
    /// How long it takes in all beside the others.
    pub(super) takes_s: f64,
    /// For how long it has been in progress.
    pub(super) age_s: f64,
}

/// What is left of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remaining {
    /// Partitions that no worker has begun.
    pub(super) waiting: f64,
    /// Those in progress, without a large one.
    pub(super) in_progress: usize,
    /// How long those in progress have been, on average.
    pub(super) mean_age_s: f64,
    /// One that is much larger.
    pub(super) large: Option<Large>,
    pub(super) workers: usize,
    /// How long one that waits takes, on average.
    pub(super) waiting_s: f64,
    /// How long one in progress takes in all, on average.
    pub(super) in_progress_s: f64,
    /// How much of the time workers wait for each other: with 1 those that are left, when nothing waits any more, are as fast together as
    /// all were, with 0 each is only as fast as before.
    pub(super) contention: f64,
    /// By what share durations scatter.
    pub(super) scatter: f64,
    /// By what share the averages may be wrong.
    pub(super) error: f64,
}

/// How often the rest of a run is played, with durations that scatter.
const PLAYED: usize = 64;
/// Of more waiting partitions than this, those before the last ones only count by their sum.
const WAITING_MAX: f64 = 256.0;
/// A partition that has taken longer than expected takes this share of its age longer.
const OVERDUE: f64 = 0.1;

impl Remaining {
    /// How long it takes: the mean, and what nine in ten are between.
    pub(super) fn takes_s(self) -> Estimate {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        // Each error is played with its opposite, so that the mean is not off by chance.
        let mut played: Vec<f64> = (0..PLAYED / 2)
            .flat_map(|_| {
                let error = self.error * dice.normal();
                [
                    self.play_s((1.0 + error).max(0.2), &mut dice),
                    self.play_s((1.0 - error).max(0.2), &mut dice),
                ]
            })
            .collect();
        played.sort_by(f64::total_cmp);
        let expected = played.iter().sum::<f64>() / played.len() as f64;
        let at = |share: f64| played[(share * (played.len() - 1) as f64).round() as usize];
        Estimate { low: at(0.05).min(expected), expected, high: at(0.95).max(expected) }
    }

    /// How long it takes if durations are `factor` times the averages.
    fn play_s(self, factor: f64, dice: &mut Dice) -> f64 {
        let large_ends_s = self.large.map(|large| left_s(factor * large.takes_s, large.age_s));
        let in_progress = self.in_progress + self.large.iter().len();
        let workers = self.workers.max(in_progress).max(1);
        let one_by_one = self.waiting.min(WAITING_MAX);
        let summed_s = (self.waiting - one_by_one) * factor * self.waiting_s / workers as f64;
        let takes_s = |dice: &mut Dice, mean_s: f64| factor * mean_s * dice.about_one(self.scatter);
        let mut ends_s: Vec<f64> = (0..self.in_progress)
            .map(|number| left_s(takes_s(dice, self.in_progress_s), self.age_s(number)))
            .collect();
        ends_s.extend(large_ends_s);
        ends_s.resize(workers, 0.0);
        let mut free_at: BinaryHeap<Reverse<Ordered>> =
            ends_s.into_iter().map(|at_s| Reverse(Ordered(at_s))).collect();
        for _ in 0..one_by_one.round() as usize {
            let Some(Reverse(Ordered(at_s))) = free_at.pop() else { break };
            free_at.push(Reverse(Ordered(at_s + takes_s(dice, self.waiting_s))));
        }
        summed_s + self.ends_s(free_at)
    }

    /// When the last worker ends: those that still work are faster when others have ended.
    fn ends_s(self, mut free_at: BinaryHeap<Reverse<Ordered>>) -> f64 {
        let workers = free_at.len() as f64;
        let (mut before_s, mut ends_s) = (0.0, 0.0);
        while let Some(Reverse(Ordered(at_s))) = free_at.pop() {
            let working = (free_at.len() + 1) as f64;
            ends_s += (at_s - before_s) * (working / workers).powf(self.contention);
            before_s = at_s;
        }
        ends_s
    }

    /// The age of one in progress. Only their sum is known: they are as far apart as that allows, where workers began one after the
    /// other, and as close together where it is near none or near all of a partition's time.
    fn age_s(self, number: usize) -> f64 {
        let apart = self.mean_age_s.min((self.in_progress_s - self.mean_age_s).max(0.0));
        let place = (2 * number + 1) as f64 / self.in_progress as f64 - 1.0;
        self.mean_age_s + place * apart
    }
}

/// How long one in progress still takes.
fn left_s(takes_s: f64, age_s: f64) -> f64 {
    if takes_s > age_s { takes_s - age_s } else { OVERDUE * age_s }
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    /// Between 0 and 1.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of mean 0 and variance 1, about.
    fn normal(&mut self) -> f64 {
        2.0 * ((0..3).map(|_| self.even()).sum::<f64>() - 1.5)
    }

    fn about_one(&mut self, scatter: f64) -> f64 {
        (1.0 + scatter * self.normal()).max(0.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Remaining = Remaining {
        waiting: 4.0,
        in_progress: 2,
        mean_age_s: 0.0,
        workers: 2,
        large: None,
        waiting_s: 10.0,
        in_progress_s: 10.0,
        contention: 0.0,
        scatter: 0.0,
        error: 0.0,
    };

    fn takes_s(remaining: Remaining) -> f64 {
        let Estimate { low, expected, high } = remaining.takes_s();
        assert!(low <= expected && expected <= high);
        expected
    }

    #[test]
    fn whole_rounds_take_whole_rounds() {
        assert_eq!(takes_s(EXACT), 30.0);
        assert_eq!(takes_s(Remaining { waiting: 5.0, ..EXACT }), 40.0, "the last one keeps one worker busy");
        assert_eq!(takes_s(Remaining { waiting: 0.0, mean_age_s: 9.9, ..EXACT }).round(), 0.0);
    }

    #[test]
    fn workers_that_began_one_after_the_other_end_so() {
        // Ages of 2.5 and 7.5 s.
        assert_eq!(takes_s(Remaining { mean_age_s: 5.0, ..EXACT }), 27.5);
    }

    #[test]
    fn a_partition_that_is_overdue_is_not_over() {
        assert_eq!(takes_s(Remaining { waiting: 0.0, mean_age_s: 50.0, ..EXACT }), 5.0);
    }

    #[test]
    fn those_that_are_left_at_the_end_are_faster_where_workers_waited_for_each_other() {
        let one_left = Remaining { waiting: 5.0, contention: 0.5, ..EXACT };
        assert!((takes_s(one_left) - (30.0 + 10.0 * 0.5_f64.sqrt())).abs() < 1e-9);
        assert_eq!(takes_s(Remaining { contention: 0.5, ..EXACT }), 30.0, "all end at once");
    }

    #[test]
    fn a_large_partition_keeps_its_worker_and_the_others_do_the_rest() {
        let large = Some(Large { takes_s: 100.0, age_s: 5.0 });
        let beside = Remaining { in_progress: 1, large, ..EXACT };
        assert_eq!(takes_s(beside), 95.0);
        // The others end after 50 s; then it is faster.
        let takes_alone_s = 45.0 * 0.5_f64.sqrt();
        assert!((takes_s(Remaining { contention: 0.5, ..beside }) - (50.0 + takes_alone_s)).abs() < 1e-9);
        // Its worker takes the next one when it has ended.
        let short = Some(Large { takes_s: 20.0, age_s: 0.0 });
        assert_eq!(takes_s(Remaining { in_progress: 1, large: short, ..EXACT }), 40.0);
        // A worker alone.
        assert_eq!(takes_s(Remaining { in_progress: 0, workers: 1, large, ..EXACT }), 135.0);
    }

    #[test]
    fn a_huge_rest_takes_the_mean_and_no_time_to_find_out() {
        let takes_s = takes_s(Remaining { waiting: 1e9, scatter: 0.3, ..EXACT });
        assert!((takes_s / 5e9 - 1.0).abs() < 1e-3, "{takes_s}");
    }

    #[test]
    fn what_is_uncertain_makes_the_range_wider() {
        let width = |error| {
            let Estimate { low, high, .. } = Remaining { error, ..EXACT }.takes_s();
            high - low
        };
        assert!(width(0.05) > 0.0 && width(0.2) > 2.0 * width(0.05));
        let mean = takes_s(Remaining { error: 0.2, ..EXACT });
        assert!((mean / 30.0 - 1.0).abs() < 1e-9, "{mean}");
    }
}
