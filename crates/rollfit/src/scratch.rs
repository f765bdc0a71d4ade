//! [`Scratch`]: the memory of a kernel: the values of a tile and before it, and the latest runs of every step of the chain.
//!
//! Invariants: a run is a function of its own values, so runs of the tile before are as good as new ones where their values
//! are the same bits. Nothing else of it is used.

use std::ops::Range;

use crate::chain::{Chain, Step};
use crate::kernel::is_usable;
use crate::lanes::Lanes;
use crate::moments::Run;
use crate::runs::{BLOCK_ROWS, Eight, Runs};

/// Rows are counted so that the tile begins at [`Scratch::first_row`], before which there is room for the longest window.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    pub(crate) values: Vec<f64>,
    pub(crate) runs: Vec<Runs>,
    pub(crate) first_row: usize,
    /// How many values before a tile its longest window has.
    lookback_rows: usize,
    /// The tile whose runs are kept.
    tile: Option<LastTile>,
    /// Whether the runs kept are those before the tile that was taken.
    continues: bool,
    /// How many rows were fitted since a tile in which a window needed its merged sum of squared residuals.
    calm_rows: usize,
}

/// The tile that was fitted last.
#[derive(Clone, Copy, Debug)]
struct LastTile {
    rows: usize,
    /// Whether its runs have their sums of squared residuals.
    with_residuals: bool,
}

impl Scratch {
    pub(crate) fn new(chain: &Chain, longest_rows: usize) -> Self {
        // The first lanes of a step may begin up to seven rows before those it is needed for.
        let first_row = (longest_rows + Lanes::COUNT).next_multiple_of(BLOCK_ROWS);
        Self {
            values: vec![f64::NAN; first_row],
            runs: chain.look_back_rows().into_iter().map(Runs::new).collect(),
            first_row,
            lookback_rows: longest_rows.saturating_sub(1),
            tile: None,
            continues: false,
            calm_rows: usize::MAX,
        }
    }

    /// Copies the values up to and including the tile's. Where there is none, or one that cannot be used, stands NaN,
    /// and so do then all numbers of a fit that has it in its window.
    pub(crate) fn take(&mut self, values: &[f64], rows: usize) {
        let (before, tile) = values.split_at(values.len() - rows);
        let kept = self.tile.map_or(0, |tile| tile.rows);
        self.continues = self.tile.is_some() && self.is_before(before, self.first_row + kept);
        if self.continues {
            let end = self.first_row + kept;
            self.values.copy_within(end - self.lookback_rows..end, self.first_row - self.lookback_rows);
        } else {
            let first = self.first_row - before.len();
            self.values[..first].fill(f64::NAN);
            for (to, &from) in self.values[first..self.first_row].iter_mut().zip(before) {
                *to = usable_or_nan(from);
            }
        }
        self.values.truncate(self.first_row);
        self.values.extend(tile.iter().copied().map(usable_or_nan));
        self.values.resize(self.values.len() + Lanes::COUNT, f64::NAN);
    }

