//! [`compare_rows`]: stored rows, a tile at a time, against those of a panel, computed where there is one to compare with.

use std::ops::Range;
use std::sync::Arc;

use rollfit::Metric;
use rollfit::agreement::{Ranges, judge, judge_copy, magnitude};

use super::tally::{Cell, Compared, MatchedRows, Tally};
use crate::Job;
use crate::config::JobConfig;
use crate::features::{Checksum, FeatureEngine};
use crate::panel::Panel;
use crate::receipt::{NoValue, Stored};
use crate::row_sample::RowSample;
use crate::stop_signal::StopSignal;
use crate::store::{FeatureReader, FeatureTile, Rounding, StoreError};
use crate::verify::Position;

/// Compares what `reader` gives with what `panel` does. Where every row is on both sides and none is left out, returns
/// what a receipt records of the stored rows as well.
pub(crate) fn compare_rows(
    job: &Job<'_>,
    panel: &Panel,
    sample: Option<usize>,
    reader: &mut dyn FeatureReader,
    stop: &StopSignal,
) -> Result<(Compared, Stored), StoreError> {
    let groups = job.sink.grouping().groups(job.config.series.len());
    let sample = RowSample::new(panel.rows(), sample);
    let mut comparison = Comparison::new(job.config, groups, panel, sample, reader.rounding());
    while !stop.requested()
        && let Some(stored) = reader.next_tile()?
    {
        comparison.add(stored);
    }
    Ok(comparison.conclude())
}

impl MatchedRows {
    /// Finds the row of the panel for each stored row.
    fn pair(&mut self, stored_us: &[i64], panel_us: &[i64], next: &mut usize) -> Vec<RowPair> {
        let mut pairs = Vec::with_capacity(stored_us.len());
        for (stored, &instant_us) in stored_us.iter().enumerate() {
            self.skip(panel_us, next, |other_us| other_us < instant_us);
            if panel_us.get(*next) == Some(&instant_us) {
                pairs.push(RowPair { stored, computed: *next });
                self.both += 1;
                *next += 1;
            } else {
                self.stored_only += 1;
                self.first_stored_only_us.get_or_insert(instant_us);
            }
        }
        pairs
    }

    /// Passes the rows of the panel that nobody stored.
    fn skip(&mut self, panel_us: &[i64], next: &mut usize, is_skipped: impl Fn(i64) -> bool) {
        while let Some(&instant_us) = panel_us.get(*next)
            && is_skipped(instant_us)
        {
            self.computed_only += 1;
            self.first_computed_only_us.get_or_insert(instant_us);
            *next += 1;
        }
    }
}

/// A row of a stored tile, and the row of the panel that has its instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RowPair {
    stored: usize,
    computed: usize,
}

/// The comparison of one partition, a stored tile at a time.
struct Comparison<'a> {
    config: &'a JobConfig,
    panel: &'a Panel,
    engine: FeatureEngine,
    rounding: Option<Arc<dyn Rounding>>,
    sample: RowSample,
    /// Where in the panel the rows of each group are looked for.
    next: Vec<usize>,
    position: Position,
    checksum: Checksum,
    no_value: NoValue,
    compared: Compared,
}

impl<'a> Comparison<'a> {
    fn new(
        config: &'a JobConfig,
        groups: Vec<Range<usize>>,
        panel: &'a Panel,
        sample: RowSample,
        rounding: Option<Arc<dyn Rounding>>,
    ) -> Self {
        let next = vec![panel.lookback_rows; groups.len()];
        let rows_of = |series| MatchedRows { series, ..MatchedRows::default() };
        let columns = vec![Tally::default(); config.feature_count()];
        Self {
            config,
            panel,
            engine: FeatureEngine::from_config(config, true),
            rounding,
            sample,
            next,
            position: Position::default(),
            checksum: Checksum::new(config.feature_count()),
            no_value: NoValue::default(),
            compared: Compared {
                definition_change: None,
                tables: groups.into_iter().map(rows_of).collect(),
                columns,
            },
        }
    }

