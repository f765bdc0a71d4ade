//! Throughput, workers and cores over time, one above the other on one axis of time.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, TimelinePoint};
use rollfit_job::record::Decision;

use super::chart::{Figure, Plot, SINCE, legend, px, rectangle};
use crate::format::{byte_rate, quantity, rate};
use crate::format::{count, time};

const LEFT: f64 = 80.0;

pub(super) fn chart(analysis: &Analysis) -> Markup {
    let points = &analysis.timeline;
    let cores_known = points.iter().any(|point| point.own_cores.is_some());
    let figure = Figure {
        id: "throughput",
        title: "Throughput and workers",
        about: "Rows a second, workers, and cores kept busy. A triangle marks a decision about the number of workers.",
        legend: legends(analysis, cores_known),
        height: if cores_known { 500.0 } else { 370.0 },
    };
    let Some(end_s) = points.last().map(|point| point.at_s) else {
        return figure.without_marks("The record has no samples.");
    };
    let most = |value: fn(&TimelinePoint) -> f64| points.iter().map(value).fold(0.0, f64::max) * 1.08;
    let rows = Plot::new(LEFT, 26.0, 170.0, end_s, most(|point| point.rows_per_s));
    let workers = Plot::new(LEFT, 232.0, 90.0, end_s, most(|point| point.workers).max(1.0));
    let cores =
        Plot::new(LEFT, 360.0, 90.0, end_s, most(cores_busy).max(limit(analysis).unwrap_or(0.0) * 1.08));
    figure.with(&html! {
        (rows.y_axis("rows a second", 1.0, |rows_per_s| count(rows_per_s as u64)))
        (area("rows", &rows, &steps(points, |point| (0.0, point.rows_per_s))))
        (workers.y_axis("workers", 1.0, quantity))
        path.workers.line d=(workers_line(&workers, points)) {}
        (decisions(&analysis.decisions, &workers))
        @if cores_known {
            (cores.y_axis("cores", 0.0, quantity))
            (area("own", &cores, &steps(points, |point| (0.0, own(point)))))
            @if server_known(points) { (area("server", &cores, &steps(points, |point| (own(point), own(point) + server(point))))) }
            (area("others", &cores, &steps(points, |point| (own(point) + server(point), cores_busy(point)))))
            @if let Some(limit) = limit(analysis) {
                line.limit.line x1=(px(LEFT)) x2=(px(cores.x.at(end_s))) y1=(px(cores.y.at(limit))) y2=(px(cores.y.at(limit))) {}
            }
        }
        (hits(points, rows.top, if cores_known { cores.bottom() } else { workers.bottom() }, &rows))
        @if cores_known { (cores.time_axis(SINCE)) } @else { (workers.time_axis(SINCE)) }
    })
}

fn legends(analysis: &Analysis, cores_known: bool) -> Markup {
    html! {
        (legend("rows", "rows a second"))
        (legend("workers line", "workers"))
        @if cores_known {
            (legend("own", "cores busy with this process"))
            @if server_known(&analysis.timeline) { (legend("server", "cores busy with the store's server")) }
            (legend("others", "cores busy with others"))
            @if limit(analysis).is_some() { (legend("limit line", "cores there are for this process")) }
        }
    }
}

fn limit(analysis: &Analysis) -> Option<f64> {
    let machine = &analysis.header.machine;
    machine.cores_allowed.or(machine.cores.map(|cores| cores as f64))
}

fn own(point: &TimelinePoint) -> f64 {
    point.own_cores.unwrap_or(0.0)
}

fn server(point: &TimelinePoint) -> f64 {
    point.server_cores.unwrap_or(0.0)
}

fn cores_busy(point: &TimelinePoint) -> f64 {
    own(point) + server(point) + point.others_cores.unwrap_or(0.0)
}

fn server_known(points: &[TimelinePoint]) -> bool {
    points.iter().any(|point| point.server_cores.is_some())
}

/// A step of an area: from when until when, from which value to which.
struct Step {
    from_s: f64,
    to_s: f64,
    low: f64,
    high: f64,
}

/// The points, each with the time of the point before, when its interval began.
fn since(points: &[TimelinePoint]) -> impl Iterator<Item = (f64, &TimelinePoint)> {
    let before_s = points.iter().map(|point| point.at_s);
    std::iter::once(0.0).chain(before_s).zip(points)
}

fn steps(points: &[TimelinePoint], value: impl Fn(&TimelinePoint) -> (f64, f64)) -> Vec<Step> {
    let step = |(from_s, point): (f64, &TimelinePoint)| {
        let (low, high) = value(point);
        Step { from_s, to_s: point.at_s, low, high }
    };
    since(points).map(step).collect()
}

/// An area between its lows and its highs, along the steps and back.
fn area(class: &str, plot: &Plot, steps: &[Step]) -> Markup {
    let side = |from_s: f64, to_s: f64, value: f64| {
        format!("{} {}H{}", px(plot.x.at(from_s)), px(plot.y.at(value)), px(plot.x.at(to_s)))
    };
    let there = steps.iter().map(|step| side(step.from_s, step.to_s, step.high));
    let back = steps.iter().rev().map(|step| side(step.to_s, step.from_s, step.low));
    let path = there.chain(back).collect::<Vec<_>>().join("L");
    html! { path class={ "area " (class) } d={ "M" (path) "z" } {} }
}

/// How many workers there were, as steps.
pub(super) fn workers_line(plot: &Plot, points: &[TimelinePoint]) -> String {
    let mut path = format!("M{} ", px(plot.left));
    for (at, point) in points.iter().enumerate() {
        let command = if at == 0 { "" } else { "V" };
        path += &format!("{command}{}H{}", px(plot.y.at(point.workers)), px(plot.x.at(point.at_s)));
    }
    path
}

/// What the figures of each point are, for who points at it.
fn hits(points: &[TimelinePoint], top: f64, bottom: f64, plot: &Plot) -> Markup {
    html! {
        @for (from_s, point) in since(points) {
            g {
                title { (told(point)) }
                (rectangle("hit", plot.x.at(from_s), top, plot.x.length(point.at_s - from_s), bottom - top))
            }
        }
    }
}

fn told(point: &TimelinePoint) -> String {
    let cores = |name: &str, cores: Option<f64>| {
        cores.map(|cores| format!(", {} cores busy with {name}", quantity(cores)))
    };
    format!(
        "at {}: {} rows/s, {}, {} workers{}{}{}",
        time(point.at_s),
        rate(point.rows_per_s),
        byte_rate(point.bytes_per_s),
        quantity(point.workers),
        cores("this process", point.own_cores).unwrap_or_default(),
        cores("the store's server", point.server_cores).unwrap_or_default(),
        cores("others", point.others_cores).unwrap_or_default()
    )
}

fn decisions(decisions: &[Decision], plot: &Plot) -> Markup {
    html! {
        @for decision in decisions {
            @let (x, y) = (plot.x.at((decision.at_ms as f64 / 1000.0).min(plot.x.max)), plot.bottom() + 3.0);
            g.decision {
                title { "at " (time(decision.at_ms as f64 / 1000.0)) ": " (decision.was) " -> " (decision.workers) " workers: " (decision.reason) }
                path d={ "M" (px(x)) " " (px(y)) "l-5 9h10z" } {}
            }
        }
    }
}
