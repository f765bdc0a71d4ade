//! [`Kernel`]: the fits of a tile of rows for many windows at once.
//!
//! Invariants: a fit depends on the values of its window alone, so it makes no difference how a series is cut into tiles.
//! What is left of the tile before is a cache: its runs are used where the values before a tile are the same bits as the
//! last ones of the tile before, and are then those that would be computed again.

use std::ops::Range;

use crate::chain::Chain;
use crate::columns::FitColumns;
use crate::cpu::{Cpu, Work};
use crate::fit::FitNumbers;
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::moments::Run;
use crate::number::Number;
use crate::runs::{BLOCK_ROWS, Eight};
use crate::scratch::Scratch;
use crate::solve::Solver;
use crate::tile::{MetricColumns, MissingValues, Tile};
use crate::window::Window;

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
/// let tile = kernel.fit(&values, 0..100)?;
/// assert!(tile.fits(1)?.get(28).is_none(), "the window of 30 rows is not full yet");
/// let newest = tile.fits(1)?.get(99).and_then(|fit| Metric::Prediction.value(&fit));
/// assert!((newest.unwrap() - 99.0 * 99.0).abs() < 1e-9);
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
    /// The fits of a tile of which only the metrics are wanted.
    tile: Tile,
}

/// What [`Kernel`], [`Tile`] and [`FitColumns`] refuse.
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
    /// The output has not the room, or the columns, that the rows need.
    OutputLength {
        /// The values needed.
        wanted: usize,
        /// The values that fit.
        found: usize,
    },
    /// Two columns of numbers of the same fits have different lengths.
    InputLength {
        /// The length of the first.
        wanted: usize,
        /// The length of another one.
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
            Self::InputLength { wanted, found } => {
                write!(f, "the columns of the fits have different lengths: {wanted} and {found} values")
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
            tile: Tile::default(),
            chain,
        }
    }

    /// The rows of a tile that keeps its columns in cache and what a tile costs beside its rows small.
    pub fn tile_rows(&self) -> usize {
        // Not a power of two: a row's columns would compete for the same lines of the cache.
        const IN_CACHE_ROWS: usize = 520;
        (self.longest_rows / 2 / IN_CACHE_ROWS + 1) * IN_CACHE_ROWS
    }

    /// Fits every window at each of `rows`; a window may use any value before its row. Tiles of a series in order, each after
    /// the one before, are fitted fastest.
    ///
    /// # Errors
    /// [`KernelError::RowsOutside`] when `rows` are not all in `values`.
    pub fn fit(&mut self, values: &[f64], rows: Range<usize>) -> Result<Tile, KernelError> {
        let mut tile = Tile::default();
        self.fit_into(values, rows, &mut tile)?;
        Ok(tile)
    }

    /// As [`Kernel::fit`], into a tile whose memory is used again. On an error it stays as it is.
    ///
    /// # Errors
    /// [`KernelError::RowsOutside`] when `rows` are not all in `values`.
    pub fn fit_into(
        &mut self,
        values: &[f64],
        rows: Range<usize>,
        tile: &mut Tile,
    ) -> Result<(), KernelError> {
        if rows.start > rows.end || rows.end > values.len() {
            return Err(KernelError::RowsOutside { rows, values: values.len() });
        }
        let lookback_rows = self.longest_rows.saturating_sub(1).min(rows.start);
        self.scratch.take(&values[rows.start - lookback_rows..rows.end], rows.len());
        tile.windows.truncate(self.windows.len());
        let more = self.windows.iter().skip(tile.windows.len());
        tile.windows.extend(more.map(|solver| FitColumns::new(self.cpu, solver.window)));
        for (fits, solver) in tile.windows.iter_mut().zip(&self.windows) {
            fits.reset(self.cpu, solver.window, rows.len());
        }
        tile.rows = rows.len();
        self.cpu.run(FitTile { rows: rows.len(), kernel: self, fits: &mut tile.windows });
        Ok(())
    }

    /// Writes `metrics` of the fits at each of `rows`, NaN where there is no value, and to `missing` how many have none and why.
    /// Columns that begin at cache lines (64 bytes) are written fastest, as are tiles of a series in order.
    ///
    /// ```
    /// use rollfit::{Kernel, Metric, MetricColumns, MissingValues, Window};
    ///
    /// let values: Vec<f64> = (0..100).map(f64::from).collect();
    /// let mut kernel = Kernel::new(&[Window::new(15)?, Window::new(30)?]);
    /// let mut columns = vec![0.0; 2 * 2 * 100];
    /// let mut missing = MissingValues::default();
    /// let metrics = [Metric::R2, Metric::Prediction];
    /// kernel.metrics_into(&values, 0..100, &metrics, MetricColumns::new(&mut columns, 100), &mut missing)?;
    /// assert!(columns[3 * 100 + 28].is_nan() && (columns[3 * 100 + 29] - 29.0).abs() < 1e-12);
    /// assert_eq!((missing.rows_without_fit(1), missing.undefined(1)), (29, &[0, 0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`KernelError::RowsOutside`] when `rows` are not all in `values`, and [`KernelError::OutputLength`] when `columns` have no
    /// room for them. Then nothing is written.
    pub fn metrics_into(
        &mut self,
        values: &[f64],
        rows: Range<usize>,
        metrics: &[Metric],
        columns: MetricColumns<'_>,
        missing: &mut MissingValues,
    ) -> Result<(), KernelError> {
        columns.check(self.windows.len() * metrics.len(), rows.len())?;
        let mut tile = std::mem::take(&mut self.tile);
        let fitted = self.fit_into(values, rows, &mut tile);
        if fitted.is_ok() {
            missing.reset(self.windows.len(), metrics.len());
            write_tile(&tile, metrics, columns, missing);
        }
        self.tile = tile;
        fitted
    }
}

