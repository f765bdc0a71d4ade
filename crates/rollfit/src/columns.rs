//! [`FitColumns`]: consecutive fits of one window, eight rows side by side, and the writing of their metrics, column by
//! column.

use crate::cpu::{Cpu, Work};
use crate::fit::{Fit, FitNumbers, Terms};
use crate::kernel::KernelError;
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::number::Number;
use crate::runs::Eight;
use crate::window::{Grid, Window};

/// The fits of consecutive rows for one window. Rows without a fit hold NaN in every number but perhaps `y_last`.
///
/// Every metric follows from these numbers and the window's length, so a program may keep them in the place of features, six
/// columns a window, and compute the features when they are read:
///
/// ```
/// use rollfit::{FitColumns, FitNumbers, Kernel, Metric, Window};
///
/// let (values, window) = ([1.0, 4.0, 9.0, 16.0, 26.0], Window::new(4)?);
/// let mut kernel = Kernel::new(&[window]);
/// let tile = kernel.fit(&values, 0..5)?;
/// let [mut a2, mut a1, mut b, mut ss_res, mut ss_tot, mut y_last] = [[0.0; 5]; 6];
/// tile.fits(0)?.write(FitNumbers {
///     a2: &mut a2, a1: &mut a1, b: &mut b, ss_res: &mut ss_res, ss_tot: &mut ss_tot, y_last: &mut y_last,
/// })?;
/// assert!(a2[2].is_nan() && y_last[2].is_nan(), "the window of 4 rows is not full yet");
///
/// let stored = FitNumbers { a2: &a2[..], a1: &a1, b: &b, ss_res: &ss_res, ss_tot: &ss_tot, y_last: &y_last };
/// let [mut computed, mut read] = [[0.0; 5]; 2];
/// tile.fits(0)?.write_metrics(&[Metric::R2], &mut computed, &mut [0])?;
/// FitColumns::from_columns(&stored, window)?.write_metrics(&[Metric::R2], &mut read, &mut [0])?;
/// assert_eq!(read.map(f64::to_bits), computed.map(f64::to_bits));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FitColumns {
    pub(crate) lanes: Vec<FitNumbers<Lanes>>,
    rows: usize,
    cpu: Cpu,
    window: Window,
    /// Whether no kernel need have made them.
    are_anybodys: bool,
}

