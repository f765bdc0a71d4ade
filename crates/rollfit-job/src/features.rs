//! [`FeatureEngine`]: from the panel of a partition to its feature columns, a tile of rows at a time, and the counts and
//! [`Checksum`] that a receipt records of them.

use std::ops::Range;

use rollfit::{FitColumns, FitNumbers, Kernel, Metric, MetricColumns, MissingValues, Tile, Window};

use crate::config::{FIT_NUMBERS, JobConfig, Layout};
use crate::panel::Panel;
use crate::receipt::{NoValue, Stored};
use crate::store::{FeatureTile, Grouping, Rounding};

/// Computes the features of a config. Holds the memory of one tile, whatever the number of rows.
pub struct FeatureEngine {
    series: Vec<SeriesEngine>,
    tile_rows: usize,
    feature_count: usize,
    layout: Layout,
    values: Cells,
    /// The columns of the fits of a tile, where these are stored.
    fits: Vec<f64>,
}

struct SeriesEngine {
    kernel: Kernel,
    /// The fits of a tile, where somebody needs more of them than their metrics.
    tile: Option<Tile>,
    windows: Vec<Window>,
    metrics: Vec<Metric>,
    y_last_window: usize,
    /// The columns of the panel that are stored beside the features.
    included: Range<usize>,
    missing: MissingValues,
    undefined: Vec<u64>,
}

/// Values that begin at a cache line, where the kernel writes fastest.
#[derive(Default)]
struct Cells {
    values: Vec<f64>,
    count: usize,
}

impl Cells {
    const LINE_BYTES: usize = 64;

    fn resize(&mut self, count: usize) {
        self.values.resize(count + Self::LINE_BYTES / size_of::<f64>(), 0.0);
        self.count = count;
    }

    fn first(&self) -> usize {
        self.values.as_ptr().align_offset(Self::LINE_BYTES).min(self.values.len() - self.count)
    }

    fn get(&self) -> &[f64] {
        &self.values[self.first()..][..self.count]
    }

    fn get_mut(&mut self) -> &mut [f64] {
        let first = self.first();
        &mut self.values[first..][..self.count]
    }
}

impl FeatureEngine {
    /// An engine for the series of `config`.
    pub fn new(config: &JobConfig) -> Self {
        Self::from_config(config, config.sink.layout == Layout::Fits)
    }

    /// As [`FeatureEngine::new`], for one who asks for the [`fits`](FeatureEngine::fits) of tiles.
    pub(crate) fn from_config(config: &JobConfig, keeps_fits: bool) -> Self {
        let series: Vec<SeriesEngine> =
            (0..config.series.len()).map(|at| SeriesEngine::new(config, at, keeps_fits)).collect();
        Self {
            tile_rows: series.iter().map(|series| series.kernel.tile_rows()).max().unwrap_or(1),
            feature_count: config.feature_count(),
            series,
            layout: config.sink.layout,
            values: Cells::default(),
            fits: Vec::new(),
        }
    }

    /// Computes every tile of the panel's rows, group by group, and gives what is stored of it to `take`. Returns what a receipt
    /// records of the features, whatever the layout, as columns with this rounding hold them. The numbers of fits are stored as
    /// doubles and never rounded.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn compute<E>(
        &mut self,
        panel: &Panel,
        grouping: Grouping,
        rounding: Option<&dyn Rounding>,
        mut take: impl FnMut(FeatureTile<'_>) -> Result<(), E>,
    ) -> Result<Stored, E> {
        let rounding = rounding.filter(|_| self.layout == Layout::Metrics);
        let mut no_value = NoValue::default();
        let mut checksum = Checksum::new(self.feature_count);
        for group in grouping.groups(self.series.len()) {
            for rows in self.tiles_of(panel) {
                self.tile(panel, rows.clone(), group.clone(), &mut no_value);
                take(self.stored(panel, rows.clone(), group.clone()))?;
                let stored = self.round(panel, rows.clone(), group.clone(), rounding, &mut no_value);
                checksum.add(rows.start - panel.lookback_rows, stored);
            }
        }
        Ok(Stored {
            rows: panel.rows() as u64,
            checksum: checksum.to_string(),
            no_value,
            adopted: false,
            types: None,
        })
    }

