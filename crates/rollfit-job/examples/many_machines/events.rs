//! [`Events`]: what happens when; [`Lanes`]: what serves a few at once, in the order in which they come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What happens at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A worker has ended a step.
    Worker(u32),
    /// The store releases what a dead machine had claimed.
    Release(u32),
}

/// Events to come, by time; those of one instant in the order in which they were added. Nanoseconds.
#[derive(Default)]
pub(crate) struct Events {
    to_come: BinaryHeap<Reverse<(u64, u64, Event)>>,
    added: u64,
}

impl Events {
    pub(crate) fn add(&mut self, at_ns: u64, event: Event) {
        self.added += 1;
        self.to_come.push(Reverse((at_ns, self.added, event)));
    }

    pub(crate) fn next(&mut self) -> Option<(u64, Event)> {
        self.to_come.pop().map(|Reverse((at_ns, _, event))| (at_ns, event))
    }
}

/// So many that serve at once, the first come first.
pub(crate) struct Lanes(BinaryHeap<Reverse<u64>>);

impl Lanes {
    pub(crate) fn new(count: u32) -> Self {
        Self((0..count).map(|_| Reverse(0)).collect())
    }

    /// When work that comes now and takes so long is done.
    pub(crate) fn serve(&mut self, now_ns: u64, takes_ns: u64) -> u64 {
        let free_at = self.0.pop().map_or(now_ns, |Reverse(at)| at.max(now_ns));
        self.0.push(Reverse(free_at + takes_ns));
        free_at + takes_ns
    }
}
