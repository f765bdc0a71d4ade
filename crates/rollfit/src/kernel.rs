//! [`Kernel`]: the fits of a tile of rows for many windows at once.
//!
//! Invariants: a fit depends on the values of its window alone. A tile is computed from the values it needs, with no
//! state carried from the tile before, so it makes no difference how a series is cut into tiles.

use std::ops::Range;

use crate::chain::{Chain, Step};
use crate::columns::{FitColumns, WriteMetrics};
use crate::cpu::{Cpu, Work};
use crate::fit::Fit;
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::runs::{BLOCK_ROWS, Eight, Runs};
use crate::solve::Solver;
use crate::window::{Grid, Window};

/// Values beyond this magnitude have no fit: squares of their differences stay far from overflow below it.
pub const LARGEST_VALUE: f64 = 1e100;

/// Whether `value` can be part of a fit: finite, and of magnitude at most [`LARGEST_VALUE`].
#[inline]
pub fn is_usable(value: f64) -> bool {
    value.abs() <= LARGEST_VALUE
}

/// Fits windows over tiles of rows. Holds the scratch memory, so one kernel serves a whole job without allocating.
///
/// ```
/// use rollfit::{Kernel, Metric, Window};
///
/// let values: Vec<f64> = (0..100).map(|i| f64::from(i * i)).collect();
/// let mut kernel = Kernel::new(&[Window::new(15)?, Window::new(30)?]);
/// kernel.fit(&values, 0..100)?;
/// assert!(kernel.fits(1).get(28).is_none(), "the window of 30 rows is not full yet");
///
/// let mut prediction = vec![0.0; 100];
/// kernel.write_metrics(1, &[Metric::Prediction], &mut prediction, &mut [0])?;
/// assert!((prediction[99] - 99.0 * 99.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Kernel {
    cpu: Cpu,
    windows: Vec<Solver>,
    longest_rows: usize,
    chain: Chain,
    window_runs: Vec<usize>,
    scratch: Scratch,
    fits: Vec<FitColumns>,
}

/// What [`Kernel::fit`] and [`Kernel::write_metrics`] refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelError {
    /// The requested rows are not all in the series.
    RowsOutside {
        /// The requested rows.
        rows: Range<usize>,
        /// The length of the series.
        values: usize,
    },
    /// The window is not among those given to [`Kernel::new`].
    WindowOutside {
        /// The requested window.
        window: usize,
        /// How many there are.
        windows: usize,
    },
    /// The output slices are not `metrics x rows` values and one counter a metric.
    OutputLength {
        /// The values needed.
        wanted: usize,
        /// The values that fit.
        found: usize,
    },
}

impl std::fmt::Display for KernelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RowsOutside { rows, values } => {
                write!(f, "rows {}..{} are not all within a series of {values} values", rows.start, rows.end)
            }
            Self::WindowOutside { window, windows } => {
                write!(f, "there is no window {window}: the kernel has {windows}, counted from 0")
            }
            Self::OutputLength { wanted, found } => {
                write!(f, "the output must have room for {wanted} values, and has it for {found}")
            }
        }
    }
}

impl std::error::Error for KernelError {}

impl Kernel {
    /// A kernel for `windows`, in any order, on the fastest path of this machine.
    pub fn new(windows: &[Window]) -> Self {
        Self::on(Cpu::detect(), windows)
    }

    /// A kernel on a given path; the bits do not depend on it.
    pub fn on(cpu: Cpu, windows: &[Window]) -> Self {
        let chain = Chain::new(windows);
        let longest_rows = windows.iter().map(|window| window.rows()).max().unwrap_or(0);
        Self {
            cpu,
            windows: windows.iter().copied().map(Solver::new).collect(),
            longest_rows,
            window_runs: windows.iter().map(|window| chain.runs_of(window.rows())).collect(),
            scratch: Scratch::new(&chain, longest_rows),
            fits: vec![FitColumns::default(); windows.len()],
            chain,
        }
    }

