//! [`FitColumns`]: consecutive fits of one window, eight rows side by side, and the writing of their metrics, column by
//! column.

use crate::cpu::{Cpu, Work};
use crate::fit::{Fit, Terms};
use crate::kernel::KernelError;
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::number::Number;
use crate::runs::Eight;
use crate::window::{Grid, Window};

/// The fits of consecutive rows for one window. Rows without a fit hold NaN in every number but perhaps `y_last`.
#[derive(Clone, Debug, Default)]
pub struct FitColumns {
    pub(crate) lanes: Vec<Fit<Lanes>>,
    pub(crate) rows: usize,
}

impl FitColumns {
    /// No rows.
    pub(crate) const NONE: &Self = &Self { lanes: Vec::new(), rows: 0 };

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The fit of a row, counted from the first one fitted; none where the window has no value or the row is outside.
    pub fn get(&self, row: usize) -> Option<Fit> {
        self.has_fit(row).then(|| self.lanes[row / Lanes::COUNT].get(row % Lanes::COUNT))
    }

    /// Whether a row has a fit.
    #[inline]
    pub fn has_fit(&self, row: usize) -> bool {
        row < self.rows && !self.lanes[row / Lanes::COUNT].a2.get(row % Lanes::COUNT).is_nan()
    }

    /// Fits whose numbers stand in columns of one length, NaN where there is none: what [`FitColumns::write`] gave. Rows
    /// beyond the shortest column are left out.
    pub fn from_columns(columns: &Fit<&[f64]>) -> Self {
        let Fit { a2, a1, b, ss_res, ss_tot, y_last } = columns;
        let rows = [a2, a1, b, ss_res, ss_tot, y_last].map(|column| column.len()).into_iter().min();
        let mut fits = Self::default();
        fits.resize(rows.unwrap_or(0));
        for (at, fit) in fits.lanes.iter_mut().enumerate() {
            *fit = columns.map(|column| {
                let value = |lane| column.get(at * Lanes::COUNT + lane).copied().unwrap_or(f64::NAN);
                Lanes::from_array(std::array::from_fn(value))
            });
        }
        fits
    }

    /// Writes the numbers of the fits to columns, NaN for rows without a fit. Columns may be shorter than the fits, or empty
    /// for numbers that nobody wants.
    pub fn write(&self, columns: Fit<&mut [f64]>) {
        let Fit { a2, a1, b, ss_res, ss_tot, y_last } = columns;
        let numbers: [(&mut [f64], fn(&Fit) -> f64); 6] = [
            (a2, |fit| fit.a2),
            (a1, |fit| fit.a1),
            (b, |fit| fit.b),
            (ss_res, |fit| fit.ss_res),
            (ss_tot, |fit| fit.ss_tot),
            (y_last, |fit| fit.y_last),
        ];
        for (column, number) in numbers {
            for (row, value) in column.iter_mut().enumerate() {
                *value = self.get(row).map_or(f64::NAN, |fit| number(&fit));
            }
        }
    }

    /// As [`Kernel::write_metrics`](crate::Kernel::write_metrics), of these fits, which are of `window`: the same bits.
    ///
    /// # Errors
    /// [`KernelError::OutputLength`] when `columns` is not `metrics x rows` long or `undefined` not `metrics`.
    pub fn write_metrics(
        &self,
        window: Window,
        metrics: &[Metric],
        columns: &mut [f64],
        undefined: &mut [u64],
    ) -> Result<(), KernelError> {
        self.write_metrics_on(Cpu::detect(), window, metrics, columns, undefined)
    }

    /// As [`FitColumns::write_metrics`], on a given path.
    pub(crate) fn write_metrics_on(
        &self,
        cpu: Cpu,
        window: Window,
        metrics: &[Metric],
        columns: &mut [f64],
        undefined: &mut [u64],
    ) -> Result<(), KernelError> {
        for (wanted, found) in [(metrics.len() * self.rows, columns.len()), (metrics.len(), undefined.len())]
        {
            if wanted != found {
                return Err(KernelError::OutputLength { wanted, found });
            }
        }
        cpu.run(WriteMetrics { fits: self, grid: Grid::new(window), metrics, columns, undefined });
        Ok(())
    }

    /// Makes room for `rows` rows.
    pub(crate) fn resize(&mut self, rows: usize) {
        self.lanes.resize(rows.div_ceil(Lanes::COUNT), Fit::NONE.map(|&number| Lanes::from_f64(number)));
        self.rows = rows;
    }
}

impl Fit<Lanes> {
    /// The fit in one lane.
    pub(crate) fn get(&self, lane: usize) -> Fit {
        self.map(|lanes| lanes.get(lane))
    }
}

/// Writes `metrics` of `fits` to `columns`, one after the other, each as long as `fits`; adds to `undefined` how many
/// values of each metric came out not finite, NaN for rows without a fit included.
pub(crate) struct WriteMetrics<'a> {
    pub(crate) fits: &'a FitColumns,
    pub(crate) grid: Grid<Lanes>,
    pub(crate) metrics: &'a [Metric],
    pub(crate) columns: &'a mut [f64],
    pub(crate) undefined: &'a mut [u64],
}

impl Work for WriteMetrics<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut outputs: [OutputColumn<'_>; Metric::ALL.len()] =
            std::array::from_fn(|_| OutputColumn::default());
        for (column, &metric) in self.columns.chunks_exact_mut(self.fits.rows.max(1)).zip(self.metrics) {
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
        // Where there is a fit, nothing but its vertex can be undefined; and a sum is finite only if all its terms are.
        if !vertices.to_array().iter().all(|sum| sum.is_finite()) {
            self.count_undefined();
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
    fn count_undefined(&mut self) {
        for (column, undefined) in self.columns.chunks_exact_mut(self.fits.rows).zip(&mut *self.undefined) {
            for value in column.iter_mut().filter(|value| !value.is_finite()) {
                *value = f64::NAN;
                *undefined += 1;
            }
        }
    }
}
