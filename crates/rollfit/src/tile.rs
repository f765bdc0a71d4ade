//! What a kernel gives for a tile of rows: its fits ([`Tile`]), or their metrics ([`MetricColumns`]) and how many of these
//! have no value ([`MissingValues`]).

use std::ops::Range;

use crate::columns::FitColumns;
use crate::kernel::KernelError;

/// The fits of consecutive rows for each window of a kernel. A value of its own: fitting further rows does not change it.
#[derive(Clone, Debug, Default)]
pub struct Tile {
    pub(crate) windows: Vec<FitColumns>,
    pub(crate) rows: usize,
}

impl Tile {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The fits for the window at `window` in the order given to the kernel.
    ///
    /// # Errors
    /// [`KernelError::WindowOutside`] where there is no such window.
    pub fn fits(&self, window: usize) -> Result<&FitColumns, KernelError> {
        let windows = self.windows.len();
        self.windows.get(window).ok_or(KernelError::WindowOutside { window, windows })
    }

    /// The fits for each window, in the order given to the kernel.
    pub fn windows(&self) -> impl ExactSizeIterator<Item = &FitColumns> {
        self.windows.iter()
    }
}

/// Where metrics go: a column for each window and metric, window by window, in one slice. Columns begin `stride` values apart, so
/// that tiles can be written into columns of all rows.
#[derive(Debug)]
pub struct MetricColumns<'a> {
    pub(crate) cells: &'a mut [f64],
    pub(crate) stride: usize,
}

impl<'a> MetricColumns<'a> {
    /// Columns in `cells`, which holds the first row of the first one and then that of the next one after `stride` values. What is
    /// beyond the last row of the last column may be missing.
    pub fn new(cells: &'a mut [f64], stride: usize) -> Self {
        Self { cells, stride }
    }

    /// The first `rows` values of each of `count` columns.
    ///
    /// # Errors
    /// [`KernelError::OutputLength`] where they are not all there, or not apart.
    pub(crate) fn check(&self, count: usize, rows: usize) -> Result<(), KernelError> {
        if count == 0 || rows == 0 {
            return Ok(());
        }
        let wanted = (count - 1).saturating_mul(self.stride.max(rows)).saturating_add(rows);
        let found = if self.stride < rows { rows.min(self.stride) } else { self.cells.len() };
        if found < wanted { Err(KernelError::OutputLength { wanted, found }) } else { Ok(()) }
    }
}

/// How many values of a tile's metrics are missing, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingValues {
    pub(crate) rows_without_fit: Vec<usize>,
    pub(crate) undefined: Vec<u64>,
}

impl MissingValues {
    /// The rows of the tile for which the window at `window` has no fit: it is not full, or a value in it cannot be used. None of
    /// its metrics has a value there. 0 for a window that there is not.
    #[must_use]
    pub fn rows_without_fit(&self, window: usize) -> usize {
        self.rows_without_fit.get(window).copied().unwrap_or(0)
    }

    /// For each metric of the window at `window`, in the order in which they were asked for: the rows that have a fit for which its
    /// formula has no value. Empty for a window that there is not.
    #[must_use]
    pub fn undefined(&self, window: usize) -> &[u64] {
        self.undefined.get(self.metrics_of(window)).unwrap_or_default()
    }

    pub(crate) fn reset(&mut self, windows: usize, metrics: usize) {
        self.rows_without_fit.clear();
        self.rows_without_fit.resize(windows, 0);
        self.undefined.clear();
        self.undefined.resize(windows * metrics, 0);
    }

    fn metrics_of(&self, window: usize) -> Range<usize> {
        let metrics = self.undefined.len().checked_div(self.rows_without_fit.len()).unwrap_or(0);
        window.saturating_mul(metrics)..window.saturating_add(1).saturating_mul(metrics)
    }
}
