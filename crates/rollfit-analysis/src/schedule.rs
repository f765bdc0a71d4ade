//! How long a list of partitions takes. Workers take them in order, and the partitions in progress share the speed of all workers
//! together, so that the end is right too: one worker finishes a partition much larger than the others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The seconds that partitions of `rows` rows take, started in this order by `workers` workers, where n workers do
/// `rows_per_s[n]` together.
pub(super) fn takes_s(rows: &[f64], workers: usize, rows_per_s: &[f64]) -> f64 {
    let workers = workers.clamp(1, rows_per_s.len().saturating_sub(1).max(1));
    let mut left = rows.iter();
    // Each in progress ends when every one of them has done as many rows more.
    let mut in_progress: BinaryHeap<Reverse<Ordered>> =
        left.by_ref().take(workers).map(|&rows| Reverse(Ordered(rows))).collect();
    let (mut took_s, mut done) = (0.0, 0.0);
    while let Some(Reverse(Ordered(ends))) = in_progress.pop() {
        let together = in_progress.len() + 1;
        took_s += (ends - done) * together as f64 / rows_per_s.get(together).copied().unwrap_or(f64::NAN);
        done = ends;
        in_progress.extend(left.next().map(|&rows| Reverse(Ordered(done + rows))));
    }
    took_s
}

/// The rows with those of the largest partition first.
pub(super) fn largest_first(rows: &[f64]) -> Vec<f64> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted
}

/// A number that a heap can order.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Ordered(pub(super) f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_partitions_take_as_long_as_the_speed_says() {
        assert_eq!(takes_s(&[10.0; 8], 2, &[0.0, 1.0, 2.0]), 40.0);
        assert_eq!(takes_s(&[10.0; 7], 2, &[0.0, 1.0, 2.0]), 40.0);
    }

    #[test]
    fn one_that_is_alone_at_the_end_has_the_speed_of_one() {
        // 10 each at full speed; then the oversized one alone.
        assert_eq!(takes_s(&[10.0, 30.0], 2, &[0.0, 1.0, 2.0]), 30.0);
        assert_eq!(takes_s(&[10.0, 30.0], 2, &[0.0, 1.0, 1.0]), 20.0 + 20.0);
    }

    #[test]
    fn the_largest_first_is_never_left_alone_for_as_long() {
        let rows = [10.0, 10.0, 10.0, 10.0, 40.0];
        assert_eq!(takes_s(&rows, 2, &[0.0, 1.0, 2.0]), 60.0);
        assert_eq!(takes_s(&largest_first(&rows), 2, &[0.0, 1.0, 2.0]), 40.0);
    }

    #[test]
    fn more_workers_than_partitions_or_known_speeds_do_no_harm() {
        assert_eq!(takes_s(&[10.0], 5, &[0.0, 1.0, 2.0]), 10.0);
        assert_eq!(takes_s(&[], 5, &[0.0, 1.0]), 0.0);
    }
}
