//! [`Shares`]: the partitions of a job, divided between its runners, each of which helps the others after its own share.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::world::World;

/// A partition that is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) number: usize,
    pub(crate) rows: u64,
    pub(crate) is_held: bool,
}

/// What a runner knows of the others on its store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Others {
    /// Which runner it is itself, from 0.
    pub(crate) number: usize,
    /// How many there are; none where the store does not tell.
    pub(crate) count: Option<u32>,
    /// How many of them are on its machine, as far as it knows.
    pub(crate) here: u32,
    /// The most sessions that each may have; none where there is no limit.
    pub(crate) sessions_each: Option<usize>,
}

/// See the module. A clone is the same shares.
#[derive(Clone, Debug)]
pub(crate) struct Shares(Rc<RefCell<Vec<Share>>>);

#[derive(Debug)]
struct Share {
    fresh: VecDeque<Task>,
    /// How many others have taken that its runner does not know of yet.
    taken: u64,
    random: fastrand::Rng,
}

impl Shares {
    pub(crate) fn new(world: &World, runners: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(world.seed ^ 0x5eed);
        let mut is_held = || random.f64() < world.store.held_share;
        let rows = world.rows();
        let tasks: Vec<Task> =
            rows.into_iter().map(|(number, rows)| Task { number, rows, is_held: is_held() }).collect();
        let share = |index: usize| Share {
            fresh: tasks.iter().skip(index).step_by(runners).copied().collect(),
            taken: 0,
            random: if index == 0 {
                random.clone()
            } else {
                fastrand::Rng::with_seed(world.seed + index as u64)
            },
        };
        Self(Rc::new(RefCell::new((0..runners).map(share).collect())))
    }

    /// How many partitions are left of a share.
    pub(crate) fn own(&self, runner: usize) -> usize {
        self.0.borrow()[runner].fresh.len()
    }

    /// What a runner's faults are made of.
    pub(crate) fn random(&self, runner: usize) -> fastrand::Rng {
        self.0.borrow()[runner].random.clone()
    }

    /// Takes the next of the own share.
    pub(crate) fn take_own(&self, runner: usize) -> Option<Task> {
        self.0.borrow_mut()[runner].fresh.pop_front()
    }

    /// Takes the last of the share of which most is left.
    pub(crate) fn help(&self, runner: usize) -> Option<Task> {
        let mut shares = self.0.borrow_mut();
        let others = shares.iter_mut().enumerate().filter(|(index, _)| *index != runner);
        let (_, share) = others.max_by_key(|(_, share)| share.fresh.len())?;
        let task = share.fresh.pop_back()?;
        share.taken += 1;
        Some(task)
    }

    /// How many of a runner's share others have taken since this was asked last.
    pub(crate) fn taken_by_others(&self, runner: usize) -> u64 {
        std::mem::take(&mut self.0.borrow_mut()[runner].taken)
    }
}