    /// The rows of the tile at which a window of so many rows has no fit: those with a value in it that cannot be used, or none.
    pub(crate) fn rows_without_fit(
        &self,
        window_rows: usize,
        rows: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let before = window_rows - 1;
        let values = &self.values[self.first_row - before..self.first_row + rows];
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = next + values[next..].iter().position(|value| value.is_nan())?;
            // Until a window is full of values that can be used.
            let mut last = first;
            for (at, value) in values.iter().enumerate().skip(first) {
                if value.is_nan() {
                    last = at;
                } else if at - last > before {
                    break;
                }
            }
            next = last + 1;
            Some(first.saturating_sub(before)..(last + 1).min(rows))
        })
    }

    /// Whether the values kept before row `end` are these, and nothing before them.
    fn is_before(&self, values: &[f64], end: usize) -> bool {
        let kept = &self.values[end - self.lookback_rows..end];
        let (none, kept) = kept.split_at(kept.len() - values.len());
        let differ = |any: u64, (kept, value): (&f64, f64)| any | (kept.to_bits() ^ value.to_bits());
        let all_same = |kept: &[f64], values: &[f64]| {
            kept.iter().zip(values.iter().copied().map(usable_or_nan)).fold(0, differ) == 0
        };
        // Blocks, so that the comparison is of many at once and still ends early.
        kept.chunks(BLOCK_ROWS).zip(values.chunks(BLOCK_ROWS)).all(|(kept, values)| all_same(kept, values))
            && none.iter().all(|kept| kept.to_bits() == f64::NAN.to_bits())
    }

    /// Whether a window of the tile is likely to need its merged sum of squared residuals: within a window's length of one
    /// that did. Runs that lack theirs are made again from their beginning, which costs about as much.
    pub(crate) fn expects_residuals(&self) -> bool {
        self.calm_rows <= self.lookback_rows
    }

    /// Keeps the runs of a tile that was fitted for the tile after it.
    pub(crate) fn keep(&mut self, rows: usize, with_residuals: bool, is_delicate: bool) {
        self.tile = Some(LastTile { rows, with_residuals });
        self.calm_rows = if is_delicate { 0 } else { self.calm_rows.saturating_add(rows) };
    }

    /// Uses nothing of what is kept.
    pub(crate) fn forget(&mut self) {
        self.tile = None;
        self.continues = false;
    }

    /// Where to begin so that the tile has all the runs that it needs: at its first row if those before it are kept, with
    /// their sums of squared residuals if these are needed.
    pub(crate) fn begin(&mut self, chain: &Chain, with_residuals: bool) -> usize {
        match self.tile.take().filter(|tile| self.continues && (tile.with_residuals || !with_residuals)) {
            Some(tile) => {
                self.runs.iter_mut().for_each(|runs| runs.count_from(tile.rows));
                self.first_row
            }
            None => {
                let first_row =
                    chain.steps().iter().map(|step| self.start(step)).min().unwrap_or(self.first_row);
                let first_block = first_row / BLOCK_ROWS * BLOCK_ROWS;
                self.runs.iter_mut().for_each(|runs| runs.begin(first_block));
                first_block
            }
        }
    }

    /// The first row at which the tile needs a run of this step.
    fn start(&self, step: &Step) -> usize {
        (self.first_row - step.reach_rows) / Lanes::COUNT * Lanes::COUNT
    }

    /// Makes the runs that end in `block`, shortest first.
    #[inline(always)]
    pub(crate) fn merge_runs<const RESIDUALS: bool>(&mut self, chain: &Chain, block: Range<usize>) {
        self.runs.iter_mut().for_each(|runs| runs.advance(block.start, RESIDUALS));
        for (at, step) in chain.steps().iter().enumerate() {
            let rows = self.start(step).max(block.start)..block.end;
            let (made, making) = self.runs.split_at_mut(at + 1);
            if !rows.is_empty() {
                make_runs::<RESIDUALS>(step, made, &mut making[0], &self.values, rows);
            }
        }
    }
}

/// Adding zero turns -0.0 into 0.0.
#[inline(always)]
fn usable_or_nan(value: f64) -> f64 {
    if is_usable(value) { value + 0.0 } else { f64::NAN }
}

/// Makes the runs of one step that end at `rows`.
#[inline(always)]
fn make_runs<const RESIDUALS: bool>(
    step: &Step,
    made: &[Runs],
    making: &mut Runs,
    values: &[f64],
    rows: Range<usize>,
) {
    let back = |back_rows: usize| rows.start - back_rows..rows.end - back_rows;
    let near = made[step.near.runs].read(rows.clone());
    let far = made[step.far.runs].read(back(step.near.rows));
    let newest = values[rows.clone()].as_chunks().0;
    let far_newest = values[back(step.near.rows)].as_chunks().0;
    let oldest = values[back(step.rows - 1)].as_chunks().0;
    let made = making.write(rows.clone());
    for at in 0..newest.len() {
        let value = |column: &[Eight]| Lanes::from_array(column[at]);
        let newest = value(newest);
        let far_shift = value(far_newest) - newest;
        let oldest_shift = || value(oldest) - newest;
        let moments = if RESIDUALS {
            let run = |part: &Run<&[Eight]>| Run {
                moments: part.moments.map(value),
                residuals: value(part.residuals),
            };
            let run = step.merge_runs(run(&near), run(&far), far_shift, oldest_shift);
            made.residuals[at] = run.residuals.to_array();
            run.moments
        } else {
            step.merge(near.moments.map(value), far.moments.map(value), far_shift, oldest_shift)
        };
        made.moments.mean[at] = moments.mean.to_array();
        made.moments.p1[at] = moments.p1.to_array();
        made.moments.p2[at] = moments.p2.to_array();
        made.moments.squares[at] = moments.squares.to_array();
    }
    making.repeat(rows, RESIDUALS);
}
