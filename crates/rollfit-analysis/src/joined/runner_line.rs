//! [`RunnerLine`]: what one runner did in the whole.

use rollfit_job::activity::Times;
use serde::{Deserialize, Serialize};

use super::runner_digest::RunnerDigest;
use crate::headline::Headline;
use crate::run_summary::RunEnding;

/// What one runner did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerLine {
    /// The run's name.
    pub run: String,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Its share of the job, `I/N`; none where it had all of it, and of earlier versions.
    pub shard: Option<String>,
    /// When it began and ended, in seconds since the first runner began.
    pub began_s: f64,
    /// See [`RunnerLine::began_s`].
    pub ended_s: f64,
    /// How it ended.
    pub state: RunEnding,
    /// Whether it was still running when its record was read.
    pub is_running: bool,
    /// The partitions that it wrote.
    pub partitions: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows a second while it was at work.
    pub rows_per_s: f64,
    /// Partitions in progress, on average.
    pub workers: f64,
    /// The most workers at once.
    pub workers_max: usize,
    /// What limited it, taken alone.
    pub limit: Headline,
    /// The share of its workers' time with partitions in which they waited: had no core, 0 to 1.
    pub waiting_share: f64,
    /// For how long the whole went on after it had ended, in seconds.
    pub idle_end_s: f64,
    /// The partitions of its own share; none where the record does not say.
    pub own_share: Option<u64>,
    /// Of other shares those that it wrote.
    pub helped: Option<u64>,
    /// Partitions whose source it read.
    pub source_reads: u64,
    /// Partitions that it saw held by another.
    pub seen_held: u64,
    /// Partitions that failed.
    pub failed: u64,
    /// What its workers did over time.
    pub lane: Vec<LaneCell>,
}

/// What the workers of a runner did in a part of its time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneCell {
    /// From when, in seconds since the first runner began.
    pub from_s: f64,
    /// Until when.
    pub to_s: f64,
    /// How long each activity took, in microseconds, of all workers together.
    pub wall_us: Times,
}

impl RunnerLine {
    /// That of a runner that began `began_s` after the first; the last one ended `whole_s` after it.
    pub(super) fn new(runner: &RunnerDigest, began_s: f64, whole_s: f64) -> Self {
        let (header, run, time) = (&runner.header, &runner.run, &runner.time);
        let busy_s = time.busy_s();
        Self {
            run: header.run.clone(),
            host: header.host.clone(),
            pid: header.pid,
            shard: header.shard.clone(),
            began_s,
            ended_s: began_s + run.took_s,
            state: run.state,
            is_running: runner.is_running,
            partitions: runner.written,
            rows: runner.rows,
            bytes: runner.bytes,
            rows_per_s: runner.rows as f64 / run.took_s.max(1e-3),
            workers: run.workers,
            workers_max: runner.workers_max,
            limit: runner.limit.clone(),
            waiting_share: if busy_s > 0.0 { (1.0 - runner.cpu_s / busy_s).clamp(0.0, 1.0) } else { 0.0 },
            idle_end_s: (whole_s - began_s - run.took_s).max(0.0),
            own_share: runner.share.map(|share| share.partitions),
            helped: runner.share.map(|share| share.helped),
            source_reads: runner.source_reads,
            seen_held: runner.seen_held,
            failed: runner.failed,
            lane: lane(runner, began_s),
        }
    }
}

fn lane(runner: &RunnerDigest, began_s: f64) -> Vec<LaneCell> {
    let cell_s = runner.run.took_s / runner.cells.len().max(1) as f64;
    let cell = |(at, wall_us): (usize, &Times)| LaneCell {
        from_s: began_s + at as f64 * cell_s,
        to_s: began_s + (at + 1) as f64 * cell_s,
        wall_us: *wall_us,
    };
    runner.cells.iter().enumerate().map(cell).collect()
}
