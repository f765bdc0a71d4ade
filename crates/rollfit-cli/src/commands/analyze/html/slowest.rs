//! The partitions that took longest, each divided by what it took.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, LaneSlice};
use rollfit_job::activity::Activity;

use super::chart::{Figure, Plot, divided, legend, px, told};
use crate::format::{count, time};

const ROW_PX: f64 = 24.0;

/// How many are drawn; the table has all of them.
const ROWS_MAX: usize = 20;

/// A longer name is cut.
const LETTERS_MAX: usize = 36;

pub(super) fn chart(analysis: &Analysis) -> Markup {
    let slowest = &analysis.slowest[..analysis.slowest.len().min(ROWS_MAX)];
    let height = ROW_PX * slowest.len() as f64;
    let figure = Figure {
        id: "slowest",
        title: "Slowest partitions",
        about: "The partitions that took longest, divided by what they took.",
        legend: legends(slowest),
        height: height + 50.0,
    };
    let Some(longest) = slowest.iter().map(|slice| slice.took_s).reduce(f64::max) else {
        return figure.without_marks("No partition has ended.");
    };
    let plot = Plot::new(left_px(slowest), 6.0, height, longest * 1.15, slowest.len() as f64);
    figure.with(&html! {
        @for (at, slice) in slowest.iter().enumerate() { (row(slice, plot.top + ROW_PX * at as f64, &plot)) }
        (plot.time_axis("from beginning to end"))
    })
}

fn legends(slowest: &[LaneSlice]) -> Markup {
    let took_any = |activity: &Activity| slowest.iter().any(|slice| slice.wall_us.get(*activity) > 0);
    html! { @for activity in Activity::ALL.into_iter().filter(took_any) { (legend(activity.name(), activity.name())) } }
}

/// The name of a partition, cut where it is too long to leave room for bars; the tooltip has all of it.
fn name(slice: &LaneSlice) -> String {
    let name = slice.partition.to_string();
    let letters = name.chars().count();
    if letters <= LETTERS_MAX {
        return name;
    }
    let end: String = name.chars().skip(letters + 1 - LETTERS_MAX).collect();
    format!("…{end}")
}

/// The room that the longest name takes.
fn left_px(slowest: &[LaneSlice]) -> f64 {
    const LETTER_PX: f64 = 8.5;
    let letters = slowest.iter().map(|slice| name(slice).chars().count()).max().unwrap_or(0);
    (LETTER_PX * letters as f64 + 16.0).max(60.0)
}

fn row(slice: &LaneSlice, y: f64, plot: &Plot) -> Markup {
    let width = plot.x.length(slice.took_s);
    html! {
        g {
            title { (slice.partition) ", " (slice.outcome) ", " (count(slice.rows)) " rows, worker " (slice.worker) ", " (told(&slice.wall_us)) }
            text.tick.end x=(px(plot.left - 8.0)) y=(px(y + ROW_PX / 2.0 + 4.0)) { (name(slice)) }
            (divided(&slice.wall_us, plot.left, y + 2.0, width, ROW_PX - 4.0))
            text.tick x=(px(plot.left + width + 6.0)) y=(px(y + ROW_PX / 2.0 + 4.0)) { (time(slice.took_s)) }
        }
    }
}
