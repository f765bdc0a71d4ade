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
    pub fn iter(&self) -> std::slice::Iter<'_, FitColumns> {
        self.windows.iter()
    }
}

impl<'a> IntoIterator for &'a Tile {
    type Item = &'a FitColumns;
    type IntoIter = std::slice::Iter<'a, FitColumns>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Where metrics go: a column for each window and metric, window by window.
#[derive(Debug)]
pub struct MetricColumns<'a> {
    columns: Columns<'a>,
    pub(crate) are_past_caches: bool,
}

#[derive(Debug)]
enum Columns<'a> {
    /// In one slice, in which they begin `stride` values apart.
    Strided {
        cells: &'a mut [f64],
        stride: usize,
    },
    Apart(Vec<&'a mut [f64]>),
}

impl<'a> MetricColumns<'a> {
    /// Columns in `cells`, whose first value is the first row of the first column. Each further column begins `stride` values after
    /// the one before: as many as a column has rows when it is complete. The last column may end with its last row.
    ///
    /// `windows x metrics` columns are written, as many values of each as there are rows. For the rows from `first` on of columns
    /// of `all` rows, give `&mut cells[first..]` and a stride of `all`. Where nothing is written, `cells` may be empty.
    #[must_use]
    pub const fn new(cells: &'a mut [f64], stride: usize) -> Self {
        Self { columns: Columns::Strided { cells, stride }, are_past_caches: false }
    }

    /// Columns anywhere, at least `windows x metrics`, each with room for the rows. So several threads can write rows of the same
    /// columns, each of which was split between them.
    ///
    /// ```
    /// use rollfit::{Kernel, Metric, MetricColumns, MissingValues, Window};
    ///
    /// let (values, window) = ([1.0, 4.0, 9.0, 16.0, 26.0, 38.0], Window::new(3)?);
    /// let mut column = [0.0; 6];
    /// let (early, late) = column.split_at_mut(3);
    /// std::thread::scope(|scope| {
    ///     for (rows, part) in [(0..3, early), (3..6, late)] {
    ///         scope.spawn(move || {
    ///             let columns = MetricColumns::from_slices(vec![part]);
    ///             let mut missing = MissingValues::default();
    ///             Kernel::new(&[window]).metrics_into(&values, rows, &[Metric::B], columns, &mut missing)
    ///         });
    ///     }
    /// });
    /// assert!(column[1].is_nan() && column[2..].iter().all(|b| b.is_finite()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn from_slices(columns: Vec<&'a mut [f64]>) -> Self {
        Self { columns: Columns::Apart(columns), are_past_caches: false }
    }

    /// The same columns, to be written past the caches where eight values begin at a cache line and the CPU can. That takes less time
    /// where all of the columns together are larger than the caches, and more where they are not. The bits are the same.
    #[must_use]
    pub const fn past_caches(mut self) -> Self {
        self.are_past_caches = true;
        self
    }

    /// Whether there is room for `rows` values of each of `count` columns.
    ///
    /// # Errors
    /// [`KernelError::ColumnsOverlap`] or [`KernelError::OutputLength`].
    pub(crate) fn check(&self, count: usize, rows: usize) -> Result<(), KernelError> {
        if count == 0 || rows == 0 {
            return Ok(());
        }
        let (wanted, found) = match &self.columns {
            Columns::Strided { stride, .. } if *stride < rows => {
                return Err(KernelError::ColumnsOverlap { stride: *stride, rows });
            }
            Columns::Strided { cells, stride } => {
                ((count - 1).saturating_mul(*stride).saturating_add(rows), cells.len())
            }
            Columns::Apart(columns) => {
                let room = columns.iter().take(count).map(|column| column.len().min(rows)).sum();
                (count.saturating_mul(rows), room)
            }
        };
        if found < wanted { Err(KernelError::OutputLength { wanted, found }) } else { Ok(()) }
    }

    /// The columns of the window at `window`, one for each metric.
    #[inline(always)]
    pub(crate) fn of_window(&mut self, window: usize, metrics: usize) -> impl Iterator<Item = &mut [f64]> {
        let first = window * metrics;
        let (strided, stride, apart) = match &mut self.columns {
            Columns::Strided { cells, stride } => {
                (cells.get_mut(first * *stride..).unwrap_or_default(), *stride, &mut [][..])
            }
            Columns::Apart(columns) => (&mut [][..], 1, columns.get_mut(first..).unwrap_or_default()),
        };
        strided.chunks_mut(stride.max(1)).chain(apart.iter_mut().map(|column| &mut **column)).take(metrics)
    }

    /// Copies the first `rows` values of the column at `from` to the one at `to`, which is before it.
    pub(crate) fn copy_back(&mut self, from: usize, to: usize, rows: usize) {
        match &mut self.columns {
            Columns::Strided { cells, stride } => {
                cells.copy_within(from * *stride..from * *stride + rows, to * *stride);
            }
            Columns::Apart(columns) => {
                let (before, rest) = columns.split_at_mut(from);
                before[to][..rows].copy_from_slice(&rest[0][..rows]);
            }
        }
    }
}