impl FitColumns {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The window that they are fitted over.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// The fit of a row, counted from the first one fitted; none where the window has no value or the row is outside.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<Fit> {
        self.has_fit(row)
            .then(|| Fit::new(self.lanes[row / Lanes::COUNT].get(row % Lanes::COUNT), self.window))
    }

    /// Whether a row has a fit.
    #[inline]
    #[must_use]
    pub fn has_fit(&self, row: usize) -> bool {
        row < self.rows && !self.lanes[row / Lanes::COUNT].a2.get(row % Lanes::COUNT).is_nan()
    }

    /// The fits over `window` whose numbers are in these columns, row by row: what [`FitColumns::write`] gives. The units are those
    /// of [`Fit`]. A row whose `a2` is NaN has no fit; no other number is checked.
    ///
    /// # Errors
    /// [`KernelError::InputLength`] when a column is not as long as `a2`.
    pub fn from_columns(columns: &FitNumbers<&[f64]>, window: Window) -> Result<Self, KernelError> {
        let FitNumbers { a2, a1, b, ss_res, ss_tot, y_last } = columns;
        for column in [a1, b, ss_res, ss_tot, y_last] {
            if column.len() != a2.len() {
                return Err(KernelError::InputLength { wanted: a2.len(), found: column.len() });
            }
        }
        let lanes = |at| columns.map(|column| eight_from(column, at));
        Ok(Self {
            lanes: (0..a2.len().div_ceil(Lanes::COUNT)).map(lanes).collect(),
            rows: a2.len(),
            cpu: Cpu::detect(),
            window,
            are_anybodys: true,
        })
    }

    /// Writes the numbers of the fits to columns, each as long as there are rows, or empty for a number that is not wanted. The
    /// units are those of [`Fit`]; rows without a fit get NaN, in `y_last` too.
    ///
    /// # Errors
    /// [`KernelError::OutputLength`] when a column has another length; then nothing is written.
    pub fn write(&self, columns: FitNumbers<&mut [f64]>) -> Result<(), KernelError> {
        let FitNumbers { a2, a1, b, ss_res, ss_tot, y_last } = columns;
        for found in [&a2, &a1, &b, &ss_res, &ss_tot, &y_last].map(|column| column.len()) {
            if found != 0 && found != self.rows {
                return Err(KernelError::OutputLength { wanted: self.rows, found });
            }
        }
        self.write_number(a2, |fit| fit.a2);
        self.write_number(a1, |fit| fit.a1);
        self.write_number(b, |fit| fit.b);
        self.write_number(ss_res, |fit| fit.ss_res);
        self.write_number(ss_tot, |fit| fit.ss_tot);
        self.write_number(y_last, |fit| fit.y_last);
        Ok(())
    }

    /// Writes one number of the fits, eight rows at once.
    fn write_number(&self, column: &mut [f64], number: impl Fn(&FitNumbers<Lanes>) -> Lanes) {
        let of_fits = |fit: &FitNumbers<Lanes>| -> Eight {
            let (a2, numbers) = (fit.a2.to_array(), number(fit).to_array());
            std::array::from_fn(|lane| if a2[lane].is_nan() { f64::NAN } else { numbers[lane] })
        };
        let (eights, rest) = column.as_chunks_mut();
        for (eight, fit) in eights.iter_mut().zip(&self.lanes) {
            *eight = of_fits(fit);
        }
        if let Some(fit) = self.lanes.last() {
            rest.copy_from_slice(&of_fits(fit)[..rest.len()]);
        }
    }

    /// Writes `metrics` of these fits to `columns`, one column after the other, each as long as there are rows. Where a metric has
    /// no value it is NaN, and added to the count of its metric in `no_value`: rows without a fit are counted too, other than in
    /// [`MissingValues::undefined`](crate::MissingValues::undefined). The same bits as
    /// [`Kernel::metrics_into`](crate::Kernel::metrics_into) gives.
    ///
    /// # Errors
    /// [`KernelError::OutputLength`] when `columns` is not `metrics x rows` long or `no_value` not `metrics`. Then nothing is written.
    pub fn write_metrics(
        &self,
        metrics: &[Metric],
        columns: &mut [f64],
        no_value: &mut [u64],
    ) -> Result<(), KernelError> {
        for (wanted, found) in [(metrics.len() * self.rows, columns.len()), (metrics.len(), no_value.len())] {
            if wanted != found {
                return Err(KernelError::OutputLength { wanted, found });
            }
        }
        let grid = Grid::new(self.window);
        let are_anybodys = self.are_anybodys;
        self.cpu.run(WriteMetrics { fits: self, are_anybodys, grid, metrics, columns, no_value });
        Ok(())
    }

    /// No fits yet.
    pub(crate) fn new(cpu: Cpu, window: Window) -> Self {
        Self { lanes: Vec::new(), rows: 0, cpu, window, are_anybodys: false }
    }

    /// Makes them the fits of a kernel, `rows` of them.
    pub(crate) fn reset(&mut self, cpu: Cpu, window: Window, rows: usize) {
        self.lanes
            .resize(rows.div_ceil(Lanes::COUNT), FitNumbers::NAN.map(|&number| Lanes::from_f64(number)));
        (self.rows, self.cpu, self.window, self.are_anybodys) = (rows, cpu, window, false);
    }
}

