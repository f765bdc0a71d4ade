//! A lane for each runner, by host: what its workers did over time, and when it had ended.
//!
//! Invariants: the bytes of the marks are bounded, whatever the number of runners: with more of them, fewer and wider parts are drawn.

use maud::{Markup, html};
use rollfit_analysis::{JoinedRuns, LaneCell, RunnerLine};
use rollfit_job::activity::{Activity, Times};

use super::chart::{Figure, Plot, activity_legend, px, rectangle, told};
use crate::commands::analyze::words::joined::{ending, runner_name};
use crate::format::{count, percent, time};

/// What an axis of time counts from.
pub(super) const SINCE_FIRST: &str = "since the first runner began";

/// Room for the names of hosts.
const LEFT: f64 = 170.0;

/// So many parts of all lanes together are drawn; each takes a few dozen bytes an activity, and a title.
const PARTS_MAX: usize = 1200;

/// More lanes than these are not drawn: the table has them all.
const LANES_MAX: usize = 200;

pub(super) fn chart(joined: &JoinedRuns) -> Markup {
    let lines = by_host(joined);
    let row_px = (640.0 / lines.len().max(1) as f64).clamp(7.0, 34.0);
    let height = row_px * lines.len() as f64;
    let beyond = joined.runners.len() - lines.len();
    let figure = Figure {
        id: "hosts",
        title: "Runners by host",
        about: "What the workers of each runner did, each part of its time as high as the share of its workers that had a \
            partition. Nothing is drawn before a runner began and after it had ended; a line marks where the record of one without an end breaks off: what it had in progress then is not drawn.",
        legend: activity_legend(|activity| is_drawn(&lines, activity).then(|| activity.name().to_owned())),
        height: height + 64.0,
    };
    if lines.is_empty() || joined.whole.took_s <= 0.0 {
        return figure.without_marks("No runner did anything.");
    }
    let plot = Plot::new(LEFT, 22.0, height, joined.whole.took_s, lines.len() as f64);
    let merged = (PARTS_MAX / lines.len()).clamp(6, 120);
    figure.with(&html! {
        text.label.end x=(px(LEFT - 6.0)) y="13" {
            "host (shard)" @if beyond > 0 { ", " (count(beyond as u64)) " more in the table" }
        }
        @for (at, line) in lines.iter().enumerate() {
            @let y = plot.top + row_px * at as f64;
            @if row_px >= 11.0 || at % 2 == 0 {
                text.tick.end x=(px(LEFT - 6.0)) y=(px(y + row_px / 2.0 + 4.0)) { (short(line)) }
            }
            (lane(line, &plot, merged, y + 1.0, row_px - 2.0))
        }
        (plot.time_axis(SINCE_FIRST))
    })
}

/// The runners, those of a host together.
fn by_host(joined: &JoinedRuns) -> Vec<&RunnerLine> {
    let mut lines: Vec<&RunnerLine> = joined.runners.iter().collect();
    lines.sort_by(|a, b| a.host.cmp(&b.host).then(a.began_s.total_cmp(&b.began_s)));
    lines.truncate(LANES_MAX);
    lines
}

fn is_drawn(lines: &[&RunnerLine], activity: Activity) -> bool {
    let is_drawn = |line: &&RunnerLine| line.lane.iter().any(|cell| cell.wall_us.get(activity) > 0);
    activity != Activity::Idle && lines.iter().any(is_drawn)
}

/// As much of a runner's name as there is room for: hosts of one domain, or of one array of jobs, still differ.
fn short(line: &RunnerLine) -> String {
    const CHARS: usize = 24;
    let named = |host: &str| runner_name(host, line.shard.as_deref());
    let whole = named(&line.host);
    if whole.chars().count() <= CHARS {
        return whole;
    }
    let host: Vec<char> = line.host.split('.').next().unwrap_or_default().chars().collect();
    let room = CHARS.saturating_sub(named("").chars().count()).max(6);
    if host.len() <= room {
        return named(&String::from_iter(host));
    }
    let (begin, end) = (room / 3, room - room / 3 - 1);
    named(&format!("{}…{}", String::from_iter(&host[..begin]), String::from_iter(&host[host.len() - end..])))
}

fn lane(line: &RunnerLine, plot: &Plot, parts: usize, y: f64, height: f64) -> Markup {
    let cells = merged(&line.lane, parts);
    let has_no_end = ending(line) == "no end";
    let end = plot.x.at(line.ended_s);
    html! {
        @for cell in &cells {
            g {
                title { (about(line, cell)) }
                (rectangle("hit", plot.x.at(cell.from_s), y, plot.x.length(cell.to_s - cell.from_s), height))
                (stack(cell, line.workers_max, plot, y, height))
            }
        }
        @if has_no_end { line.ended x1=(px(end)) x2=(px(end)) y1=(px(y - 1.0)) y2=(px(y + height + 1.0)) {} }
    }
}

/// Adjacent cells as one, so that there are no more than `parts`.
fn merged(cells: &[LaneCell], parts: usize) -> Vec<LaneCell> {
    let each = cells.len().div_ceil(parts).max(1);
    let sum = |cells: &[LaneCell]| {
        let mut wall_us = Times::default();
        cells.iter().for_each(|cell| wall_us.add_all(&cell.wall_us));
        Some(LaneCell { from_s: cells.first()?.from_s, to_s: cells.last()?.to_s, wall_us })
    };
    cells.chunks(each).filter_map(sum).collect()
}

/// The share of the workers' time that an activity has in a part.
fn share(cell: &LaneCell, activity: Activity, workers: usize) -> f64 {
    let all_us = (cell.to_s - cell.from_s) * 1e6 * workers.max(1) as f64;
    if all_us > 0.0 { (cell.wall_us.get(activity) as f64 / all_us).min(1.0) } else { 0.0 }
}

/// The activities one above the other, the first at the bottom.
fn stack(cell: &LaneCell, workers: usize, plot: &Plot, y: f64, height: f64) -> Markup {
    const SEEN_PX: f64 = 0.3;
    let mut bottom = y + height;
    let drawn = Activity::ALL.into_iter().filter(|&activity| activity != Activity::Idle);
    let bars: Vec<(Activity, f64, f64)> = drawn
        .filter_map(|activity| {
            let bar = (share(cell, activity, workers) * height).min(bottom - y);
            bottom -= bar;
            (bar >= SEEN_PX).then_some((activity, bottom, bar))
        })
        .collect();
    let (x, width) = (plot.x.at(cell.from_s), plot.x.length(cell.to_s - cell.from_s));
    html! { @for (activity, top, bar) in bars { (rectangle(activity.name(), x, top, width, bar)) } }
}

fn about(line: &RunnerLine, cell: &LaneCell) -> String {
    let busy: f64 = Activity::ALL
        .into_iter()
        .filter(|&activity| activity != Activity::Idle)
        .map(|activity| share(cell, activity, line.workers_max))
        .sum();
    format!(
        "{}, {} to {}: workers {} busy; {}",
        runner_name(&line.host, line.shard.as_deref()),
        time(cell.from_s),
        time(cell.to_s),
        percent(busy.min(1.0)),
        told(&cell.wall_us)
    )
}
