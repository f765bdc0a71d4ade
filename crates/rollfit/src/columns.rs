//! [`FitColumns`]: consecutive fits of one window, eight rows side by side, and the writing of their metrics, column by
//! column.

use crate::cpu::Work;
use crate::fit::{Fit, Terms};
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::number::Number;
use crate::window::Grid;

/// The fits of consecutive rows for one window. Rows without a fit hold NaN in every column but those of sums of
/// single values.
#[derive(Clone, Debug, Default)]
pub struct FitColumns {
    pub(crate) lanes: Vec<Fit<Lanes>>,
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
        self.has_fit(row).then(|| self.lanes[row / Lanes::COUNT].get(row % Lanes::COUNT))
    }

    /// Whether a row has a fit.
    #[inline]
    pub fn has_fit(&self, row: usize) -> bool {
        row < self.rows && !self.lanes[row / Lanes::COUNT].a2.get(row % Lanes::COUNT).is_nan()
    }

    /// Makes room for `rows` rows.
    pub(crate) fn resize(&mut self, rows: usize) {
        self.lanes.resize(rows.div_ceil(Lanes::COUNT), Fit::NONE.map(|&number| Lanes::of(number)));
        self.rows = rows;
        self.careful_rows = 0;
    }
}

impl Fit<Lanes> {
    /// The fit in one lane.
    pub(crate) fn get(&self, lane: usize) -> Fit {
        self.map(|lanes| lanes.get(lane))
    }

    /// Puts a fit into one lane.
    pub(crate) fn set(&mut self, lane: usize, fit: &Fit) {
        self.a2.set(lane, fit.a2);
        self.a1.set(lane, fit.a1);
        self.b.set(lane, fit.b);
        self.ss_res.set(lane, fit.ss_res);
        self.ss_tot.set(lane, fit.ss_tot);
        self.y_last.set(lane, fit.y_last);
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

/// Lanes whose terms are kept at a time, so that they stay in the first-level cache until every metric is written.
const TERM_LANES: usize = 8;

impl Work for WriteMetrics<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.fits.rows;
        let mut terms = [Terms::new(&Fit::NONE.map(|&number| Lanes::of(number)), &self.grid); TERM_LANES];
        let mut first_row = 0;
        for fits in self.fits.lanes.chunks(TERM_LANES) {
            for (terms, fit) in terms.iter_mut().zip(fits) {
                *terms = Terms::new(fit, &self.grid);
            }
            let end_row = (first_row + TERM_LANES * Lanes::COUNT).min(rows);
            for (at, (metric, undefined)) in self.metrics.iter().zip(&mut *self.undefined).enumerate() {
                let out = &mut self.columns[at * rows + first_row..at * rows + end_row];
                *undefined += metric.fill(&terms, out);
            }
            first_row = end_row;
        }
    }
}

/// Writes one metric of as many rows as `out` has; returns how many values are not finite. Those become NaN, and -0.0
/// becomes 0.0.
#[inline(always)]
pub(crate) fn fill(terms: &[Terms<Lanes>], out: &mut [f64], formula: impl Fn(&Terms<Lanes>) -> Lanes) -> u64 {
    let mut undefined = [0; Lanes::COUNT];
    for (terms, out) in terms.iter().zip(out.chunks_mut(Lanes::COUNT)) {
        let values = formula(terms).to_array();
        if let Ok(out) = <&mut [f64; Lanes::COUNT]>::try_from(&mut *out) {
            write(&values, out, &mut undefined);
        } else {
            write(&values, out, &mut undefined);
        }
    }
    undefined.iter().sum()
}

#[inline(always)]
fn write(values: &[f64; Lanes::COUNT], out: &mut [f64], undefined: &mut [u64; Lanes::COUNT]) {
    for ((value, out), undefined) in values.iter().zip(out).zip(undefined) {
        let is_finite = value.is_finite();
        *undefined += u64::from(!is_finite);
        *out = if is_finite { value + 0.0 } else { f64::NAN };
    }
}
