//! [`Imbalance`]: who ended last, how long the others had nothing to do, and what helping took.

use serde::{Deserialize, Serialize};

use super::runner_digest::RunnerDigest;
use super::runner_line::RunnerLine;
use crate::run_summary::RunEnding;

/// How evenly the runners ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imbalance {
    /// The run that ended last, and its host.
    pub last_run: String,
    /// See [`Imbalance::last_run`].
    pub last_host: String,
    /// When the first runner that finished had nothing left to do, in seconds since the first began; none where none finished.
    pub first_ended_s: Option<f64>,
    /// The workers' time after their runner had ended, in seconds, all together; that of runners whose record has no end apart.
    pub idle_worker_s: f64,
    /// The share of that in the time of all workers, 0 to 1.
    pub idle_share: f64,
    /// How much earlier the whole would have ended if all had ended together, in seconds.
    pub lost_s: f64,
    /// The share of all workers' time that is missing of runners whose record has no end, 0 to 1.
    pub no_end_share: f64,
    /// The partitions of other shares that runners wrote; none where no record has a share.
    pub helped: Option<u64>,
    /// The workers' time that this took, in seconds.
    pub helped_worker_s: f64,
}

impl Imbalance {
    pub(super) fn new(runners: &[RunnerDigest], lines: &[RunnerLine], whole_s: f64) -> Option<Self> {
        let last = lines.iter().max_by(|a, b| a.ended_s.total_cmp(&b.ended_s))?;
        let finished = lines.iter().filter(|line| line.state == RunEnding::Finished);
        let workers: f64 = lines.iter().map(|line| line.workers_max as f64).sum();
        let after_end_s = |has_end: bool| -> f64 {
            let lines = lines.iter().filter(|line| (line.state != RunEnding::Unfinished) == has_end);
            lines.map(|line| line.idle_end_s * line.workers_max as f64).sum()
        };
        let idle_worker_s = after_end_s(true);
        let share = |worker_s: f64| worker_s / (workers * whole_s).max(1e-9);
        let shares = || runners.iter().filter_map(|runner| runner.share);
        Some(Self {
            last_run: last.run.clone(),
            last_host: last.host.clone(),
            first_ended_s: finished.map(|line| line.ended_s).reduce(f64::min),
            idle_worker_s,
            idle_share: share(idle_worker_s),
            lost_s: idle_worker_s / workers.max(1.0),
            no_end_share: share(after_end_s(false)),
            helped: shares().next().map(|_| shares().map(|share| share.helped).sum()),
            helped_worker_s: shares().map(|share| share.helped_s).sum(),
        })
    }
}