    /// The rows of a tile that keeps its columns in cache and the work on the rows before it small.
    pub fn tile_rows(&self) -> usize {
        // Not a power of two: a row's columns would compete for the same lines of the cache.
        const IN_CACHE_ROWS: usize = 520;
        (self.longest_rows / IN_CACHE_ROWS + 1) * IN_CACHE_ROWS
    }

    /// Fits every window at each of `rows`; a window may use any value before its row. Read the fits with
    /// [`Kernel::fits`].
    ///
    /// # Errors
    /// [`KernelError::RowsOutside`] when `rows` are not all in `values`.
    pub fn fit(&mut self, values: &[f64], rows: Range<usize>) -> Result<(), KernelError> {
        if rows.start > rows.end || rows.end > values.len() {
            return Err(KernelError::RowsOutside { rows, values: values.len() });
        }
        let lookback_rows = self.longest_rows.saturating_sub(1).min(rows.start);
        self.scratch.take(&values[rows.start - lookback_rows..rows.end], rows.len());
        for fits in &mut self.fits {
            fits.resize(rows.len());
        }
        self.cpu.run(FitTile { rows: rows.len(), kernel: self });
        Ok(())
    }

    /// The fits of the last tile for the window at `window` in the order given to [`Kernel::new`]; none where there is no
    /// such window.
    pub fn fits(&self, window: usize) -> &FitColumns {
        self.fits.get(window).unwrap_or(FitColumns::NONE)
    }

    /// Writes `metrics` of the last tile's fits for one window to `columns`, one column after the other, each as long
    /// as the tile. Where a metric has no value it is NaN, and counted in `undefined`, one counter a metric. Columns that
    /// begin at cache lines (64 bytes) are written fastest.
    ///
    /// # Errors
    /// [`KernelError::OutputLength`] when `columns` is not `metrics x rows` long or `undefined` not `metrics`, and
    /// [`KernelError::WindowOutside`] when the window does not exist.
    pub fn write_metrics(
        &self,
        window: usize,
        metrics: &[Metric],
        columns: &mut [f64],
        undefined: &mut [u64],
    ) -> Result<(), KernelError> {
        let (Some(fits), Some(solver)) = (self.fits.get(window), self.windows.get(window)) else {
            return Err(KernelError::WindowOutside { window, windows: self.windows.len() });
        };
        for (wanted, found) in [(metrics.len() * fits.rows, columns.len()), (metrics.len(), undefined.len())]
        {
            if wanted != found {
                return Err(KernelError::OutputLength { wanted, found });
            }
        }
        let grid = Grid::new(solver.window);
        self.cpu.run(WriteMetrics { fits, grid, metrics, columns, undefined });
        Ok(())
    }

    /// The constants of the window at `window`, if there is one.
    pub fn grid(&self, window: usize) -> Option<&Grid> {
        self.windows.get(window).map(|solver| &solver.grid)
    }
}

/// The values of a tile and before it, and the latest runs of every step of the chain. Rows are counted so that the
/// tile begins at [`Scratch::first_row`], where a block begins, before which there is room for the longest window.
#[derive(Clone, Debug)]
struct Scratch {
    values: Vec<f64>,
    runs: Vec<Runs>,
    first_row: usize,
}

impl Scratch {
    fn new(chain: &Chain, longest_rows: usize) -> Self {
        Self {
            values: Vec::new(),
            runs: chain.look_back_rows().into_iter().map(Runs::new).collect(),
            // The first lanes of a step may begin up to seven rows before those it is needed for.
            first_row: (longest_rows + Lanes::COUNT).next_multiple_of(BLOCK_ROWS),
        }
    }

    /// Copies the values up to and including the tile's. Where there is none, or one that cannot be used, stands NaN,
    /// and so do then all numbers of a fit that has it in its window.
    fn take(&mut self, values: &[f64], rows: usize) {
        let before = self.first_row - (values.len() - rows);
        self.values.clear();
        self.values.resize(before, f64::NAN);
        // Adding zero turns -0.0 into 0.0.
        self.values.extend(values.iter().map(|&value| if is_usable(value) { value + 0.0 } else { f64::NAN }));
        self.values.resize(self.values.len() + Lanes::COUNT, f64::NAN);
    }
}

