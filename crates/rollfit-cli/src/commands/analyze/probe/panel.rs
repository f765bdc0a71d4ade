//! The rows to measure with: those of a partition of the source, or, where there is none, a walk at random.

use rollfit_job::features::FeatureEngine;
use rollfit_job::panel::Panel;
use rollfit_job::spec::Spec;
use rollfit_job::store::{FeatureTile, Grouping};

use super::computing::each_tile;

/// The rows of a month of minute bars, where nothing is known.
pub(super) const ROWS_OF_A_MONTH: usize = 30_900;

/// Series that walk at random by the minute.
pub(super) fn synthetic(spec: &Spec, rows: usize) -> Panel {
    const MINUTE_US: i64 = 60_000_000;
    let mut random = fastrand::Rng::with_seed(0);
    let mut walk = || {
        let mut value = 100.0;
        (0..rows)
            .map(|_| {
                value += 0.01 * (random.f64() - 0.5);
                value
            })
            .collect()
    };
    Panel {
        instants_us: (0..rows as i64).map(|minute| minute * MINUTE_US).collect(),
        columns: spec.series.iter().map(|_| walk()).collect(),
        lookback_rows: 0,
        lost_rows: vec![0; spec.series.len()],
        join_loss: None,
    }
}

/// Features to hand to a sink again and again: one tile for each group of series.
pub(super) struct Tiles {
    instants_us: Vec<i64>,
    /// The first column of each group, and its columns one after the other.
    groups: Vec<(usize, Vec<f64>)>,
}

impl Tiles {
    /// The features of a panel, as many rows as fit into a moderate memory: the fewer there are, the more they would
    /// repeat, and the better they would compress.
    pub(super) fn of(spec: &Spec, grouping: Grouping, panel: &Panel) -> Self {
        const MEMORY_BYTES: usize = 64 << 20;
        let rows = panel.rows().min(MEMORY_BYTES / 8 / spec.feature_count().max(1)).max(1);
        let mut columns = vec![Vec::with_capacity(rows); spec.feature_count()];
        each_tile(&mut FeatureEngine::new(spec), grouping, panel, |tile| {
            for (column, more) in columns[tile.first_column..].iter_mut().zip(tile.columns()) {
                let missing = rows - column.len();
                column.extend_from_slice(&more[..more.len().min(missing)]);
            }
        });
        let month_us = &panel.instants_us[panel.lookback_rows..];
        Self {
            instants_us: month_us[..rows.min(month_us.len())].to_vec(),
            groups: grouped(spec, grouping, columns),
        }
    }

    pub(super) fn tiles(&self) -> Vec<FeatureTile<'_>> {
        self.groups
            .iter()
            .map(|(first_column, values)| FeatureTile {
                instants_us: &self.instants_us,
                first_column: *first_column,
                values,
            })
            .collect()
    }
}

fn grouped(spec: &Spec, grouping: Grouping, columns: Vec<Vec<f64>>) -> Vec<(usize, Vec<f64>)> {
    let mut columns = columns.into_iter();
    let mut first_column = 0;
    let mut groups = Vec::new();
    for group in grouping.groups(spec.series.len()) {
        let count = spec.series[group].iter().map(|series| series.columns.len()).sum();
        groups.push((first_column, columns.by_ref().take(count).flatten().collect()));
        first_column += count;
    }
    groups
}

#[cfg(test)]
mod tests {
    use rollfit_job::spec::EXAMPLE;

    use super::*;

    #[test]
    fn the_tiles_are_the_features_of_the_panel_whatever_the_grouping() {
        let spec = Spec::parse(EXAMPLE, []).unwrap();
        let panel = synthetic(&spec, 700);
        let together = Tiles::of(&spec, Grouping::Together, &panel);
        let apart = Tiles::of(&spec, Grouping::Apart, &panel);
        let [whole] = together.tiles().try_into().unwrap();
        let [first, second] = apart.tiles().try_into().unwrap();
        assert_eq!((whole.rows(), first.rows(), second.rows()), (700, 700, 700));
        assert_eq!((whole.columns().count(), first.first_column, second.first_column), (180, 0, 90));
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(whole.values), bits(&[first.values, second.values].concat()));
        assert!(whole.columns().all(|column| column[699].is_finite()));
    }
}
