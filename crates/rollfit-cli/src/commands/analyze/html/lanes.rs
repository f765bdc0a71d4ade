//! Each worker's partitions over time, each split by what it took: what a worker did when, and when it had nothing.
//!
//! Invariants: the bytes of the marks are bounded, whatever the number of partitions: where there are too many, adjacent ones are
//! drawn as one, and then in the colour of what took longest alone.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, LaneSlice};
use rollfit_job::activity::Times;

use rollfit_job::record::PartitionOutcome;

use super::chart::{Figure, Plot, SINCE, activity_legend, divided, parts, px, rectangle, told};
use crate::format::{count, time};

/// What all marks may take in the file; and about what a mark takes, and what the text of a block takes.
const BYTES_MAX: usize = 400_000;
const MARK_BYTES: usize = 65;
const TOLD_BYTES: usize = 220;

/// How closely it is drawn.
#[derive(Clone, Copy)]
struct Detail {
    /// Partitions narrower than this are drawn as one with the next ones.
    width_px_min: f64,
    /// Whether by every activity, or by the largest alone.
    is_split: bool,
}

/// One or more adjacent partitions of a worker.
struct Block<'a> {
    slices: Vec<&'a LaneSlice>,
    times: Times,
}

pub(super) fn chart(analysis: &Analysis) -> Markup {
    let workers = analysis.lanes.iter().map(|slice| slice.worker + 1).max().unwrap_or(0);
    let row_px = (480.0 / workers.max(1) as f64).clamp(10.0, 30.0);
    let height = row_px * workers as f64;
    let figure = Figure {
        id: "lanes",
        title: "Worker lanes",
        about: "The partitions that each worker did, one after the other, each divided by what it took: sums in a fixed \
            order, not instants. A ring marks what was not written.",
        legend: activity_legend(|activity| {
            let is_there = analysis.activities.iter().any(|line| line.activity == activity);
            is_there.then(|| activity.name().to_owned())
        }),
        height: height + 64.0,
    };
    if analysis.lanes.is_empty() {
        return figure.without_marks("No partition has ended.");
    }
    let end_s =
        analysis.lanes.iter().map(|slice| slice.begun_s + slice.took_s).fold(analysis.run.took_s, f64::max);
    let plot = Plot::new(60.0, 22.0, height, end_s, workers as f64);
    let lanes = by_worker(&analysis.lanes, workers);
    let detail = detail(&lanes, &plot);
    figure.with(&html! {
        text.label x="60" y="13" { "worker" }
        @for (worker, lane) in lanes.iter().enumerate() {
            @let y = plot.top + row_px * worker as f64;
            @if row_px > 18.0 || worker % 2 == 0 { text.tick.end x="54" y=(px(y + row_px / 2.0 + 4.0)) { (worker) } }
            @for block in blocks(lane, &plot, detail.width_px_min) {
                (draw(&block, &plot, y + 1.0, row_px - 2.0, detail.is_split))
            }
        }
        (plot.time_axis(SINCE))
    })
}

/// What each worker did.
fn by_worker(lanes: &[LaneSlice], workers: usize) -> Vec<Vec<&LaneSlice>> {
    let mut by_worker = vec![Vec::new(); workers];
    for slice in lanes {
        by_worker[slice.worker].push(slice);
    }
    by_worker
}

/// The closest that stays below [`BYTES_MAX`].
fn detail(lanes: &[Vec<&LaneSlice>], plot: &Plot) -> Detail {
    let split = [2.0, 4.0, 8.0, 16.0].map(|width_px_min| Detail { width_px_min, is_split: true });
    let whole = [2.0, 4.0, 8.0, 16.0, 32.0].map(|width_px_min| Detail { width_px_min, is_split: false });
    let fits = |detail: &Detail| {
        let blocks = lanes.iter().flat_map(|lane| blocks(lane, plot, detail.width_px_min));
        let marks = |block: Block<'_>| if detail.is_split { parts(&block.times).count() } else { 1 };
        blocks.map(|block| marks(block) * MARK_BYTES + TOLD_BYTES).sum::<usize>() <= BYTES_MAX
    };
    let coarsest = Detail { width_px_min: 64.0, is_split: false };
    split.into_iter().chain(whole).find(fits).unwrap_or(coarsest)
}

fn blocks<'a>(lane: &[&'a LaneSlice], plot: &Plot, width_px_min: f64) -> Vec<Block<'a>> {
    let mut blocks: Vec<Block<'a>> = Vec::new();
    for &slice in lane {
        match blocks.last_mut() {
            Some(block) if plot.x.length(slice.begun_s - block.begun_s()) < width_px_min => block.add(slice),
            _ => blocks.push(Block { slices: vec![slice], times: slice.wall_us }),
        }
    }
    blocks
}

impl<'a> Block<'a> {
    fn add(&mut self, slice: &'a LaneSlice) {
        self.slices.push(slice);
        self.times.add_all(&slice.wall_us);
    }

    fn begun_s(&self) -> f64 {
        self.slices.first().map_or(0.0, |slice| slice.begun_s)
    }

    fn ended_s(&self) -> f64 {
        self.slices.last().map_or(0.0, |slice| slice.begun_s + slice.took_s)
    }

    fn is_written(&self) -> bool {
        self.slices
            .iter()
            .all(|slice| matches!(slice.outcome, PartitionOutcome::Written | PartitionOutcome::Done))
    }

    fn name(&self) -> String {
        match &self.slices[..] {
            [slice] => format!("{}, {}, {} rows, ", slice.partition, slice.outcome, count(slice.rows)),
            slices => format!(
                "{} partitions, {} rows, ",
                slices.len(),
                count(slices.iter().map(|slice| slice.rows).sum())
            ),
        }
    }
}

fn draw(block: &Block<'_>, plot: &Plot, y: f64, height: f64, is_split: bool) -> Markup {
    let (from, to) = (plot.x.at(block.begun_s()), plot.x.at(block.ended_s()));
    // A hair of space, so that adjacent ones are distinct.
    let width = (to - from - 0.4).max(0.6);
    let largest = parts(&block.times).max_by(|a, b| a.share.total_cmp(&b.share));
    html! {
        g {
            title { (block.name()) "from " (time(block.begun_s())) ", " (told(&block.times)) }
            @if is_split {
                (divided(&block.times, from, y, width, height))
            } @else if let Some(part) = largest {
                (rectangle(part.activity.name(), from, y, width, height))
            }
            @if !block.is_written() { (rectangle("ring", from, y, width, height)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;

    #[test]
    fn every_partition_is_in_a_block_however_many_there_are() {
        for (partitions, workers) in [(1, 1), (336, 4), (10_000, 1), (10_000, 64)] {
            let analysis = example::of_partitions(partitions, workers);
            let plot = Plot::new(60.0, 22.0, 100.0, analysis.run.took_s, 1.0);
            let lanes = by_worker(&analysis.lanes, workers);
            let detail = detail(&lanes, &plot);
            let blocks: Vec<Block<'_>> =
                lanes.iter().flat_map(|lane| blocks(lane, &plot, detail.width_px_min)).collect();
            let drawn: usize = blocks.iter().map(|block| block.slices.len()).sum();
            assert_eq!(drawn, partitions as usize);
            let rows: u64 = blocks.iter().flat_map(|block| &block.slices).map(|slice| slice.rows).sum();
            assert_eq!(rows, analysis.run.totals.rows);
            assert!(chart(&analysis).into_string().len() <= BYTES_MAX * 5 / 4);
        }
    }
}
