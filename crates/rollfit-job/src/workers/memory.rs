//! [`Memory`]: for how many workers there is memory.
//!
//! Invariants: what a worker takes is a guess only until some were seen; from then on it is the most that
//! they were seen to hold on average, what the allocator keeps included.

use super::Situation;
use super::ceiling::Ceiling;
use super::{ALLOCATOR, memory_reserve_bytes};
use crate::record::WorkerCeiling;
use crate::watch::{MachineSample, Moment};

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    /// What this process held before the first worker.
    base_bytes: u64,
    worker_bytes: u64,
    is_measured: bool,
    /// What is left of the memory of the machine, or of the control group, whatever happens.
    reserve_bytes: u64,
    free_bytes: Option<u64>,
    own_bytes: u64,
}

impl Memory {
    pub(super) fn new(situation: &Situation) -> Self {
        let base_bytes = situation.machine.own_memory_bytes.unwrap_or(0);
        Self {
            base_bytes,
            worker_bytes: situation.worker_memory_bytes.max(1),
            is_measured: false,
            reserve_bytes: memory_reserve_bytes(&situation.limits),
            free_bytes: situation.machine.free_memory_bytes,
            own_bytes: base_bytes,
        }
    }

    pub(super) fn observe(&mut self, moment: &Moment) {
        let MachineSample { own_memory_bytes, free_memory_bytes, .. } = moment.machine;
        let held: u64 = moment.lanes.iter().map(|lane| lane.memory_bytes).sum();
        let own_bytes = own_memory_bytes.unwrap_or(self.base_bytes + (held as f64 * ALLOCATOR) as u64);
        (self.own_bytes, self.free_bytes) = (own_bytes, free_memory_bytes);
        let workers = moment.lanes.len() as u64;
        if !self.is_measured {
            // A guess that proves too small is given up at once.
            let most = moment.lanes.iter().map(|lane| lane.memory_bytes).max().unwrap_or(0);
            self.worker_bytes = self.worker_bytes.max((most as f64 * ALLOCATOR) as u64);
        }
        if workers == 0 || moment.totals.ended < 2 * workers {
            return;
        }
        let seen_bytes = own_bytes.saturating_sub(self.base_bytes) / workers;
        self.worker_bytes =
            if self.is_measured { self.worker_bytes.max(seen_bytes) } else { seen_bytes.max(1) };
        self.is_measured = true;
    }

    /// The most workers; none where it is not known how much is free.
    pub(super) fn ceiling(&self) -> Option<Ceiling> {
        let free_bytes = self.free_bytes?;
        let taken_bytes = self.own_bytes.saturating_sub(self.base_bytes);
        let room_bytes = (free_bytes + taken_bytes).saturating_sub(self.reserve_bytes);
        let workers = (room_bytes / self.worker_bytes).max(1) as usize;
        let why = format!(
            "memory leaves room for {workers} ({} MB free, {} MB per worker)",
            room_bytes / 1_000_000,
            self.worker_bytes.div_ceil(1_000_000)
        );
        Some(Ceiling { kind: WorkerCeiling::Memory, workers, why })
    }
}
