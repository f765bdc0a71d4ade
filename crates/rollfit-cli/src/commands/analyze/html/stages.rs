//! What the workers did over time, activities stacked: the height is workers, the area their time.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, LaneSlice};
use rollfit_job::activity::{Activity, Times};

use super::chart::{Figure, Plot, SINCE, activity_legend, legend, parts, rectangle, told};
use super::throughput::workers_line;
use crate::format::time;
use crate::format::{percent, quantity};

const COLUMNS: usize = 120;

pub(super) fn chart(analysis: &Analysis) -> Markup {
    let figure = Figure {
        id: "stages",
        title: "What the workers did",
        about: "Workers by what they did, stacked; the line is how many workers there were, what is below it and empty was \
            idle. The time of a partition is spread evenly over it.",
        legend: legends(analysis),
        height: 300.0,
    };
    let end_s =
        analysis.lanes.iter().map(|slice| slice.begun_s + slice.took_s).fold(analysis.run.took_s, f64::max);
    if analysis.lanes.is_empty() || end_s <= 0.0 {
        return figure.without_marks("No partition has ended.");
    }
    let columns = columns(&analysis.lanes, end_s);
    let column_s = end_s / COLUMNS as f64;
    let busy_max = columns.iter().map(|times| times.total_us() as f64 / 1e6 / column_s).fold(0.0, f64::max);
    let plot = Plot::new(60.0, 26.0, 226.0, end_s, busy_max.max(analysis.run.workers_max as f64) * 1.05);
    figure.with(&html! {
        (plot.y_axis("workers", 1.0, quantity))
        @for (at, times) in columns.iter().enumerate() {
            (column(&plot, at as f64 * column_s, column_s, times))
        }
        @if !analysis.timeline.is_empty() { path.workers.line d=(workers_line(&plot, &analysis.timeline)) {} }
        (plot.time_axis(SINCE))
    })
}

fn legends(analysis: &Analysis) -> Markup {
    html! {
        (activity_legend(|activity| {
            let line = analysis.activities.iter().find(|line| line.activity == activity)?;
            Some(format!("{} {}, {}", activity.name(), percent(line.share), time(line.wall_s)))
        }))
        (legend("workers line", "workers"))
    }
}

/// Each partition's times spread evenly over the columns that it lasted.
fn columns(lanes: &[LaneSlice], end_s: f64) -> Vec<Times> {
    let mut columns = vec![Times::default(); COLUMNS];
    let column_of = |at_s: f64| at_s / end_s * COLUMNS as f64;
    for slice in lanes {
        let (from, to) = (column_of(slice.begun_s), column_of(slice.begun_s + slice.took_s));
        // A partition of less than a millisecond can begin at the very end.
        let first = (from as usize).min(COLUMNS - 1);
        let last = (to.ceil() as usize).clamp(first + 1, COLUMNS);
        for (at, column) in columns.iter_mut().enumerate().take(last).skip(first) {
            let within = (to.min(at as f64 + 1.0) - from.max(at as f64)) / (to - from);
            add(column, &slice.wall_us, if within.is_finite() { within } else { 1.0 });
        }
    }
    columns
}

fn add(sum: &mut Times, times: &Times, part: f64) {
    for activity in Activity::ALL {
        sum.add(activity, (times.get(activity) as f64 * part).round() as u64);
    }
}

fn column(plot: &Plot, from_s: f64, column_s: f64, times: &Times) -> Markup {
    // Columns overlap by less than anybody sees: places are rounded, and where they are rounded apart there would be a gap.
    let (x, width) = (plot.x.at(from_s), plot.x.length(column_s) + 0.2);
    let workers = times.total_us() as f64 / 1e6 / column_s;
    html! {
        g {
            title { "at " (time(from_s)) ", " (told(times)) }
            @for part in parts(times) {
                @let top = plot.y.at(workers * (part.begin + part.share));
                (rectangle(part.activity.name(), x, top, width, plot.y.length(workers * part.share)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;

    #[test]
    fn the_columns_hold_all_the_time_of_all_partitions() {
        let analysis = example::full();
        let columns = columns(&analysis.lanes, analysis.run.took_s);
        for activity in Activity::ALL {
            let recorded: u64 = analysis.lanes.iter().map(|slice| slice.wall_us.get(activity)).sum();
            let drawn: u64 = columns.iter().map(|times| times.get(activity)).sum();
            // Each part of each slice is rounded to a microsecond.
            let parts_max = (analysis.lanes.len() + COLUMNS) as u64 * 4;
            assert!(drawn.abs_diff(recorded) <= parts_max, "{activity:?}: {drawn} of {recorded}");
        }
    }

    #[test]
    fn a_partition_that_begins_at_the_very_end_is_in_the_last_column() {
        let mut lanes = example::full().lanes;
        lanes.truncate(1);
        (lanes[0].begun_s, lanes[0].took_s) = (2.0, 0.0);
        let columns = columns(&lanes, 2.0);
        assert_eq!(columns[COLUMNS - 1].total_us(), lanes[0].wall_us.total_us());
    }
}
