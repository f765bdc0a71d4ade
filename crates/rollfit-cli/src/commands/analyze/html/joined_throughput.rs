//! Rows a second and workers of all runners over time, one above the other.

use maud::{Markup, html};
use rollfit_analysis::{JoinedPoint, JoinedRuns};

use super::chart::{Figure, Plot, legend, px, rectangle};
use super::host_lanes::SINCE_FIRST;
use crate::format::{byte_rate, count, quantity, rate, time};

const LEFT: f64 = 80.0;

pub(super) fn chart(joined: &JoinedRuns) -> Markup {
    let points = &joined.timeline;
    let figure = Figure {
        id: "throughput",
        title: "Throughput of all runners",
        about: "Rows a second and workers, all runners together.",
        legend: html! { (legend("rows", "rows a second")) (legend("workers line", "workers")) },
        height: 370.0,
    };
    let Some(end_s) = points.last().map(|point| point.at_s) else {
        return figure.without_marks("The records have no samples.");
    };
    let most = |value: fn(&JoinedPoint) -> f64| points.iter().map(value).fold(0.0, f64::max) * 1.08;
    let rows = Plot::new(LEFT, 26.0, 170.0, end_s, most(|point| point.rows_per_s));
    let workers = Plot::new(LEFT, 232.0, 90.0, end_s, most(|point| point.workers).max(1.0));
    figure.with(&html! {
        (rows.y_axis("rows a second", 1.0, |rows_per_s| count(rows_per_s as u64)))
        path.area.rows d=(format!("{}V{}H{}z", line(&rows, points, |point| point.rows_per_s), px(rows.bottom()), px(LEFT))) {}
        (workers.y_axis("workers", 1.0, quantity))
        path.workers.line d=(line(&workers, points, |point| point.workers)) {}
        @for (from_s, point) in since(points) {
            g {
                title { (told(point)) }
                (rectangle("hit", rows.x.at(from_s), rows.top, rows.x.length(point.at_s - from_s), workers.bottom() - rows.top))
            }
        }
        (workers.time_axis(SINCE_FIRST))
    })
}

/// The points, each with the time of the point before.
fn since(points: &[JoinedPoint]) -> impl Iterator<Item = (f64, &JoinedPoint)> {
    std::iter::once(0.0).chain(points.iter().map(|point| point.at_s)).zip(points)
}

/// A figure over time, as steps.
fn line(plot: &Plot, points: &[JoinedPoint], figure: fn(&JoinedPoint) -> f64) -> String {
    let mut path = format!("M{} ", px(plot.left));
    for (at, point) in points.iter().enumerate() {
        let command = if at == 0 { "" } else { "V" };
        path += &format!("{command}{}H{}", px(plot.y.at(figure(point))), px(plot.x.at(point.at_s)));
    }
    path
}

fn told(point: &JoinedPoint) -> String {
    format!(
        "at {}: {} rows/s, {}, {} runners, {} workers, {} cores busy",
        time(point.at_s),
        rate(point.rows_per_s),
        byte_rate(point.bytes_per_s),
        quantity(point.runners),
        quantity(point.workers),
        quantity(point.own_cores)
    )
}