/// The rows of a number of [`MissingValues::has_fit_bits`].
const WORD_ROWS: usize = u64::BITS as usize;

/// How many values of a tile's metrics are missing, by cause. Each call of [`Kernel::metrics_into`](crate::Kernel::metrics_into)
/// replaces what the one before counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingValues {
    pub(crate) rows_without_fit: Vec<u64>,
    pub(crate) undefined: Vec<u64>,
    /// A bit for each row of each window, from a new number on for each window.
    has_fit: Vec<u64>,
}

impl MissingValues {
    /// The rows of the tile for which the window at `window` has no fit: it is not full, or a value in it cannot be used. None of
    /// its metrics has a value there.
    ///
    /// # Errors
    /// [`KernelError::WindowOutside`] where there is no such window.
    pub fn rows_without_fit(&self, window: usize) -> Result<u64, KernelError> {
        self.check(window)?;
        Ok(self.rows_without_fit[window])
    }

    /// For each metric of the window at `window`, in the order in which they were asked for: the rows that have a fit for which its
    /// formula has no value.
    ///
    /// # Errors
    /// [`KernelError::WindowOutside`] where there is no such window.
    pub fn undefined(&self, window: usize) -> Result<&[u64], KernelError> {
        self.check(window)?;
        Ok(&self.undefined[self.of_window(window, self.undefined.len())])
    }

    /// A bit for each row of the tile, 1 where the window at `window` has a fit: that of row `r` is bit `r % 64` of the number at
    /// `r / 64`, as in a validity bitmap of Arrow. Bits beyond the last row are 0.
    ///
    /// # Errors
    /// [`KernelError::WindowOutside`] where there is no such window.
    pub fn has_fit_bits(&self, window: usize) -> Result<&[u64], KernelError> {
        self.check(window)?;
        Ok(&self.has_fit[self.of_window(window, self.has_fit.len())])
    }

    fn check(&self, window: usize) -> Result<(), KernelError> {
        let windows = self.rows_without_fit.len();
        if window < windows { Ok(()) } else { Err(KernelError::WindowOutside { window, windows }) }
    }

    /// No value of any window is missing.
    pub(crate) fn reset(&mut self, windows: usize, metrics: usize, rows: usize) {
        self.rows_without_fit.clear();
        self.rows_without_fit.resize(windows, 0);
        self.undefined.clear();
        self.undefined.resize(windows * metrics, 0);
        let words = rows.div_ceil(WORD_ROWS);
        self.has_fit.clear();
        self.has_fit.resize(windows * words, u64::MAX);
        if !rows.is_multiple_of(WORD_ROWS) {
            for last in self.has_fit.iter_mut().skip(words - 1).step_by(words) {
                *last = (1 << (rows % WORD_ROWS)) - 1;
            }
        }
    }

    /// Adds rows for which a window has no fit, and which were not yet added.
    pub(crate) fn add_rows_without_fit(&mut self, window: usize, rows: Range<usize>) {
        self.rows_without_fit[window] += rows.len() as u64;
        let of_window = self.of_window(window, self.has_fit.len());
        let words = &mut self.has_fit[of_window];
        let mut row = rows.start;
        while row < rows.end {
            let end = rows.end.min((row / WORD_ROWS + 1) * WORD_ROWS);
            words[row / WORD_ROWS] &= !((u64::MAX >> (WORD_ROWS - (end - row))) << (row % WORD_ROWS));
            row = end;
        }
    }

    /// The place of what belongs to the window at `window`, where each of them has as much of `of_all`.
    fn of_window(&self, window: usize, of_all: usize) -> Range<usize> {
        let count = of_all.checked_div(self.rows_without_fit.len()).unwrap_or(0);
        window * count..(window + 1) * count
    }
}