    /// The rows of each tile of a panel, counted with its lookback.
    fn tiles_of(&self, panel: &Panel) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, tile_rows) = (panel.instants_us.len(), self.tile_rows);
        (panel.lookback_rows..rows).step_by(tile_rows).map(move |first| first..(first + tile_rows).min(rows))
    }

    /// Computes the features of a group of series for `rows` of the panel, counted with its lookback; adds to `no_value`.
    pub fn tile<'a>(
        &'a mut self,
        panel: &'a Panel,
        rows: Range<usize>,
        group: Range<usize>,
        no_value: &mut NoValue,
    ) -> FeatureTile<'a> {
        self.values.resize(self.features_of(group.clone()) * rows.len());
        let mut rest = self.values.get_mut();
        for (series, column) in self.series[group.clone()].iter_mut().zip(&panel.columns[group.clone()]) {
            let (values, others) = rest.split_at_mut(series.feature_count() * rows.len());
            let (metrics, included) = values.split_at_mut(series.metric_column_count() * rows.len());
            series.tile(column, rows.clone(), metrics, no_value);
            no_value.included += series.include(panel, rows.clone(), included);
            rest = others;
        }
        self.computed(panel, rows, group)
    }

    /// The tile computed last as columns with this rounding hold it; adds to `no_value` what they cannot hold.
    pub fn round<'a>(
        &'a mut self,
        panel: &'a Panel,
        rows: Range<usize>,
        group: Range<usize>,
        rounding: Option<&dyn Rounding>,
        no_value: &mut NoValue,
    ) -> FeatureTile<'a> {
        let missing = |values: &[f64]| values.iter().filter(|value| value.is_nan()).count() as u64;
        let first_column = self.features_of(0..group.start);
        if let Some(rounding) = rounding {
            for (at, column) in self.values.get_mut().chunks_exact_mut(rows.len()).enumerate() {
                let missing_before = missing(column);
                rounding.round(first_column + at, column);
                no_value.column += missing(column) - missing_before;
            }
        }
        self.computed(panel, rows, group)
    }

    /// The tile computed last, rounded or not: that of `rows` of the panel and of `group`.
    pub(crate) fn computed<'a>(
        &'a self,
        panel: &'a Panel,
        rows: Range<usize>,
        group: Range<usize>,
    ) -> FeatureTile<'a> {
        FeatureTile {
            instants_us: &panel.instants_us[rows],
            first_column: self.features_of(0..group.start),
            values: self.values.get(),
        }
    }

    /// What is stored of the tile computed last, before it is rounded: its features, or the fits that it was made of.
    pub(crate) fn stored<'a>(
        &'a mut self,
        panel: &'a Panel,
        rows: Range<usize>,
        group: Range<usize>,
    ) -> FeatureTile<'a> {
        if self.layout == Layout::Metrics {
            return self.computed(panel, rows, group);
        }
        let columns =
            |series: &[SeriesEngine]| series.iter().map(SeriesEngine::fit_column_count).sum::<usize>();
        self.fits.resize(columns(&self.series[group.clone()]) * rows.len(), 0.0);
        let mut rest = self.fits.as_mut_slice();
        for series in &self.series[group.clone()] {
            let (fits, others) = rest.split_at_mut(series.fit_column_count() * rows.len());
            let (numbers, included) = fits.split_at_mut(fits.len() - series.included.len() * rows.len());
            series.write_fits(rows.len(), numbers);
            series.include(panel, rows.clone(), included);
            rest = others;
        }
        FeatureTile {
            instants_us: &panel.instants_us[rows],
            first_column: columns(&self.series[..group.start]),
            values: &self.fits,
        }
    }

    /// The fits that the tile computed last was made of, of one window of a series; none if they are not kept.
    pub(crate) fn fits(&self, series: usize, window: usize) -> Option<&FitColumns> {
        self.series.get(series)?.tile.as_ref()?.fits(window).ok()
    }

    /// About the memory that it takes once it has computed a tile: the features, and of each fit that is kept six numbers.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let with_fits = self.series.iter().filter(|series| series.tile.is_some());
        let windows: usize = with_fits.map(|series| series.windows.len()).sum();
        (self.values.values.capacity() + self.fits.capacity() + 6 * windows * self.tile_rows) as u64 * 8
    }

    /// How many rows are computed at once.
    pub(crate) fn tile_rows(&self) -> usize {
        self.tile_rows
    }

    fn features_of(&self, group: Range<usize>) -> usize {
        self.series[group].iter().map(SeriesEngine::feature_count).sum()
    }
}