    fn add(&mut self, stored: FeatureTile<'_>) {
        self.checksum.add(self.position.advance(stored), stored);
        let series = self.config.series_of(stored.first_column, stored.columns().count());
        let tables = &mut self.compared.tables;
        let Some(at) = tables.iter().position(|table| table.series == series) else { return };
        let mut pairs = tables[at].pair(stored.instants_us, &self.panel.instants_us, &mut self.next[at]);
        pairs.retain(|pair| self.sample.has(self.row_of(pair)));
        let tile_rows = self.engine.tile_rows();
        let tile_of = |pair: &RowPair| self.row_of(pair) / tile_rows;
        let tiles: Vec<&[RowPair]> = pairs.chunk_by(|one, other| tile_of(one) == tile_of(other)).collect();
        for pairs in tiles {
            self.judge(stored, pairs, series.clone());
        }
    }

    /// The row of the partition.
    fn row_of(&self, pair: &RowPair) -> usize {
        pair.computed - self.panel.lookback_rows
    }

    /// Computes what lies between the first and the last of `pairs`, and judges the stored values of all of them.
    fn judge(&mut self, stored: FeatureTile<'_>, pairs: &[RowPair], group: Range<usize>) {
        let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else { return };
        let rows = first.computed..last.computed + 1;
        let rounding = self.rounding.as_deref();
        self.engine.tile(self.panel, rows.clone(), group.clone(), &mut self.no_value);
        self.engine.round(self.panel, rows.clone(), group.clone(), rounding, &mut self.no_value);
        let computed = self.engine.computed(self.panel, rows.clone(), group.clone());
        let block =
            Block { panel: self.panel, engine: &self.engine, computed, stored, rows, pairs, rounding };
        let mut column = 0;
        for series in group {
            let metrics = &self.config.series[series].metrics;
            for (window, labelled) in self.config.series[series].windows.iter().enumerate() {
                let tallies = &mut self.compared.columns[stored.first_column + column..][..metrics.len()];
                block.judge_window(series, (window, labelled.window.rows()), column, metrics, tallies);
                column += metrics.len();
            }
            for _ in &self.config.series[series].include {
                block.judge_included(column, &mut self.compared.columns[stored.first_column + column]);
                column += 1;
            }
        }
    }

    fn conclude(mut self) -> (Compared, Stored) {
        for (table, next) in self.compared.tables.iter_mut().zip(&mut self.next) {
            table.skip(&self.panel.instants_us, next, |_| true);
        }
        let stored = Stored {
            rows: self.compared.rows(),
            checksum: self.checksum.to_string(),
            no_value: self.no_value,
            adopted: true,
            types: None,
        };
        (self.compared, stored)
    }
}

/// Matched rows of a stored tile and of a computed one.
struct Block<'a> {
    panel: &'a Panel,
    engine: &'a FeatureEngine,
    computed: FeatureTile<'a>,
    stored: FeatureTile<'a>,
    /// The rows of the panel that are computed.
    rows: Range<usize>,
    pairs: &'a [RowPair],
    rounding: Option<&'a dyn Rounding>,
}