/// Writes the metrics of each window's fits.
fn write_tile(tile: &Tile, metrics: &[Metric], columns: MetricColumns<'_>, missing: &mut MissingValues) {
    let MetricColumns { mut cells, stride } = columns;
    for (window, fits) in tile.windows.iter().enumerate() {
        let (of_window, rest) = cells.split_at_mut((metrics.len() * stride).min(cells.len()));
        cells = rest;
        let undefined = &mut missing.undefined[window * metrics.len()..][..metrics.len()];
        fits.write_strided(metrics, of_window, stride, undefined);
        let without_fit = (0..tile.rows).filter(|&row| !fits.has_fit(row)).count();
        missing.rows_without_fit[window] = without_fit;
        undefined.iter_mut().for_each(|undefined| *undefined -= without_fit as u64);
    }
}

/// The work of [`Kernel::fit`], compiled for each CPU path.
struct FitTile<'a> {
    kernel: &'a mut Kernel,
    fits: &'a mut [FitColumns],
    rows: usize,
}

impl Work for FitTile<'_> {
    type Output = ();

    /// Sums of squared residuals are made only where a window needs them: in a tile soon after one that did, because it is
    /// likely to need them too, and in one where a window is found to need them, which is then begun again.
    #[inline(always)]
    fn run(self) {
        let Self { kernel, fits, rows } = self;
        let finished = if kernel.scratch.expects_residuals() {
            kernel.fit_tile::<true>(fits, rows)
        } else {
            kernel.fit_tile::<false>(fits, rows)
        };
        if !finished {
            kernel.scratch.forget();
            kernel.fit_tile::<true>(fits, rows);
        }
    }
}

impl Kernel {
    /// Fits a tile of so many rows, with the sums of squared residuals or without. Returns false, with the tile half done,
    /// where they are not made and a window needs them.
    #[inline(always)]
    fn fit_tile<const RESIDUALS: bool>(&mut self, tile: &mut [FitColumns], rows: usize) -> bool {
        let Self { windows, chain, window_runs, scratch, .. } = self;
        let tile_row = scratch.first_row;
        let end = (tile_row + rows).next_multiple_of(Lanes::COUNT);
        let mut is_delicate = false;
        for block in (scratch.begin(chain, RESIDUALS)..end).step_by(BLOCK_ROWS) {
            let block = block..(block + BLOCK_ROWS).min(end);
            scratch.merge_runs::<RESIDUALS>(chain, block.clone());
            if block.start < tile_row {
                continue;
            }
            let values = &scratch.values[block.clone()];
            for ((solver, &at), fits) in windows.iter().zip(window_runs.iter()).zip(&mut *tile) {
                let fits =
                    &mut fits.lanes[(block.start - tile_row) / Lanes::COUNT..][..values.len() / Lanes::COUNT];
                is_delicate |= solve::<RESIDUALS>(solver, scratch.runs[at].read(block.clone()), values, fits);
            }
            if is_delicate && !RESIDUALS {
                return false;
            }
        }
        scratch.keep(rows, RESIDUALS, is_delicate);
        true
    }
}

/// Solves the windows that are these runs and end at these values; returns whether any of them is delicate.
#[inline(always)]
fn solve<const RESIDUALS: bool>(
    solver: &Solver,
    runs: Run<&[Eight]>,
    newest: &[f64],
    fits: &mut [FitNumbers<Lanes>],
) -> bool {
    let mut margins = Lanes::from_f64(0.0);
    for (at, (newest, fit)) in newest.as_chunks().0.iter().zip(fits).enumerate() {
        let value = |column: &[Eight]| Lanes::from_array(column[at]);
        let newest = Lanes::from_array(*newest);
        let moments = runs.moments.map(value);
        *fit = if RESIDUALS {
            solver.fit_eight(&Run { moments, residuals: value(runs.residuals) }, newest)
        } else {
            solver.solve(&moments, newest).with(newest)
        };
        margins = margins.lesser(Solver::margins(fit));
    }
    margins.to_array().iter().any(|&margin| margin < 0.0)
}