impl SeriesEngine {
    fn new(config: &JobConfig, at: usize, keeps_fits: bool) -> Self {
        let series = &config.series[at];
        let windows = series.window_rows();
        Self {
            kernel: Kernel::new(&windows),
            tile: keeps_fits.then(Tile::default),
            windows,
            metrics: series.metrics.clone(),
            y_last_window: series.y_last_window(),
            included: config.included_in_panel(at),
            missing: MissingValues::default(),
            undefined: vec![0; series.metrics.len()],
        }
    }

    fn feature_count(&self) -> usize {
        self.metric_column_count() + self.included.len()
    }

    fn metric_column_count(&self) -> usize {
        self.windows.len() * self.metrics.len()
    }

    fn fit_column_count(&self) -> usize {
        self.windows.len() * FIT_NUMBERS.len() + 1 + self.included.len()
    }

    /// Copies what is included of `rows` of the panel. Returns how many values there are none of.
    fn include(&self, panel: &Panel, rows: Range<usize>, columns: &mut [f64]) -> u64 {
        let mut missing = 0;
        for (column, at) in columns.chunks_exact_mut(rows.len().max(1)).zip(self.included.clone()) {
            for (value, &included) in column.iter_mut().zip(&panel.columns[at][rows.clone()]) {
                // As features, which are never infinite and never -0.0.
                *value = if included.is_finite() { included + 0.0 } else { f64::NAN };
                missing += u64::from(value.is_nan());
            }
        }
        missing
    }

    /// Writes the fits of the tile computed last: the numbers of each window, then the newest values.
    fn write_fits(&self, rows: usize, columns: &mut [f64]) {
        let Some(tile) = &self.tile else { return };
        let mut columns = columns.chunks_exact_mut(rows.max(1));
        let mut next = || columns.next().unwrap_or_default();
        for fits in tile {
            let [a2, a1, b, ss_res, ss_tot] = std::array::from_fn(|_| next());
            let written = fits.write(FitNumbers { a2, a1, b, ss_res, ss_tot, y_last: &mut [] });
            assert!(written.is_ok(), "a column is as long as the tile");
        }
        let [a2, a1, b, ss_res, ss_tot]: [&mut [f64]; 5] = Default::default();
        let fits = tile.fits(self.y_last_window);
        let written =
            fits.and_then(|fits| fits.write(FitNumbers { a2, a1, b, ss_res, ss_tot, y_last: next() }));
        assert!(written.is_ok(), "a column is as long as the tile");
    }

    fn tile(&mut self, series: &[f64], rows: Range<usize>, values: &mut [f64], no_value: &mut NoValue) {
        if self.tile.is_some() {
            self.tile_of_fits(series, rows, values, no_value);
            return;
        }
        let columns = MetricColumns::new(values, rows.len());
        let written =
            self.kernel.metrics_into(series, rows.clone(), &self.metrics, columns, &mut self.missing);
        assert!(written.is_ok(), "tiles are cut from the panel's rows, and the columns are as long");
        for (at, &window) in self.windows.iter().enumerate() {
            // A kernel counts for each of its windows.
            let undefined = self.missing.undefined(at).unwrap_or_default().iter().sum();
            let without_fit = self.missing.rows_without_fit(at).unwrap_or_default();
            self.count(window, &rows, without_fit, undefined, no_value);
        }
    }

