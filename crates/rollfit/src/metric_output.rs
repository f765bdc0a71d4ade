//! [`MetricOutput`]: metrics of a tile made from its fits while these are in registers, and written to columns.
//!
//! Invariants: the bits are those that [`FitColumns::write_metrics`](crate::FitColumns::write_metrics) gives for the same fits. Where a
//! kernel finds a fit, nothing but its vertex can be undefined; and a sum is finite only if all its terms are.

use std::ops::Range;

use crate::block_fits::{BlockFits, BlockOutput, Margins};
use crate::cpu;
use crate::fit::Terms;
use crate::lanes::Lanes;
use crate::metric::Metric;
use crate::number::Number;
use crate::runs::Eight;
use crate::tile::{MetricColumns, MissingValues};

/// Writes metrics of the fits of a tile, window by window; `PAST_CACHES` or into them.
pub(crate) struct MetricOutput<'a, const PAST_CACHES: bool> {
    metrics: &'a [Metric],
    columns: MetricColumns<'a>,
    missing: &'a mut MissingValues,
    /// The rows of the tile.
    rows: usize,
}

impl<const PAST_CACHES: bool> BlockOutput for MetricOutput<'_, PAST_CACHES> {
    #[inline(always)]
    fn take<const RESIDUALS: bool, const BYTES: usize>(
        &mut self,
        window: usize,
        first_row: usize,
        fits: BlockFits<'_>,
    ) -> bool {
        let rows = first_row..(first_row + fits.eights() * Lanes::COUNT).min(self.rows);
        let mut margins = Margins::new();
        if !self.write::<RESIDUALS, BYTES>(window, rows.clone(), fits, &mut margins) {
            self.count_undefined(window, rows);
        }
        margins.is_delicate()
    }

    fn begin_again(&mut self) {
        self.missing.undefined.fill(0);
    }
}

impl<'a, const PAST_CACHES: bool> MetricOutput<'a, PAST_CACHES> {
    pub(crate) fn new(
        metrics: &'a [Metric],
        columns: MetricColumns<'a>,
        missing: &'a mut MissingValues,
        rows: usize,
    ) -> Self {
        Self { metrics, columns, missing, rows }
    }

    /// Writes every metric that is asked for; returns whether no vertex is undefined.
    #[inline(always)]
    fn write<const RESIDUALS: bool, const BYTES: usize>(
        &mut self,
        window: usize,
        rows: Range<usize>,
        fits: BlockFits<'_>,
        margins: &mut Margins,
    ) -> bool {
        let mut outputs: [&mut [Eight]; Metric::ALL.len()] = Default::default();
        for (column, &metric) in self.columns.of_window(window, self.metrics.len()).zip(self.metrics) {
            outputs[metric as usize] = column[rows.clone()].as_chunks_mut().0;
        }
        let grid = fits.grid();
        let eights = rows.len() / Lanes::COUNT;
        let mut vertices = Lanes::from_f64(0.0);
        for at in 0..eights {
            let terms = Terms::new(&fits.solve::<RESIDUALS>(at, margins), &grid);
            Metric::each(&terms, |metric, values| {
                if let Some(eight) = outputs[metric as usize].get_mut(at) {
                    if PAST_CACHES {
                        cpu::store_past_caches::<BYTES>(eight, values);
                    } else {
                        *eight = values.to_array();
                    }
                }
            });
            vertices = vertices + Metric::VertexY.of(&terms);
        }
        if eights < fits.eights() {
            let terms = Terms::new(&fits.solve::<RESIDUALS>(eights, margins), &grid);
            self.write_rest(window, rows.start + eights * Lanes::COUNT..rows.end, &terms);
            vertices = vertices + Metric::VertexY.of(&terms);
        }
        is_finite(vertices)
    }

    /// Writes what is left of a tile after its last eight rows. Compiled once, because it is seldom done.
    #[inline(never)]
    fn write_rest(&mut self, window: usize, rows: Range<usize>, terms: &Terms<Lanes>) {
        for (column, metric) in self.columns.of_window(window, self.metrics.len()).zip(self.metrics) {
            column[rows.clone()].copy_from_slice(&metric.of(terms).to_array()[..rows.len()]);
        }
    }

    /// Makes the vertices that are not finite NaN, and counts them, those of rows without a fit included.
    #[cold]
    #[inline(never)]
    fn count_undefined(&mut self, window: usize, rows: Range<usize>) {
        let metrics = self.metrics;
        let undefined = &mut self.missing.undefined[window * metrics.len()..][..metrics.len()];
        for (at, column) in self.columns.of_window(window, metrics.len()).enumerate() {
            if may_be_undefined(metrics[at]) && last_of(metrics, at) == at {
                for value in column[rows.clone()].iter_mut().filter(|value| !value.is_finite()) {
                    *value = f64::NAN;
                    undefined[at] += 1;
                }
            }
        }
    }

    /// Ends a window: `without_fit` are its rows that have none, in order.
    pub(crate) fn finish_window(&mut self, window: usize, without_fit: impl Iterator<Item = Range<usize>>) {
        let metrics = self.metrics;
        for rows in without_fit {
            for column in self.columns.of_window(window, metrics.len()) {
                column[rows.clone()].fill(f64::NAN);
            }
            self.missing.add_rows_without_fit(window, rows);
        }
        let without_fit = self.missing.rows_without_fit[window];
        let undefined = &mut self.missing.undefined[window * metrics.len()..][..metrics.len()];
        for (undefined, _) in
            undefined.iter_mut().zip(metrics).filter(|(_, metric)| may_be_undefined(**metric))
        {
            *undefined = undefined.saturating_sub(without_fit);
        }
        self.repeat(window);
    }

    /// Fills the columns of metrics that are asked for more than once, of which only the last is sure to be written.
    fn repeat(&mut self, window: usize) {
        let metrics = self.metrics;
        for at in 0..metrics.len() {
            let last = last_of(metrics, at);
            if last != at {
                let [first, last] = [at, last].map(|at| window * metrics.len() + at);
                self.columns.copy_back(last, first, self.rows);
                self.missing.undefined[first] = self.missing.undefined[last];
            }
        }
    }
}

/// Whether a fit may be without this metric.
#[inline(always)]
fn may_be_undefined(metric: Metric) -> bool {
    matches!(metric, Metric::VertexX | Metric::VertexY)
}

/// Where the metric at `at` is asked for the last time.
fn last_of(metrics: &[Metric], at: usize) -> usize {
    metrics.iter().rposition(|other| *other == metrics[at]).unwrap_or(at)
}

#[inline(always)]
fn is_finite(lanes: Lanes) -> bool {
    lanes.to_array().iter().all(|lane| lane.is_finite())
}
