//! [`Kernel`]: the fits of a tile of rows for many windows at once.
//!
//! Invariants: a fit depends on the values of its window alone, so it makes no difference how a series is cut into tiles.
//! What is left of the tile before is a cache: its runs are used where the values before a tile are the same bits as the
//! last ones of the tile before, and are then those that would be computed again.

use std::ops::Range;

use crate::block_fits::{BlockFits, BlockOutput, Margins};
use crate::chain::Chain;
use crate::columns::FitColumns;
use crate::cpu::{self, Cpu, Work};
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::metric_output::MetricOutput;
use crate::runs::BLOCK_ROWS;
use crate::scratch::Scratch;
use crate::solve::Solver;
use crate::tile::{MetricColumns, MissingValues, Tile};
use crate::window::Window;

/// Values beyond this magnitude have no fit: squares of their differences stay far from overflow below it.
pub const LARGEST_VALUE: f64 = 1e100;

/// Whether `value` can be part of a fit: finite, and of magnitude at most [`LARGEST_VALUE`].
#[inline]
#[must_use]
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
}

/// What [`Kernel`], [`Tile`], [`MissingValues`] and [`FitColumns`] refuse.
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
    /// The columns of the output begin too close to each other.
    ColumnsOverlap {
        /// The values from the beginning of a column to that of the next.
        stride: usize,
        /// The values of a column.
        rows: usize,
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
            Self::ColumnsOverlap { stride, rows } => {
                write!(
                    f,
                    "columns of {rows} values cannot begin {stride} values apart: give a stride of {rows} or more"
                )
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
    #[must_use]
    pub fn new(windows: &[Window]) -> Self {
        Self::with_cpu(Cpu::detect(), windows)
    }

    /// A kernel on a given path; the bits do not depend on it.
    #[must_use]
    pub fn with_cpu(cpu: Cpu, windows: &[Window]) -> Self {
        let chain = Chain::new(windows);
        let longest_rows = windows.iter().map(|window| window.rows()).max().unwrap_or(0);
        Self {
            cpu,
            windows: windows.iter().copied().map(Solver::new).collect(),
            longest_rows,
            window_runs: windows.iter().map(|window| chain.runs_of(window.rows())).collect(),
            scratch: Scratch::new(&chain, longest_rows),
            chain,
        }
    }

    /// The rows of a tile that keeps its columns in cache and what a tile costs beside its rows small.
    #[must_use]
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
        check_rows(values, &rows)?;
        self.take(values, &rows);
        tile.windows.truncate(self.windows.len());
        let more = self.windows.iter().skip(tile.windows.len());
        tile.windows.extend(more.map(|solver| FitColumns::new(self.cpu, solver.window)));
        for (fits, solver) in tile.windows.iter_mut().zip(&self.windows) {
            fits.reset(self.cpu, solver.window, rows.len());
        }
        tile.rows = rows.len();
        self.cpu.run(FitTile { rows: rows.len(), kernel: self, output: &mut tile.windows });
        Ok(())
    }

    /// Takes the values of a tile, whose rows are checked, and those before it that its windows have.
    fn take(&mut self, values: &[f64], rows: &Range<usize>) {
        let lookback_rows = self.longest_rows.saturating_sub(1).min(rows.start);
        self.scratch.take(&values[rows.start - lookback_rows..rows.end], rows.len());
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
    /// assert_eq!((missing.rows_without_fit(1)?, missing.undefined(1)?), (29, &[0, 0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`KernelError::RowsOutside`] when `rows` are not all in `values`, and [`KernelError::OutputLength`] or
    /// [`KernelError::ColumnsOverlap`] when `columns` have no room for them. Then nothing is written.
    pub fn metrics_into(
        &mut self,
        values: &[f64],
        rows: Range<usize>,
        metrics: &[Metric],
        columns: MetricColumns<'_>,
        missing: &mut MissingValues,
    ) -> Result<(), KernelError> {
        check_rows(values, &rows)?;
        columns.check(self.windows.len() * metrics.len(), rows.len())?;
        self.take(values, &rows);
        let rows = rows.len();
        missing.reset(self.windows.len(), metrics.len(), rows);
        if columns.are_past_caches {
            self.write_tile(MetricOutput::<true>::new(metrics, columns, missing, rows), rows);
            cpu::end_stores_past_caches();
        } else {
            self.write_tile(MetricOutput::<false>::new(metrics, columns, missing, rows), rows);
        }
        Ok(())
    }

    fn write_tile<const PAST_CACHES: bool>(
        &mut self,
        mut output: MetricOutput<'_, PAST_CACHES>,
        rows: usize,
    ) {
        self.cpu.run(FitTile { rows, kernel: self, output: &mut output });
        for (window, solver) in self.windows.iter().enumerate() {
            output.finish_window(window, self.scratch.rows_without_fit(solver.window.rows(), rows));
        }
    }
}

fn check_rows(values: &[f64], rows: &Range<usize>) -> Result<(), KernelError> {
    if rows.start > rows.end || rows.end > values.len() {
        return Err(KernelError::RowsOutside { rows: rows.clone(), values: values.len() });
    }
    Ok(())
}

/// The work of a tile, compiled for each CPU path.
struct FitTile<'a, O> {
    kernel: &'a mut Kernel,
    output: &'a mut O,
    rows: usize,
}

impl<O: BlockOutput> Work for FitTile<'_, O> {
    type Output = ();

    /// Sums of squared residuals are made only where a window needs them: in a tile soon after one that did, because it is
    /// likely to need them too, and in one where a window is found to need them, which is then begun again.
    #[inline(always)]
    fn run<const BYTES: usize>(self) {
        let Self { kernel, output, rows } = self;
        let finished = if kernel.scratch.expects_residuals() {
            kernel.fit_tile::<true, BYTES, O>(output, rows)
        } else {
            kernel.fit_tile::<false, BYTES, O>(output, rows)
        };
        if !finished {
            kernel.scratch.forget();
            output.begin_again();
            kernel.fit_tile::<true, BYTES, O>(output, rows);
        }
    }
}

impl Kernel {
    /// Fits a tile of so many rows, with the sums of squared residuals or without. Returns false, with the tile half done,
    /// where they are not made and a window needs them.
    #[inline(always)]
    fn fit_tile<const RESIDUALS: bool, const BYTES: usize, O: BlockOutput>(
        &mut self,
        output: &mut O,
        rows: usize,
    ) -> bool {
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
            let newest = scratch.values[block.clone()].as_chunks().0;
            for (window, (solver, &at)) in windows.iter().zip(window_runs.iter()).enumerate() {
                let fits = BlockFits::new(solver, scratch.runs[at].read(block.clone()), newest);
                is_delicate |= output.take::<RESIDUALS, BYTES>(window, block.start - tile_row, fits);
            }
            if is_delicate && !RESIDUALS {
                return false;
            }
        }
        scratch.keep(rows, RESIDUALS, is_delicate);
        true
    }
}

/// Keeps the fits.
impl BlockOutput for Vec<FitColumns> {
    #[inline(always)]
    fn take<const RESIDUALS: bool, const BYTES: usize>(
        &mut self,
        window: usize,
        first_row: usize,
        fits: BlockFits<'_>,
    ) -> bool {
        let mut margins = Margins::new();
        let lanes = &mut self[window].lanes[first_row / Lanes::COUNT..][..fits.eights()];
        for (at, lanes) in lanes.iter_mut().enumerate() {
            *lanes = fits.solve::<RESIDUALS>(at, &mut margins);
        }
        margins.is_delicate()
    }
}
