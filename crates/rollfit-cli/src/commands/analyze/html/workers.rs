//! What N workers would give: measured points, the curve of the model with its range, and where it stops to be worth it.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, Basis, Estimate, Scaling};

use super::chart::{Figure, Plot, legend, px};
use crate::commands::analyze::tables::basis;
use crate::commands::analyze::words;
use crate::format::{count, plural};
use crate::format::{estimated_rate, estimated_time};

/// The room that the label of the line takes.
const LABEL_PX: f64 = 170.0;

pub(super) fn chart(analysis: &Analysis) -> Markup {
    let known: Vec<(&Scaling, &Estimate)> =
        analysis.scaling.iter().filter_map(|line| Some((line, line.rows_per_s.as_ref()?))).collect();
    let figure = Figure {
        id: "workers",
        title: "What N workers would give",
        about: "Rows a second by number of workers, with the range in which they are expected.",
        legend: legends(analysis, &known),
        height: 380.0,
    };
    if known.is_empty() {
        return figure.without_marks("The record cannot tell: too little was measured.");
    }
    let most = known.iter().map(|(_, rows_per_s)| rows_per_s.high).fold(0.0, f64::max);
    let workers_max = known.iter().map(|(line, _)| line.workers).max().unwrap_or(1);
    let plot = Plot::new(80.0, 26.0, 306.0, workers_max as f64 + 0.5, most * 1.08);
    figure.with(&html! {
        (plot.y_axis("rows a second", 1.0, |rows_per_s| count(rows_per_s as u64)))
        path.range d=(range(&known, &plot)) {}
        path.curve.line d=(curve(&known, &plot)) {}
        (worth(analysis, &plot))
        @for (line, rows_per_s) in &known { (point(line, rows_per_s, &plot)) }
        (plot.x_axis(&plot.x_ticks(12.0), "workers", count_of))
    })
}

fn legends(analysis: &Analysis, known: &[(&Scaling, &Estimate)]) -> Markup {
    let has = |basis: Basis| known.iter().any(|(line, _)| line.basis == basis);
    html! {
        @if has(Basis::Measured) { (legend("point measured", "measured")) }
        @if has(Basis::Modelled) { (legend("point modelled", "modelled")) }
        (legend("range", "range"))
        @if analysis.worth.is_some() { (legend("limit line", "worth it up to here")) }
    }
}

fn count_of(workers: f64) -> String {
    count(workers as u64)
}

fn at(plot: &Plot, line: &Scaling, rows_per_s: f64) -> String {
    format!("{} {}", px(plot.x.at(line.workers as f64)), px(plot.y.at(rows_per_s)))
}

fn curve(known: &[(&Scaling, &Estimate)], plot: &Plot) -> String {
    let points: Vec<String> = known.iter().map(|(line, rate)| at(plot, line, rate.expected)).collect();
    format!("M{}", points.join("L"))
}

/// Along the highs and back along the lows.
fn range(known: &[(&Scaling, &Estimate)], plot: &Plot) -> String {
    let highs = known.iter().map(|(line, rate)| at(plot, line, rate.high));
    let lows = known.iter().rev().map(|(line, rate)| at(plot, line, rate.low));
    format!("M{}z", highs.chain(lows).collect::<Vec<_>>().join("L"))
}

/// A point with the bar of its range.
fn point(line: &Scaling, rows_per_s: &Estimate, plot: &Plot) -> Markup {
    let (x, y) = (plot.x.at(line.workers as f64), plot.y.at(rows_per_s.expected));
    let (high, low) = (plot.y.at(rows_per_s.high), plot.y.at(rows_per_s.low));
    let whole_job = line.job_s.as_ref().map(|job_s| format!(", the whole job in {}", estimated_time(job_s)));
    html! {
        g {
            title {
                (plural(line.workers, "worker")) ", " (basis(line.basis)) ": " (estimated_rate(rows_per_s)) " rows/s"
                (whole_job.unwrap_or_default())
                @if let Some(limit) = &line.limit { "; " (words::workers_limit(limit)) }
            }
            path.bar.line d={ "M" (px(x)) " " (px(high)) "V" (px(low)) } {}
            circle.point.(basis(line.basis)) cx=(px(x)) cy=(px(y)) r="5.5" {}
        }
    }
}

fn worth(analysis: &Analysis, plot: &Plot) -> Markup {
    let worth = analysis.worth.as_ref().filter(|worth| worth.workers as f64 <= plot.x.max);
    html! {
        @if let Some(worth) = worth {
            @let x = plot.x.at(worth.workers as f64);
            g {
                title { (words::worth(worth)) }
                line.limit.line x1=(px(x)) x2=(px(x)) y1=(px(plot.top)) y2=(px(plot.bottom())) {}
                // Where there is no room before the line, after it.
                @let is_before = x > plot.left + LABEL_PX;
                @let at = if is_before { x - 6.0 } else { x + 6.0 };
                text.label.end[is_before] x=(px(at)) y=(px(plot.top + 12.0)) { "worth it up to " (worth.workers) }
            }
        }
    }
}