    /// As [`SeriesEngine::tile`], by way of the fits, which are kept.
    fn tile_of_fits(
        &mut self,
        series: &[f64],
        rows: Range<usize>,
        values: &mut [f64],
        no_value: &mut NoValue,
    ) {
        let mut tile = self.tile.take().unwrap_or_default();
        let fitted = self.kernel.fit_into(series, rows.clone(), &mut tile);
        assert!(fitted.is_ok(), "tiles are cut from the panel's rows");
        let window_cells = self.metrics.len() * rows.len();
        for (fits, columns) in tile.iter().zip(values.chunks_exact_mut(window_cells)) {
            self.undefined.fill(0);
            let written = fits.write_metrics(&self.metrics, columns, &mut self.undefined);
            assert!(written.is_ok(), "the columns are metrics x rows");
            let without_fit = (0..fits.rows()).filter(|&row| !fits.has_fit(row)).count() as u64;
            let missing: u64 = self.undefined.iter().sum();
            let undefined = missing - without_fit * self.metrics.len() as u64;
            self.count(fits.window(), &rows, without_fit, undefined, no_value);
        }
        self.tile = Some(tile);
    }

    /// Sorts the features without a value by cause. A row whose window is not full is warm-up even where a value in it
    /// could not be used; rows without a fit that are not warm-up are such inputs; the rest is undefined.
    fn count(
        &self,
        window: Window,
        rows: &Range<usize>,
        without_fit: u64,
        undefined: u64,
        no_value: &mut NoValue,
    ) {
        let metrics = self.metrics.len() as u64;
        let first_full_row = window.rows() - 1;
        let warmup_rows = first_full_row.clamp(rows.start, rows.end) - rows.start;
        no_value.warmup += warmup_rows as u64 * metrics;
        no_value.input += (without_fit - warmup_rows as u64) * metrics;
        no_value.undefined += undefined;
    }
}

/// A checksum of rows of features that does not depend on their order: the sum of a hash of each row.
///
/// A row's hash mixes its instant with the sum of each value's bits times an odd constant of the column. The high half
/// of the bits is folded onto the low one first, so that a change of sign, the highest bit, does not fall off.
#[derive(Clone, Debug)]
pub struct Checksum {
    column_factors: Vec<u64>,
    /// What is known of each row: all of it only after the last group.
    row_hashes: Vec<u64>,
    instants_us: Vec<i64>,
}

/// The odd number nearest to 2^64 divided by the golden ratio, as in SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Checksum {
    /// The checksum of no rows of `feature_count` features.
    pub fn new(feature_count: usize) -> Self {
        let factor = |column: usize| mix(GOLDEN.wrapping_mul(column as u64 + 1)) | 1;
        Self {
            column_factors: (0..feature_count).map(factor).collect(),
            row_hashes: Vec::new(),
            instants_us: Vec::new(),
        }
    }

    /// Adds features of the rows from `first_row` on, counted within their group.
    pub fn add(&mut self, first_row: usize, tile: FeatureTile<'_>) {
        self.add_instants(first_row, tile.instants_us);
        let hashes = &mut self.row_hashes[first_row..first_row + tile.rows()];
        // A receipt of another definition may have fewer columns than are read.
        let factors = self.column_factors.get(tile.first_column..).unwrap_or_default();
        for (column, &factor) in tile.columns().zip(factors) {
            for (hash, value) in hashes.iter_mut().zip(column) {
                let bits = value.to_bits();
                *hash = hash.wrapping_add((bits ^ (bits >> 32)).wrapping_mul(factor));
            }
        }
    }

    /// Each row's instant counts once. One that another group has otherwise makes it another row.
    fn add_instants(&mut self, first_row: usize, instants_us: &[i64]) {
        let known = self.instants_us.len().saturating_sub(first_row).min(instants_us.len());
        for (at, instant) in instants_us.iter().enumerate().take(known) {
            if self.instants_us[first_row + at] != *instant {
                self.row_hashes[first_row + at] ^= mix(instant.cast_unsigned());
            }
        }
        self.instants_us.extend_from_slice(&instants_us[known..]);
        self.row_hashes.extend(instants_us[known..].iter().map(|&us| mix(us.cast_unsigned() ^ GOLDEN)));
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = self.row_hashes.iter().fold(0_u64, |sum, &hash| sum.wrapping_add(mix(hash)));
        write!(f, "{sum:016x}")
    }
}

