//! [`Kernel`]: the fits of a tile of rows for many windows at once.
//!
//! Holds true: a fit depends on the values of its window alone. A tile is computed from the values it needs, with no
//! state carried from the tile before, so it makes no difference how a series is cut into tiles.

use std::ops::Range;

use crate::chain::{Chain, Step};
use crate::columns::{FitColumns, TermColumns};
use crate::cpu::{Cpu, Work};
use crate::fit::Fit;
use crate::lanes::{Lanes, Real};
use crate::metric::Metric;
use crate::moments::Moments;
use crate::solve::{Solution, Solver};
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
    window_steps: Vec<usize>,
    scratch: Scratch,
    fits: Vec<FitColumns>,
    terms: TermColumns,
}

/// What [`Kernel::fit`] and [`Kernel::write_metrics`] refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelError {
    /// The rows asked for are not all in the series.
    RowsOutside {
        /// The rows asked for.
        rows: Range<usize>,
        /// The length of the series.
        values: usize,
    },
    /// The output slices are not `metrics x rows` values and one counter a metric.
    OutputLength {
        /// The values needed.
        wanted: usize,
        /// The values there is room for.
        found: usize,
    },
}

impl std::fmt::Display for KernelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RowsOutside { rows, values } => {
                write!(f, "rows {}..{} are not all within a series of {values} values", rows.start, rows.end)
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
        let step_to = |window: &Window| chain.step_to(window.rows()).unwrap_or_default();
        Self {
            cpu,
            windows: windows.iter().copied().map(Solver::new).collect(),
            longest_rows: windows.iter().map(|window| window.rows()).max().unwrap_or(0),
            window_steps: windows.iter().map(step_to).collect(),
            scratch: Scratch::new(chain.steps().len()),
            fits: vec![FitColumns::default(); windows.len()],
            terms: TermColumns::default(),
            chain,
        }
    }

    /// The rows of a tile that keeps its columns in cache and the work on the rows before it small.
    pub fn tile_rows(&self) -> usize {
        const IN_CACHE_ROWS: usize = 512;
        IN_CACHE_ROWS.max(self.longest_rows)
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
        let values = &values[rows.start - lookback_rows..rows.end];
        self.scratch.take(values);
        for fits in &mut self.fits {
            fits.resize(rows.len(), Lanes::COUNT);
        }
        self.cpu.run(FitTile { kernel: self, values, lookback_rows });
        Ok(())
    }

    /// The fits of the last tile for the window at `window` in the order given to [`Kernel::new`].
    pub fn fits(&self, window: usize) -> &FitColumns {
        &self.fits[window]
    }

    /// Writes `metrics` of the last tile's fits for one window to `columns`, one column after the other, each as long
    /// as the tile. Where a metric has no value it is NaN, and counted in `undefined`, one counter a metric.
    ///
    /// # Errors
    /// [`KernelError::OutputLength`] when `columns` is not `metrics x rows` long or `undefined` not `metrics`.
    pub fn write_metrics(
        &mut self,
        window: usize,
        metrics: &[Metric],
        columns: &mut [f64],
        undefined: &mut [u64],
    ) -> Result<(), KernelError> {
        let fits = &self.fits[window];
        for (wanted, found) in [(metrics.len() * fits.rows, columns.len()), (metrics.len(), undefined.len())]
        {
            if wanted != found {
                return Err(KernelError::OutputLength { wanted, found });
            }
        }
        self.terms.write(self.cpu, fits, &self.windows[window].grid, metrics, columns, undefined);
        Ok(())
    }

    /// The constants of a window.
    pub fn grid(&self, window: usize) -> &Grid {
        &self.windows[window].grid
    }
}

/// The values of a tile with their lookback, and the moments of every run of the chain ending at each.
#[derive(Clone, Debug)]
struct Scratch {
    values: Vec<f64>,
    runs: Vec<RunColumns>,
    usable_rows: Vec<u32>,
}

/// The moments of the runs of one length, a column each.
#[derive(Clone, Debug, Default)]
struct RunColumns {
    mean: Vec<f64>,
    p1: Vec<f64>,
    p2: Vec<f64>,
    squares: Vec<f64>,
}

impl Scratch {
    fn new(steps: usize) -> Self {
        Self { values: Vec::new(), runs: vec![RunColumns::default(); steps], usable_rows: Vec::new() }
    }

    /// Copies the values in and makes room; the last lanes may overrun the rows, so every column is longer.
    fn take(&mut self, values: &[f64]) {
        let room = values.len() + Lanes::COUNT;
        self.values.clear();
        self.values.extend_from_slice(values);
        self.values.resize(room, 0.0);
        for run in &mut self.runs {
            run.make_room(room);
        }
        self.count_usable(values);
    }

    /// For every row, how many values before it and itself are usable without a break.
    fn count_usable(&mut self, values: &[f64]) {
        self.usable_rows.clear();
        let mut usable_rows = 0;
        self.usable_rows.extend(values.iter().map(|&value| {
            usable_rows = if is_usable(value) { usable_rows + 1 } else { 0 };
            usable_rows
        }));
    }
}

