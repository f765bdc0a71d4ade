//! Workers: how many ([`Policy`]), and plain threads that take items from a list until it is empty.

mod ceiling;
mod competing_load;
mod growth;
mod limits;
mod memory;
mod meter;
mod other_runners;
mod policy;
mod search;
mod situation;
mod waiting;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::limits::{
    ALLOCATOR, auto_workers_max, is_crowded, memory_reserve_bytes, mostly_waits, workers_beside,
    workers_in_a_crowd, workers_with_sessions,
};
pub use self::meter::Finished;
pub use self::other_runners::OtherRunners;
pub use self::policy::Policy;
pub use self::search::settled_workers;
pub use self::situation::Situation;
use crate::config::Workers;
use crate::lock::{lock, unpoisoned};

impl Workers {
    /// How many workers to start for `partitions` partitions where the number stays the same: without a fixed one, the
    /// cores that this process may use, which respects the limits of its control group.
    pub fn count(self, partitions: usize) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let wanted = match self {
            Workers::Auto => cores,
            Workers::Fixed(count) => count,
            Workers::Between(least, most) => cores.clamp(least, most),
        };
        wanted.min(partitions).max(1)
    }
}

/// Does `work` for every item on `workers` threads; the results in the order of the items. Neighbours mostly go to one thread:
/// partitions of one key have tables in common, of which a store remembers what it has read.
pub fn for_each<T: Sync, R: Send>(items: &[T], workers: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let workers = workers.clamp(1, items.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(range) = take_next(&next, items.len(), workers) {
                    for at in range {
                        let result = work(&items[at]);
                        lock(&results).push((at, result));
                    }
                }
            });
        }
    });
    let mut results = unpoisoned(results.into_inner());
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The next items for one of the workers: single ones in the end, so that all finish together.
fn take_next(next: &AtomicUsize, items: usize, workers: usize) -> Option<Range<usize>> {
    const ITEMS_MAX: usize = 32;
    const TURNS_LEFT: usize = 4;
    let end = |start: usize| start + ((items - start) / (TURNS_LEFT * workers)).clamp(1, ITEMS_MAX);
    let more = |start| (start < items).then(|| end(start));
    let start = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
    Some(start..end(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(
            for_each(&items, 4, |item| item * 2),
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(for_each(&[] as &[usize], 4, |item| *item), Vec::<usize>::new());
    }

    #[test]
    fn many_items_are_taken_together_and_few_or_the_last_ones_are_not() {
        let turns = |items, workers| {
            let next = AtomicUsize::new(0);
            let mut turns = Vec::new();
            while let Some(range) = take_next(&next, items, workers) {
                assert_eq!(range.start, turns.iter().sum::<usize>());
                turns.push(range.len());
            }
            assert_eq!(turns.iter().sum::<usize>(), items);
            turns
        };
        assert_eq!(turns(7, 2), [1; 7]);
        assert_eq!(turns(3, 3), [1; 3]);
        let many = turns(20_000, 2);
        assert_eq!((many[0], &many[many.len() - 8..]), (32, &[1; 8][..]));
    }
}