/// The finalizer of SplitMix64: every bit of the input reaches every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(tiles: &[(&[i64], &[f64])]) -> String {
        let mut checksum = Checksum::new(2);
        let mut first_row = 0;
        for (instants_us, values) in tiles {
            checksum.add(first_row, FeatureTile { instants_us, first_column: 0, values });
            first_row += instants_us.len();
        }
        checksum.to_string()
    }

    #[test]
    fn the_checksum_does_not_depend_on_groups_and_sees_instants_that_differ_between_them() {
        let apart = |instants: [&[i64]; 2]| {
            let mut checksum = Checksum::new(2);
            for (column, instants_us) in instants.into_iter().enumerate() {
                let values: &[f64] = [&[1.0, 2.0], &[3.0, f64::NAN]][column];
                checksum.add(0, FeatureTile { instants_us, first_column: column, values });
            }
            checksum.to_string()
        };
        let whole = checksum(&[(&[1, 2], &[1.0, 2.0, 3.0, f64::NAN])]);
        assert_eq!(whole, apart([&[1, 2], &[1, 2]]));
        assert_ne!(whole, apart([&[1, 2], &[1, 3]]));
    }

    #[test]
    fn the_checksum_sees_values_and_not_the_order_of_rows() {
        let whole = checksum(&[(&[1, 2], &[1.0, 2.0, 3.0, f64::NAN])]);
        assert_eq!(whole, checksum(&[(&[2], &[2.0, f64::NAN]), (&[1], &[1.0, 3.0])]));
        for other in [
            [1.0, 2.0, 3.0, 0.0],
            [-1.0, 2.0, -3.0, f64::NAN],
            [2.0, 1.0, 3.0, f64::NAN],
            [3.0, f64::NAN, 1.0, 2.0],
            [1.0 + f64::EPSILON, 2.0, 3.0, f64::NAN],
        ] {
            assert_ne!(whole, checksum(&[(&[1, 2], &other)]), "{other:?}");
        }
        assert_ne!(whole, checksum(&[(&[1, 3], &[1.0, 2.0, 3.0, f64::NAN])]));
    }

    #[test]
    fn features_without_a_value_are_counted_by_cause() {
        let config = JobConfig::parse(crate::config::EXAMPLE, []).unwrap();
        let mut values: Vec<f64> = (0..2000).map(|i| f64::from(i % 7)).collect();
        values[1000] = f64::NAN;
        values[1700] = 1e101;
        let panel = Panel {
            instants_us: (0..2000).collect(),
            columns: vec![values; 2],
            lookback_rows: 0,
            lost_rows: vec![0, 0],
            ..Panel::default()
        };
        let mut cells = 0;
        let stored = FeatureEngine::new(&config)
            .compute(&panel, Grouping::Together, None, |tile| {
                cells += tile.values.iter().filter(|value| value.is_nan()).count() as u64;
                Ok::<(), ()>(())
            })
            .unwrap();
        let windows = [15, 30, 45, 60, 75, 90];
        let warmup: u64 = windows.iter().map(|rows| (rows - 1) * 15 * 2).sum();
        let input: u64 = windows.iter().map(|rows| rows * 2 * 15 * 2).sum();
        assert_eq!((stored.no_value.warmup, stored.no_value.input), (warmup, input));
        assert_eq!(stored.no_value.total(), cells);
        assert_eq!(stored.rows, 2000);
        let by_way_of_fits = FeatureEngine::from_config(&config, true)
            .compute(&panel, Grouping::Together, None, |_| Ok::<(), ()>(()))
            .unwrap();
        assert_eq!(by_way_of_fits, stored);
    }
}
