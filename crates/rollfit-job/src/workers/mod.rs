//! Workers: how many ([`Policy`]), and plain threads that take items from a list until it is empty.

mod ceiling;
mod competing_load;
mod limits;
mod memory;
mod meter;
mod policy;
mod search;
mod situation;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::limits::{
    ALLOCATOR, auto_workers_max, memory_reserve_bytes, workers_beside, workers_with_sessions,
};
pub use self::meter::Finished;
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

/// Does `work` for every item on `workers` threads; the results in the order of the items.
pub fn for_each<T: Sync, R: Send>(items: &[T], workers: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((at, item)) = take_next(&next, items) {
                    let result = work(item);
                    lock(&results).push((at, result));
                }
            });
        }
    });
    let mut results = unpoisoned(results.into_inner());
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take_next<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    items.get(at).map(|item| (at, item))
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
}
