//! How many workers cores, memory and sessions leave room for: the rules of the policy, which an analysis asks too.

use crate::watch::MachineLimits;

/// Whole workers for so much of the cores. A quarter of a core left over is worth a worker.
pub(super) fn whole(cores: f64) -> usize {
    ((cores + 0.75).floor() as usize).max(1)
}

/// What the system's allocator keeps beside what was asked for, as a factor.
pub const ALLOCATOR: f64 = 1.2;

/// The memory of the machine, or of the control group, that is never used: a twentieth, and in a small group what files need on their way
/// to the disk.
pub fn memory_reserve_bytes(limits: &MachineLimits) -> u64 {
    const LEAST: u64 = 32_000_000;
    let limits = [limits.memory_bytes, limits.memory_allowed_bytes];
    let all = limits.into_iter().flatten().min().unwrap_or(0);
    (all / 20).max(LEAST.min(all / 4))
}

/// The most workers that sessions with the store allow: one watches the store, where there is more than one.
pub fn workers_with_sessions(sessions: usize) -> usize {
    sessions.saturating_sub(1).max(1)
}

/// The most workers that `workers = "auto"` ever tries: where the store is far away, more than cores pay.
pub fn auto_workers_max(cores: Option<f64>) -> usize {
    whole(8.0 * cores.unwrap_or(1.0)).max(32)
}

/// What others may use before they count: a shell or a clock.
pub(super) const TRIFLE: f64 = 0.25;

/// The most workers that leave other processes the cores they want, where each worker wants `cores_each`; none where others
/// want next to nothing.
pub fn workers_beside(competing_cores: f64, free_cores: f64, cores_each: f64) -> Option<usize> {
    (competing_cores >= TRIFLE).then(|| whole(free_cores.max(1.0) / cores_each.max(1e-3)))
}
