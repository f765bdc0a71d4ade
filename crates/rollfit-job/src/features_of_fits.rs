//! [`as_features`]: features as a store gives them back, whichever layout it has; `StoredRows`: with what they follow from.

use std::ops::Range;
use std::sync::Arc;

use rollfit::{FitColumns, FitNumbers};

use crate::config::{FIT_NUMBERS, Layout, Series};
use crate::receipt::Receipt;
use crate::store::{FeatureReader, FeatureTile, Rounding, StoreError};

/// The features of `series` that `reader` gives back, or that follow from the fits that it gives back.
///
/// Where the numbers of a fit are not all there, or not finite, its features are infinite, which no feature is: they must pass
/// neither for values nor for no value.
pub fn as_features<'a>(
    series: &'a [Series],
    reader: Box<dyn FeatureReader + 'a>,
) -> Box<dyn FeatureReader + 'a> {
    match layout_of(series) {
        Layout::Metrics => reader,
        Layout::Fits => Box::new(StoredRows::new(series, reader)),
    }
}

fn layout_of(series: &[Series]) -> Layout {
    series.first().map_or(Layout::Metrics, Series::layout)
}

/// Stored rows as features, beside the columns as they are stored.
pub(crate) struct StoredRows<'a> {
    reader: Box<dyn FeatureReader + 'a>,
    series: &'a [Series],
    layout: Layout,
    features: Vec<f64>,
}

impl<'a> StoredRows<'a> {
    pub(crate) fn new(series: &'a [Series], reader: Box<dyn FeatureReader + 'a>) -> Self {
        Self { reader, series, layout: layout_of(series), features: Vec::new() }
    }

    /// As [`FeatureReader::next_tile`]: the features, and the columns that the store keeps, which are the same in the layout of
    /// metrics.
    pub(crate) fn next_tiles(&mut self) -> Result<Option<(FeatureTile<'_>, FeatureTile<'_>)>, StoreError> {
        let Some(stored) = self.reader.next_tile()? else { return Ok(None) };
        if self.layout == Layout::Metrics {
            return Ok(Some((stored, stored)));
        }
        let group = group(self.series, stored);
        let rows = stored.rows();
        let count = |series: &[Series]| series.iter().map(|series| series.columns.len()).sum::<usize>();
        self.features.resize(count(&self.series[group.clone()]) * rows, 0.0);
        let mut columns = stored.columns();
        let mut rest = self.features.as_mut_slice();
        for series in &self.series[group.clone()] {
            let fits: Vec<&[f64]> = columns.by_ref().take(series.fit_columns.len()).collect();
            let (features, others) = rest.split_at_mut(series.columns.len() * rows);
            let (fits, included) = fits.split_at(series.fit_number_columns().len());
            let (metrics, beside) = features.split_at_mut(features.len() - included.len() * rows);
            write_features(series, fits, rows, metrics);
            beside
                .chunks_exact_mut(rows.max(1))
                .zip(included)
                .for_each(|(to, from)| to.copy_from_slice(from));
            rest = others;
        }
        let first_column = count(&self.series[..group.start]);
        let features = FeatureTile { instants_us: stored.instants_us, first_column, values: &self.features };
        Ok(Some((features, stored)))
    }
}

impl FeatureReader for StoredRows<'_> {
    fn receipt(&self) -> Option<&Receipt> {
        self.reader.receipt()
    }

    /// None for fits, which are stored as doubles.
    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        match self.layout {
            Layout::Metrics => self.reader.rounding(),
            Layout::Fits => None,
        }
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        Ok(self.next_tiles()?.map(|(features, _)| features))
    }
}

/// The series whose fits a tile has.
fn group(series: &[Series], tile: FeatureTile<'_>) -> Range<usize> {
    let before = |at: usize| series[..at].iter().map(|series| series.fit_columns.len()).sum::<usize>();
    let at = |column: usize| (0..series.len()).find(|&at| before(at) >= column).unwrap_or(series.len());
    at(tile.first_column)..at(tile.first_column + tile.columns().count())
}

/// Writes the features of one series, computed from the columns of its fits.
fn write_features(series: &Series, columns: &[&[f64]], rows: usize, features: &mut [f64]) {
    let y_last = columns.last().copied().unwrap_or_default();
    let undefined = &mut vec![0; series.metrics.len()];
    let windows = series.windows.iter().zip(columns.chunks_exact(FIT_NUMBERS.len()));
    let features = features.chunks_exact_mut((series.metrics.len() * rows).max(1));
    for (at, ((labelled, numbers), features)) in windows.zip(features).enumerate() {
        let &[a2, a1, b, ss_res, ss_tot] = numbers else { continue };
        let fits = FitNumbers { a2, a1, b, ss_res, ss_tot, y_last };
        let written = FitColumns::from_columns(&fits, labelled.window)
            .and_then(|fits| fits.write_metrics(&series.metrics, features, undefined));
        assert!(written.is_ok(), "the columns are metrics x rows");
        let owns_y_last = at == series.y_last_window();
        for row in (0..rows).filter(|&row| is_broken(&fits, row, owns_y_last)) {
            features.iter_mut().skip(row).step_by(rows).for_each(|feature| *feature = f64::INFINITY);
        }
    }
}

/// Whether the numbers of a row are neither those of a fit nor all missing. The newest value may be there for a shorter window,
/// unless it is there for this one alone.
fn is_broken(fits: &FitNumbers<&[f64]>, row: usize, owns_y_last: bool) -> bool {
    let FitNumbers { a2, a1, b, ss_res, ss_tot, y_last } = fits;
    let numbers = [a2, a1, b, ss_res, ss_tot].map(|column| column[row]);
    if numbers.iter().all(|number| number.is_nan()) {
        return owns_y_last && !y_last[row].is_nan();
    }
    !numbers.iter().chain([&y_last[row]]).all(|number| number.is_finite())
}
