//! [`FitColumns`]: consecutive fits of one window, a column for each of the six numbers, and [`TermColumns`]: the terms
//! that their metrics share, from which the metrics are written column by column.

use crate::cpu::{Cpu, Work};
use crate::fit::{Fit, Terms};
use crate::metric::Metric;
use crate::window::Grid;

/// The fits of consecutive rows for one window. Rows without a fit hold NaN in every column.
#[derive(Clone, Debug, Default)]
pub struct FitColumns {
    pub(crate) a2: Vec<f64>,
    pub(crate) a1: Vec<f64>,
    pub(crate) b: Vec<f64>,
    pub(crate) ss_res: Vec<f64>,
    pub(crate) ss_tot: Vec<f64>,
    pub(crate) y_last: Vec<f64>,
    pub(crate) rows: usize,
    pub(crate) careful_rows: usize,
}

impl FitColumns {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many of the rows took the careful path.
    pub fn careful_rows(&self) -> usize {
        self.careful_rows
    }

    /// The fit of a row, counted from the first one fitted; none where the window has no value or the row is outside.
    pub fn get(&self, row: usize) -> Option<Fit> {
        self.has_fit(row).then(|| Fit {
            a2: self.a2[row],
            a1: self.a1[row],
            b: self.b[row],
            ss_res: self.ss_res[row],
            ss_tot: self.ss_tot[row],
            y_last: self.y_last[row],
        })
    }

    /// Whether a row has a fit.
    #[inline]
    pub fn has_fit(&self, row: usize) -> bool {
        row < self.rows && !self.a2[row].is_nan()
    }

    pub(crate) fn set(&mut self, row: usize, fit: &Fit) {
        self.a2[row] = fit.a2;
        self.a1[row] = fit.a1;
        self.b[row] = fit.b;
        self.ss_res[row] = fit.ss_res;
        self.ss_tot[row] = fit.ss_tot;
        self.y_last[row] = fit.y_last;
    }

    /// Makes room for `rows` rows, and as many more as vector stores may overrun.
    pub(crate) fn resize(&mut self, rows: usize, overrun_rows: usize) {
        for column in
            [&mut self.a2, &mut self.a1, &mut self.b, &mut self.ss_res, &mut self.ss_tot, &mut self.y_last]
        {
            column.resize(rows + overrun_rows, 0.0);
        }
        self.rows = rows;
        self.careful_rows = 0;
    }
}

/// The terms of consecutive fits of one window, see [`Terms`].
#[derive(Clone, Debug, Default)]
pub(crate) struct TermColumns {
    a2: Vec<f64>,
    a1: Vec<f64>,
    b: Vec<f64>,
    r2: Vec<f64>,
    rmse: Vec<f64>,
    prediction: Vec<f64>,
    vertex_x: Vec<f64>,
    y_last: Vec<f64>,
    scale: f64,
    u_last: f64,
    rows: usize,
}

impl TermColumns {
    /// Writes `metrics` of `fits` to `columns`, one after the other, each as long as `fits`; adds to `undefined` how
    /// many values of each metric came out not finite, NaN for rows without a fit included.
    pub(crate) fn write(
        &mut self,
        cpu: Cpu,
        fits: &FitColumns,
        grid: &Grid,
        metrics: &[Metric],
        columns: &mut [f64],
        undefined: &mut [u64],
    ) {
        cpu.run(WriteMetrics { terms: self, fits, grid, metrics, columns, undefined });
    }

    #[inline(always)]
    fn derive(&mut self, fits: &FitColumns, grid: &Grid) {
        let rows = fits.rows;
        self.resize(rows);
        (self.scale, self.u_last) = (grid.scale, grid.u_last);
        let (a2, a1, b) = (&fits.a2[..rows], &fits.a1[..rows], &fits.b[..rows]);
        let (ss_res, ss_tot, y_last) = (&fits.ss_res[..rows], &fits.ss_tot[..rows], &fits.y_last[..rows]);
        self.a2[..rows].copy_from_slice(a2);
        self.a1[..rows].copy_from_slice(a1);
        self.b[..rows].copy_from_slice(b);
        self.y_last[..rows].copy_from_slice(y_last);
        let (r2, rmse) = (&mut self.r2[..rows], &mut self.rmse[..rows]);
        let (prediction, vertex_x) = (&mut self.prediction[..rows], &mut self.vertex_x[..rows]);
        for row in 0..rows {
            let fit = Fit {
                a2: a2[row],
                a1: a1[row],
                b: b[row],
                ss_res: ss_res[row],
                ss_tot: ss_tot[row],
                y_last: y_last[row],
            };
            let terms = Terms::new(&fit, grid);
            r2[row] = terms.r2;
            rmse[row] = terms.rmse;
            prediction[row] = terms.prediction;
            vertex_x[row] = terms.vertex_x;
        }
    }

    fn resize(&mut self, rows: usize) {
        self.rows = rows;
        for column in [
            &mut self.a2,
            &mut self.a1,
            &mut self.b,
            &mut self.r2,
            &mut self.rmse,
            &mut self.prediction,
            &mut self.vertex_x,
            &mut self.y_last,
        ] {
            column.resize(rows.max(column.len()), 0.0);
        }
    }

    /// Writes one metric of every row; returns how many values are not finite. Those become NaN, and -0.0 becomes 0.0.
    #[inline(always)]
    pub(crate) fn fill(&self, out: &mut [f64], formula: impl Fn(&Terms<f64>) -> f64) -> u64 {
        let rows = self.rows;
        let out = &mut out[..rows];
        let (a2, a1, b) = (&self.a2[..rows], &self.a1[..rows], &self.b[..rows]);
        let (r2, rmse, prediction) = (&self.r2[..rows], &self.rmse[..rows], &self.prediction[..rows]);
        let (vertex_x, y_last) = (&self.vertex_x[..rows], &self.y_last[..rows]);
        let mut undefined = 0;
        for row in 0..rows {
            let value = formula(&Terms {
                a2: a2[row],
                a1: a1[row],
                b: b[row],
                r2: r2[row],
                rmse: rmse[row],
                prediction: prediction[row],
                vertex_x: vertex_x[row],
                y_last: y_last[row],
                scale: self.scale,
                u_last: self.u_last,
            });
            let finite = value.is_finite();
            undefined += u64::from(!finite);
            out[row] = if finite { value + 0.0 } else { f64::NAN };
        }
        undefined
    }
}

struct WriteMetrics<'a> {
    terms: &'a mut TermColumns,
    fits: &'a FitColumns,
    grid: &'a Grid,
    metrics: &'a [Metric],
    columns: &'a mut [f64],
    undefined: &'a mut [u64],
}

impl Work for WriteMetrics<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.terms.derive(self.fits, self.grid);
        let columns = self.columns.chunks_exact_mut(self.fits.rows.max(1));
        for ((metric, column), undefined) in self.metrics.iter().zip(columns).zip(self.undefined) {
            *undefined += metric.fill(self.terms, column);
        }
    }
}
