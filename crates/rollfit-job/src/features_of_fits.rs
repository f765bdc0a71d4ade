//! [`as_features`]: features as a store gives them back, whichever layout it has.

use std::ops::Range;
use std::sync::Arc;

use rollfit::{Fit, FitColumns};

use crate::config::{FIT_NUMBERS, Layout, Series};
use crate::receipt::Receipt;
use crate::store::{FeatureReader, FeatureTile, Rounding, StoreError};

/// The features of `series` that `reader` gives back, or that follow from the fits that it gives back.
pub fn as_features<'a>(
    series: &'a [Series],
    reader: Box<dyn FeatureReader + 'a>,
) -> Box<dyn FeatureReader + 'a> {
    match series.first().map(Series::layout) {
        Some(Layout::Fits) => Box::new(FeaturesOfFits { reader, series, values: Vec::new() }),
        Some(Layout::Metrics) | None => reader,
    }
}

/// Features computed from stored fits.
struct FeaturesOfFits<'a> {
    reader: Box<dyn FeatureReader + 'a>,
    series: &'a [Series],
    values: Vec<f64>,
}

impl FeatureReader for FeaturesOfFits<'_> {
    fn receipt(&self) -> Option<&Receipt> {
        self.reader.receipt()
    }

    /// None: fits are stored as doubles.
    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        None
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        let Some(fits) = self.reader.next_tile()? else { return Ok(None) };
        let group = group(self.series, fits);
        let features = |series: &[Series]| series.iter().map(|series| series.columns.len()).sum::<usize>();
        self.values.resize(features(&self.series[group.clone()]) * fits.rows(), 0.0);
        let mut columns = fits.columns();
        let mut rest = self.values.as_mut_slice();
        for series in &self.series[group.clone()] {
            let own: Vec<&[f64]> = columns.by_ref().take(series.fit_columns.len()).collect();
            let (values, others) = rest.split_at_mut(series.columns.len() * fits.rows());
            write_features(series, &own, fits.rows(), values);
            rest = others;
        }
        let first_column = features(&self.series[..group.start]);
        Ok(Some(FeatureTile { instants_us: fits.instants_us, first_column, values: &self.values }))
    }
}

/// The series whose fits a tile has.
fn group(series: &[Series], tile: FeatureTile<'_>) -> Range<usize> {
    let before = |at: usize| series[..at].iter().map(|series| series.fit_columns.len()).sum::<usize>();
    let at = |column: usize| (0..series.len()).find(|&at| before(at) >= column).unwrap_or(series.len());
    at(tile.first_column)..at(tile.first_column + tile.columns().count())
}

fn write_features(series: &Series, columns: &[&[f64]], rows: usize, values: &mut [f64]) {
    let y_last = columns.last().copied().unwrap_or_default();
    let undefined = &mut vec![0; series.metrics.len()];
    let windows = series.windows.iter().zip(columns.chunks_exact(FIT_NUMBERS.len()));
    for ((labelled, numbers), values) in windows.zip(values.chunks_exact_mut(series.metrics.len() * rows)) {
        let &[a2, a1, b, ss_res, ss_tot] = numbers else { continue };
        let fits = FitColumns::from_columns(&Fit { a2, a1, b, ss_res, ss_tot, y_last });
        let written = fits.write_metrics(labelled.window, &series.metrics, values, undefined);
        debug_assert!(written.is_ok(), "the columns are metrics x rows");
    }
}
