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

/// Whether other processes want nearly all cores, so that making room leaves nothing: the system divides them.
pub fn is_crowded(competing_cores: f64, cores: f64) -> bool {
    const CROWDED: f64 = 0.75;
    competing_cores >= CROWDED * cores
}

/// The most workers beside others that want nearly all cores.
pub fn workers_in_a_crowd(cores_allowed: f64) -> usize {
    const WORKERS_A_CORE: f64 = 3.0;
    whole(WORKERS_A_CORE * cores_allowed)
}

/// Whether workers that keep so much of a core busy mostly wait: others then hardly lose a core to them.
pub fn mostly_waits(cores_each: f64) -> bool {
    const SHARE_MAX: f64 = 0.2;
    cores_each < SHARE_MAX
}