impl Block<'_> {
    /// Judges the columns of one window, the first of which is `column` in the tiles.
    fn judge_window(
        &self,
        series: usize,
        (window, window_rows): (usize, usize),
        column: usize,
        metrics: &[Metric],
        tallies: &mut [Tally],
    ) {
        let Some(fits) = self.engine.fits(series, window) else { return };
        for pair in self.pairs {
            // Without a fit there is no value, and no range to check.
            let fit = fits.get(pair.computed - self.rows.start);
            let first = (pair.computed + 1).saturating_sub(window_rows);
            let values = &self.panel.columns[series][first..=pair.computed];
            let ranges = fit.map(|fit| Ranges::new(&fit, magnitude(values)));
            for (at, (&metric, tally)) in metrics.iter().zip(tallies.iter_mut()).enumerate() {
                let cell = self.cell(*pair, column + at);
                let rounding = self.uncertainty(column + at, cell.stored);
                let judgement = judge(ranges.as_ref(), metric, cell.computed, cell.stored, rounding);
                tally.count(judgement, cell);
            }
        }
    }

    /// Judges an included column of the tiles.
    fn judge_included(&self, column: usize, tally: &mut Tally) {
        for pair in self.pairs {
            let cell = self.cell(*pair, column);
            tally.count(judge_copy(cell.computed, cell.stored, self.uncertainty(column, cell.stored)), cell);
        }
    }

    /// The cell of a column of the tiles, not judged yet.
    fn cell(&self, pair: RowPair, column: usize) -> Cell {
        Cell {
            instant_us: self.stored.instants_us[pair.stored],
            computed: self.computed.values[column * self.rows.len() + pair.computed - self.rows.start],
            stored: self.stored.values[column * self.stored.rows() + pair.stored],
            distance: 0.0,
        }
    }

    fn uncertainty(&self, column: usize, stored: f64) -> f64 {
        let feature = self.stored.first_column + column;
        self.rounding.map_or(0.0, |rounding| rounding.uncertainty(feature, stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EXAMPLE;
    use crate::store::Grouping;

    const ROWS: usize = 1500;

    /// Rows of one group, as they are stored.
    struct GroupTable {
        first_column: usize,
        instants_us: Vec<i64>,
        columns: Vec<Vec<f64>>,
    }

    fn config() -> JobConfig {
        JobConfig::parse(EXAMPLE, []).unwrap()
    }

    fn panel() -> Panel {
        let mut random = fastrand::Rng::with_seed(3);
        let mut level = 100.0;
        let mut walk = |_| {
            level += random.f64() - 0.5;
            level
        };
        let idx: Vec<f64> = (0..ROWS).map(&mut walk).collect();
        let bqx = idx.iter().map(|level| (level - 100.0) / 50.0).collect();
        let instants_us = (0..ROWS as i64).map(|row| row * 60_000_000).collect();
        Panel { instants_us, columns: vec![idx, bqx], lost_rows: vec![0, 0], ..Panel::default() }
    }

    /// What the kernel gives, a table a series.
    fn tables(config: &JobConfig, panel: &Panel) -> Vec<GroupTable> {
        let mut tables: Vec<GroupTable> = Vec::new();
        let take = |tile: FeatureTile<'_>| {
            if tables.last().is_none_or(|table| table.first_column != tile.first_column) {
                let columns = vec![Vec::new(); tile.columns().count()];
                tables.push(GroupTable { first_column: tile.first_column, instants_us: Vec::new(), columns });
            }
            let table = tables.last_mut().unwrap();
            table.instants_us.extend(tile.instants_us);
            table.columns.iter_mut().zip(tile.columns()).for_each(|(all, more)| all.extend(more));
            Ok::<(), ()>(())
        };
        FeatureEngine::new(config).compute(panel, Grouping::Apart, None, take).unwrap();
        tables
    }

    /// Compares tables that a change was made to, some rows at a time.
    fn compared(sample: Option<usize>, change: impl FnOnce(&mut [GroupTable])) -> (Compared, Stored) {
        let (config, panel) = (config(), panel());
        let mut tables = tables(&config, &panel);
        change(&mut tables);
        let sample = RowSample::new(ROWS, sample);
        let mut comparison = Comparison::new(&config, Grouping::Apart.groups(2), &panel, sample, None);
        for table in &tables {
            for first in (0..table.instants_us.len()).step_by(700) {
                let rows = first..table.instants_us.len().min(first + 700);
                let values: Vec<f64> =
                    table.columns.iter().flat_map(|column| &column[rows.clone()]).copied().collect();
                comparison.add(FeatureTile {
                    instants_us: &table.instants_us[rows],
                    first_column: table.first_column,
                    values: &values,
                });
            }
        }
        comparison.conclude()
    }

    fn column(name: &str) -> usize {
        config().feature_names().position(|known| known == name).unwrap()
    }

    #[test]
    fn the_same_rows_are_clean_and_their_receipt_is_that_of_a_run() {
        let (compared, stored) = compared(None, |_| ());
        let cells = (ROWS * config().feature_count()) as u64;
        assert!(compared.is_clean() && compared.differences(&config()).is_empty());
        assert_eq!((compared.rows(), compared.total().bit_equal), (ROWS as u64, cells));
        let ignore = |_: FeatureTile<'_>| Ok::<(), ()>(());
        let computed =
            FeatureEngine::new(&config()).compute(&panel(), Grouping::Apart, None, ignore).unwrap();
        assert_eq!(stored, Stored { adopted: true, ..computed });
    }

    #[test]
    fn rounding_is_within_and_a_changed_digit_is_outside_where_it_is() {
        let at = column("prediction_idx_w30");
        let (rounded, _) = compared(None, |tables| tables[0].columns[at][900] *= 1.0 + 1e-15);
        assert!(rounded.is_clean());
        assert_eq!((rounded.columns[at].within, rounded.columns[at].bit_equal), (1, ROWS as u64 - 1));
        let (changed, _) = compared(None, |tables| tables[0].columns[at][900] += 1e-5);
        assert_eq!((changed.total().outside, changed.columns[at].outside), (1, 1));
        let difference = &changed.differences(&config())[0];
        assert!(difference.starts_with("prediction_idx_w30 at 1970-01-01T15:00:00Z: "), "{difference}");
        let worst = changed.columns[at].worst.unwrap();
        assert!(worst.distance > 1e5 && Some(worst) == changed.columns[at].first_outside);
    }

    #[test]
    fn no_value_agrees_with_no_value_alone() {
        let at = 0;
        for (row, value) in [(3, 0.0), (900, f64::NAN), (900, f64::INFINITY)] {
            let (compared, _) = compared(None, |tables| tables[1].columns[at][row] = value);
            let total = compared.total();
            assert_eq!(total.outside, 1, "{value}");
            assert_eq!(total.one_sided, u64::from(value.is_finite() || value.is_nan()), "{value}");
            assert!(!compared.is_clean());
        }
        let (zeros, _) = compared(None, |tables| {
            for column in tables.iter_mut().flat_map(|table| &mut table.columns) {
                column.iter_mut().filter(|value| **value == 0.0).for_each(|value| *value = -0.0);
            }
        });
        assert!(zeros.is_clean() && zeros.total().within == 0, "a zero is a zero");
    }

    #[test]
    fn rows_are_matched_by_instant_and_those_on_one_side_are_counted() {
        let (compared, _) = compared(None, |tables| {
            let table = &mut tables[1];
            table.instants_us[ROWS - 1] += 1;
            table.instants_us[1] = table.instants_us[0];
            table.instants_us.drain(700..900);
            table.columns.iter_mut().for_each(|column| drop(column.drain(700..900)));
        });
        assert!(!compared.is_clean());
        assert_eq!(compared.tables[0], MatchedRows { series: 0..1, both: 1500, ..MatchedRows::default() });
        let rows = &compared.tables[1];
        assert_eq!((rows.both, rows.stored_only, rows.computed_only), (1298, 2, 202));
        assert_eq!((rows.first_stored_only_us, rows.first_computed_only_us), (Some(0), Some(60_000_000)));
        assert_eq!(compared.total().outside, 0, "the rows on both sides are the same");
        let differences = compared.differences(&config());
        assert!(differences[0].contains("series bqx: 2 rows are only stored"), "{differences:?}");
    }

    #[test]
    fn a_table_without_rows_is_no_agreement() {
        let (compared, _) = compared(None, |tables| {
            tables[1].instants_us.clear();
            tables[1].columns.iter_mut().for_each(Vec::clear);
        });
        assert_eq!((compared.tables[1].both, compared.tables[1].computed_only), (0, ROWS as u64));
        assert!(!compared.is_clean());
    }

    #[test]
    fn a_sample_judges_that_many_rows_and_still_counts_all() {
        let (compared, _) = compared(Some(10), |tables| {
            tables[0].instants_us.pop();
            tables[0].columns.iter_mut().for_each(|column| column.truncate(ROWS - 1));
        });
        assert_eq!((compared.tables[0].both, compared.tables[0].computed_only), (1499, 1));
        let cells = compared.columns[0].cells() + compared.columns[column("a2_bqx_w15")].cells();
        assert_eq!(cells, 9 + 10, "the last row is one of the sampled");
    }
}