impl RunColumns {
    fn make_room(&mut self, room: usize) {
        for column in [&mut self.mean, &mut self.p1, &mut self.p2, &mut self.squares] {
            if column.len() < room {
                column.resize(room, 0.0);
            }
        }
    }

    #[inline(always)]
    fn load(&self, row: usize) -> Moments<Lanes> {
        Moments {
            mean: Lanes::load(&self.mean, row),
            p1: Lanes::load(&self.p1, row),
            p2: Lanes::load(&self.p2, row),
            squares: Lanes::load(&self.squares, row),
        }
    }

    #[inline(always)]
    fn store(&mut self, row: usize, moments: Moments<Lanes>) {
        moments.mean.store(&mut self.mean, row);
        moments.p1.store(&mut self.p1, row);
        moments.p2.store(&mut self.p2, row);
        moments.squares.store(&mut self.squares, row);
    }

    fn get(&self, row: usize) -> Moments<f64> {
        Moments { mean: self.mean[row], p1: self.p1[row], p2: self.p2[row], squares: self.squares[row] }
    }
}

/// The work of [`Kernel::fit`], compiled for each CPU path.
struct FitTile<'a> {
    kernel: &'a mut Kernel,
    values: &'a [f64],
    lookback_rows: usize,
}

impl Work for FitTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Kernel { windows, chain, window_steps, scratch, fits, .. } = self.kernel;
        for (at, step) in chain.steps().iter().enumerate() {
            let (made, making) = scratch.runs.split_at_mut(at);
            let first_row = self.lookback_rows.saturating_sub(step.reach_rows).max(step.rows - 1);
            make_runs(step, made, &mut making[0], &scratch.values, first_row..self.values.len());
        }
        for ((solver, &step), fits) in windows.iter().zip(window_steps.iter()).zip(fits) {
            solve_rows(solver, &scratch.runs[step], &scratch.values, self.lookback_rows, fits);
            clear_unusable(solver, &scratch.usable_rows[self.lookback_rows..], fits);
            redo_delicate(solver, &scratch.runs[step], self.values, self.lookback_rows, fits);
        }
    }
}

/// Makes the runs of one step that end at `rows`.
#[inline(always)]
fn make_runs(step: &Step, made: &[RunColumns], making: &mut RunColumns, values: &[f64], rows: Range<usize>) {
    let half = step.half.map(|half| &made[half]);
    for row in rows.step_by(Lanes::COUNT) {
        let newest = Lanes::load(values, row);
        let (near, far) = match half {
            Some(half) => (half.load(row), half.load(row - step.half_rows)),
            None => (Moments::single(), Moments::single()),
        };
        making.store(row, step.merge(near, far, |back| Lanes::load(values, row - back) - newest));
    }
}

/// Solves every row of the tile on the fast path. Rows whose window is not full come out as garbage, cleared later.
#[inline(always)]
fn solve_rows(
    solver: &Solver,
    runs: &RunColumns,
    values: &[f64],
    lookback_rows: usize,
    fits: &mut FitColumns,
) {
    let zero = Lanes::splat(0.0);
    for row in (0..fits.rows).step_by(Lanes::COUNT) {
        let newest = Lanes::load(values, lookback_rows + row);
        let Solution { a2, a1, b, ss_res, ss_tot } = solver.solve(&runs.load(lookback_rows + row), newest);
        // Adding zero turns -0.0 into 0.0.
        (a2 + zero).store(&mut fits.a2, row);
        (a1 + zero).store(&mut fits.a1, row);
        (b + zero).store(&mut fits.b, row);
        ss_res.store(&mut fits.ss_res, row);
        ss_tot.store(&mut fits.ss_tot, row);
        (newest + zero).store(&mut fits.y_last, row);
    }
}

/// Takes the fit from rows whose window is not full or holds a value that cannot be used.
fn clear_unusable(solver: &Solver, usable_rows: &[u32], fits: &mut FitColumns) {
    let window_rows = solver.grid.rows as u32;
    for (row, &usable) in usable_rows.iter().enumerate() {
        if usable < window_rows {
            fits.set(row, &Fit::NONE);
        }
    }
}

/// Solves the rows again whose sum of squared residuals may have lost digits.
#[inline(always)]
fn redo_delicate(
    solver: &Solver,
    runs: &RunColumns,
    values: &[f64],
    lookback_rows: usize,
    fits: &mut FitColumns,
) {
    let window_rows = solver.grid.rows as usize;
    for row in 0..fits.rows {
        if Solver::is_delicate(fits.ss_res[row], fits.ss_tot[row]) {
            let newest = lookback_rows + row;
            let fit = solver.fit(&runs.get(newest), &values[newest + 1 - window_rows..=newest]);
            fits.set(row, &fit);
            fits.careful_rows += 1;
        }
    }
}
