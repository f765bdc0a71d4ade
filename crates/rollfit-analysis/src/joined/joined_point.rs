//! [`JoinedPoint`]: all runners at one time; [`TimeGap`]: a time in which none was at work.

use serde::{Deserialize, Serialize};

use super::runner_digest::RunnerDigest;
use crate::timeline::TimelinePoint;

/// How many points there are at most.
const POINTS: usize = 300;

/// All runners in a part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JoinedPoint {
    /// When it ended, in seconds since the first runner began.
    pub at_s: f64,
    /// Rows a second since the point before.
    pub rows_per_s: f64,
    /// Bytes a second since the point before.
    pub bytes_per_s: f64,
    /// The runners at work, on average.
    pub runners: f64,
    /// Their workers.
    pub workers: f64,
    /// The cores that they kept busy, where known.
    pub own_cores: f64,
}

/// A time in which no runner was at work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeGap {
    /// From when, in seconds since the first runner began.
    pub from_s: f64,
    /// How long it took.
    pub lasted_s: f64,
}

/// The whole over time, in equal parts.
pub(super) fn timeline(runners: &[RunnerDigest], began_s: &[f64], whole_s: f64) -> Vec<JoinedPoint> {
    let longest = runners.iter().map(|runner| runner.timeline.len()).max().unwrap_or(0);
    let count = longest.clamp(1, POINTS);
    let step_s = whole_s / count as f64;
    if longest == 0 || step_s <= 0.0 {
        return Vec::new();
    }
    let mut points: Vec<JoinedPoint> =
        (1..=count).map(|at| JoinedPoint { at_s: at as f64 * step_s, ..JoinedPoint::default() }).collect();
    for (runner, &began_s) in runners.iter().zip(began_s) {
        spread(&mut points, step_s, began_s, runner.run.took_s, |point, share| point.runners += share);
        let mut from_s = 0.0;
        for at in &runner.timeline {
            let lasted_s = at.at_s - from_s;
            spread(&mut points, step_s, began_s + from_s, lasted_s, |point, share| add(point, at, share));
            from_s = at.at_s;
        }
    }
    points
}

fn add(point: &mut JoinedPoint, at: &TimelinePoint, share: f64) {
    point.rows_per_s += at.rows_per_s * share;
    point.bytes_per_s += at.bytes_per_s * share;
    point.workers += at.workers * share;
    point.own_cores += at.own_cores.unwrap_or(0.0) * share;
}

/// Adds something that lasted for a while to the points that it is in, with the share of each that it lasted for.
fn spread(
    points: &mut [JoinedPoint],
    step_s: f64,
    from_s: f64,
    lasted_s: f64,
    add: impl Fn(&mut JoinedPoint, f64),
) {
    let last = points.len().saturating_sub(1);
    let place = |at_s: f64| ((at_s / step_s) as usize).min(last);
    for (at, point) in points.iter_mut().enumerate().take(place(from_s + lasted_s) + 1).skip(place(from_s)) {
        let begin_s = at as f64 * step_s;
        let inside_s = (from_s + lasted_s).min(begin_s + step_s) - from_s.max(begin_s);
        if inside_s > 0.0 {
            add(point, inside_s / step_s);
        }
    }
}

/// When no runner was at work, for a second or longer; `spans` are the beginnings and ends of the runners.
pub(super) fn gaps(mut spans: Vec<(f64, f64)>) -> Vec<TimeGap> {
    const LEAST_S: f64 = 1.0;
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut until_s = spans.first().map_or(0.0, |(from_s, _)| *from_s);
    let mut gaps = Vec::new();
    for (from_s, to_s) in spans {
        if from_s - until_s >= LEAST_S {
            gaps.push(TimeGap { from_s: until_s, lasted_s: from_s - until_s });
        }
        until_s = until_s.max(to_s);
    }
    gaps
}