/// The values of the eight rows of a column at `at`. Beyond its end they are 0, which has metrics.
fn eight_from(column: &[f64], at: usize) -> Lanes {
    let (eights, rest) = column.as_chunks();
    Lanes::from_array(eights.get(at).copied().unwrap_or_else(|| {
        let mut eight: Eight = [0.0; Lanes::COUNT];
        eight[..rest.len()].copy_from_slice(rest);
        eight
    }))
}

impl FitNumbers<Lanes> {
    /// The fit in one lane.
    pub(crate) fn get(&self, lane: usize) -> FitNumbers {
        self.map(|lanes| lanes.get(lane))
    }
}

/// Writes `metrics` of `fits` to `columns`, one after the other, each as long as `fits`; adds to `no_value` how many
/// values of each metric came out not finite, NaN for rows without a fit included.
pub(crate) struct WriteMetrics<'a> {
    pub(crate) fits: &'a FitColumns,
    /// Whether no kernel need have made them.
    pub(crate) are_anybodys: bool,
    pub(crate) grid: Grid<Lanes>,
    pub(crate) metrics: &'a [Metric],
    pub(crate) columns: &'a mut [f64],
    pub(crate) no_value: &'a mut [u64],
}

impl Work for WriteMetrics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const BYTES: usize>(mut self) {
        let mut outputs: [OutputColumn<'_>; Metric::ALL.len()] =
            std::array::from_fn(|_| OutputColumn::default());
        let rows = self.fits.rows;
        for (column, &metric) in self.columns.chunks_mut(rows.max(1)).zip(self.metrics) {
            let (eights, rest) = column.as_chunks_mut();
            outputs[metric as usize] = OutputColumn { eights, rest };
        }
        let (eights, rest) = self.fits.lanes.split_at(self.fits.rows / Lanes::COUNT);
        let mut vertices = Lanes::from_f64(0.0);
        for (at, fit) in eights.iter().enumerate() {
            let terms = Terms::new(fit, &self.grid);
            Metric::each(&terms, |metric, values| outputs[metric as usize].put(at, values));
            vertices = vertices + Metric::VertexY.of(&terms);
        }
        for fit in rest {
            let terms = Terms::new(fit, &self.grid);
            Metric::each(&terms, |metric, values| outputs[metric as usize].put_rest(values));
            vertices = vertices + Metric::VertexY.of(&terms);
        }
        self.repeat();
        // Where a kernel found a fit, nothing but its vertex can be undefined; and a sum is finite only if all its terms are.
        if self.are_anybodys || !vertices.to_array().iter().all(|sum| sum.is_finite()) {
            self.count_no_value();
        }
    }
}

/// Where the values of a metric go: nowhere, both slices being empty, if it is not asked for.
#[derive(Default)]
struct OutputColumn<'a> {
    eights: &'a mut [Eight],
    rest: &'a mut [f64],
}

impl OutputColumn<'_> {
    #[inline(always)]
    fn put(&mut self, at: usize, values: Lanes) {
        if let Some(eight) = self.eights.get_mut(at) {
            *eight = values.to_array();
        }
    }

    #[inline(always)]
    fn put_rest(&mut self, values: Lanes) {
        self.rest.copy_from_slice(&values.to_array()[..self.rest.len()]);
    }
}

impl WriteMetrics<'_> {
    /// Fills the columns of metrics that are asked for more than once, of which only the last is written.
    fn repeat(&mut self) {
        let rows = self.fits.rows;
        for (at, metric) in self.metrics.iter().enumerate() {
            let last = self.metrics.iter().rposition(|other| other == metric).unwrap_or(at);
            if last != at {
                self.columns.copy_within(last * rows..(last + 1) * rows, at * rows);
            }
        }
    }

    /// Counts the values that are not finite, and makes them NaN.
    fn count_no_value(&mut self) {
        let rows = self.fits.rows;
        for (column, no_value) in self.columns.chunks_mut(rows.max(1)).zip(&mut *self.no_value) {
            for value in column.iter_mut().filter(|value| !value.is_finite()) {
                *value = f64::NAN;
                *no_value += 1;
            }
        }
    }
}