/// The work of [`Kernel::fit`], compiled for each CPU path.
struct FitTile<'a> {
    kernel: &'a mut Kernel,
    rows: usize,
}

impl Work for FitTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Kernel { windows, chain, window_runs, scratch, fits, .. } = self.kernel;
        let Scratch { values, runs, first_row: tile_row } = scratch;
        let (tile_row, end) = (*tile_row, (*tile_row + self.rows).next_multiple_of(Lanes::COUNT));
        let start = |step: &Step| (tile_row - step.reach_rows) / Lanes::COUNT * Lanes::COUNT;
        let first_row = chain.steps().iter().map(start).min().unwrap_or(end);
        let first_block = first_row / BLOCK_ROWS * BLOCK_ROWS;
        runs.iter_mut().for_each(|runs| runs.begin(first_block));
        for block in (first_block..end).step_by(BLOCK_ROWS) {
            runs.iter_mut().for_each(|runs| runs.advance(block));
            let block_end = (block + BLOCK_ROWS).min(end);
            for (at, step) in chain.steps().iter().enumerate() {
                let (made, making) = runs.split_at_mut(at + 1);
                let rows = start(step).max(block)..block_end;
                if !rows.is_empty() {
                    make_runs(step, made, &mut making[0], values, rows);
                }
            }
            if block >= tile_row {
                for ((solver, &at), fits) in windows.iter().zip(window_runs.iter()).zip(&mut *fits) {
                    solve_rows(solver, &runs[at], values, block..block_end, block - tile_row, fits);
                }
            }
        }
    }
}

/// Makes the runs of one step that end at `rows`.
#[inline(always)]
fn make_runs(step: &Step, made: &[Runs], making: &mut Runs, values: &[f64], rows: Range<usize>) {
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
        let run = step
            .merge(near.map(value), far.map(value), value(far_newest) - newest, || value(oldest) - newest);
        made.mean[at] = run.mean.to_array();
        made.p1[at] = run.p1.to_array();
        made.p2[at] = run.p2.to_array();
        made.squares[at] = run.squares.to_array();
    }
}

/// Solves `rows` of a tile, of which they are those from `first` on: on the fast path, and those again whose sum of
/// squared residuals may have lost digits.
#[inline(always)]
fn solve_rows(
    solver: &Solver,
    runs: &Runs,
    values: &[f64],
    rows: Range<usize>,
    first: usize,
    fits: &mut FitColumns,
) {
    let moments = runs.read(rows.clone());
    let newest = values[rows.clone()].as_chunks().0;
    let out = &mut fits.lanes[first / Lanes::COUNT..][..newest.len()];
    let mut careful_rows = 0;
    for at in 0..newest.len() {
        let value = |column: &[Eight]| Lanes::from_array(column[at]);
        let newest = value(newest);
        let fit = solver.solve(&moments.map(value), newest).with(newest);
        out[at] = fit;
        if Solver::is_any_delicate(&fit) {
            careful_rows += redo_delicate(solver, runs, values, rows.start + at * Lanes::COUNT, &mut out[at]);
        }
    }
    fits.careful_rows += careful_rows;
}

/// Takes the careful path where it is needed in the eight rows from `row` on; returns in how many.
#[cold]
#[inline(never)]
fn redo_delicate(solver: &Solver, runs: &Runs, values: &[f64], row: usize, fits: &mut Fit<Lanes>) -> usize {
    let window_rows = solver.grid.rows as usize;
    let mut count = 0;
    for lane in 0..Lanes::COUNT {
        if Solver::is_delicate(fits.ss_res.get(lane), fits.ss_tot.get(lane)) {
            let newest = row + lane;
            fits.set(lane, &solver.fit(&runs.get(newest), &values[newest + 1 - window_rows..=newest]));
            count += 1;
        }
    }
    count
}
